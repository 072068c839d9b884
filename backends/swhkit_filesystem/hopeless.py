"""Which objects of a pack cannot be read, told from the packed bytes alone, without git.

git dies at the first damaged object, so a child for each would be needed to read what is between them. Here an object
is hopeless if its packed bytes do not inflate to the length they announce, or do not have the CRC-32 that the index
says, or if that is so of an object it is a delta on; and all are in a pack that git does not open. Nothing that git can
read is ever called hopeless; what is wrong in another way is left to git. Source: git's documentation ``gitformat-pack``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from swhkit.errors import Corrupt
from swhkit_filesystem.tables import Table

_OFS_DELTA, _REF_DELTA = 6, 7
_PIECE = 1 << 16
#: The longest head of an entry: type and length in ten bytes, then a base.
_HEAD = 32


class Hopeless:
    """Judges objects of some packs; remembers what it has seen. An object that some pack has whole is not hopeless."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = [_Pack(table) for table in tables]

    def __call__(self, digest: bytes) -> bool:
        """Whether an object is there, and every copy of it is damaged."""
        copies = [broken for pack in self._tables if (broken := pack.broken(digest)) is not None]
        return bool(copies) and all(copies)


class _Entry(NamedTuple):
    """What the head of an entry says: where the deflated bytes begin, what they inflate to, and where the base is."""

    start: int
    length: int
    base: int | None


class _Pack:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._broken: dict[int, bool] = {}
        self._refused: bool | None = None

    def broken(self, digest: bytes) -> bool | None:
        """Whether the copy of this pack is damaged; None if it has none, or that cannot be told."""
        position = self._table.find(digest)
        if position is None:
            return None
        try:
            with self._table.pack.open("rb") as file:
                if self._refused is None:
                    self._refused = self._is_refused(file)
                return self._refused or self._chain(
                    file, self._table.offset(position), self._table.crc(position)
                )
        except Corrupt:
            return True
        except OSError:  # it is being rewritten, or the disk fails: git may tell
            return None

    def _is_refused(self, file: BinaryIO) -> bool:
        """Whether git opens the pack at all: its first twelve bytes and its last twenty must be those of the index."""
        head = file.read(12)
        size = file.seek(0, 2)
        file.seek(max(size - 20, 0))
        announced = (head[:4], head[4:8], int.from_bytes(head[8:], "big"), file.read(20))
        table = self._table
        return announced not in [(b"PACK", bytes((0, 0, 0, v)), table.count, table.checksum) for v in (2, 3)]

    def _chain(self, file: BinaryIO, offset: int, crc: int) -> bool:
        """Whether the entry at ``offset`` is damaged, or one of those it is a delta on."""
        chain: list[int] = []
        at: int | None = offset
        expected: int | None = crc
        broken = False
        while at is not None and not broken:
            if expected is None and at in self._broken:
                broken = self._broken[at]
                break
            entry = self._read(file, at, expected)
            chain.append(at)
            broken = entry is None or entry.base in chain  # a circle
            at, expected = (None if entry is None else entry.base), None
        self._broken.update(dict.fromkeys(chain, broken))
        return broken

    def _read(self, file: BinaryIO, offset: int, crc: int | None) -> _Entry | None:
        """The entry at an offset; None if it is damaged."""
        file.seek(offset)
        head = file.read(_HEAD)
        try:
            entry = self._parse(head, offset)
        except (IndexError, ValueError):
            return None
        file.seek(entry.start)
        inflate, length, sum = zlib.decompressobj(), 0, zlib.crc32(head[: entry.start - offset])
        try:
            while not inflate.eof:
                piece = inflate.unconsumed_tail or file.read(_PIECE)
                if not piece:
                    return None
                length += len(inflate.decompress(piece, _PIECE))
                rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                sum = zlib.crc32(piece[: len(piece) - len(rest)], sum)
        except zlib.error:
            return None
        sound = length == entry.length and (crc is None or sum == crc)
        return entry if sound else None

    def _parse(self, head: bytes, offset: int) -> _Entry:
        """Raises ``IndexError`` or ``ValueError`` for what is no head of an entry."""
        at = 1
        kind, length, shift = head[0] >> 4 & 7, head[0] & 15, 4
        while head[at - 1] & 0x80:
            length |= (head[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
        base = None
        if kind == _OFS_DELTA:
            back, at = head[at] & 0x7F, at + 1
            while head[at - 1] & 0x80:
                back, at = (back + 1) << 7 | head[at] & 0x7F, at + 1
            base = offset - back
            if not 0 < base < offset:
                raise ValueError("a delta on what is outside of the pack")
        elif kind == _REF_DELTA:
            position = self._table.find(head[at : at + 20])
            if position is None:
                raise ValueError("a delta on what the pack lacks")
            base, at = self._table.offset(position), at + 20
        elif kind not in (1, 2, 3, 4):
            raise ValueError("no kind of object")
        return _Entry(offset + at, length, base)
