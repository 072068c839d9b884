"""One client's connection to the proxy: its requests (RFC 9110, 9112), one after the other, or a tunnel."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from email.message import Message
from typing import Protocol

import msgspec

from swhkit.egress.gate import Gate, Refused
from swhkit.egress.tunnel import Tunnel, readable
from swhkit.errors import LimitExceeded, Unavailable
from swhkit.http.answer import PIECE, encoded, has_framing, reason_of
from swhkit.http.wire import Lines, Wire
from swhkit.net import Target, dial
from swhkit.text import without_secrets

#: Seconds for the head of a request, from its first byte; and of silence, in a request or between two.
_HEAD, _SILENCE = 10.0, 900.0
#: Bytes of a line of a head, of a body that is read though its request is refused.
_LINE, _DRAINED = 1 << 16, 1 << 20
#: Headers that are between two neighbours (RFC 9110, section 7.6.1), and those that are made anew.
_OURS = {
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "expect", "content-length",
}  # fmt: skip
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\n]*)?\r?\n")


class Proxy(Protocol):
    """What a connection needs of the proxy."""

    gate: Gate
    deadline: float | None
    stopped: bool

    def knows(self, authorization: str) -> bool: ...
    def adopt(self, connection: socket.socket) -> None: ...
    def spawn(self, work: Callable[[], None]) -> None: ...


class Request(msgspec.Struct, frozen=True):
    """The head of a request. ``where``: an authority for CONNECT, else what ought to be an absolute URL."""

    method: str
    where: str
    modern: bool
    headers: Message

    @property
    def chunked(self) -> bool:
        """Whether its body comes in chunks."""
        return "Transfer-Encoding" in self.headers

    @property
    def length(self) -> int:
        """Bytes of a body that is not chunked."""
        return int(self.headers.get("Content-Length", 0))

    @property
    def lasting(self) -> bool:
        """Whether the client wants to send another one after it."""
        told = f"{self.headers.get('Connection', '')},{self.headers.get('Proxy-Connection', '')}"
        return self.modern and "close" not in _words(told)


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


class _Input(io.RawIOBase):
    """What a client sends, with an end to our patience."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until: float | None = None
        self.dry = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int | None:  # type: ignore[override]  # narrower than Buffer
        if self.dry:
            return None
        left = _SILENCE if self.until is None else self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the head of a request takes too long")
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(None)  # a program may take its time to read


