"""What a web server has answered: its status, its headers, and its body as it was meant."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
import zlib
from collections.abc import Iterator
from email.message import Message
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from swhkit.errors import LimitExceeded, NotFound, Unavailable
from swhkit.http.wire import Wire
from swhkit.net import Target
from swhkit.text import clean_text, without_secrets

#: Bytes asked for at once; what an answer that says more about an error may be read for.
PIECE = 1 << 18
MOVED = (301, 302, 303, 307, 308)
#: Not there, or not for everybody: to an archive of what is public it is the same.
GONE = (401, 403, 404, 410, 451)
#: The server is busy or in trouble, and says that it will pass.
BUSY = (429, 502, 503, 504)
#: Names of files that are stored compressed: of these, servers say "Content-Encoding: gzip" and mean the file itself.
_STORED = re.compile(r"gz|tgz|svgz|z|taz|emz|crate|gem|tpz|cpgz", re.IGNORECASE)


class Patience(msgspec.Struct, frozen=True):
    """How a request is made again when the server is busy or the connection breaks.

    ``attempts`` in all; ``wait`` seconds before the second, twice that before the third, and so on, with a random
    half more or less. A server's ``Retry-After`` counts instead, up to ``longest`` seconds: if it asks for more, or
    for more than is left until the deadline, the request has failed.
    """

    attempts: int = 4
    wait: float = 1.0
    longest: float = 120.0


class Broken(Unavailable):
    """There was no answer, or it broke off: another attempt may have more luck."""


class Torn(Broken):
    """It broke off in its body: it has to be asked for again from the first byte."""


class Answer:
    """An answer of which the head has come. ``target`` is where it came from, after redirects.

    Made by ``fetch``, for the time of its ``with`` block.
    """

    def __init__(self, response: http.client.HTTPResponse, target: Target, connection: Wire) -> None:
        self.status, self.headers, self.target = response.status, response.headers, target
        self._response, self._connection = response, connection
        self._decoder = self._find_decoder()

    @property
    def url(self) -> str:
        """The final URL, without the credentials it may have: fit for texts and rows."""
        return plain_url(self.target.url)

    @property
    def location(self) -> str | None:
        """Where the answer redirects to, as an absolute URL that is not judged yet; None if it does not.

        Raises ``Unavailable`` if nobody can tell where that is.
        """
        location = self.headers.get("Location", "").strip()
        if self.status not in MOVED or not location:
            return None
        # What http.client gives are bytes in the guise of Latin-1; a space or a letter beyond ASCII is a server's slip.
        try:
            return urljoin(self.target.url, encoded(location.encode("latin-1")))
        except ValueError as error:
            raise Unavailable(f"{self.url}: redirected to {location[:300]!r}, which is no address") from error

    @property
    def reason(self) -> str:
        """The server's own words for the status, fit for texts."""
        return clean_text(self._response.reason[:100].encode("latin-1", "replace"))

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server wants to be asked again; None if it does not say so."""
        return retry_seconds(self.headers.get("Retry-After", ""))

    def check(self) -> None:
        """Raise ``NotFound`` for 401, 403, 404, 410 and 451, ``Unavailable`` for all else but 2xx and 304; with what the
        server says of when to come back."""
        said = f"{self.url}: the server answers {self.status} {self.reason}".rstrip()
        if self.status in GONE:
            raise NotFound(f"{said}: there is nothing that everybody may read")
        if self.status != 304 and not 200 <= self.status < 300:
            raise Unavailable(said, self.retry_after)

    def pieces(self, limit: int, name: str) -> Iterator[bytes]:
        """The body, decoded, in pieces. Raises ``LimitExceeded`` beyond ``limit`` bytes; ``name`` says whose limit it
        is (``limits.max_pack_size``). Raises ``Unavailable`` when it breaks off."""
        size = 0
        declared = self._response.length if self._decoder is None else None
        if declared is not None and declared > limit:
            raise self._too_large(limit, name)
        while piece := self.read():
            size += len(piece)
            if size > limit:
                raise self._too_large(limit, name)
            yield piece

    def whole(self, limit: int, name: str) -> bytes:
        """All of the body at once; see ``pieces``."""
        return b"".join(self.pieces(limit, name))

    def read(self) -> bytes:
        """The next piece of the body, at most some hundred kilobytes; empty at the end. Raises ``Unavailable``."""
        if self._decoder is None:
            return self._raw()
        data: bytes | None = None
        while data != b"":
            data = self._decoder.unconsumed_tail or self._raw()
            try:
                piece = self._decoder.decompress(data, PIECE)
            except zlib.error as error:
                raise Unavailable(
                    f"{self.url}: what came is not the gzip it is said to be ({error})"
                ) from error
            if self._decoder.unused_data or (data and self._decoder.eof and not piece):
                raise Unavailable(f"{self.url}: something follows the gzip that the answer is said to be")
            if piece:
                return piece
        if not self._decoder.eof:
            raise Torn(f"{self.url}: the answer has not come whole (its gzip breaks off)")
        return b""

    def _raw(self) -> bytes:
        try:
            piece = self._response.read1(PIECE)
            if not piece and self._connection.late:  # or an answer of no known length would just be shorter
                raise TimeoutError("its time was up")
            if not piece and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Torn(f"{self.url}: the answer has not come whole ({reason_of(error)})") from error
        return piece

    def _too_large(self, limit: int, name: str) -> LimitExceeded:
        return LimitExceeded(f"{self.url}: the answer is larger than {limit} bytes ({name})")

    def _find_decoder(self) -> zlib._Decompress | None:
        """What undoes the Content-Encoding, None for what comes as it is. Raises ``Unavailable``.

        We ask for no encoding. Who has one nevertheless either has the file that way (Apache for every ``.tar.gz``),
        or compresses all it sends; the file's name tells which.
        """
        if not has_framing(self.headers):
            raise Unavailable(
                f"{self.url}: the answer's length cannot be told (Content-Length, Transfer-Encoding)"
            )
        coding = self.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
        if coding == "identity" or self._response.length == 0:
            return None
        if coding not in ("gzip", "x-gzip"):
            raise Unavailable(
                f"{self.url}: the server insists on the encoding {coding[:40]!r}, which is not read"
            )
        ending = urlsplit(self.target.url).path.rpartition(".")[2]
        return None if _STORED.fullmatch(ending) else zlib.decompressobj(16 + zlib.MAX_WBITS)


def retry_seconds(text: str) -> float | None:
    """The seconds that a ``Retry-After`` asks for (RFC 9110, section 10.2.3: it has them, or a date); None if it is
    neither."""
    if _DELAY.fullmatch(text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def has_framing(headers: Message) -> bool:
    """Whether the end of a message with these headers can be told for certain (RFC 9112, section 6.3)."""
    lengths = set(headers.get_all("Content-Length", []))
    codings = [value.strip().lower() for value in headers.get_all("Transfer-Encoding", [])]
    return codings in ([], ["chunked"]) and len(lengths) <= 1 and all(map(_DIGITS.fullmatch, lengths))


_DELAY = re.compile(r"[0-9]{1,9}", re.ASCII)
_DIGITS = re.compile(r"\s*[0-9]{1,18}\s*", re.ASCII)


def plain_url(url: str) -> str:
    """``url`` without credentials."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def encoded(url: bytes) -> str:
    """A URL with what may not stand in a request line percent-encoded; the rest as it is."""
    return quote(url, safe="".join(chr(c) for c in range(0x21, 0x7F)))


def reason_of(error: Exception) -> str:
    """What went wrong with a connection, in few words and without secrets."""
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed before its end"
    return without_secrets(str(error) or type(error).__name__)[:300]
