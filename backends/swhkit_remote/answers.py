"""What the other side answered: its bytes, bounded, and what its refusals mean.

The errors here say what an answer was. All are ``Unreachable`` but ``NotThere``, so that nobody who does not ask
further takes a refusal for "not held".
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from swhkit.errors import NotHeld, Unreachable
from swhkit_remote.connections import FAILURES, Pool
from swhkit_remote.pacing import Headers

T = TypeVar("T")

#: A JSON answer has at most so many bytes, an error's body this many.
JSON_LIMIT = 64 << 20
ERROR_LIMIT = 1 << 20
_PIECE = 1 << 16


class NotThere(NotHeld):
    """The archive itself says that it does not hold it."""


class NoEndpoint(Unreachable):
    """There is no such endpoint: another generation of the web API, or part of it."""


class Forbidden(Unreachable):
    """The endpoint is there for others."""


class Refused(Unreachable):
    """The question is refused as wrong (400): of its form, not of what is held."""


class Broken(Unreachable):
    """The answer broke off, or came too slowly."""


class Problem(msgspec.Struct, frozen=True):
    """The body of an error: ``exception`` and ``reason``, or ``error`` where a URL leads nowhere."""

    exception: str | None = None
    error: str | None = None
    reason: msgspec.Raw = msgspec.Raw(b'""')


class Answer:
    """One answer. ``status``, ``headers`` (``get`` ignores case), ``length`` of the body if it was announced.

    Holds a connection until it has been read or closed; ``who`` names the other side in errors.
    """

    def __init__(
        self, pool: Pool, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, who: str
    ) -> None:
        self._pool, self._connection, self._response, self._who = pool, connection, response, who
        self.status, self.length = response.status, response.length
        self.headers: Headers = response.headers
        self._open = True

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def pieces(self, limit: int | None = None) -> Iterator[bytes]:
        """The body, in pieces. Raises ``Broken`` if it ends before its announced length, ``Unreachable`` if it has more
        than ``limit`` bytes or an encoding that was not asked for."""
        try:
            self._check_encoding()
            came = 0
            while piece := self._read():
                came += len(piece)
                if limit is not None and came > limit:
                    raise Unreachable(f"{self._who} sent more than {limit} bytes where less was due")
                yield piece
            if self.length is not None and came < self.length:
                raise Broken(f"{self._who} broke off after {came} of {self.length} bytes")
        finally:
            self.close()

    def read(self, limit: int) -> bytes:
        """The whole body. Raises as ``pieces``."""
        return b"".join(self.pieces(limit))

    def close(self) -> None:
        """Give the connection back; unread, it is closed."""
        if self._open:
            self._open = False
            self._pool.release(self._connection, self._response)

    def _read(self) -> bytes:
        try:
            return self._response.read(_PIECE)
        except (*FAILURES, ValueError) as error:
            raise Broken(
                f"{self._who} broke off in the middle of an answer ({type(error).__name__})"
            ) from error

    def _check_encoding(self) -> None:
        # Nothing but identity was asked for: what unpacks to an unknown size is not taken.
        encoding = (self.headers.get("Content-Encoding") or "identity").strip().lower()
        if encoding != "identity":
            raise Unreachable(f"{self._who} sent an answer in an encoding that was not asked for")


def json_of(answer: Answer, shape: type[T], who: str, limit: int = JSON_LIMIT) -> T:
    """The value of a JSON answer. Raises ``Unreachable`` if it is none, or none of that shape."""
    if answer.media_type != "application/json":
        answer.close()
        raise Unreachable(
            f"{who} answered with {shown(answer.media_type) or 'something'} instead of JSON: "
            f"is that the address of a web API?"
        )
    body = answer.read(limit)
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(
            f"{who} sent an answer that is not as the web API says: {shown(str(error))}"
        ) from None


def problem_of(answer: Answer, who: str, clean: Callable[[str], str]) -> Unreachable | NotThere:
    """What an answer that is neither good nor a redirect means, as the error to raise."""
    status = answer.status
    try:
        problem = json_of(answer, Problem, who, ERROR_LIMIT)
    except Unreachable as error:
        return Unreachable(f"{error} (status {status})")
    reason = clean(_reason(problem))
    if status == 404 and problem.exception == "NotFoundExc":
        return NotThere(reason)
    if (status == 404 and problem.exception is None and problem.error) or status == 405:
        return NoEndpoint(f"{who} has no such endpoint")
    if problem.exception == "AuthenticationFailed":
        return Unreachable(f"{who} does not take the token: {reason}")
    if problem.exception == "MaskedObjectException":
        return Unreachable(f"{who} withholds this object for now: {reason}")
    if status in (401, 403) and problem.exception is not None:
        return Forbidden(f"{who} refuses: {reason}")
    if status == 400 and problem.exception is not None:
        return Refused(f"{who} cannot be asked that: {reason}")
    return Unreachable(f"{who} answered with status {status}: {reason}")


def _reason(problem: Problem) -> str:
    try:
        value = msgspec.json.decode(problem.reason)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return value if isinstance(value, str) else bytes(problem.reason).decode("utf-8", "replace")


def shown(text: str) -> str:
    """A stranger's text in one short line without anything that steers a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
