"""Zip archives, read by their central directory (APPNOTE.TXT 6.3.10), an entry at a time.

As the Software Heritage loaders unpack them: permissions are not looked at, symbolic links are files, and entries
with absolute names or with ``..`` in the name are left out.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from swhkit.unpack.inflate import MEMORY_LIMIT, Deflated, Inflater, run
from swhkit.unpack.member import CHUNK, Member, MemberType, Meter, show

MAGICS = (b"PK\3\4", b"PK\5\6")
_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY, _LOCAL = b"PK\1\2", b"PK\3\4"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _UTF8 = 0x1, 0x800


def read_zip(file: BinaryIO, length: int, meter: Meter) -> Iterator[Member]:
    """The members of a zip archive of ``length`` bytes. Raises ``InvalidInput`` for what is none, is damaged,
    encrypted, packed in an unknown way, or exceeds the limits."""
    meter.read = length
    try:
        position, end, shift = _directory(file, length, meter)
        while position < end:
            file.seek(position)
            fixed = file.read(46)
            if fixed[:4] != _ENTRY or len(fixed) < 46:
                raise meter.error("the zip archive is damaged (its directory)")
            sizes = struct.unpack("<HHH", fixed[28:34])
            position += 46 + sum(sizes)
            if position > end:
                raise meter.error("the zip archive is damaged (its directory)")
            variable = file.read(sum(sizes))
            meter.member()
            yield from _member(
                file, fixed, variable[: sizes[0]], variable[sizes[0] : sizes[0] + sizes[1]], shift, meter
            )
    except struct.error:
        raise meter.error("the zip archive is damaged") from None


def _directory(file: BinaryIO, length: int, meter: Meter) -> tuple[int, int, int]:
    """Where the central directory begins and ends, and by how much all offsets are off (something was put before)."""
    tail_start = max(0, length - (22 + _FULL16))
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise meter.error("this is no zip archive, or it is cut short")
    size, offset = struct.unpack("<II", tail[at + 12 : at + 20])
    end = tail_start + at
    locator = tail[at - 20 : at] if at >= 20 else b""
    if locator[:4] == _LOCATOR64:
        file.seek(min(struct.unpack("<Q", locator[8:16])[0], length))
        record = file.read(56)
        if record[:4] == _END64:
            size, offset = struct.unpack("<QQ", record[40:56])
            end -= 20 + 56
    start = end - size
    if start < 0 or start < offset:
        raise meter.error("the zip archive is damaged (its directory)")
    return start, end, start - offset


def _member(
    file: BinaryIO, fixed: bytes, raw_name: bytes, extra: bytes, shift: int, meter: Meter
) -> Iterator[Member]:
    flags, method = struct.unpack("<HH", fixed[8:12])
    crc, packed, length = struct.unpack("<III", fixed[16:28])
    offset = struct.unpack("<I", fixed[42:46])[0]
    length, packed, offset = _wide(extra, length, packed, offset)
    name = _name(raw_name, flags)
    if name.startswith(b"/") or b".." in name:
        return
    if name.endswith(b"/"):
        yield Member(name, MemberType.DIRECTORY)
        return
    meter.file(name, length)
    if flags & _ENCRYPTED:
        raise meter.error(f"the member {show(name)} is encrypted")
    chunks = _checked(_unpacked(file, offset + shift, packed, method, name, meter), length, crc, name, meter)
    yield Member(name, MemberType.FILE, False, length, b"", chunks)
    for _ in chunks:  # what the taker has left
        pass


def _name(raw: bytes, flags: int) -> bytes:
    """The name as unpacking writes it: code page 437 unless the entry says UTF-8."""
    raw = raw.split(b"\0", 1)[0]
    return raw if flags & _UTF8 else raw.decode("cp437").encode("utf-8")


def _wide(extra: bytes, length: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The 64-bit numbers of the extra field where the 32-bit ones are full."""
    position = 0
    while position + 4 <= len(extra):
        tag, size = struct.unpack("<HH", extra[position : position + 4])
        if tag == 1:
            values = extra[position + 4 : position + 4 + size]
            wide = iter(struct.unpack(f"<{len(values) // 8}Q", values[: len(values) // 8 * 8]))
            length = next(wide, length) if length == _FULL32 else length
            packed = next(wide, packed) if packed == _FULL32 else packed
            offset = next(wide, offset) if offset == _FULL32 else offset
            break
        position += 4 + size
    return length, packed, offset


def _unpacked(
    file: BinaryIO, offset: int, packed: int, method: int, name: bytes, meter: Meter
) -> Iterator[bytes]:
    length = meter.read  # of the whole archive
    if not 0 <= offset <= length:
        raise meter.error(f"the zip archive is damaged (the place of {show(name)})")
    file.seek(offset)
    local = file.read(30)
    if local[:4] != _LOCAL or len(local) < 30:
        raise meter.error(f"the zip archive is damaged (the header of {show(name)})")
    position, left = offset + 30 + sum(struct.unpack("<HH", local[26:30])), packed

    def more() -> bytes:
        nonlocal position, left
        file.seek(position)
        data = file.read(min(left, CHUNK))
        position, left = position + len(data), left - len(data)
        return data

    if method == 0:
        while left:
            data = more()
            if not data:
                raise meter.error(f"the zip archive is cut short (in {show(name)})")
            yield data
        return
    yield from run(_inflater(method, name, meter), b"", more, meter)


def _inflater(method: int, name: bytes, meter: Meter) -> Inflater:
    if method == 8:
        return Deflated(-zlib.MAX_WBITS)
    if method == 12:
        return bz2.BZ2Decompressor()
    if method == 14:
        return _ZipLzma()
    raise meter.error(f"the member {show(name)} is packed in a way that is not known (method {method})")


class _ZipLzma:
    """LZMA as zip has it: version, length of the properties, properties, raw stream."""

    def __init__(self) -> None:
        self._inner: lzma.LZMADecompressor | None = None
        self._data = b""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end."""
        return self._inner is not None and self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether more bytes are wanted."""
        return self._inner is None or self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        """What came after the end."""
        return b"" if self._inner is None else self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = CHUNK) -> bytes:
        """At most ``max_length`` bytes more. Raises ``LZMAError`` for damage."""
        if self._inner is None:
            self._data += data
            if len(self._data) < 9:
                return b""
            properties = self._data[4:9]
            dictionary = struct.unpack("<I", properties[1:])[0]
            if dictionary > MEMORY_LIMIT or self._data[2:4] != b"\5\0":
                raise lzma.LZMAError("dictionary too large or unknown properties")
            alone = properties + struct.pack("<Q", (1 << 64) - 1)
            data, self._data = alone + self._data[9:], b""
            self._inner = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY_LIMIT)
        return self._inner.decompress(data, max_length)


def _checked(pieces: Iterator[bytes], length: int, crc: int, name: bytes, meter: Meter) -> Iterator[bytes]:
    """The pieces, if they have the length and the checksum they should."""
    seen, sum_ = 0, 0
    while seen < length or not length:
        piece = next(pieces, None)
        if piece is None:
            break
        seen, sum_ = seen + len(piece), zlib.crc32(piece, sum_)
        meter.give(len(piece))
        if seen > length:
            break
        yield piece
    if seen != length or sum_ != crc:
        raise meter.error(f"the zip archive is damaged (length or checksum of {show(name)})")
