"""Read pack indexes (``.idx``, version 2; gitformat-pack(5)) without git: ids and offsets, straight from the mapped file."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swhkit.errors import Corrupt

#: How many entries are decoded at a time.
_BLOCK = 4096
_IDX_HEAD = b"\377tOc\0\0\0\2"


def show_index(idx: Path) -> Iterator[tuple[bytes, int]]:
    """The (digest, offset) pairs of a pack index of version 2 in ascending order of digest (gitformat-pack(5)).

    Raises ``Corrupt`` if the file cannot be such an index; its checksum is ``swhkit.pack.pack_checksum_ok``'s matter.
    """
    with idx.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8 + 1024 + 40:
            raise Corrupt(f"{idx.name} is no pack index: it has only {size} bytes")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _index_entries(data, idx.name)


def _index_entries(data: mmap.mmap, name: str) -> Iterator[tuple[bytes, int]]:
    fanout = struct.unpack(">256I", data[8:1032])
    count = fanout[255]
    offsets, large = 1032 + 24 * count, 1032 + 28 * count
    rest = len(data) - 40 - large
    if data[:8] != _IDX_HEAD or list(fanout) != sorted(fanout) or rest < 0 or rest % 8:
        raise Corrupt(
            f"{name} is no pack index of version 2, or it is damaged: make it again with git index-pack"
        )
    previous = b""
    for first in range(0, count, _BLOCK):
        number = min(_BLOCK, count - first)
        names = data[1032 + 20 * first : 1032 + 20 * (first + number)]
        for i, (offset,) in enumerate(
            struct.iter_unpack(">I", data[offsets + 4 * first : offsets + 4 * (first + number)])
        ):
            digest = names[20 * i : 20 * i + 20]
            if digest < previous:
                raise Corrupt(
                    f"{name} is damaged: its ids are out of order; make it again with git index-pack"
                )
            previous = digest
            yield digest, offset if offset < 1 << 31 else _large_offset(data, large, rest, offset, name)


def _large_offset(data: mmap.mmap, start: int, length: int, offset: int, name: str) -> int:
    position = 8 * (offset & 0x7FFFFFFF)
    if position + 8 > length:
        raise Corrupt(
            f"{name} is damaged: an offset lies outside its table; make it again with git index-pack"
        )
    value: tuple[Any, ...] = struct.unpack(">Q", data[start + position : start + position + 8])
    return int(value[0])
