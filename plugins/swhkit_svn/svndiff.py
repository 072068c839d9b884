"""Applies svndiff, the binary delta of Subversion (notes/svndiff), versions 0 and 1.

Every length and offset is checked as libsvn_delta checks it: views of at most 100 KiB, source views that never slide
back, copies inside what is there. What does not fit raises ``Damaged``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from swhkit_svn.dump import Damaged

#: The largest view (SVN_DELTA_WINDOW_SIZE) and what a compressed section may add to it for its length.
MAX_VIEW, _SLACK = 102_400, 10
#: A view of single-byte copies, each of a byte and two numbers.
_MAX_INSTRUCTIONS = MAX_VIEW * 21
_MAX_OFFSET = 1 << 62

#: Gives ``length`` bytes of the source from ``offset`` on, or fewer where it ends.
Source = Callable[[int, int], bytes]


def apply(delta: BinaryIO, source: Source) -> Iterator[bytes]:
    """The pieces of the text that ``delta`` makes of ``source``. Raises ``Damaged``."""
    header = delta.read(4)
    if header not in (b"SVN\0", b"SVN\1"):
        raise Damaged(f"a delta begins with {header!r}, not as svndiff of version 0 or 1")
    compressed = header == b"SVN\1"
    begin = end = 0
    while (offset := _first_number(delta)) is not None:
        source_size, target_size = _number(delta), _number(delta)
        instructions_size, data_size = _number(delta), _number(delta)
        if (
            max(source_size, target_size, data_size - _SLACK) > MAX_VIEW
            or instructions_size > _MAX_INSTRUCTIONS
        ):
            raise Damaged("a window of a delta is larger than any")
        if source_size:
            if offset < begin or offset + source_size < end:
                raise Damaged("the source views of a delta slide back")
            begin, end = offset, offset + source_size
        instructions = _section(delta, instructions_size, compressed, _MAX_INSTRUCTIONS)
        data = _section(delta, data_size, compressed, MAX_VIEW)
        view = source(offset, source_size) if source_size else b""
        if len(view) != source_size:
            raise Damaged("a delta copies from behind the end of its source")
        yield _window(view, instructions, data, target_size)


def _window(view: bytes, instructions: bytes, data: bytes, size: int) -> bytes:
    """The target view of one window."""
    if len(data) == size and 0 < len(instructions) <= _SLACK and _only_new(instructions, size):
        return data
    target = bytearray()
    position = used = 0
    while position < len(instructions):
        byte = instructions[position]
        action, length = byte >> 6, byte & 63
        position += 1
        if not length:
            length, position = _number_in(instructions, position)
        if not length or length > size - len(target):
            raise Damaged("an instruction of a delta is longer than its window")
        if action == 2:
            if used + length > len(data):
                raise Damaged("a delta takes more new data than it has")
            target += data[used : used + length]
            used += length
            continue
        offset, position = _number_in(instructions, position)
        if action == 0:
            if offset + length > len(view):
                raise Damaged("a delta copies from outside its source view")
            target += view[offset : offset + length]
        elif action == 1:
            filled = len(target)
            if offset >= filled:
                raise Damaged("a delta copies from what is not yet there")
            if offset + length <= filled:
                target += target[offset : offset + length]
            else:  # what is copied grows while it is copied
                pattern = bytes(target[offset:])
                target += (pattern * (length // len(pattern) + 1))[:length]
        else:
            raise Damaged("a delta has an instruction that does not exist")
    if len(target) != size or used != len(data):
        raise Damaged("a window of a delta makes another length than it says")
    return bytes(target)


def _only_new(instructions: bytes, size: int) -> bool:
    """Whether all there is to do is to take the new data, all of it."""
    byte = instructions[0]
    if byte >> 6 != 2:
        return False
    length, position = byte & 63, 1
    if not length:
        length, position = _number_in(instructions, 1)
    return length == size and position == len(instructions)


def _section(delta: BinaryIO, size: int, compressed: bool, most: int) -> bytes:
    data = delta.read(size)
    if len(data) != size:
        raise Damaged("a delta is cut short")
    if not compressed:
        return data
    length, position = _number_in(data, 0)
    if length > most:
        raise Damaged("a section of a delta is larger than any")
    if len(data) - position == length:
        return data[position:]
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data[position:], length + 1)
    except zlib.error as error:
        raise Damaged(f"a section of a delta cannot be decompressed: {error}") from None
    if len(plain) != length:
        raise Damaged("a section of a delta has another length than it says")
    return plain


def _first_number(delta: BinaryIO) -> int | None:
    """The number a window begins with; None at the end of the delta."""
    byte = delta.read(1)
    return _number(delta, byte) if byte else None


def _number(delta: BinaryIO, byte: bytes = b"") -> int:
    value = 0
    for _ in range(10):
        byte = byte or delta.read(1)
        if not byte:
            raise Damaged("a delta is cut short")
        value = value << 7 | byte[0] & 0x7F
        if byte[0] < 0x80:
            if value > _MAX_OFFSET:
                break
            return value
        byte = b""
    raise Damaged("a delta has a number that is too large")


def _number_in(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(position, min(position + 10, len(data))):
        byte = data[index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    raise Damaged("a delta has a number that is cut short or too large")
