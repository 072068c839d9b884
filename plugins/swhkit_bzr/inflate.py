"""Takes one zlib stream out of a longer one, without trust in its size."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

from swhkit.plugin import LimitExceeded

_PIECE = 1 << 20


def pieces(stream: io.BufferedReader, most: int) -> Iterator[bytes]:
    """The bytes of the zlib stream that comes next, at most ``most`` and one more. What follows stays unread.

    Raises ``ValueError`` if it is none or breaks off.
    """
    inflater = zlib.decompressobj()
    while not inflater.eof and most >= 0:
        data = stream.peek(1)
        if not data:
            raise ValueError("compressed data breaks off")
        try:
            piece = inflater.decompress(data, min(most + 1, _PIECE))
        except zlib.error as error:
            raise ValueError(f"compressed data cannot be read ({error})") from None
        stream.read(len(data) - len(inflater.unconsumed_tail) - len(inflater.unused_data))
        most -= len(piece)
        yield piece


def inflate(stream: io.BufferedReader, most: int) -> bytes:
    """As ``pieces``, in one. Raises ``LimitExceeded`` if there are more than ``most``."""
    data = b"".join(pieces(stream, most))
    if len(data) > most:
        raise LimitExceeded(
            f"a part of the branch's history has more than the {most} bytes that are left for it"
        )
    return data
