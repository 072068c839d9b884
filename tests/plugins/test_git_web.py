"""Web servers that are git servers in part: bundles among other files, and servers that stop speaking git."""

from __future__ import annotations

import base64
import gzip
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from git_samples import Repository, Visits
from servers import _Backend, git_http, http_server

from swhkit.plugin import LimitExceeded, Limits, Network, NotFound, Unavailable
from swhkit_git import swhkit_visit_type

Make = Callable[..., Repository]


class Files(BaseHTTPRequestHandler):
    """Answers as the table says: path → (status, headers, body); any path below a known one counts as it, too,
    where ``everywhere`` is set."""

    table: dict[str, tuple[int, dict[str, str], bytes]] = {}  # noqa: RUF012
    everywhere = False
    seen: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.seen.append((self.path, self.headers.get("Authorization")))
        if self.everywhere and path not in self.table:
            path = next((known for known in self.table if path.startswith(known)), path)
        status, headers, body = self.table.get(path, (404, {}, b"none"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


@contextmanager
def files(table: dict[str, tuple[int, dict[str, str], bytes]], *, everywhere: bool = False) -> Iterator[str]:
    """The base URL of a server of these answers."""
    Files.table, Files.everywhere, Files.seen = table, everywhere, []
    with http_server(Files) as server:
        yield f"http://127.0.0.1:{server.server_port}"


BINARY = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def origin(repository: Make) -> Repository:
    """A repository of a few revisions."""
    made = repository()
    made.history(4)
    return made


@pytest.fixture
def bundle(origin: Repository, tmp_path: Path) -> bytes:
    """All branches of ``origin`` in a bundle."""
    origin.git("bundle", "create", "-q", str(tmp_path / "made.bundle"), "--all")
    return (tmp_path / "made.bundle").read_bytes()


@pytest.mark.parametrize("path", ["/x.bundle", "/download/42"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_bundle_on_a_web_server(
    visits: Visits, origin: Repository, bundle: bytes, path: str, everywhere: bool
) -> None:
    """By its name, or because all below it is answered so, as some servers do."""
    with files({path: (200, BINARY, bundle)}, everywhere=everywhere) as base:
        if not everywhere and not path.endswith(".bundle"):
            with pytest.raises(NotFound):
                visits.load(base + path)
            return
        loaded = visits.load(base + path)
    assert loaded.outcome is None
    assert loaded.snapshot.branches.keys() == {b"HEAD", b"refs/heads/main"}
    assert len(loaded.objects()) == 12
    assert ("downloading", len(bundle)) in visits.progress
    assert swhkit_visit_type(f"{base}/x.bundle") == "git"


def test_a_bundle_behind_redirects_and_a_password(visits: Visits, bundle: bytes) -> None:
    table = {
        "/a.bundle": (302, {"Location": "/b?c=d"}, b""),
        "/b": (200, BINARY, bundle),
    }
    with files(table) as base:
        assert visits.load(base.replace("//", "//me:s%20cret@") + "/a.bundle").packs
    assert Files.seen[-1] == ("/b?c=d", "Basic " + base64.b64encode(b"me:s cret").decode())


@pytest.mark.parametrize(("status", "headers", "wait"), [(429, {"Retry-After": "77"}, 77.0), (503, {}, None)])
def test_a_busy_server_says_when_to_come_back(
    visits: Visits, status: int, headers: dict[str, str], wait: float | None
) -> None:
    """Git does not tell what a server asks for: it is asked once more."""
    answers = {"/r": (status, headers, b"slow down")}
    with files(answers, everywhere=True) as base, pytest.raises(Unavailable, match=str(status)) as caught:
        visits.load(f"{base}/r")
    assert caught.value.retry_after == wait
    assert len(Files.seen) == 2


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:BAIT/x.bundle", "http://169.254.169.254/x", "file:///etc/passwd", "ftp://127.0.0.1/x"],
)
def test_a_bundle_is_not_fetched_from_where_nobody_may_go(visits: Visits, location: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.1)
        location = location.replace("BAIT", str(bait.getsockname()[1]))
        with files({"/x.bundle": (302, {"Location": location}, b"")}) as base, pytest.raises(Unavailable):
            visits.load(f"{base}/x.bundle")
        with pytest.raises(TimeoutError):
            bait.accept()


def test_redirects_without_end(visits: Visits) -> None:
    with files({"/x.bundle": (302, {"Location": "/x.bundle"}, b"")}) as base:
        with pytest.raises(Unavailable, match="redirects"):
            visits.load(f"{base}/x.bundle")
        assert len(Files.seen) < 20


@pytest.mark.parametrize(
    "body",
    [b"", b"# v2 git", b"# v9 git bundle\n\nPACK", b"<html>", gzip.compress(b"# v2 git bundle\n", mtime=0)],
)
def test_what_is_no_bundle_is_refused(visits: Visits, body: bytes) -> None:
    with files({"/x.bundle": (200, BINARY, body)}, everywhere=True) as base, pytest.raises(Unavailable):
        visits.load(f"{base}/x.bundle")


def test_a_bundle_that_is_cut_off_or_damaged(visits: Visits, bundle: bytes) -> None:
    short = {**BINARY, "Content-Length": str(len(bundle) + 10)}
    cut_off = pytest.raises(Unavailable, match="has not come")
    # A server that says the wrong length closes the connection, or its client waits.
    with files({"/x.bundle": (200, {**short, "Connection": "close"}, bundle)}) as base, cut_off:
        visits.load(f"{base}/x.bundle")
    with files({"/x.bundle": (200, BINARY, bundle[:-30])}) as base, pytest.raises(Unavailable):
        visits.load(f"{base}/x.bundle")


def test_a_bundle_that_is_too_large_is_stopped(visits: Visits, origin: Repository, tmp_path: Path) -> None:
    origin.git("update-ref", "refs/tags/big", origin.blob(os.urandom(3 << 20)))
    origin.git("bundle", "create", "-q", str(tmp_path / "big.bundle"), "--all")
    visits.limits = Limits(max_pack_size=1 << 20)
    stopped = pytest.raises(LimitExceeded, match="max_pack_size")
    with files({"/x.bundle": (200, BINARY, (tmp_path / "big.bundle").read_bytes())}) as base, stopped:
        visits.load(f"{base}/x.bundle")
    assert (visits.root / "scratch1" / "origin.bundle").stat().st_size < 2 << 20


def test_a_server_that_drips_is_stopped(visits: Visits) -> None:
    """A byte now and then keeps any timeout of the socket away, but not the visit's end."""
    visits.limits = Limits(visit_time=2.0)

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = connection.recv(1 << 16)
            if b"/info/refs" in request:
                connection.sendall(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n# v2 git bundle\n")
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        with pytest.raises(Unavailable):
            visits.load(f"http://127.0.0.1:{server.getsockname()[1]}/x.bundle")
        server.shutdown(socket.SHUT_RDWR)
    assert time.monotonic() - started < 10


# -- the old dumb protocol ------------------------------------------------------------------------------------------


class Turning(_Backend):
    """Speaks git while it lists, and is a plain web server of the same repository as soon as objects are wanted."""

    def _serve(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        asked = self.server.requests
        if path.endswith("/info/refs") and not any("info/refs" in line for line in asked):
            super()._serve(body)
            return
        if self.command == "POST" and b"command=ls-refs" in body:
            super()._serve(body)
            return
        asked.append(f"{self.command} {self.path}")
        file = self.server.root / path.lstrip("/")
        found = file.is_file() and self.command == "GET"
        content = file.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.mark.parametrize("packed", [False, True])
def test_a_server_that_stops_speaking_git_ends_the_visit(
    visits: Visits, origin: Repository, tmp_path: Path, packed: bool
) -> None:
    """One object after the other would come, and be taken for something that was there before."""
    with socket.create_server(("127.0.0.1", 0)) as bait, http_server(Turning, tmp_path / "origins") as server:
        bait.settimeout(0.1)
        # Git itself would look for objects wherever the server says.
        (origin.path / "objects" / "info" / "http-alternates").write_text(
            f"http://127.0.0.1:{bait.getsockname()[1]}/x/objects\n"
        )
        if packed:
            origin.git("repack", "-a", "-d", "-q")
        origin.git("update-server-info")
        server.environment = {**server.environment, "GIT_CONFIG_GLOBAL": str(tmp_path / "config")}
        (tmp_path / "config").write_text("[safe]\n\tdirectory = *\n")
        visits.network = Network(from_cli=True)
        url = f"http://127.0.0.1:{server.server_port}/repo.git"
        with pytest.raises(Unavailable, match="no longer speaks"):
            visits.load(url)
        assert any("/objects/" in line for line in server.requests), "the dumb protocol was not even tried"
        with pytest.raises(TimeoutError):
            bait.accept()


def test_a_server_of_the_dumb_protocol_alone_is_not_believed(
    visits: Visits, origin: Repository, tmp_path: Path
) -> None:
    origin.git("update-server-info")
    body = (origin.path / "info" / "refs").read_bytes()
    refused = pytest.raises(Unavailable, match="dumb")
    with files({"/repo.git/info/refs": (200, {"Content-Type": "text/plain"}, body)}) as base, refused:
        visits.load(f"{base}/repo.git")
    with git_http(tmp_path / "origins") as base:
        assert visits.load(f"{base}/repo.git").packs
