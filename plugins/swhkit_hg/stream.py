"""Bytes from a peer or a file, read exactly or not at all."""

from __future__ import annotations

import bz2
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

from swhkit_hg.errors import Broken, CutShort, Unsupported

#: Bytes that are read from a compressed source at once.
_PIECE = 1 << 16
_INT = struct.Struct(">i")


class Source(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer only at the end (or, of a raw source, when there are no more yet)."""


def exactly(source: Source, size: int) -> bytes:
    """``size`` bytes, which the caller knows to be few. Raises ``Broken`` if the source ends before."""
    data = source.read(size)
    if len(data) == size:
        return data
    pieces = [data]
    while data and (size := size - len(data)):
        data = source.read(size)
        pieces.append(data)
    if not data:
        raise CutShort("it ends in the middle")
    return b"".join(pieces)


def integer(source: Source) -> int:
    """A signed 32-bit number, big-endian."""
    value: int = _INT.unpack(exactly(source, 4))[0]
    return value


def pieces(source: Source, size: int) -> Iterator[bytes]:
    """``size`` bytes in pieces of at most 64 KiB. Raises ``Broken`` if the source ends before."""
    while size > 0:
        piece = exactly(source, min(size, _PIECE))
        yield piece
        size -= len(piece)


def decompressed(source: Source, compression: str) -> Source:
    """A source of what ``source`` has compressed; ``compression`` as bundles name it: UN, GZ, BZ, ZS.

    Raises ``Unsupported`` for others; reading raises ``Broken`` for damaged data.
    """
    match compression:
        case "UN":
            return source
        case "GZ":
            return io.BufferedReader(_Inflated(source, zlib.decompressobj(), zlib.error), 1 << 18)
        case "BZ":
            return io.BufferedReader(_Inflated(source, bz2.BZ2Decompressor(), OSError), 1 << 18)
        case "ZS":
            from backports import zstd

            return io.BufferedReader(_Inflated(source, zstd.ZstdDecompressor(), zstd.ZstdError), 1 << 18)
        case _:
            raise Unsupported(f"it is compressed with {compression!r}, which is not known")


class _Decompressor(Protocol):
    """What the decompressors of zlib, bz2 and zstd have in common, for output of limited size."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Inflated(io.RawIOBase):
    """The inside of a compressed stream."""

    def __init__(self, source: Source, machine: _Decompressor, error: type[Exception]) -> None:
        super().__init__()
        self._source, self._machine, self._error = source, machine, error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any writable buffer, in fact
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        """The next bytes, ``size`` at most; none at the end."""
        while not self._machine.eof:
            feed, ended = self._feed()
            try:
                data = self._machine.decompress(feed, size)
            except self._error as error:
                raise Broken(f"its compressed data is damaged ({error})") from None
            if data:
                return data
            if ended:
                raise CutShort("it ends in the middle")
        return b""

    def _feed(self) -> tuple[bytes, bool]:
        """What to give to the decompressor now, and whether there is no more."""
        tail = getattr(self._machine, "unconsumed_tail", b"")  # zlib's: what it had no room for
        if tail or not getattr(self._machine, "needs_input", True):
            return tail, False
        more = self._source.read(_PIECE)
        return more, not more
