"""Made-up histories: every revision has the very tree that ``svn export`` writes, however the history is read."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from archives import archive, shell
from svn_servers import SvnRepository, delete, folder, history_of, node, svnserve

from swhkit import visit
from swhkit.archive import Archive
from swhkit_svn import SvnConfig
from swhkit_svn.loader import make

EOLS = (None, None, "native", "LF", "CRLF", "CR")
REVISIONS = 20


def load(target: Archive, url: str) -> visit.Report:
    return visit.run(target, make(SvnConfig(retries=0)), url, "svn", network=shell())


class History:
    """Random changes that are valid, and what the tree is after them."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.trees: list[dict[str, str]] = [{}]

    def revision(self) -> list[bytes]:
        """The nodes of the next revision."""
        self.trees.append(dict(self.trees[-1]))
        self.touched: set[str] = set()
        return [node for _ in range(self.pick.randint(1, 6)) for node in self.change()]

    def change(self) -> list[bytes]:
        tree, pick = self.trees[-1], self.pick
        free = [path for path in tree if not any(path == t or path.startswith(t + "/") for t in self.touched)]
        files = [path for path in free if tree[path] == "file"]
        action = pick.choice(
            ["add", "add", "mkdir", "change", "change", "change", "property", "delete", "copy", "replace"]
        )
        if action == "add":
            path = self.fresh()
            tree[path] = "file"
            return [node(path, text=self.text(), properties=self.properties())]
        if action == "mkdir":
            path = self.fresh()
            tree[path] = "dir"
            return [folder(path)]
        if action == "copy":
            return self.copy(self.fresh(), "add")
        if not files or (action in ("delete", "replace") and not free):
            return []
        path = pick.choice(free if action in ("delete", "replace") else files)
        if action in ("delete", "replace") and any(t.startswith(path + "/") for t in self.touched):
            return []
        self.touched.add(path)
        if action == "change":
            return [node(path, "change", text=self.text(), properties=pick.choice([None, self.properties()]))]
        if action == "property":
            return [node(path, "change", properties=self.properties())]
        for gone in [p for p in tree if p == path or p.startswith(path + "/")]:
            del tree[gone]
        if action == "delete":
            return [delete(path)]
        if pick.random() < 0.5:
            return self.copy(path, "replace")
        tree[path] = "file"
        return [node(path, "replace", text=self.text(), properties=self.properties())]

    def copy(self, path: str, action: str) -> list[bytes]:
        """A copy of something at some revision, perhaps changed on the way."""
        tree, pick = self.trees[-1], self.pick
        number = pick.randrange(len(self.trees) - 1)
        old = self.trees[number]
        if not old:
            if action == "add":
                return []
            tree[path] = "file"
            return [node(path, "replace", text=b"", properties={})]
        source = pick.choice(sorted(old))
        tree[path] = old[source]
        for below in [p for p in old if p.startswith(source + "/")]:
            tree[path + below[len(source) :]] = old[below]
        self.touched.add(path)
        changed = old[source] == "file" and pick.random() < 0.5
        nodes = [
            node(
                path, action, old[source], source=(number, source),
                text=self.text() if changed else None,
                properties=pick.choice([None, self.properties()]) if changed else None,
            )
        ]  # fmt: skip
        inside = [p for p in tree if p.startswith(path + "/") and tree[p] == "file"]
        if inside and pick.random() < 0.5:
            nodes.append(node(pick.choice(inside), "change", text=self.text()))
        return nodes

    def fresh(self) -> str:
        tree, pick = self.trees[-1], self.pick
        folders = ["", *(path for path, kind in tree.items() if kind == "dir")]
        above = pick.choice(folders)
        while True:
            name = f"{pick.choice(['a', 'b', 'ü', 'x y', 'p%20', 'z@1', 'é.c'])}{pick.randint(0, 99)}"
            path = f"{above}/{name}".lstrip("/")
            if path not in tree:
                self.touched.add(path)
                return path

    def text(self) -> bytes:
        pick = self.pick
        if pick.random() < 0.15:
            return f"link {pick.choice(['a', '../b', 'nowhere/é'])}{pick.choice(['', chr(10)])}".encode()
        count = pick.choice([0, 1, 3, 40, 4000])
        return b"".join(
            pick.choice([b"one", b"\xff\xfe", b"", b"$Id$"]) + pick.choice([b"\n", b"\r\n", b"\r", b"\n"])
            for _ in range(count)
        )

    def properties(self) -> dict[str, str | bytes | None]:
        pick = self.pick
        found: dict[str, str | bytes | None] = {"svn:keywords": "Id"} if pick.random() < 0.3 else {}
        if (eol := pick.choice(EOLS)) is not None:
            found["svn:eol-style"] = eol
        if pick.random() < 0.3:
            found["svn:executable"] = "*"
        if pick.random() < 0.3:
            found["svn:special"] = "*"
        return found


@pytest.mark.parametrize("seed", range(3))
def test_trees_of_all_revisions(seed: int, tmp_path: Path) -> None:
    repository = SvnRepository(tmp_path / "repo")
    made = History(seed)
    repository.commit_all([made.revision() for _ in range(REVISIONS)])
    dump = repository.dump()
    (tmp_path / "full.svndump").write_bytes(dump)
    (tmp_path / "deltas.svndump.gz").write_bytes(gzip.compress(repository.dump("--deltas")))
    with archive("memory", tmp_path) as target, svnserve(tmp_path) as base:
        report = load(target, repository.url)
        assert (report.status, report.error) == ("full", None)
        revisions = list(history_of(target, report))
        assert len(revisions) > REVISIONS // 2
        for number, revision in revisions:
            assert revision.directory == repository.exported(tmp_path, number), f"revision {number}"
        for url in (f"{base}/repo", f"{tmp_path}/full.svndump", f"{tmp_path}/deltas.svndump.gz"):
            again = load(target, url)
            assert (again.status, again.snapshot) == ("full", report.snapshot), again
