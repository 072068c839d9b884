"""Other archives for the remote reader: real ones, ones behind a front that refuses things, and hostile ones."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import program
from servers import http_server

import swhkit_sqlite
from swhkit_remote.catalog import RemoteCatalog
from swhkit_remote.client import Client
from swhkit_remote.objects import RemoteObjects
from swhkit_remote.settings import RemoteConfig

#: Begins quickly, gives up quickly: what tests of failures want.
HASTY: dict[str, Any] = {"timeout": 2.0, "retries": 1, "patience": 1.0}


def config(url: str, **options: Any) -> RemoteConfig:
    return RemoteConfig(url=url, **options)


def objects(url: str, **options: Any) -> RemoteObjects:
    return RemoteObjects(Client.of(config(url, **options)))


def catalog(url: str, **options: Any) -> RemoteCatalog:
    return RemoteCatalog(Client.of(config(url, **options)))


def stores(folder: Path) -> tuple[Any, Any]:
    """A new archive in SQLite files, and the configuration that serves it in ``swhkit.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "objects.sqlite", folder / "catalog.sqlite"
    (folder / "swhkit.yaml").write_text(
        f"archive:\n  objects: {{backend: sqlite, path: {paths[0]}}}\n"
        f"  catalog: {{backend: sqlite, path: {paths[1]}}}\n"
    )
    return (
        swhkit_sqlite.open_objects(swhkit_sqlite.SqliteObjectsConfig(paths[0]), True),
        swhkit_sqlite.open_catalog(swhkit_sqlite.SqliteCatalogConfig(paths[1]), True),
    )


def remote_yaml(folder: Path, url: str, extra: str = "") -> Path:
    """A configuration whose archive is another one."""
    folder.mkdir(parents=True, exist_ok=True)
    part = f'{{backend: remote, url: "{url}", timeout: 10s{extra}}}'
    (folder / "swhkit.yaml").write_text(f"archive:\n  objects: {part}\n  catalog: {part}\n")
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """``swhkit serve`` over the configuration in ``folder``; yields the address of its web API."""
    process = program.start("serve", "--listen", "127.0.0.1:0", cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, (line, process.stderr and process.stderr.read())
        yield f"{found[0]}api/1/"
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def error(status: int, exception: str, reason: object) -> tuple[int, bytes]:
    """An error of the web API."""
    return status, json.dumps({"exception": exception, "reason": reason}).encode()


def unrouted(path: str) -> tuple[int, bytes]:
    """What the web API answers where there is nothing."""
    reason = f"The resource {path} could not be found on the server."
    return 404, json.dumps({"error": "Resource not found", "reason": reason}).encode()


Refusal = Callable[[str, str], tuple[int, bytes] | None]


@contextmanager
def front(url: str, refuses: Refusal) -> Iterator[tuple[str, list[str]]]:
    """A server before another: passes on what ``refuses(method, target)`` does not answer with status and JSON.

    Yields its address and the list of requests it has seen."""
    behind = urlsplit(url)

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # of clients that have heard enough
                super().handle()

        def _pass(self) -> None:
            seen.append(f"{self.command} {self.path}")
            refusal = refuses(self.command, self.path)
            if refusal is not None:
                self._answer(refusal[0], {"Content-Type": "application/json"}, refusal[1])
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            kept = {n: v for n, v in answer.getheaders() if n != "Connection"}
            self._begin(answer.status, kept)
            # In pieces: the memory of this process is what a test may be watching.
            while self.command != "HEAD" and (piece := answer.read(1 << 18)):
                self.wfile.write(piece)
            connection.close()

        do_GET = do_POST = do_HEAD = _pass  # noqa: N815 - the names are the library's

        def _begin(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self._begin(status, {"Content-Length": str(len(body)), **headers})
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing on stderr."""

    seen: list[str] = []
    with http_server(Front) as server:
        yield f"http://127.0.0.1:{server.server_port}/api/1/", seen


class Hostile:
    """A server that answers each request with whatever bytes a function sends on the bare connection."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/1/"
        #: Heads of requests, as text.
        self.requests: list[str] = []


Send = Callable[[socket.socket, str], None]


@contextmanager
def hostile(send: Send | bytes | list[bytes]) -> Iterator[Hostile]:
    """Each connection gets one request's answer: ``send(connection, head)``, the bytes given, or the next of a list (the
    last one again and again); then it is closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    server, ended = Hostile(listener), threading.Event()
    script = [send] if isinstance(send, bytes) else send if isinstance(send, list) else []

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                head = _head(connection)
                if not head:
                    return
                number = len(server.requests)
                server.requests.append(head)
                if callable(send):
                    send(connection, head)
                else:
                    connection.sendall(script[min(number, len(script) - 1)])
            except OSError:
                return

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        thread.join()
        listener.close()


def _head(connection: socket.socket) -> str:
    """The head of a request; its body is read and dropped."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return ""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    length = re.search(r"(?i)content-length: ([0-9]+)", text)
    while length and len(rest) < int(length[1]):
        rest += connection.recv(65536)
    return text


def answer(
    body: bytes,
    media_type: str = "application/json",
    status: str = "200 OK",
    length: int | None = None,
    **more: str,
) -> bytes:
    """A whole HTTP answer; underscores in names of further headers are hyphens."""
    headers = {
        "Content-Type": media_type,
        "Content-Length": str(len(body) if length is None else length),
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("latin-1") + b"\r\n" + body


def raw(body: bytes, **more: Any) -> bytes:
    """An answer of bytes."""
    return answer(body, "application/octet-stream", **more)