class Client:
    """A connection that somebody has made to the proxy."""

    def __init__(self, connection: socket.socket, proxy: Proxy) -> None:
        self._connection, self._proxy, self._gate = connection, proxy, proxy.gate
        self._input = _Input(connection)
        self._lines = Lines(self._input)
        self._trusted = False
        self._upstream: tuple[Target, Wire] | None = None

    def serve(self) -> None:
        """Answer requests until either side has enough."""
        with suppress(OSError, http.client.HTTPException, ValueError, LimitExceeded), closing(self._lines):
            try:
                self._input.until = time.monotonic() + _HEAD  # for a stranger, that is for all
                while self._serve_one():
                    pass
            finally:
                self._forget()

    def _serve_one(self) -> bool:
        """Answer a request; whether there may be another one."""
        if not self._lines.peek(1):
            return False
        if self._trusted:
            self._input.until = time.monotonic() + _HEAD
        request = self._head()
        if request is None or not has_framing(request.headers):
            return self._say(400, "this is no request that a proxy understands", None)
        if not self._proxy.knows(request.headers.get("Proxy-Authorization", "")):
            return self._say(407, "Proxy Authentication Required", request)
        self._trusted, self._input.until = True, None
        try:
            if error := self._gate.exceeded():
                raise Refused(str(error))
            if request.method == "CONNECT":
                return self._tunnel(request)
            return self._forward(request)
        except Refused as error:
            return self._say(403, f"refused by swhkit: {error}", request)
        except Unavailable as error:
            return self._say(502, str(error), None)  # part of its body may have been read

    def _head(self) -> Request | None:
        line = self._lines.readline(_LINE + 1)
        words = line.decode("latin-1").split()
        if len(words) != 3 or not line.endswith(b"\n") or not re.fullmatch(r"HTTP/1\.[0-9]", words[2]):
            return None
        headers = http.client.parse_headers(self._lines)
        if not self._lines.last.endswith(b"\n"):
            return None
        return Request(words[0], words[1], words[2] != "HTTP/1.0", headers)

    def _say(self, status: int, reason: str, request: Request | None) -> bool:
        """Answer ourselves. The reason says it all: that is what programs print."""
        reason = " ".join(without_secrets(reason).encode("ascii", "replace").decode().split())[:500]
        lasting = request is not None and self._drained(request)
        head = [f"HTTP/1.1 {status} {reason}", "Content-Type: text/plain"]
        head += [f"Content-Length: {len(reason) + 1}", f"Connection: {'keep-alive' if lasting else 'close'}"]
        if status == 407:
            head.append('Proxy-Authenticate: Basic realm="swhkit"')
        body = "" if request is not None and request.method == "HEAD" else f"{reason}\n"
        self._connection.sendall(("\r\n".join([*head, "", ""]) + body).encode())
        return lasting

    def _drained(self, request: Request) -> bool:
        """Read the body of a request that is refused, or the client might never see why; whether the connection can
        be used for another request then."""
        if "Expect" in request.headers:
            return False
        size = 0
        for piece in self._body(request):
            size += len(piece)
            if size > _DRAINED:
                return False
        return request.lasting

    # -- requests ----------------------------------------------------------------------------------------------------

    def _forward(self, request: Request) -> bool:
        match = re.fullmatch(r"http://(?:[^/?#@]*@)?([^/?#@]+)([^#]*)(?:#.*)?", request.where, re.IGNORECASE)
        if match is None:
            return self._say(400, "only http:// URLs and CONNECT are understood", request)
        place, path = match[1], match[2] if match[2].startswith("/") else f"/{match[2]}"
        target = self._gate.judge("http", place)
        try:
            response = self._exchange(target, request, place, path)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget()
            raise Unavailable(f"http://{place}/: there is no answer ({reason_of(error)})") from error
        if response is None:
            return False
        with closing(response):
            if not has_framing(response.headers):
                raise Unavailable(f"http://{place}/: the end of the answer cannot be told")
            return self._answer(response, request)

    def _exchange(
        self, target: Target, request: Request, place: str, path: str
    ) -> http.client.HTTPResponse | None:
        """The answer to ``request``. None: the server has closed a connection that had served before, as it may at any
        time (RFC 9112, section 9.3.1), and what the client has sent is gone. A client that sees its own connection
        closed asks again; one without a body is asked again here."""
        before = self._upstream
        wire = self._connected(target)
        used = before is not None and before[1] is wire
        try:
            return self._asked(wire, request, place, path)
        except ConnectionError:
            if not used:
                raise
        self._forget()
        if request.chunked or request.length:
            return None
        return self._asked(self._connected(target), request, place, path)

    def _asked(self, wire: Wire, request: Request, place: str, path: str) -> http.client.HTTPResponse:
        self._send(wire, request, place, path)
        return wire.getresponse()

    def _connected(self, target: Target) -> Wire:
        """A connection to ``target``: that of the request before, if it is still good."""
        if self._upstream is not None:
            before, wire = self._upstream
            if before == target and wire.sock is not None and not readable(wire.sock, 0):
                return wire
            self._forget()
        wire = Wire(target, self._proxy.deadline, _SILENCE)
        wire.auto_open = 0
        try:
            wire.connect()
            self._upstream = target, wire
            self._proxy.adopt(wire.sock)
        except OSError as error:
            raise Unavailable(f"{target.url}: there is no connection ({reason_of(error)})") from error
        return wire

    def _forget(self) -> None:
        if self._upstream is not None:
            self._upstream[1].close()
            self._upstream = None

    def _send(self, wire: Wire, request: Request, place: str, path: str) -> None:
        gone = _OURS | _words(request.headers.get("Connection", ""))
        wire.putrequest(
            request.method, encoded(path.encode("latin-1")), skip_host=True, skip_accept_encoding=True
        )
        wire.putheader("Host", place)
        for name, value in request.headers.items():
            if name.lower() not in gone:
                wire.putheader(name, value.encode("latin-1"))
        if request.chunked:
            wire.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in request.headers:
            wire.putheader("Content-Length", str(request.length))
        wire.endheaders()
        if "Expect" in request.headers:
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for piece in self._body(request):
            self._gate.count(len(piece))
            wire.send(_chunk(piece) if request.chunked else piece)
        if request.chunked:
            wire.send(_chunk(b""))

    def _body(self, request: Request) -> Iterator[bytes]:
        if not request.chunked:
            yield from self._exactly(request.length)
            return
        while size := self._size():
            yield from self._exactly(size)
            if self._lines.readline(3) not in (b"\r\n", b"\n"):
                raise ValueError("a chunk is longer than it said")
        http.client.parse_headers(self._lines)  # trailers, which nobody needs

    def _size(self) -> int:
        match = _SIZE.fullmatch(self._lines.readline(_LINE))
        if match is None:
            raise ValueError("this is no chunk")
        return int(match[1], 16)

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._lines.read1(min(size, PIECE))
            if not piece:
                raise ConnectionError("the client has gone")
            size -= len(piece)
            yield piece

    def _answer(self, response: http.client.HTTPResponse, request: Request) -> bool:
        bare = request.method == "HEAD" or response.status in (204, 304) or response.status < 200
        length = None if bare else response.length
        chunked = not bare and length is None and request.modern
        lasting = request.lasting and (bare or chunked or length is not None)
        gone = _OURS | _words(response.headers.get("Connection", ""))
        head = [f"HTTP/1.1 {response.status} {response.reason}"]
        head += [f"{name}: {value}" for name, value in response.headers.items() if name.lower() not in gone]
        if chunked:
            head.append("Transfer-Encoding: chunked")
        elif length is not None:
            head.append(f"Content-Length: {length}")
        elif request.method == "HEAD" and "Content-Length" in response.headers:
            head.append(f"Content-Length: {response.headers['Content-Length']}")
        if not lasting:
            head.append("Connection: close")
        said = "\r\n".join([*head, "", ""]).encode("latin-1")
        self._gate.count(len(said))
        self._connection.sendall(said)
        while not bare and (piece := response.read1(PIECE)):
            self._gate.count(len(piece))
            self._connection.sendall(_chunk(piece) if chunked else piece)
        if response.length or self._proxy.stopped:  # it must not look whole
            raise ConnectionAbortedError("the answer broke off")
        if chunked:
            self._connection.sendall(_chunk(b""))
        return lasting

    # -- tunnels -----------------------------------------------------------------------------------------------------

    def _tunnel(self, request: Request) -> bool:
        target = self._gate.judge(self._gate.tunnelled, request.where)
        try:
            other = dial(target, self._proxy.deadline)
        except OSError as error:
            raise Unavailable(f"{target.url}: there is no connection ({reason_of(error)})") from error
        with other:
            self._proxy.adopt(other)
            self._connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._input.dry = True  # from here on nothing is read through the buffer; what it has goes first
            early = self._lines.read1(PIECE)
            tunnel = Tunnel(self._gate, self._connection, other)
            self._proxy.spawn(tunnel.back)
            tunnel.forth(early)
        return False


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)
