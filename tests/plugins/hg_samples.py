"""Mercurial repositories for tests: real ones, made with ``hg``, and histories written down as changegroups.

A ``Writer`` makes bundles byte for byte (``hg help internals.changegroups``), so they can have what ``hg`` would not
write: damage, lies, odd deltas. What it writes when it is asked for nothing odd, ``hg`` itself takes.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archives import archive, shell

from swhkit import visit
from swhkit.archive import Archive
from swhkit.model import Snapshot
from swhkit.plugin import Limits, Network
from swhkit.swhid import ObjectId, parse_core
from swhkit_hg import HgConfig
from swhkit_hg.loader import make

NULL = bytes(20)
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "HGRCPATH": "",
    "HGPLAIN": "1",
    "HGUSER": "Test <test@example.org>",
    "HGENCODING": "utf-8",
}


class Repository:
    """A repository at ``path``, made with ``hg``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.hg("init")

    @property
    def url(self) -> str:
        """Its URL."""
        return f"file://{self.path}"

    def hg(self, *arguments: str | Path) -> str:
        """Run ``hg`` in it; returns what it prints."""
        argv: list[str | Path] = ["hg", *arguments]
        done = subprocess.run(
            argv, cwd=self.path, env=ENVIRONMENT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str, files: Mapping[str, bytes | None] | None = None, *options: str) -> str:
        """Write (None: remove) ``files`` and commit; returns the node."""
        for name, data in (files or {"file": message.encode()}).items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data)
        self.hg("commit", "--addremove", "-q", "-m", message, "-d", "0 0", *options)
        return self.node()

    def node(self, revision: str = ".") -> str:
        """The node of a revision, hexadecimal."""
        return self.hg("log", "-r", revision, "-T", "{node}")

    def listing(self) -> dict[Path, int]:
        """Everything below it, with the time of its last change."""
        return {path: path.lstat().st_mtime_ns for path in [self.path, *self.path.rglob("*")]}


@dataclass
class Loads:
    """Visits with the Mercurial loader, into one archive."""

    target: Archive
    network: Network = field(default_factory=shell)
    limits: Limits = field(default_factory=Limits)
    config: HgConfig = field(default_factory=HgConfig)
    phases: list[str] = field(default_factory=list)

    def run(self, url: str | Path) -> visit.Report:
        """Visit."""
        self.phases.clear()
        url = url if isinstance(url, str) else f"file://{url}"
        loader = make(self.config)
        return visit.run(
            self.target, loader, url, "hg", network=self.network, limits=self.limits, progress=self.progress
        )

    def snapshot(self, report: visit.Report) -> Snapshot:
        """The snapshot of a visit."""
        assert report.snapshot is not None, report
        found = self.target.catalog.snapshot(parse_core(report.snapshot).digest)
        assert found is not None
        return found

    def full(self, url: str | Path) -> Snapshot:
        """Visit, which must be full; returns the snapshot."""
        report = self.run(url)
        assert (report.status, report.error) == ("full", None), report
        return self.snapshot(report)

    def read(self, id: ObjectId) -> bytes:
        """The body of a held object."""
        return self.target.read([id])[id]

    def progress(self, phase: str, done: int = 0, total: int | None = None) -> None:
        """Remember how far the visit came."""
        self.phases.append(phase)


