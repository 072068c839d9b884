"""A web server for tests: a function answers, on a free port of this machine, and all that was asked is kept."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

_NONE: Mapping[str, str] = {}


class Asked(msgspec.Struct, frozen=True):
    """A request: its decoded ``path``, the last value of each parameter, and headers with names in lower case."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


class Answered(msgspec.Struct, frozen=True):
    """An answer. ``cut``: the connection is closed after so many bytes of the body, of which the length said more."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = _NONE
    cut: int | None = None


def as_json(value: Any, headers: Mapping[str, str] = _NONE, status: int = 200) -> Answered:
    """An answer that is JSON."""
    return Answered(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})


def as_html(text: str, status: int = 200) -> Answered:
    """An answer that is a page."""
    return Answered(text.encode(), status, {"Content-Type": "text/html; charset=utf-8"})


class FakeWeb:
    """A server that runs. ``answer`` may be exchanged at any time; ``requests`` is what was asked so far. With ``etags``
    each answer has an ETag, and 304 is the answer to who knows it."""

    def __init__(self, answer: Callable[[Asked], Answered], *, etags: bool = False) -> None:
        self.answer, self.etags = answer, etags
        self.requests: list[Asked] = []
        self.unchanged = 0
        self.error: Exception | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        # A short poll keeps the end short.
        serve = {"poll_interval": 0.02}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it. Raises the first exception that ``answer`` has raised."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def answered(self, asked: Asked) -> Answered:
        """The answer to a request, by ``answer`` and the rules for ETags."""
        self.requests.append(asked)
        try:
            answered = self.answer(asked)
        except Exception as error:  # noqa: BLE001 (raised again when the server is closed)
            self.error = self.error or error
            return Answered(b"the fake has failed", 500)
        if not self.etags or answered.status != 200:
            return answered
        etag = f'"{hashlib.sha256(answered.body).hexdigest()[:20]}"'
        if asked.headers.get("if-none-match") == etag:
            self.unchanged += 1
            return Answered(status=304, headers={"ETag": etag})
        return msgspec.structs.replace(answered, headers={**answered.headers, "ETag": etag})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                params = dict(parse_qsl(url.query, keep_blank_values=True, separator="&"))
                answered = web.answered(Asked(self.command, unquote(url.path), params, headers))
                self.send_response(answered.status)
                for name, value in answered.headers.items():
                    self.send_header(name, value)
                if answered.status != 304:
                    self.send_header("Content-Length", str(len(answered.body)))
                self.end_headers()
                self.wfile.write(answered.body[: answered.cut])

            def log_message(self, *args: object) -> None:
                """Say nothing on stderr."""

        return Handler


@contextmanager
def fake_web(answer: Callable[[Asked], Answered], *, etags: bool = False) -> Iterator[FakeWeb]:
    """A server for the time of the block."""
    web = FakeWeb(answer, etags=etags)
    try:
        yield web
    finally:
        web.close()
