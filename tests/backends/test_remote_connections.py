"""How the remote reader connects: kept connections, https, and nothing that the environment says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from remote_servers import HASTY, catalog, hostile, objects, raw
from servers import http_server

from swhkit.errors import Unreachable
from swhkit.hashes import git_digest, git_header
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples

#: A key and a certificate for "localhost" that nobody has signed, made for these tests alone.
LOCALHOST = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg63Y7XKA5tJArdlC8
99tLvVcsgEl2gyn9YYsHD3X6o9ahRANCAAQS2WhiTg+8qLZol+ibcJ7ImqeBZzw0
mltwI7YVa9DcgYzoQT9ES38ApEgC53wT3zmB2z2q692rAddPI8Kty7mp
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUa2jrZikGwWiuPFYsxZSaTcRIjHgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE5MTAxM1oYDzIxMjYxMDI5
MTkxMDEzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQS2WhiTg+8qLZol+ibcJ7ImqeBZzw0mltwI7YVa9DcgYzoQT9ES38A
pEgC53wT3zmB2z2q692rAddPI8Kty7mpo2kwZzAdBgNVHQ4EFgQUHmk3rg7MplMl
V/8o21eb4BEZzwQwHwYDVR0jBBgwFoAUHmk3rg7MplMlV/8o21eb4BEZzwQwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAP9tSXuV8GvU2drDKNOquQ85MQx3J2EjQpLWUaTIgqTwAiEAn/coQxDM
L3dUGQZEoDmkaZVyqO2SSCW5UUhyNsVd0bs=
-----END CERTIFICATE-----
"""
ADDRESSES: list[tuple[str, int]] = []
REQUESTS: list[str] = []


class Counters(BaseHTTPRequestHandler):
    """Answers everything with counters, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        ADDRESSES.append(self.client_address)
        REQUESTS.append(f"{self.path} {self.headers.get('Authorization')}")
        body = b'{"content": 3}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        if self.path.startswith("/chunked/"):
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def port() -> Iterator[int]:
    ADDRESSES.clear()
    REQUESTS.clear()
    with http_server(Counters) as server:
        yield server.server_port


@pytest.mark.parametrize("path", ["api/1/", "chunked/"])
def test_one_connection_serves_many_questions(port: int, path: str) -> None:
    rows = catalog(f"http://127.0.0.1:{port}/{path}")
    for _ in range(20):
        assert rows.counters()["content"] == 3
    assert len(set(ADDRESSES)) == 1
    rows.close()


def test_connections_are_bounded_by_what_is_asked_at_once(port: int) -> None:
    rows = catalog(f"http://127.0.0.1:{port}/")
    samples.together(4, lambda _: [rows.counters() for _ in range(25)])
    assert len(ADDRESSES) == 100
    assert len(set(ADDRESSES)) <= 4


def test_the_address_may_be_that_of_the_site(port: int) -> None:
    for url in ("", "/", "/api/1", "/api/1/"):
        catalog(f"http://127.0.0.1:{port}{url}").counters()
    catalog(f"http://127.0.0.1:{port}/mirror/api").counters()
    assert [request.split()[0] for request in REQUESTS] == ["/api/1/stat/counters/"] * 4 + [
        "/mirror/api/stat/counters/"
    ]


def test_proxies_of_the_environment_are_not_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(b"") as thief:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, thief.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert catalog(f"http://127.0.0.1:{port}/", token="abc").counters()["content"] == 3
        assert thief.requests == []
    assert REQUESTS == ["/api/1/stat/counters/ Bearer abc"]


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of an https server, and the file that its certificate can be verified with."""
    file = tmp_path / "localhost.pem"
    file.write_text(LOCALHOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    REQUESTS.clear()
    with http_server(Counters) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that do not like the certificate
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        yield server.server_port, file


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_token_is_sent(
    tls: tuple[int, Path],
) -> None:
    rows = catalog(f"https://localhost:{tls[0]}/", token="abc", **HASTY)
    with pytest.raises(Unreachable, match="no valid certificate"):
        rows.counters()
    assert REQUESTS == []


def test_https_with_a_certificate_that_the_system_knows(
    tls: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    assert catalog(f"https://localhost:{tls[0]}/", token="abc").counters()["content"] == 3
    rows = catalog(f"https://127.0.0.1:{tls[0]}/", token="abc", **HASTY)
    with pytest.raises(Unreachable, match="no valid certificate"):
        rows.counters()
    assert REQUESTS == ["/api/1/stat/counters/ Bearer abc"]


def test_streams_from_many_threads_do_not_mix() -> None:
    bodies = [bytes([n]) * 300_000 for n in range(8)]
    ids = [ObjectId(Kind.CONTENT, git_digest("blob", body)) for body in bodies]
    answers = {
        id.hex: raw(git_header("blob", len(body)) + body) for id, body in zip(ids, bodies, strict=True)
    }

    def send(connection: object, head: str) -> None:
        hexadecimal = head.split("swh:1:cnt:")[1][:40]
        connection.sendall(answers[hexadecimal])  # type: ignore[attr-defined]

    with hostile(send) as server:
        reader = objects(server.url)
        barrier = threading.Barrier(8)

        def read(number: int) -> bytes:
            barrier.wait()
            return b"".join(reader.stream(ids[number]))

        assert samples.together(8, read) == bodies
