"""Bytes on their way out."""

from __future__ import annotations

from collections.abc import Iterator


class Pieces:
    """The bytes of an object on their way out: an iterator to be closed when it is not read to its end.

    The first piece is read at once, so that what is missing or (if small) damaged raises before any answer.
    """

    def __init__(self, pieces: Iterator[bytes], header: bytes = b"") -> None:
        self._pieces = pieces
        self._ready = [piece for piece in (header, next(pieces, b"")) if piece]

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        return self._ready.pop(0) if self._ready else next(self._pieces)

    def close(self) -> None:
        """Let go of the store's file or child process."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
