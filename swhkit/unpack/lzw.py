"""What the program ``compress`` wrote (``.Z``): adaptive Lempel-Ziv codes of 9 to 16 bits, inflated in bounded memory.

The form has no end mark and no checksum: what is cut short ends early, and whoever reads on notices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from swhkit.unpack.member import CHUNK, Meter

MAGIC = b"\x1f\x9d"
_FIRST_BITS, _MOST_BITS = 9, 16
_CLEAR = 256
#: The string of a code is kept as the code it goes on from and at most this many bytes more: a table of 65,536 strings
#: that each are a byte longer than the one before would have 2 GiB.
_TAIL = 512


def unlzw(more: Callable[[], bytes], meter: Meter) -> Iterator[bytes]:
    """The bytes of a ``.Z`` file in pieces; ``more`` gives those of the file, none at its end.

    Raises ``InvalidInput`` for damage.
    """
    data = b""
    while len(data) < 3 and (piece := more()):
        data += piece
    if len(data) < 3 or not _FIRST_BITS <= (most := data[2] & 0x1F) <= _MOST_BITS or data[2] & 0x60:
        raise meter.error("the compressed data are damaged (their header)")
    clears = bool(data[2] & 0x80)
    yield from _decode(_Groups(data[3:], more), most, _CLEAR + 1 if clears else _CLEAR, meter)


class _Groups:
    """The codes, which are written eight at a time: of a group that a change of width cuts short the rest is padding."""

    def __init__(self, data: bytes, more: Callable[[], bytes]) -> None:
        self._data, self._position, self._more = data, 0, more

    def take(self, bits: int) -> list[int]:
        """The next eight codes of ``bits`` bits; fewer at the end."""
        group = self._data[self._position : self._position + bits]
        while len(group) < bits and (piece := self._more()):
            self._data, self._position = group + piece, 0
            group = self._data[:bits]
        self._position += len(group)
        number, mask = int.from_bytes(group, "little"), (1 << bits) - 1
        return [number >> shift & mask for shift in range(0, len(group) * 8 - bits + 1, bits)]


def _decode(groups: _Groups, most: int, first: int, meter: Meter) -> Iterator[bytes]:
    """``most``: the width no code exceeds; ``first``: the first code that is free (257 if there is one to clear).

    The string of a code is that of ``bases`` (where it has one) and that of ``tails``, which is never long.
    """
    one_byte = [bytes((byte & 255,)) for byte in range(first)]
    tails, bases, bits, before = one_byte.copy(), [-1] * first, _FIRST_BITS, -1
    string, pieces, size, take, width = b"", list[bytes](), 0, groups.take, 1 << most
    while codes := take(bits):
        for code in codes:
            if code == _CLEAR and first > _CLEAR:
                tails, bases, bits, before = one_byte.copy(), [-1] * first, _FIRST_BITS, -1
                break
            free = len(tails)
            if code < free and (before >= 0 or code <= 255):
                string = tails[code] if bases[code] < 0 else _string(code, tails, bases)
            elif code == free and before >= 0:
                string += string[:1]
            else:
                raise meter.error("the compressed data are damaged (a code that stands for nothing)")
            if before >= 0 and free < width:
                tail = tails[before]
                whole = len(tail) < _TAIL
                tails.append(tail + string[:1] if whole else string[:1])
                bases.append(bases[before] if whole else before)
            pieces.append(string)
            size += len(string)
            before = code
            if len(tails) >= 1 << bits and bits < most:
                bits += 1
                break
        if size >= CHUNK:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def _string(code: int, tails: list[bytes], bases: list[int]) -> bytes:
    parts = []
    while code >= 0:
        parts.append(tails[code])
        code = bases[code]
    return b"".join(reversed(parts))
