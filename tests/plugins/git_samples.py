"""Helpers of the git loader's tests: a visit without an archive, and repositories written with git's plumbing."""

from __future__ import annotations

import datetime
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from swhkit.manifest import edges_of_snapshot
from swhkit.packindex import show_index
from swhkit.plugin import (
    Gap,
    Git,
    Item,
    Limits,
    Network,
    ObjectId,
    Outcome,
    Pack,
    Runner,
    Snapshot,
    Visit,
    VisitContext,
    VisitStatus,
)
from swhkit_git import GitConfig
from swhkit_git.loader import make


class Loaded(msgspec.Struct):
    """What came out of a loader."""

    items: list[Item]
    outcome: Outcome | None
    scratch: Path

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot, which must be the last item, and the only one."""
        assert [item for item in self.items if isinstance(item, Snapshot)] == self.items[-1:]
        last = self.items[-1]
        assert isinstance(last, Snapshot)
        return last

    @property
    def gaps(self) -> list[Gap]:
        """The gaps."""
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def packs(self) -> list[Pack]:
        """The packs."""
        return [item for item in self.items if isinstance(item, Pack)]

    def objects(self) -> set[bytes]:
        """Digests of all objects in the packs."""
        return {digest for pack in self.packs for digest, _ in show_index(pack.idx)}


class Visits:
    """Runs the git loader as the core would, on an archive that is a bare repository (or nothing at all)."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        self.limits = Limits()
        self.network = Network(from_cli=True)
        self.config = GitConfig()
        self.held: Path | None = None
        self.closed: set[ObjectId] = set()
        self.likely: list[ObjectId] = []
        self.previous: Snapshot | None = None
        self.previous_visit: Visit | None = None
        self.progress: list[tuple[str, int]] = []

    def context(self, url: str) -> VisitContext:
        """The context of a new visit, with a scratch folder of its own."""
        self.count += 1
        scratch, home = self.root / f"scratch{self.count}", self.root / f"home{self.count}"
        scratch.mkdir()
        home.mkdir()
        deadline = time.monotonic() + self.limits.visit_time
        return VisitContext(
            url=url,
            visit_type="git",
            previous=self.previous,
            previous_visit=self.previous_visit,
            missing=self._missing,
            read=lambda ids: {},
            stream=lambda id: iter(()),
            closed=self.is_closed,
            likely_tips=lambda n: self.likely[:n],
            extids=lambda type, values, version: [],
            held_objects=self.held,
            scratch=scratch,
            runner=Runner(home, deadline=deadline),
            network=self.network,
            limits=self.limits,
            log=logging.getLogger("swhkit.test"),
            progress=lambda phase, done=0, total=None: self.progress.append((phase, done)),
        )

    def load(self, url: str) -> Loaded:
        """Visit ``url``."""
        context = self.context(url)
        load = make(self.config).load(context)
        items: list[Item] = []
        while True:
            try:
                items.append(next(load))
            except StopIteration as end:
                return Loaded(items, end.value, context.scratch)

    def is_closed(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those that the archive would say are closed."""
        return set(ids) & self.closed

    def publish(self, loaded: Loaded, url: str = "", *, held: bool = True, closed: bool = True) -> None:
        """Take what came into the archive: as the previous visit, and ``held`` and ``closed`` if they are."""
        status = loaded.outcome.status if loaded.outcome and loaded.outcome.status else VisitStatus.FULL
        self.previous = loaded.snapshot
        self.previous_visit = Visit(url, 1, "git", datetime.datetime.now(datetime.UTC), status)
        if held:
            self.held = self.root / "held.git" / "objects"
            Git.init(Runner(self.root), self.held.parent)
            for file in (file for pack in loaded.packs for file in (pack.path, pack.idx)):
                shutil.copy(file, self.held / "pack")
        if closed:
            self.closed |= set(edges_of_snapshot(loaded.snapshot))

    def _missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        asked = set(ids)
        if self.held is None:
            return asked
        git = Git(Runner(self.root), self.held.parent)
        there = {ObjectId(kind, digest) for digest, kind, _ in git.check({i.digest for i in asked}) if kind}
        return asked - there


class Repository:
    """A bare repository to be loaded, written with git's plumbing."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "init", "-q", "--bare", "--template=", "-b", "main", *options, path], check=True
        )

    @property
    def url(self) -> str:
        """Its file URL."""
        return self.path.as_uri()

    def git(self, *args: str, input: bytes = b"") -> str:
        """Run git in it; stdout."""
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {
                f"GIT_{who}_NAME": "A",
                f"GIT_{who}_EMAIL": "a@x",
                f"GIT_{who}_DATE": "1500000000 +0000",
            }
        argv = ["git", "--git-dir", str(self.path), *args]
        done = subprocess.run(argv, input=input, check=True, capture_output=True, env=environment)
        return done.stdout.decode().strip()

    def blob(self, data: bytes) -> str:
        """Write a blob."""
        return self.git("hash-object", "-w", "--stdin", input=data)

    def commit(self, data: bytes, *parents: str, ref: str | None = None) -> str:
        """Write a commit of one file, and let ``ref`` point at it."""
        tree = self.git("mktree", input=b"100644 blob %s\tfile\n" % self.blob(data).encode())
        commit = self.git("commit-tree", tree, *(a for p in parents for a in ("-p", p)), "-m", "message")
        if ref:
            self.git("update-ref", ref, commit)
        return commit

    def history(self, length: int, ref: str = "refs/heads/main", base: str | None = None) -> list[str]:
        """Write a line of commits and let ``ref`` point at the last."""
        commits = [base] if base else []
        for number in range(length):
            commits.append(self.commit(b"%s %d\n" % (ref.encode(), number), *commits[-1:]))
        self.git("update-ref", ref, commits[-1])
        return commits
