"""The proxy: its door, its threads and its sockets, all gone when it ends."""

from __future__ import annotations

import base64
import hmac
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from swhkit.egress.gate import Gate
from swhkit.egress.relay import Client
from swhkit.errors import Unavailable, VisitError
from swhkit.http.wire import alarm
from swhkit.net import Network, Target

#: Connections at a time; the seconds a thread may take to end, which is what looking a name up and connecting may.
_CONNECTIONS, _PATIENCE = 64, 60.0


class Egress:
    """A running proxy; made by ``egress``. ``host``, ``port``, ``user`` and ``password`` are what programs want to know."""

    host = "127.0.0.1"
    user = "swhkit"

    def __init__(self, gate: Gate, deadline: float | None) -> None:
        self.password = secrets.token_urlsafe(24)
        self.deadline, self.gate = deadline, gate
        self._secret = base64.b64encode(f"{self.user}:{self.password}".encode())
        self._lock, self.stopped = threading.Lock(), False
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server((self.host, 0), backlog=_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self._places = threading.Semaphore(_CONNECTIONS)
        self.spawn(self._accept)

    @property
    def url(self) -> str:
        """``http://USER:PASSWORD@HOST:PORT``."""
        return f"http://{self.user}:{self.password}@{self.host}:{self.port}"

    @property
    def bytes(self) -> int:
        """How many have come and gone."""
        return self.gate.bytes

    @property
    def refused(self) -> list[str]:
        """One sentence for each destination that was refused."""
        return list(self.gate.refused)

    def cause(self) -> VisitError | None:
        """What the proxy knows of why a program has failed: ``LimitExceeded``, or ``Unavailable`` for a refusal."""
        if error := self.gate.exceeded():
            return error
        return Unavailable(f"{self.gate.refused[0]} (a server led there)") if self.gate.refused else None

    def knows(self, authorization: str) -> bool:
        """Whether the value of a header Proxy-Authorization is the right one."""
        kind, _, value = authorization.partition(" ")
        return kind.lower() == "basic" and hmac.compare_digest(value.strip().encode(), self._secret)

    def spawn(self, work: Callable[[], None]) -> None:
        """Do ``work`` in a thread. Raises ``ConnectionAbortedError`` when the proxy ends, or has no thread to give."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="egress", daemon=True)
        with self._lock:
            if self.stopped:
                raise ConnectionAbortedError("the proxy ends")
            try:
                thread.start()
            except RuntimeError as error:
                raise ConnectionAbortedError("there are too many threads") from error
            self._threads.add(thread)

    def adopt(self, connection: socket.socket) -> None:
        """Cut ``connection`` when the proxy ends. Raises ``ConnectionAbortedError`` if that is now."""
        with self._lock:
            self._sockets.add(connection)
            if self.stopped:
                raise ConnectionAbortedError("the proxy ends")

    def stop(self) -> None:
        """Cut everything. May be called from any thread, and again."""
        with self._lock:
            self.stopped = True
            for connection in [self._listener, *self._sockets]:
                with suppress(OSError):  # it may be closed
                    connection.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Cut everything, and wait until it is gone."""
        self.stop()
        self._listener.close()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_PATIENCE)

    def _accept(self) -> None:
        while not self.stopped:
            try:
                connection = self._listener.accept()[0]
            except OSError:  # somebody has gone again, or there are too many open files: that may pass
                time.sleep(0.02)
                continue
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            try:
                self.adopt(connection)
                self.spawn(partial(self._serve, connection))
            except ConnectionAbortedError:
                connection.close()
                self._places.release()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                Client(connection, self).serve()
        finally:
            self._places.release()


@contextmanager
def egress(
    network: Network,
    target: Target,
    *,
    limit: int,
    limit_name: str = "limits.max_pack_size",
    deadline: float | None = None,
) -> Iterator[Egress]:
    """A proxy for the children of one visit, for the time of the block.

    ``target`` is the origin, as ``network`` has judged it. ``limit``: bytes in both directions and of all connections;
    ``limit_name`` is the setting that says so. At the ``deadline`` (``time.monotonic()``) everything is cut. When a
    child has failed, ask ``cause()`` before its own words. Raises ``OSError`` when there is no free port.
    """
    proxy = Egress(Gate(network, target, limit, limit_name), deadline)
    try:
        with alarm(deadline, proxy.stop):
            yield proxy
    finally:
        proxy.end()
