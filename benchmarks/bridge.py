"""A small smart-HTTP bridge to ``git http-backend`` on loopback, for benchmarks that fetch over HTTP.

It offers one repository at ``http://127.0.0.1:PORT/NAME``, to anyone on this machine, for as long as its block lasts.
Each request is one CGI run (RFC 3875), answered and closed; bodies are passed on as they come.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

PIECE = 1 << 16


class _Handler(BaseHTTPRequestHandler):
    """One request of a git client."""

    root: Path
    environment: Mapping[str, str]

    def do_GET(self) -> None:
        self._backend()

    def do_POST(self) -> None:
        self._backend()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: what is timed should not write."""

    def _variables(self) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        found = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        if length := self.headers.get("Content-Length"):
            found["CONTENT_LENGTH"] = length
        return {**self.environment, **found}

    def _body(self) -> Iterator[bytes]:
        """The request's body, its chunks taken apart (git sends large requests chunked)."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while length := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def _backend(self) -> None:
        argv = ["git", "http-backend"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._variables()
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                for piece in self._body():
                    child.stdin.write(piece)
                child.stdin.close()
                self._answer_head(iter(child.stdout.readline, b""))
                shutil.copyfileobj(child.stdout, self.wfile, PIECE)
            except (BrokenPipeError, ConnectionResetError):
                child.kill()

    def _answer_head(self, lines: Iterator[bytes]) -> None:
        """The head of a CGI answer, up to its empty line, as HTTP."""
        headers: dict[str, str] = {}
        while line := next(lines, b"").rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(": ")
            headers[name] = value
        status, _, reason = headers.pop("Status", "200 OK").partition(" ")
        self.send_response(int(status), reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving(repository: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The URL at which ``repository`` (a git directory or a work tree) is offered."""
    handler = type("Handler", (_Handler,), {"root": repository.parent, "environment": environment})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{quote(repository.name)}"
        finally:
            server.shutdown()
            thread.join()
