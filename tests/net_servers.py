"""Servers made of a socket and a function, for what no well-behaved server does; baits that must see nobody."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

PUBLIC = "93.184.216.34"
Handle = Callable[[socket.socket], object]


class RawServer:
    """Hands every connection to a function in a thread of its own; ``requests`` has what ``answering`` has read."""

    def __init__(self, handle: Handle, tls: ssl.SSLContext | None = None) -> None:
        self._handle, self._tls = handle, tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._socket.accept()[0]
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls is None:
                self._handle(connection)
                part(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secure:
                    self._open.append(secure)
                    self._handle(secure)

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._threads) - 1

    def close(self) -> None:
        """Close the server and all its connections, and wait for its threads."""
        for one in [self._socket, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


def part(connection: socket.socket) -> None:
    """Close a connection so that what was sent arrives: one with something unread would be reset, and the client might
    lose what it has not read yet (RFC 9112, section 9.6)."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(0.5)
    while connection.recv(1 << 16):
        pass


@contextmanager
def raw_server(handle: Handle, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """A ``RawServer`` for the time of the block."""
    server = RawServer(handle, tls)
    try:
        yield server
    finally:
        server.close()


def read_head(connection: socket.socket) -> bytes:
    """A request up to the empty line behind its headers; empty if the client has gone."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return b""
        head += piece
    return head


@contextmanager
def answering(*replies: bytes, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives the next of ``replies`` to each connection (the last one for ever), then closes it.

    Yields its port, and the list of the requests it gets.
    """
    requests: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        if head := read_head(connection):
            requests.append(head)
            connection.sendall(replies[min(len(requests), len(replies)) - 1])

    with raw_server(handle, tls) as server:
        yield server.port, requests


@contextmanager
def bait() -> Iterator[int]:
    """The port of a listener that nobody may connect to: an error at the end if somebody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()


def name_server(monkeypatch: pytest.MonkeyPatch, table: dict[str, list[list[str]]]) -> list[str]:
    """Names are looked up in ``table``: each look-up gives the next of a name's lists of addresses, the last one for
    ever. Addresses stand for themselves. Returns the list of the names that are asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: Any, *arguments: Any, **others: Any) -> list[Any]:
        if host not in table:
            if host.replace(".", "").isdigit() or ":" in host:
                return real(host, port, *arguments, **others)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answers = table[host]
        found = answers[min(asked.count(host), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Threads and sockets are as many after a test as before."""
    before = threading.active_count(), _sockets()
    yield
    until = time.monotonic() + 5
    while (threading.active_count(), _sockets()) != before and time.monotonic() < until:
        time.sleep(0.01)
    assert (threading.active_count(), _sockets()) == before


def _sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(entry.readlink()).startswith("socket:")
    return found
