"""The table of one pack: which objects it has, and where. Reads version 2 ``.idx`` files, mapped, never copied.

git's documentation ``gitformat-pack`` describes the file. A table is only made of a file whose checksum was verified
(``gate``); still nothing here goes outside the file, whatever it says.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Iterable, Iterator, Set
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from swhkit.errors import Corrupt

_MAGIC = b"\xfftOc\x00\x00\x00\x02"
_NAMES = 8 + 256 * 4
_TRAILER = 40
#: Files up to this size are read instead of mapped: a mapping costs a descriptor, and small packs are many.
_READ_WHOLE = 64 << 10
#: Objects sorted at a time when a pack is walked in its own order.
_WINDOW = 1 << 18
#: A batch is compared with the whole table, not looked up one by one, from this share of the table on.
_SWEEP = 16


class Table:
    """The objects of one pack. ``pack`` and ``idx`` are its files, ``checksum`` the pack's own (20 bytes)."""

    def __init__(self, pack: Path, idx: Path) -> None:
        """Map ``idx``. Raises ``Corrupt`` if it is no whole version 2 idx, ``OSError`` if it cannot be read."""
        self.pack, self.idx = pack, idx
        self._data = _load(idx)
        if self._data[:8] != _MAGIC or len(self._data) < _NAMES + _TRAILER:
            raise Corrupt(f"{idx} is no git pack index of version 2")
        self._fanout = array("I", struct.unpack_from(">256I", self._data, 8))
        self.count = self._fanout[255]
        self._offsets = _NAMES + self.count * 24
        self._large = self._offsets + self.count * 4
        if self._large + _TRAILER > len(self._data) or any(
            low > high for low, high in zip(self._fanout, self._fanout[1:], strict=False)
        ):
            raise Corrupt(f"{idx} announces {self.count} objects and has no room for them")

    @property
    def name(self) -> str:
        """The file name of the pack."""
        return self.pack.name

    @property
    def checksum(self) -> bytes:
        """The trailer of the pack this table was made for."""
        return bytes(self._data[-40:-20])

    def __len__(self) -> int:
        count: int = self.count
        return count

    def digest(self, position: int) -> bytes:
        """The id at a position of the table (0 … count-1)."""
        at = _NAMES + position * 20
        return bytes(self._data[at : at + 20])

    def find(self, digest: bytes) -> int | None:
        """The position of an id, None if the pack lacks it."""
        position = self._lowest(digest)
        return position if position < self.count and self.digest(position) == digest else None

    def held(self, wanted: Set[bytes]) -> set[bytes]:
        """Those of ``wanted`` that the pack has; quick for few and for many."""
        if len(wanted) * _SWEEP > self.count:
            return set(wanted).intersection(self.digests())
        return {digest for digest in wanted if self.find(digest) is not None}

    def digests(self, after: bytes | None = None) -> Iterator[bytes]:
        """All ids in ascending order, those above ``after`` only."""
        start = 0 if after is None else self._lowest(after)
        if after is not None and start < self.count and self.digest(start) == after:
            start += 1
        names = memoryview(self._data)[_NAMES + start * 20 : _NAMES + self.count * 20]
        return map(itemgetter(0), struct.iter_unpack("20s", names))

    def offset(self, position: int) -> int:
        """Where in the pack the object at a position begins. Raises ``Corrupt`` if the table points outside itself."""
        value: int = struct.unpack_from(">I", self._data, self._offsets + position * 4)[0]
        if not value & 0x80000000:
            return value
        at = self._large + (value & 0x7FFFFFFF) * 8
        if at + 8 + _TRAILER > len(self._data):
            raise Corrupt(f"{self.idx} points outside itself")
        return int(struct.unpack_from(">Q", self._data, at)[0])

    def crc(self, position: int) -> int:
        """The CRC-32 of the packed bytes of the object at a position."""
        value: int = struct.unpack_from(">I", self._data, _NAMES + self.count * 20 + position * 4)[0]
        return value

    def in_pack_order(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, id) of all objects at offsets above ``after``, ascending, in bounded memory."""
        for low, high in self._windows(after):
            places = ((self.offset(position), position) for position in range(self.count))
            window = sorted(place for place in places if low < place[0] <= high)
            for offset, position in window:
                yield offset, self.digest(position)

    def _windows(self, after: int) -> Iterator[tuple[int, int]]:
        """Cut the pack into ranges of offsets with about ``_WINDOW`` objects each.

        Positions are in order of hash, so every n-th is a fair sample of the offsets.
        """
        number = self.count // _WINDOW
        sample = (
            sorted(self.offset(p) for p in range(0, self.count, max(1, self.count // 1000))) if number else []
        )
        cuts = [sample[len(sample) * i // (number + 1)] for i in range(1, number + 1)]
        low = after
        for high in (*cuts, 1 << 63):
            if high > low:
                yield low, high
                low = high

    def _lowest(self, digest: bytes) -> int:
        """The position of the first id that is not below ``digest``."""
        first = digest[0]
        low: int = self._fanout[first - 1] if first else 0
        high: int = self._fanout[first]
        data = self._data
        while low < high:
            middle = (low + high) >> 1
            at = _NAMES + middle * 20
            if data[at : at + 20] < digest:
                low = middle + 1
            else:
                high = middle
        return low


def _load(path: Path) -> bytes | mmap.mmap:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= _READ_WHOLE:
            return file.read()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def all_digests(tables: Iterable[Table], after: bytes | None = None) -> Iterator[bytes]:
    """The ids of all tables, ascending, each once."""
    return (digest for digest, _ in groupby(merge(*(table.digests(after) for table in tables))))
