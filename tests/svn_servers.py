"""Subversion for tests: repositories made with its own programs, and ``svnserve`` on a free port of the loopback
interface."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from swhkit.archive import Archive
from swhkit.manifest import parse
from swhkit.model import Revision, Timestamp
from swhkit.swhid import Kind, ObjectId, parse_core
from swhkit.treehash import hash_directory
from swhkit.visit import Report

_ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def svn(*argv: str | Path, stdin: bytes | None = None, cwd: Path | None = None) -> bytes:
    """What a program of Subversion prints; a test fails where it does."""
    done = subprocess.run(argv, input=stdin, capture_output=True, env=_ENVIRONMENT, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


class SvnRepository:
    """A repository whose revisions are written as a dump, one change after another."""

    def __init__(self, path: Path, uuid: str = "00000000-0000-4000-8000-00000000abcd") -> None:
        self.path, self.revision = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        svn("svnadmin", "create", path)
        svn("svnadmin", "setuuid", path, uuid)
        self.url = path.as_uri()

    def commit(self, *nodes: bytes, **properties: str) -> int:
        """One revision of these nodes (see ``node``); its number. ``properties`` are its own, with ``_`` for ``:``."""
        self._load([self._revision(nodes, properties)])
        return self.revision

    def commit_all(self, revisions: Iterable[Iterable[bytes]]) -> None:
        """Many revisions at once."""
        self._load([self._revision(nodes, {}) for nodes in revisions])

    def _revision(self, nodes: Iterable[bytes], properties: Mapping[str, str]) -> bytes:
        self.revision += 1
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000001Z", time.gmtime(1_000_000_000 + self.revision))
        texts = {"svn:author": "ann", "svn:date": moment, "svn:log": f"revision {self.revision}"}
        block = properties_block(texts | {name.replace("_", ":"): text for name, text in properties.items()})
        head = f"Revision-number: {self.revision}\nProp-content-length: {len(block)}\nContent-length: {len(block)}\n\n"
        return head.encode() + block + b"\n" + b"".join(nodes)

    def _load(self, revisions: Iterable[bytes]) -> None:
        options = ("-q", "--bypass-prop-validation", "--no-flush-to-disk")
        stream = b"SVN-fs-dump-format-version: 3\n\n" + b"".join(revisions)
        svn("svnadmin", "load", *options, self.path, stdin=stream)

    def dump(self, *options: str) -> bytes:
        """A dump of it."""
        return svn("svnadmin", "dump", "-q", *options, self.path)

    def exported(self, scratch: Path, revision: int, below: str = "") -> bytes:
        """Digest of the directory that ``svn export`` makes of a revision, keywords and externals left alone."""
        scratch.mkdir(exist_ok=True)
        folder = scratch / f"export-{revision}-{below.replace('/', '-')}"
        if folder.exists():
            shutil.rmtree(folder)
        svn(
            *("svn", "export", "-q", "--ignore-keywords", "--ignore-externals", "--native-eol", "LF"),
            *("-r", str(revision), f"{self.url}/{below}@{revision}", folder),
        )
        return list(hash_directory(folder))[-1].id.digest


def properties_block(values: Mapping[str, str | bytes | None]) -> bytes:
    """Properties as a dump has them."""
    block = b""
    for name, value in values.items():
        key = name.encode()
        if value is None:
            block += b"D %d\n%s\n" % (len(key), key)
            continue
        data = value if isinstance(value, bytes) else value.encode()
        block += b"K %d\n%s\nV %d\n%s\n" % (len(key), key, len(data), data)
    return block + b"PROPS-END\n"


def node(
    path: str,
    action: str = "add",
    kind: str | None = "file",
    *,
    text: bytes | None = None,
    properties: Mapping[str, str | bytes | None] | None = None,
    source: tuple[int, str] | None = None,
    **headers: str,
) -> bytes:
    """A node record of a dump; ``headers`` with ``_`` for ``-`` are added to those that follow from the rest."""
    lines = [f"Node-path: {path}", f"Node-action: {action}"]
    if kind is not None:
        lines.append(f"Node-kind: {kind}")
    if source is not None:
        lines += [f"Node-copyfrom-rev: {source[0]}", f"Node-copyfrom-path: {source[1]}"]
    block = b"" if properties is None else properties_block(properties)
    if properties is not None:
        lines.append(f"Prop-content-length: {len(block)}")
    if text is not None:
        lines.append(f"Text-content-length: {len(text)}")
    lines.append(f"Content-length: {len(block) + len(text or b'')}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\n".join(lines).encode() + b"\n\n" + block + (text or b"") + b"\n\n"


def folder(path: str, **more: object) -> bytes:
    """A node record that adds a folder."""
    properties = more.get("properties", {})
    assert isinstance(properties, dict)
    return node(path, kind="dir", properties=properties)


def delete(path: str) -> bytes:
    """A node record that deletes."""
    return node(path, "delete", None)


def history_of(target: Archive, report: Report) -> list[tuple[int, Kept]]:
    """The revisions of a visit with their numbers, the last first."""
    assert report.snapshot is not None
    snapshot = target.catalog.snapshot(parse_core(report.snapshot).digest)
    assert snapshot is not None
    head = snapshot.branches[b"HEAD"]
    assert head is not None
    found: list[tuple[int, Kept]] = []
    parents: tuple[bytes, ...] = (head.target,)
    while parents:
        id = ObjectId(Kind.REVISION, parents[0])
        revision = parse(id.kind, target.read([id])[id])
        assert isinstance(revision, Revision)
        number = int(dict(revision.extra_headers)[b"svn_revision"])
        kept = Kept(id.digest, revision.directory, revision.parents, revision.message, revision.date)
        found.append((number, kept))
        parents = revision.parents
    return found


class Kept(NamedTuple):
    """What the archive has of a revision."""

    id: bytes
    directory: bytes
    parents: tuple[bytes, ...]
    message: bytes | None
    date: Timestamp | None


@contextmanager
def svnserve(root: Path) -> Iterator[str]:
    """``svnserve`` over everything below ``root``; yields ``svn://127.0.0.1:PORT``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = ["svnserve", "--daemon", "--foreground", "--root", str(root)]
    process = subprocess.Popen(
        [*argv, "--listen-host", "127.0.0.1", "--listen-port", str(port)],
        env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(200):
            assert process.poll() is None, "svnserve has ended"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"svn://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
