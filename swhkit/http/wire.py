"""One HTTP connection, to the address that was checked, that ends when its time is up however slowly a server drips."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from swhkit.net import Target, dial

#: Seconds a server may be silent.
SECONDS = 60.0


class Lines(io.BufferedReader):
    """Remembers the last line that was read: to http.client the end of a connection ends the headers."""

    last = b""

    def readline(self, size: int | None = -1, /) -> bytes:
        self.last = super().readline(size)
        return self.last


class _Response(http.client.HTTPResponse):
    """An answer whose head must come whole."""

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self._lines = self.fp = Lines(self.fp.detach())

    def begin(self) -> None:
        super().begin()
        if not self._lines.last.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")


class Wire(http.client.HTTPConnection):
    """A connection to a checked target; TLS goes by the target's name. ``deadline`` is a ``time.monotonic()``;
    ``seconds`` are how long the server may be silent."""

    response_class = _Response

    def __init__(self, target: Target, deadline: float | None, seconds: float = SECONDS) -> None:
        self.default_port = 443 if target.scheme == "https" else 80
        super().__init__(target.host or "", target.port or self.default_port, timeout=seconds)
        self._target, self._deadline = target, deadline
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        self._wire: socket.socket | None = None
        self.late = False

    def connect(self) -> None:
        self.sock = self._wire = dial(self._target, self._deadline)
        self.sock.settimeout(self.timeout)
        if self._tls is not None:
            # An end without TLS's own "close" is an error: else whoever is between could shorten an answer.
            tls = self._tls.wrap_socket(
                self.sock,
                server_hostname=self.host,
                suppress_ragged_eofs=False,
                do_handshake_on_connect=False,
            )
            self.sock = self._wire = tls  # before the handshake: that can drip, too
        if self.late:
            raise TimeoutError("its time was up")
        if self._tls is not None:
            tls.do_handshake()
        # ``sock`` is forgotten as soon as an answer without a length begins, so it is ``_wire`` that is cut.

    def cut(self) -> None:
        """Let go whoever reads; may be called from another thread."""
        self.late = True
        if self._wire is not None:
            with suppress(OSError):  # it may be closed
                self._wire.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(target: Target, deadline: float | None) -> Iterator[Wire]:
    """A connection for the time of the block. At the ``deadline`` it breaks off, and ``late`` is set."""
    connection = Wire(target, deadline)
    with alarm(deadline, connection.cut), closing(connection):
        yield connection


@contextmanager
def alarm(deadline: float | None, ring: Callable[[], None]) -> Iterator[None]:
    """Call ``ring`` from another thread if the block still runs at the ``deadline``."""
    if deadline is None:
        yield
        return
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
