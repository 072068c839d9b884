"""Origins of other kinds made from a git repository, so that every loader is measured on the history of real work.

``make_hg`` converts it with Mercurial's own ``convert``; ``make_svn`` writes the first-parent history of HEAD as a
Subversion dump (trunk, and a branch copied from it every hundred revisions) and loads that; ``make_wide`` makes one up;
``make_tar`` archives the tree of HEAD.
"""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import measure
import svn_wide

BRANCH_EVERY = 100


def make_hg(repository: Path, folder: Path) -> Path:
    """A Mercurial repository of all of ``repository``'s history."""
    target = folder / "hg"
    convert = [
        "hg",
        "--config",
        "extensions.convert=",
        "--config",
        "convert.git.similarity=0",
        "convert",
        "-q",
    ]
    measure.run(*convert, repository, target)
    return target


def make_tar(repository: Path, folder: Path) -> Path:
    """The tree of HEAD as a .tar.gz."""
    target = folder / "source.tar.gz"
    measure.run("git", "-C", repository, "archive", "--format=tar.gz", "-o", target, "HEAD")
    return target


def make_svn(repository: Path, folder: Path) -> Path:
    """A Subversion repository of the first-parent history of HEAD."""
    with _loading(folder / "svn") as dump:
        _Dump(repository, dump).write()
    return folder / "svn"


def make_wide(_repository: Path, folder: Path) -> Path:
    """A Subversion repository of a made-up history of 2,000 revisions, wide and full of copies."""
    with _loading(folder / "svn") as dump:
        dump.writelines(svn_wide.history(2_000, 10_000))
    return folder / "svn"


@contextmanager
def _loading(target: Path) -> Iterator[IO[bytes]]:
    """Where a dump is written to become the repository ``target``."""
    measure.run("svnadmin", "create", target)
    argv = ["svnadmin", "load", "-q", "--bypass-prop-validation", str(target)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=measure.environment()) as loading:
        assert loading.stdin is not None
        yield loading.stdin
        loading.stdin.close()
    if loading.returncode:
        raise SystemExit(f"svnadmin load ended with {loading.returncode}")


def revisions(kind: str, origin: Path) -> int:
    """How many revisions an origin has that one of these made."""
    if kind == "hg":
        return len(measure.run("hg", "-R", origin, "log", "-T", "x"))
    return int(measure.run("svnlook", "youngest", origin))


class _Dump:
    """A dump of version 2 (notes/dump-load-format.txt of Subversion), full texts only."""

    def __init__(self, repository: Path, output: IO[bytes]) -> None:
        self._git = ["git", "-C", str(repository)]
        self._output = output
        self._folders: dict[bytes, int] = {}

    def write(self) -> None:
        """All of it."""
        self._output.write(b"SVN-fs-dump-format-version: 2\n\n")
        self._revision(1, b"1262304000", b"import", b"a trunk")
        for name in (b"trunk", b"branches"):
            self._node(name, b"dir", b"add")
        number = 1
        with self._blobs() as blob:
            for when, author, message, changes in self._commits():
                number += 1
                self._revision(number, when, author, message)
                for status, mode, digest, path in changes:
                    self._change(status, mode, blob(digest) if status != b"D" else b"", path)
                if number % BRANCH_EVERY == 0:
                    self._copy(b"branches/b%d" % number, number - 1)

    def _commits(self) -> Iterator[tuple[bytes, bytes, bytes, list[tuple[bytes, bytes, bytes, bytes]]]]:
        """Time, author, message and changes (status, mode, blob, path) of each commit from the first to HEAD."""
        form = "--format=%x00commit%x00%ct%x00%an%x00%B"
        walk = [
            "log",
            "--first-parent",
            "-m",
            "--reverse",
            "--raw",
            "-z",
            "--no-renames",
            "--no-abbrev",
            form,
            "HEAD",
        ]
        for text in measure.run(*self._git, *walk).split(b"\0commit\0")[1:]:
            when, author, message, *rest = text.split(b"\0")
            changes = []
            for head, path in zip(rest[::2], rest[1::2], strict=False):
                fields = head.strip().split(b" ")
                if len(fields) == 5 and b"160000" not in fields[:2] and fields[0] != b":160000":
                    changes.append((fields[4][:1], fields[1], fields[3], path))
            yield when, author, message.strip().replace(b"\r", b""), changes

    @contextmanager
    def _blobs(self) -> Iterator[Callable[[bytes], bytes]]:
        """A function from hex ids to bytes."""
        argv = [*self._git, "cat-file", "--batch"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=measure.environment()
        ) as child:
            asked, told = child.stdin, child.stdout
            assert asked is not None
            assert told is not None

            def blob(digest: bytes) -> bytes:
                asked.write(digest + b"\n")
                asked.flush()
                size = int(told.readline().split()[2])
                return told.read(size + 1)[:size]

            yield blob
            asked.close()

    def _revision(self, number: int, when: bytes, author: bytes, message: bytes) -> None:
        block = _properties({b"svn:date": _stamp(int(when)), b"svn:author": author, b"svn:log": message})
        head = b"Revision-number: %d\nProp-content-length: %d\nContent-length: %d\n\n"
        self._output.write(head % (number, len(block), len(block)) + block + b"\n")

    def _change(self, status: bytes, mode: bytes, data: bytes, path: bytes) -> None:
        place = b"trunk/" + path
        if status == b"D":
            self._output.write(b"Node-path: %s\nNode-action: delete\n\n\n" % place)
            self._leave(place)
            return
        new = status == b"A"
        if new:
            self._enter(place)
        values = {b"svn:executable": b"*"} if mode == b"100755" else {}
        if mode == b"120000":
            values, data = {b"svn:special": b"*"}, b"link " + data
        block = _properties(values)
        self._output.write(
            b"Node-path: %s\nNode-kind: file\nNode-action: %s\nProp-content-length: %d\n"
            b"Text-content-length: %d\nContent-length: %d\n\n"
            % (place, b"add" if new else b"change", len(block), len(data), len(block) + len(data))
        )
        self._output.write(block + data + b"\n\n")

    def _enter(self, place: bytes) -> None:
        """Folders on the way to a new file."""
        parts = place.split(b"/")[:-1]
        for depth in range(2, len(parts) + 1):
            folder = b"/".join(parts[:depth])
            if not self._folders.get(folder):
                self._node(folder, b"dir", b"add")
            self._folders[folder] = self._folders.get(folder, 0) + 1

    def _leave(self, place: bytes) -> None:
        """Folders that have lost their last file."""
        parts = place.split(b"/")[:-1]
        for depth in range(len(parts), 1, -1):
            folder = b"/".join(parts[:depth])
            self._folders[folder] -= 1
            if not self._folders[folder]:
                self._output.write(b"Node-path: %s\nNode-action: delete\n\n\n" % folder)

    def _node(self, path: bytes, kind: bytes, action: bytes) -> None:
        self._output.write(b"Node-path: %s\nNode-kind: %s\nNode-action: %s\n\n\n" % (path, kind, action))

    def _copy(self, path: bytes, revision: int) -> None:
        self._output.write(
            b"Node-path: %s\nNode-kind: dir\nNode-action: add\nNode-copyfrom-rev: %d\n"
            b"Node-copyfrom-path: trunk\n\n\n" % (path, revision)
        )


def _stamp(seconds: int) -> bytes:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z").encode()


def _properties(values: dict[bytes, bytes]) -> bytes:
    pairs = b"".join(b"K %d\n%s\nV %d\n%s\n" % (len(k), k, len(v), v) for k, v in values.items())
    return pairs + b"PROPS-END\n"
