"""Compressed streams, inflated piece by piece in bounded memory, known by their magic: gzip, bzip2, xz, lzip, zstd,
lzma alone, and compress."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from swhkit.unpack import lzw
from swhkit.unpack.member import CHUNK, Meter

#: No dictionary larger than this is built, whatever a header asks for (``xz -9`` needs 64 MiB).
MEMORY_LIMIT = 192 << 20
#: So many streams in a row may hold nothing: each costs time, and no limit on what comes out sees them.
_EMPTY_STREAMS = 10_000


class Inflater(Protocol):
    """The shape of ``bz2.BZ2Decompressor`` and its like."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Deflated:
    """zlib in that shape; ``window`` as ``zlib.decompressobj`` takes it (31: gzip, -15: bare deflate)."""

    def __init__(self, window: int = 31) -> None:
        self._inflater = zlib.decompressobj(window)
        self._tail = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end."""
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        """What came after the end."""
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int = CHUNK) -> bytes:
        """At most ``max_length`` bytes more."""
        out = self._inflater.decompress(self._tail + data, max_length)
        self._tail = self._inflater.unconsumed_tail
        self.needs_input = not self._tail and len(out) < max_length
        return out


class Lzip:
    """A member of an lzip file (RFC draft-diaz-lzip): an LZMA stream between a header and a trailer of its own."""

    def __init__(self) -> None:
        self._inner: lzma.LZMADecompressor | None = None
        self._data, self._crc, self._length = b"", 0, 0
        self.eof = False
        self.unused_data = b""

    @property
    def needs_input(self) -> bool:
        """Whether more bytes are wanted."""
        return self._inner is None or self._inner.eof or self._inner.needs_input

    def decompress(self, data: bytes, max_length: int = CHUNK) -> bytes:
        """At most ``max_length`` bytes more. Raises ``LZMAError`` for damage."""
        if self._inner is None:
            data = self._begin(data)
        inner = self._inner
        if inner is None:
            return b""
        out = b""
        if not inner.eof:
            out = inner.decompress(data, max_length)
            self._crc, self._length = zlib.crc32(out, self._crc), self._length + len(out)
            self._data = inner.unused_data
        else:
            self._data += data
        if inner.eof and len(self._data) >= 20:
            self._end()
        return out

    def _begin(self, data: bytes) -> bytes:
        self._data += data
        if len(self._data) < 6:
            return b""
        version, coded = self._data[4], self._data[5]
        size = 1 << (coded & 31)
        size -= (size >> 4) * (coded >> 5)
        if version != 1 or not 1 << 12 <= size <= 1 << 29:
            raise lzma.LZMAError("not lzip version 1")
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY_LIMIT)
        rest, self._data = self._data[6:], b""
        return struct.pack("<BIQ", 93, size, (1 << 64) - 1) + rest

    def _end(self) -> None:
        crc, length, _ = struct.unpack("<IQQ", self._data[:20])
        if (crc, length) != (self._crc, self._length):
            raise lzma.LZMAError("checksum does not match")
        self.eof, self.unused_data = True, self._data[20:]


def _zstd() -> Inflater:
    import sys

    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor
    else:
        from backports.zstd import ZstdDecompressor
    inflater: Inflater = ZstdDecompressor()
    return inflater


#: Magic → what inflates one stream of it.
FORMATS: dict[bytes, Callable[[], Inflater]] = {
    b"\x1f\x8b": Deflated,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_LIMIT),
    b"LZIP": Lzip,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x5d\0\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY_LIMIT),
}


def compression(start: bytes) -> bytes | None:
    """The magic with which a compressed file begins, or None."""
    return next((magic for magic in (*FORMATS, lzw.MAGIC) if start.startswith(magic)), None)


def inflate(file: BinaryIO, magic: bytes, meter: Meter) -> Iterator[bytes]:
    """The bytes of one or more streams of one format in pieces; what follows them and is no such stream is ignored.

    Raises ``InvalidInput`` for damaged and for cut streams.
    """
    if magic == lzw.MAGIC:
        yield from lzw.unlzw(lambda: _more(file, meter), meter)
        return
    data, empty = _more(file, meter), 0
    while data.startswith(magic):
        inflater = FORMATS[magic]()
        empty += 1
        for piece in run(inflater, data, lambda: _more(file, meter), meter):
            yield piece
            empty = 0
        if empty > _EMPTY_STREAMS:
            raise meter.error(
                f"has more than {_EMPTY_STREAMS} compressed streams with nothing in them in a row"
            )
        data = inflater.unused_data
        while len(data) < len(magic) and (more := _more(file, meter)):
            data += more


def run(inflater: Inflater, data: bytes, more: Callable[[], bytes], meter: Meter) -> Iterator[bytes]:
    """What ``inflater`` makes of ``data`` and whatever ``more()`` gives, up to the end of its stream."""
    while not inflater.eof:
        if inflater.needs_input and not data and not (data := more()):
            raise meter.error("the compressed data are cut short")
        try:
            piece = inflater.decompress(data, CHUNK)
        except Exception as error:
            if not isinstance(error, (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)) and (
                type(error).__name__ != "ZstdError"
            ):
                raise
            raise meter.error(f"the compressed data are damaged ({error})") from None
        data = b""
        if piece:
            yield piece


def _more(file: BinaryIO, meter: Meter) -> bytes:
    data = file.read(CHUNK)
    meter.read += len(data)
    return data
