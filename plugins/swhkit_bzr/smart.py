"""Bazaar's smart protocol, version 3, from the side that asks.

Messages as Bazaar's "network protocol" document has them: a line with the version, headers, then parts: ``s`` (the
arguments), ``b`` (bytes of the body), ``o`` (one byte: ``S`` success, ``E`` error, ``C`` a body in pieces), ``e`` the
end; lengths are four bytes, big-endian. A body is read as it comes: what a server says of its length is not believed.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import BinaryIO, cast

import msgspec

from swhkit.plugin import SwhkitError
from swhkit_bzr import bencode

_VERSION = b"bzr message 3 (bzr 1.6)\n"
_HEADERS = bencode.encode({b"Software version": b"3.0"})
#: Bytes of a header or of arguments (which may hold all tags of a branch).
_LARGEST = 8 << 20
_BUFFER = 1 << 16


class Broken(SwhkitError):
    """The connection has ended, or what came over it is not the protocol."""


class Refused(SwhkitError):
    """The server has answered with an error: ``arguments`` as it gave them, a word first."""

    def __init__(self, arguments: list[bytes]) -> None:
        self.arguments = arguments
        super().__init__(" ".join(word.decode("utf-8", "replace") for word in arguments)[:400])

    @property
    def word(self) -> bytes:
        """What kind of error it is."""
        return self.arguments[0] if self.arguments else b""


class Answer(msgspec.Struct, frozen=True):
    """A successful answer: its arguments, and its body to be read before the next call."""

    arguments: list[bytes]
    body: io.BufferedReader

    def argument(self, number: int) -> bytes:
        """One of the arguments. Raises ``Broken`` if there are not as many."""
        if number >= len(self.arguments):
            raise Broken(f"the server's answer is too short: {self.arguments!r}"[:400])
        return self.arguments[number]


class Connection:
    """A server that answers one call after the other. ``told`` gives its last words where it has ended."""

    def __init__(self, source: io.BufferedReader, sink: BinaryIO, told: Callable[[], str]) -> None:
        self._source, self._sink, self._told = source, sink, told

    def call(self, verb: bytes, *arguments: bytes, body: bytes | None = None) -> Answer:
        """Ask. Raises ``Refused`` for an error that the server answers with, ``Broken`` without a usable answer."""
        message = [_VERSION, _counted(_HEADERS), b"s", _counted(bencode.encode([verb, *arguments]))]
        if body is not None:
            message += [b"b", _counted(body)]
        try:
            self._sink.write(b"".join([*message, b"e"]))
            self._sink.flush()
        except OSError as error:
            raise self.broken(error.strerror or str(error)) from error
        return self._answer()

    def broken(self, what: str) -> Broken:
        """The error for what has come instead of the protocol."""
        words = " ".join(self._told().split())
        return Broken(f"{what}; its last words: {words[-400:]}" if words else what)

    def exactly(self, size: int) -> bytes:
        """So many bytes. Raises ``Broken`` if fewer come."""
        try:
            data = self._source.read(size)
        except OSError as error:
            raise self.broken(error.strerror or str(error)) from error
        if len(data) != size:
            raise self.broken("the server has ended the connection")
        return data

    def some(self, size: int) -> bytes:
        """Between one and ``size`` bytes. Raises ``Broken`` if none come."""
        try:
            data = self._source.read1(size)
        except OSError as error:
            raise self.broken(error.strerror or str(error)) from error
        if not data:
            raise self.broken("the server has ended the connection")
        return data

    def length(self) -> int:
        """A length of four bytes."""
        (size,) = struct.unpack(">L", self.exactly(4))
        return int(size)

    def arguments(self) -> list[bytes]:
        """A list of strings, or of what was none as its text."""
        values = self._structure()
        if not isinstance(values, list):
            raise self.broken("the server's answer is no list")
        return [value if isinstance(value, bytes) else repr(value).encode() for value in values]

    def _structure(self) -> bencode.Value:
        size = self.length()
        if size > _LARGEST:
            raise self.broken(f"the server announces arguments of {size} bytes")
        try:
            return bencode.decode(self.exactly(size))
        except ValueError as error:
            raise self.broken(f"the server's answer cannot be read ({error})") from None

    def _answer(self) -> Answer:
        start = self.exactly(len(_VERSION))
        if start != _VERSION:
            raise self.broken(f"the server does not speak Bazaar's protocol, version 3: {start!r}")
        self._structure()
        status = self.exactly(2)
        if status not in (b"oS", b"oE") or self.exactly(1) != b"s":
            raise self.broken("the server's answer has no status")
        arguments = self.arguments()
        body = cast(io.BufferedReader, io.BufferedReader(_Body(self), _BUFFER))
        body.peek(1)  # the end, where there is no body
        if status == b"oE":
            raise Refused(arguments)
        return Answer(arguments, body)


class _Body(io.RawIOBase):
    """The parts of an answer's body as one stream. Raises ``Refused`` where an error stands in its midst."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._left, self._ended = connection, 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # what io calls it with
        while not self._left and not self._ended:
            self._next()
        if self._ended:
            return 0
        data = self._connection.some(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def _next(self) -> None:
        kind = self._connection.exactly(1)
        if kind == b"b":
            self._left = self._connection.length()
        elif kind == b"e":
            self._ended = True
        elif kind == b"s":  # what follows the status of an error
            raise Refused(self._connection.arguments())
        elif kind != b"o" or self._connection.exactly(1) not in (b"C", b"S", b"E"):
            raise self._connection.broken("the server's answer has a part of no known kind")


def _counted(data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + data