@contextmanager
def loads(folder: Path, kind: str = "filesystem") -> Iterator[Loads]:
    """Visits into a new archive in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with archive(kind, folder) as target:
        yield Loads(target)


def node_of(p1: bytes, p2: bytes, text: bytes) -> bytes:
    """The node of a revision."""
    return hashlib.sha1(min(p1, p2) + max(p1, p2) + text).digest()


def delta(base: bytes, text: bytes, *, lines: bool = False) -> bytes:
    """A delta of one hunk, which begins and ends wherever the texts begin and end to differ: in mid-line too, unless
    it is to be of whole ``lines`` (as Mercurial needs it for manifests)."""
    least = min(len(base), len(text))
    start = next((i for i in range(least) if base[i] != text[i]), least)
    tail = next((i for i in range(least - start) if base[-1 - i] != text[-1 - i]), least - start)
    if lines:
        start = base.rfind(b"\n", 0, start) + 1
        tail = min(tail, len(base) - start, len(text) - start)
        tail -= base.find(b"\n", len(base) - tail) + 1 - (len(base) - tail) if tail else 0
    data = text[start : len(text) - tail]
    return struct.pack(">III", start, len(base) - tail, len(data)) + data


def chunk(data: bytes) -> bytes:
    """A chunk of a changegroup."""
    return struct.pack(">i", len(data) + 4) + data


END = struct.pack(">i", 0)


@dataclass
class Rev:
    """One revision: its text, and the changeset that brought it."""

    node: bytes
    p1: bytes
    p2: bytes
    link: bytes
    text: bytes
    flags: int = 0
    base: bytes | None = None
    delta: bytes | None = None


@dataclass
class Change:
    """One changeset, and the files it has: file node and flag by path."""

    node: bytes
    manifest: bytes
    files: dict[bytes, tuple[bytes, bytes]]


@dataclass
class Writer:
    """A history being written down."""

    changesets: list[Rev] = field(default_factory=list)
    manifests: list[Rev] = field(default_factory=list)
    files: dict[bytes, list[Rev]] = field(default_factory=dict)

    def commit(
        self,
        files: Mapping[bytes, bytes | None],
        *parents: Change,
        flags: Mapping[bytes, bytes] | None = None,
        user: bytes = b"Test <test@example.org>",
        date: bytes = b"0 0",
        description: bytes = b"message",
        metadata: Mapping[bytes, bytes] | None = None,
    ) -> Change:
        """A changeset that changes ``files`` of its first parent (None: removes)."""
        p1, p2 = ([change.node for change in parents] + [NULL, NULL])[:2]
        tree = dict(parents[0].files) if parents else {}
        made: dict[bytes, Rev] = {}
        for path, data in files.items():
            before = tree.pop(path, None)
            if data is None:
                continue
            text = self.text(data, (metadata or {}).get(path))
            f1 = before[0] if before else NULL
            known = {rev.node for rev in self.files.get(path, [])}
            f1 = f1 if f1 in known else NULL
            rev = Rev(node_of(f1, NULL, text), f1, NULL, NULL, text)
            if rev.node not in known:
                made[path] = rev
            tree[path] = rev.node, (flags or {}).get(path, b"")
        lines = [b"%s\0%s%s\n" % (path, tree[path][0].hex().encode(), tree[path][1]) for path in sorted(tree)]
        m1, m2 = ([change.manifest for change in parents] + [NULL, NULL])[:2]
        manifest = b"".join(lines)
        mnode = node_of(m1, m2, manifest) if tree or parents else NULL
        names = b"".join(path + b"\n" for path in sorted(files))
        head = b"%s\n%s\n%s\n" % (mnode.hex().encode(), user, date)
        text = head + names + b"\n" + description
        node = node_of(p1, p2, text)
        self.changesets.append(Rev(node, p1, p2, node, text))
        if mnode != NULL and mnode not in {rev.node for rev in self.manifests[-1:]}:
            self.manifests.append(Rev(mnode, m1, m2, node, manifest))
        for path, rev in made.items():
            rev.link = node
            self.files.setdefault(path, []).append(rev)
        return Change(node, mnode, tree)

    @staticmethod
    def text(data: bytes, metadata: bytes | None = None) -> bytes:
        """The text of a file with these contents."""
        if metadata is None and not data.startswith(b"\1\n"):
            return data
        return b"\1\n" + (metadata or b"") + b"\1\n" + data

    def changegroup(self, version: int = 2) -> bytes:
        """All of it."""
        groups = [self._group(self.changesets, version), self._group(self.manifests, version, lines=True)]
        if version == 3:
            groups.append(END)
        for path, revs in self.files.items():
            groups += [chunk(path), self._group(revs, version)]
        return b"".join(groups) + END

    def bundle(self, version: int = 2, compression: bytes = b"") -> bytes:
        """As a bundle of version 2, of which the inside is to be ``compression``'s."""
        parameters = b"Compression=" + compression if compression else b""
        head = b"HG20" + struct.pack(">i", len(parameters)) + parameters
        return head + self.parts(version)

    def parts(self, version: int = 2, piece: int = 1000) -> bytes:
        """The parts of such a bundle."""
        data = self.changegroup(version)
        names = [b"version", b"0%d" % version]
        part = b"\x0bCHANGEGROUP" + struct.pack(">i", 0) + bytes([1, 0, 7, 2]) + b"".join(names)
        pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
        framed = b"".join(struct.pack(">i", len(p)) + p for p in pieces)
        return struct.pack(">i", len(part)) + part + framed + END + END

    @staticmethod
    def _group(revs: Iterable[Rev], version: int, *, lines: bool = False) -> bytes:
        out, previous = [], None
        texts = {NULL: b""}
        for rev in revs:
            base = rev.base if rev.base is not None else (previous.node if previous else rev.p1)
            if version == 1 and previous is None:
                base = rev.p1
            texts[rev.node] = rev.text
            data = rev.delta if rev.delta is not None else delta(texts[base], rev.text, lines=lines)
            head = rev.node + rev.p1 + rev.p2 + (base if version > 1 else b"") + rev.link
            out.append(chunk(head + (struct.pack(">H", rev.flags) if version == 3 else b"") + data))
            previous = rev
        return b"".join(out) + END
