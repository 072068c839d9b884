"""Pieces of any size as a file that is read once, and the counting of what came out of it."""

from __future__ import annotations

from collections.abc import Iterator

from swhkit.unpack.member import CHUNK, Meter


class Stream:
    """Pieces of any size read as a file. Its bytes are counted by those who read them, but for those that are drained."""

    def __init__(self, pieces: Iterator[bytes], meter: Meter) -> None:
        self._pieces, self._rest, self._meter = pieces, memoryview(b""), meter

    def some(self, most: int) -> bytes:
        """At least one byte and at most ``most``; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:most], self._rest[most:]
        return bytes(taken)

    def exactly(self, count: int) -> bytes:
        """``count`` bytes. Raises ``InvalidInput`` if there are fewer."""
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[bytes]:
        """``count`` bytes in pieces. Raises ``InvalidInput`` if there are fewer."""
        while count:
            piece = self.some(min(count, CHUNK))
            if not piece:
                raise self._meter.error("the archive is cut short")
            count -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read to the end, so that checksums of the compression are looked at."""
        while piece := self.some(CHUNK):
            self._meter.give(len(piece))


def counted(pieces: Iterator[bytes], meter: Meter) -> Iterator[bytes]:
    """The pieces, each counted as it is given."""
    for piece in pieces:
        meter.give(len(piece))
        yield piece
