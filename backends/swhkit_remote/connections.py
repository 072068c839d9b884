"""Connections to one host: kept alive, bounded in number, and never waited for without end.

The standard library's ``http.client`` does HTTP/1.1. It knows no proxies of the environment, follows no redirects and
unpacks no encodings, so none of these can be used against us. What is added here: a pool, a bound on the head of an
answer, and a bound on how slowly an answer may come.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from typing import Any
from urllib.parse import SplitResult

from swhkit.errors import Unreachable

#: Bytes that come before the body: status line, headers, and any number of "100 Continue".
HEAD_LIMIT = 1 << 20
#: Bytes a second that an answer must come with, averaged over the time spent waiting for it.
SLOWEST = 1024
#: So many times the timeout may be spent waiting before the average counts.
GRACE = 4
#: Connections in use at once, those of half-read streams included; so many more are kept for later.
OPEN_MAX = 64
_IDLE_MAX = 8

#: What a connection that does not work raises.
FAILURES = (OSError, http.client.HTTPException)


class _Watched(io.RawIOBase):
    """The bytes of an answer as they come from a socket; raises ``TimeoutError`` if they come too slowly, and
    ``HTTPException`` if the head does not end."""

    def __init__(self, raw: io.RawIOBase, timeout: float) -> None:
        self._raw, self._allowed = raw, GRACE * timeout
        self._waited, self._came = 0.0, 0
        self.in_head = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begin = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - begin
        self._came += count or 0
        if self._waited > self._allowed + self._came / SLOWEST:
            raise TimeoutError("the answer comes too slowly")
        if self.in_head and self._came > HEAD_LIMIT:
            raise http.client.HTTPException("the head of the answer does not end")
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer whose bytes are watched. ``timeout`` (seconds) is that of its socket."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._watched = _Watched(self.fp.detach(), sock.gettimeout() or 1.0)
        self.fp = io.BufferedReader(self._watched, 1 << 16)

    def begin(self) -> None:
        """Read the head."""
        try:
            super().begin()
        except ValueError as error:  # of the library's parsers, on nonsense
            raise http.client.HTTPException("the head of the answer is nonsense") from error
        self._watched.in_head = False


class Pool:
    """Connections to one scheme, host and port. For any number of threads."""

    def __init__(self, url: SplitResult, timeout: float) -> None:
        self._url, self._timeout = url, timeout
        self._idle: list[http.client.HTTPConnection] = []
        self._used: set[http.client.HTTPConnection] = set()
        # A condition has a lock that may be taken twice: an abandoned stream is closed wherever the collector finds it.
        self._lock = threading.Condition()
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    def ask(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request and read the head of its answer; both go back by ``release`` or ``discard``.

        A kept connection that turns out to be gone is replaced by a new one without a word. Raises ``FAILURES``,
        ``Unreachable`` when too many connections are open.
        """
        while True:
            connection, kept = self._take()
            try:
                connection.request(method, target, body, headers)
                return connection, connection.getresponse()
            except (ConnectionError, http.client.BadStatusLine):
                self._drop(connection)
                if not kept:
                    raise
            except BaseException:
                self._drop(connection)
                raise

    def release(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        """Take back a connection, to be kept if its answer was read to the end."""
        with self._lock:
            keep = response.isclosed() and not response.will_close and len(self._idle) < _IDLE_MAX
            if keep and not self._closed:
                self._used.discard(connection)
                self._idle.append(connection)
                self._lock.notify()
                return
        response.close()
        self._drop(connection)

    def close(self) -> None:
        """Close what is idle, and cut off what is in use: whoever waits for it is told."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            used = [connection.sock for connection in self._used]
        for connection in idle:
            connection.close()
        for sock in used:
            with contextlib.suppress(OSError, AttributeError):
                sock.shutdown(socket.SHUT_RDWR)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it is a kept one."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._used) < OPEN_MAX, self._timeout):
                raise Unreachable(f"all {OPEN_MAX} connections to {self._url.netloc} are in use: try later")
            connection = self._idle.pop() if self._idle else None
            kept = connection is not None
            connection = connection or self._new()
            self._used.add(connection)
            return connection, kept

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        with self._lock:
            self._used.discard(connection)
            self._lock.notify()

    def _new(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        connection: http.client.HTTPConnection
        if self._url.scheme == "https":
            self._tls = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        connection.response_class = Response
        return connection
