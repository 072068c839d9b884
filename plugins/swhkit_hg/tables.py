"""Tables in files of the scratch folder, so that the size of a repository does not become our memory.

The files are mapped: what is in them is page cache, to be written out when memory is short. Nothing here is durable.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any

#: A node that is none: 20 zero bytes (Mercurial's null id).
NULL = bytes(20)
_FIRST_SLOTS = 1 << 12


class Rows:
    """Rows of one ``struct`` layout, numbered from 0. They can be appended and overwritten, not removed."""

    def __init__(self, path: Path, layout: str) -> None:
        self._struct = struct.Struct(layout)
        self._size, self._count, self._room = self._struct.size, 0, _FIRST_SLOTS
        self._map = _mapped(path, self._room * self._size)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._struct.unpack_from(self._map, number * self._size)

    def __setitem__(self, number: int, values: tuple[Any, ...]) -> None:
        if not 0 <= number < self._count:
            raise IndexError(number)
        self._struct.pack_into(self._map, number * self._size, *values)

    def append(self, *values: Any) -> int:
        """Add a row; returns its number."""
        if self._count == self._room:
            self._room *= 2
            self._map.resize(self._room * self._size)
        self._count += 1
        self[self._count - 1] = values
        return self._count - 1

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


class NodeMap:
    """From nodes (20 bytes, not null) to values of ``width`` bytes: a hash table with open addressing.

    The places depend on Python's keyed hash of bytes, so a repository cannot be made to have them clash.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width, self._size = path, width, 20 + width
        self._count, self._slots = 0, _FIRST_SLOTS
        self._map = _mapped(path, self._slots * self._size)

    def __len__(self) -> int:
        return self._count

    def get(self, node: bytes) -> bytes | None:
        """The value of ``node``, None if it has none."""
        at = self._place(node)
        if self._map[at : at + 20] == NULL:
            return None
        return self._map[at + 20 : at + self._size]

    def put(self, node: bytes, value: bytes) -> None:
        """Give ``node`` a value, in place of one it may have."""
        at = self._place(node)
        if self._map[at : at + 20] == NULL:
            self._count += 1
            if self._count * 3 > self._slots * 2:
                self._grow()
                at = self._place(node)
        self._map[at : at + self._size] = node + value

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _place(self, node: bytes) -> int:
        table, size, mask = self._map, self._size, self._slots - 1
        slot = hash(node) & mask
        while True:
            at = slot * size
            found = table[at : at + 20]
            if found in (node, NULL):
                return at
            slot = (slot + 1) & mask

    def _grow(self) -> None:
        old, size, slots = self._map, self._size, self._slots
        self._slots *= 4
        self._path.unlink()
        self._map = _mapped(self._path, self._slots * size)
        for at in range(0, slots * size, size):
            node = old[at : at + 20]
            if node != NULL:
                place = self._place(node)
                self._map[place : place + size] = old[at : at + size]
        old.close()


def _mapped(path: Path, size: int) -> mmap.mmap:
    """A new file of zeros, mapped."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, size)
        return mmap.mmap(handle, size)
    finally:
        os.close(handle)
