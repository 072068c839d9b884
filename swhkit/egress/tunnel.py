"""What CONNECT asks for: two sockets, and bytes in both directions, each at its own pace."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress

from swhkit.egress.gate import Gate
from swhkit.errors import LimitExceeded
from swhkit.http.answer import PIECE

#: Seconds of silence after which a tunnel is closed of which one end has closed its half.
_CLOSING = 60.0


def readable(connection: socket.socket, seconds: float) -> bool:
    """Whether there is something to read, or the end, within ``seconds``."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Tunnel:
    """``near`` is the client's socket, ``far`` that of the server. Neither is closed here."""

    def __init__(self, gate: Gate, near: socket.socket, far: socket.socket) -> None:
        self._gate, self._near, self._far = gate, near, far
        self._done, self._half = threading.Event(), False
        self._last = time.monotonic()
        for connection in (near, far):
            connection.settimeout(None)

    def forth(self, early: bytes) -> None:
        """Carry ``early`` and what else the client sends, until both directions have ended."""
        self._carry(self._near, self._far, early)
        self._done.wait()

    def back(self) -> None:
        """Carry what the server sends; in another thread than ``forth``."""
        try:
            self._carry(self._far, self._near, b"")
        finally:
            self._done.set()

    def _carry(self, source: socket.socket, sink: socket.socket, piece: bytes) -> None:
        try:
            while piece or (piece := self._next(source)):
                self._gate.count(len(piece))
                sink.sendall(piece)
                piece, self._last = b"", time.monotonic()
            self._half = True
            sink.shutdown(socket.SHUT_WR)
        except (OSError, LimitExceeded):
            for connection in (source, sink):
                with suppress(OSError):  # it may be closed
                    connection.shutdown(socket.SHUT_RDWR)

    def _next(self, source: socket.socket) -> bytes:
        while not readable(source, 1.0):
            if self._half and time.monotonic() - self._last > _CLOSING:
                raise TimeoutError("one end is closed, and the other silent")
        return source.recv(PIECE)
