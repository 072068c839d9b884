"""Compression of rows: zstd where it helps, never trusted to say how much comes out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T = TypeVar("T")

RAW, ZSTD = 0, 1
_LEVEL = 3
#: Below so many bytes a frame's header costs more than compression gains.
_SMALL = 64
#: Keys asked for in one statement.
GROUP = 500

_local = threading.local()


class Damaged(Exception):
    """Stored bytes that cannot be what was stored."""


def compress(data: bytes) -> tuple[int, bytes]:
    """The codec number and the bytes to store."""
    if len(data) >= _SMALL:
        compressor = getattr(_local, "compressor", None)
        if compressor is None:
            compressor = _local.compressor = zstd.ZstdCompressor(level=_LEVEL)
        packed: bytes = compressor.compress(data, compressor.FLUSH_FRAME)
        if len(packed) < len(data):
            return ZSTD, packed
    return RAW, data


def decompress(codec: int, stored: bytes, length: int) -> bytes:
    """The ``length`` bytes that were stored, in memory bounded by ``length``. Raises ``Damaged``."""
    if codec == RAW:
        data = stored
    elif codec == ZSTD:
        try:
            data = zstd.ZstdDecompressor().decompress(stored, max_length=length + 1)
        except zstd.ZstdError as error:
            raise Damaged(f"a compressed row cannot be read ({error})") from error
    else:
        raise Damaged(f"there is no compression number {codec}")
    if len(data) != length:
        raise Damaged(f"a row of {length} bytes holds {len(data)} or more")
    return data


def groups(items: Iterable[T], size: int = GROUP) -> Iterator[Sequence[T]]:
    """The distinct items of each run of ``size``, in order; an iterator is consumed as it goes."""
    run: dict[T, None] = {}
    for item in items:
        run[item] = None
        if len(run) == size:
            yield tuple(run)
            run = {}
    if run:
        yield tuple(run)


def values(count: int, width: int = 1) -> str:
    """``VALUES (?, ?), …`` with ``count`` rows of ``width``."""
    row = f"({', '.join('?' * width)})"
    return "VALUES " + ", ".join([row] * count)
