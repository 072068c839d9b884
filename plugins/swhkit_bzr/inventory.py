"""Inventories as a chain of deltas, each from the inventory before it, and what a delta does to a tree.

The forms are those of Bazaar's documents: a container ("Bazaar pack format 1") of records, each a "bzr inventory
delta v1": five lines of a head, then a line for each entry that is new, gone or changed, ``OLD NUL NEW NUL FILE-ID
NUL PARENT-ID NUL REVISION NUL CONTENT``. Of a folder that was moved its own line alone tells.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from swhkit.plugin import LimitExceeded, Tree

_CONTAINER = b"Bazaar pack format 1 (introduced in 0.18)\n"
_HEAD = (
    b"format: bzr inventory delta v1 (bzr 1.14)",
    b"parent: ",
    b"version: ",
    b"versioned_root: ",
    b"tree_references: ",
)
#: Bytes of one delta (a tree of some 200,000 files), of a line of the container, of what stands before a delta.
_LARGEST, _LINE, _META = 32 << 20, 1 << 16, 1 << 20
_FILE, _EXECUTABLE, _LINK = 0o100644, 0o100755, 0o120000


class FileText(msgspec.Struct, frozen=True, gc=False):
    """The text of a file: its key (``file`` and ``revision``), SHA-1 (20 bytes) and length in bytes."""

    file: bytes
    revision: bytes
    sha1: bytes
    length: int


class Delta(msgspec.Struct, frozen=True):
    """How the inventory of ``revision`` differs from that of ``parent``: lines without their ends."""

    parent: bytes
    revision: bytes
    lines: list[bytes]
    size: int


class Line(msgspec.Struct, frozen=True, gc=False):
    """One entry. ``old`` and ``new``: paths without a leading slash, the root empty, None for none."""

    old: bytes | None
    new: bytes | None
    kind: bytes
    content: list[bytes]
    file: bytes
    revision: bytes

    def text(self) -> FileText | None:
        """The text of a file. Raises ``ValueError``."""
        if self.kind != b"file":
            return None
        length, _, sha1 = self.content
        digest = bytes.fromhex(sha1.decode("ascii"))
        if len(digest) != 20 or not length.isdigit() or len(length) > 19:
            raise ValueError(f"a file has no SHA-1 and length: {self.content!r}")
        return FileText(self.file, self.revision, digest, int(length))

    @property
    def perms(self) -> int:
        """The mode of a file."""
        return _EXECUTABLE if self.content[1] else _FILE


def deltas(stream: BinaryIO, *, skip: bytes | None) -> Iterator[Delta]:
    """The deltas of a container, without that of the revision ``skip``. Raises ``ValueError``, ``LimitExceeded``."""
    if stream.readline(_LINE) != _CONTAINER:
        raise ValueError("the inventories do not come in a Bazaar container")
    while (kind := stream.read(1)) == b"B":
        size = int(stream.readline(20))
        if not _names(stream):
            _skip(stream, size)  # the name of the format
        elif (delta := _delta(stream, size, skip)) is not None:
            yield delta
    if kind != b"E":
        raise ValueError("the inventories break off")


def lines_of(delta: Delta) -> Iterator[Line]:
    """The lines of a delta, the root's left out. Raises ``ValueError``."""
    for text in delta.lines:
        old, new, file, _, revision, content = text.split(b"\0", 5)
        kind, *rest = content.split(b"\0")
        line = Line(_path(old), _path(new), kind, rest, file, revision)
        if len(rest) != _WIDTHS.get(kind) or (line.new is None) != (kind == b"deleted"):
            raise ValueError(f"the inventory has an entry of no known kind: {text[:200]!r}")
        if line.new or (line.new is None and line.old):
            yield line


_WIDTHS = {b"deleted": 2, b"dir": 0, b"file": 3, b"link": 1, b"tree": 1}


def move(tree: Tree, delta: Delta) -> None:
    """Take out what is gone, and move what was moved; what is new or changed is to be put in then.

    ``tree`` is as it was written last. Folders are moved whole; what of their insides the delta tells of is taken out
    of the moved copy. Raises ``ValueError``.
    """
    leaving: list[bytes] = []
    folders: list[tuple[bytes, bytes, bytes]] = []
    for line in lines_of(delta):
        if line.old is None:
            continue
        entry = tree.get(line.old)
        is_folder = entry is not None and entry.type == "dir"
        if line.old != line.new or line.kind == b"tree" or is_folder != (line.kind == b"dir"):
            leaving.append(line.old)
        if line.new is not None and line.old != line.new and line.kind == b"dir" and entry and is_folder:
            folders.append((line.new, line.old, entry.target))
    for path in leaving:
        tree.remove(path)
    if not folders:
        return
    told = sorted(_sortable(line.old) for line in lines_of(delta) if line.old is not None)
    for new, old, digest in sorted(folders):
        tree.attach(new, digest)
        for inner in _outermost(told, _sortable(old)):
            tree.remove(new + inner[len(old) :].replace(b"\0", b"/"))


def _sortable(path: bytes) -> bytes:
    """A path such that whatever is in a folder follows the folder in order."""
    return path.replace(b"/", b"\0")


def _outermost(paths: list[bytes], folder: bytes) -> Iterator[bytes]:
    """Of sorted paths those below a folder, without what lies below others of them."""
    last = b""
    for number in range(bisect_left(paths, folder + b"\0"), len(paths)):
        path = paths[number]
        if not path.startswith(folder + b"\0"):
            return
        if not last or not path.startswith(last + b"\0"):
            last = path
            yield path


def _path(text: bytes) -> bytes | None:
    if text == b"None":
        return None
    if not text.startswith(b"/"):
        raise ValueError(f"the inventory has a path that does not begin at the root: {text[:200]!r}")
    return text[1:]


def _names(stream: BinaryIO) -> list[bytes]:
    """The names of a record, up to the empty line."""
    names: list[bytes] = []
    while (line := stream.readline(_LINE)) != b"\n":
        if not line.endswith(b"\n") or len(names) > 8:
            raise ValueError("the inventories have a record with odd names")
        names.append(line[:-1])
    return names


def _skip(stream: BinaryIO, size: int) -> None:
    while size > 0:
        piece = stream.read(min(size, _LINE))
        if not piece:
            raise ValueError("the inventories break off")
        size -= len(piece)


def _delta(stream: BinaryIO, size: int, skip: bytes | None) -> Delta | None:
    """The record of ``size`` bytes that comes next; None if it is that of the revision ``skip``."""
    if stream.readline(20) != b"fulltext\n":
        raise ValueError("an inventory does not come as its full text")
    (meta,) = struct.unpack(">L", stream.read(4).rjust(4, b"\xff"))
    if meta > _META:
        raise ValueError("an inventory has a name that is too long")
    _skip(stream, meta)
    head = [stream.readline(_LINE) for _ in _HEAD]
    if not all(map(bytes.startswith, head, _HEAD)):
        raise ValueError(f"an inventory delta begins oddly: {head!r}"[:400])
    size -= len(b"fulltext\n") + 4 + meta + sum(map(len, head))
    parent, revision = (line.split(b": ", 1)[1].rstrip(b"\n") for line in head[1:3])
    if revision == skip:
        _skip(stream, size)
        return None
    if not 0 <= size <= _LARGEST:
        raise LimitExceeded(f"the inventory of a revision is larger than the {_LARGEST} bytes it may have")
    lines = stream.read(size).split(b"\n")
    if lines.pop() or sum(map(len, lines)) + len(lines) != size:
        raise ValueError("the inventories break off")
    return Delta(parent, revision, lines, size)
