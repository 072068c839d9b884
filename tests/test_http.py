"""Our client for the web against servers that break, redirect, drip and lie."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from net_servers import PUBLIC, answering, bait, name_server, nothing_is_left, raw_server, read_head

from swhkit.errors import InvalidInput, InvalidUrl, LimitExceeded, NotFound, Unavailable
from swhkit.net import Network, Target, pinned_url
from swhkit.plugin import Downloaded, Patience, download, fetch

__all__ = ["nothing_is_left"]  # a fixture
CLI = Network(from_cli=True)
OPEN = Network(private_addresses="always")
NEVER = Network(private_addresses="never")
QUICK = Patience(attempts=3, wait=0.01)


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def moved(location: str) -> bytes:
    return ok(b"", f"Location: {location}", status="302 Found")


def get(url: str | Target, file: Path, network: Network = CLI, **options: Any) -> Downloaded:
    options = {"limit": 1 << 20, "patience": QUICK, "deadline": time.monotonic() + 20, **options}
    return download(network, url, file, **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


# -- what comes ------------------------------------------------------------------------------------------------------


def test_a_file_comes_with_what_the_server_says_of_it(file: Path) -> None:
    told = (
        'ETag: "x"', "Last-Modified: Sun, 22 Nov 2020 00:00:00 GMT", "Content-Type: application/gzip",
        'Content-Disposition: attachment; filename="../../etc/a b.tgz"', "Set-Cookie: a=b",
    )  # fmt: skip
    body, seen = os.urandom(700_000), list[int]()
    with answering(ok(body, *told)) as (port, requests):
        found = get(f"http://me:s%20cret@127.0.0.1:{port}/dir/v1?x=%C3%A9&y=1", file, tell=seen.append)
    assert file.read_bytes() == body
    assert found == Downloaded(
        path=file, length=len(body), url=f"http://127.0.0.1:{port}/dir/v1?x=%C3%A9&y=1", filename="a b.tgz",
        etag='"x"', last_modified="Sun, 22 Nov 2020 00:00:00 GMT", content_type="application/gzip",
    )  # fmt: skip
    assert seen[-1] == len(body)
    head = requests[0].decode()
    assert head.startswith("GET /dir/v1?x=%C3%A9&y=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n" in head
    assert "User-Agent: swhkit" in head
    assert "Accept-Encoding: identity\r\n" in head
    assert "Authorization: Basic bWU6cyBjcmV0\r\n" in head  # "me:s cret"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.tar", "b.tar"), ("/a/", ""), ("/%2e%2e", ""), ("/x%2fy.zip", "y.zip"), ("", "")],
)
def test_a_name_that_only_the_url_has(file: Path, path: str, name: str) -> None:
    with answering(ok(b"1")) as (port, _):
        assert get(f"http://127.0.0.1:{port}{path}", file).filename == name


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nT: t\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabcdef",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdefgh",
    ],
)
def test_bodies_of_every_framing(file: Path, reply: bytes) -> None:
    with answering(reply) as (port, _):
        assert get(f"http://127.0.0.1:{port}/", file).length == 6
    assert file.read_bytes() == b"abcdef"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"abcdef" * 100, mtime=0)[:-9],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"garbage\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * (1 << 17) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 500 + b"\r\n",
    ],
)
def test_answers_that_break_off_are_errors_and_asked_for_again(file: Path, reply: bytes) -> None:
    with answering(reply) as (port, requests), pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}/x"):
        get(f"http://me:secret@127.0.0.1:{port}/x", file)
    assert len(requests) == 3
    with answering(reply, reply, ok(b"good")) as (port, _):
        assert get(f"http://127.0.0.1:{port}/x", file).length == 4
    assert file.read_bytes() == b"good"


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 3\r\nContent-Length: 6", "Content-Length: -1", "Content-Length: 0x3",
        "Transfer-Encoding: gzip, chunked", "Content-Encoding: br", "Content-Encoding: gzip, gzip",
    ],
)  # fmt: skip
def test_answers_that_cannot_be_read_are_refused(file: Path, headers: str) -> None:
    reply = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\nabcdef".encode()
    with answering(reply) as (port, requests), pytest.raises(Unavailable):
        get(f"http://127.0.0.1:{port}/x", file)
    assert len(requests) == 1, "it will not get better"


def test_what_is_compressed_on_the_way_is_undone_and_what_is_stored_so_is_not(file: Path) -> None:
    plain = os.urandom(100_000) + bytes(3 << 20)
    packed = gzip.compress(plain)
    with answering(ok(packed, "Content-Encoding: gzip")) as (port, _):
        get(f"http://127.0.0.1:{port}/x.tar", file, limit=4 << 20)
        assert file.read_bytes() == plain
        get(f"http://127.0.0.1:{port}/x.tar.gz?y", file, limit=4 << 20)
        assert file.read_bytes() == packed
        with pytest.raises(LimitExceeded):
            get(f"http://127.0.0.1:{port}/x.tar", file, limit=2 << 20)
    for damaged in (packed + b"x", packed + packed, b"x" + packed):
        with answering(ok(damaged, "Content-Encoding: gzip")) as (port, _), pytest.raises(Unavailable):
            get(f"http://127.0.0.1:{port}/x.tar", file, limit=8 << 20)


def test_limits_hold_for_what_is_announced_and_for_what_comes(file: Path) -> None:
    announced = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(3 << 20)
    for reply in (announced, endless):
        with answering(reply) as (port, _), pytest.raises(LimitExceeded, match=r"1000 bytes \(limits.this\)"):
            get(f"http://127.0.0.1:{port}/", file, limit=1000, limit_name="limits.this")
        assert not file.exists() or file.stat().st_size <= 1000
    with answering(ok(bytes(1000))) as (port, _):
        assert get(f"http://127.0.0.1:{port}/", file, limit=1000).length == 1000


def test_checksums(file: Path) -> None:
    good = {"sha256": hashlib.sha256(b"abc").hexdigest().upper(), "md5": hashlib.md5(b"abc").hexdigest()}
    with answering(ok(b"abc")) as (port, _):
        url = f"http://127.0.0.1:{port}/"
        get(url, file, checksums=good)
        with pytest.raises(Unavailable, match="sha1"):
            get(url, file, checksums=good | {"sha1": "00" * 20})
        for name in ("crc32", "shake_128"):
            with pytest.raises(InvalidInput, match=name):
                get(url, file, checksums={name: "00"})


def test_a_full_disk_is_no_fault_of_the_server() -> None:
    with answering(ok(bytes(1 << 20))) as (port, _), pytest.raises(OSError, match="No space"):
        get(f"http://127.0.0.1:{port}/", Path("/dev/full"))


# -- what does not come ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_is_not_there(file: Path, status: int) -> None:
    with answering(ok(b"no", status=f"{status} \x1b[31mNo")) as (port, requests):
        with pytest.raises(NotFound, match=rf"http://127.0.0.1:{port}/x: the server answers {status} No"):
            get(f"http://me:secret@127.0.0.1:{port}/x", file)
        assert len(requests) == 1


@pytest.mark.parametrize("status", [204, 206, 300, 304, 302, 400, 418, 500, 501, 999])
def test_what_is_no_file(file: Path, status: int) -> None:
    with answering(ok(b"", status=f"{status} X")) as (port, requests):
        with pytest.raises(Unavailable, match=str(status)):
            get(f"http://127.0.0.1:{port}/x", file)
        assert len(requests) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(file: Path, status: int) -> None:
    busy = ok(b"later", status=f"{status} Busy")
    with answering(busy, busy, ok(b"abc")) as (port, requests):
        assert get(f"http://127.0.0.1:{port}/x", file).length == 3
        assert len(requests) == 3
    with answering(busy) as (port, requests):
        with pytest.raises(Unavailable, match=str(status)):
            get(f"http://127.0.0.1:{port}/x", file)
        assert len(requests) == 3


def test_a_server_says_when_to_come_back(file: Path) -> None:
    with answering(ok(b"", "Retry-After: 1", status="503 Busy"), ok(b"abc")) as (port, _):
        began = time.monotonic()
        get(f"http://127.0.0.1:{port}/x", file)
        assert 1 <= time.monotonic() - began < 15
    for value in ("3600", "Fri, 31 Dec 2999 23:59:59 GMT"):
        with answering(ok(b"", f"Retry-After: {value}", status="429 Busy")) as (port, requests):
            with pytest.raises(Unavailable, match="429") as caught:
                get(f"http://127.0.0.1:{port}/x", file)
            assert len(requests) == 1, "to come sooner than it may is no use"
            assert caught.value.retry_after is not None
            assert caught.value.retry_after >= 3600
    for value in ("soon", "Sun, 22 Nov 2020 00:00:00 GMT", "-1"):
        with answering(ok(b"", f"Retry-After: {value}", status="429 Busy"), ok(b"abc")) as (port, _):
            get(f"http://127.0.0.1:{port}/x", file)


def test_nothing_is_waited_for_beyond_the_deadline(file: Path) -> None:
    began = time.monotonic()
    with answering(ok(b"", "Retry-After: 300", status="503 Busy")) as (port, _), pytest.raises(Unavailable):
        get(f"http://127.0.0.1:{port}/x", file, deadline=began + 60)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="refused"):
        get(f"http://127.0.0.1:{port}/x", file, patience=Patience(wait=300), deadline=began + 60)
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
    ],
)
def test_a_server_that_drips_is_stopped(file: Path, begin: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(begin)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    began = time.monotonic()
    with raw_server(drip) as server, pytest.raises(Unavailable):
        get(f"http://127.0.0.1:{server.port}/", file, deadline=began + 0.5)
    assert time.monotonic() - began < 60


# -- requests of other kinds -----------------------------------------------------------------------------------------


def test_a_conditional_request_and_one_for_the_head() -> None:
    with answering(ok(b"", 'ETag: "x"', status="304 Not Modified"), ok(b"", "Content-Encoding: gzip")) as (
        port,
        requests,
    ):
        url = f"http://127.0.0.1:{port}/list"
        with fetch(CLI, url, headers={"If-None-Match": '"x"'}) as answer:
            answer.check()
            assert (answer.status, answer.headers["etag"], answer.whole(10, "n")) == (304, '"x"', b"")
        with fetch(CLI, url, method="HEAD") as answer:
            assert (answer.status, answer.whole(10, "n")) == (200, b"")
    assert b'If-None-Match: "x"\r\n' in requests[0]
    assert requests[1].startswith(b"HEAD /list ")


def test_what_the_reader_raises_is_not_asked_again() -> None:
    with answering(ok(b"abc")) as (port, requests):
        with (
            pytest.raises(Unavailable, match="mine"),
            fetch(CLI, f"http://127.0.0.1:{port}/", patience=QUICK),
        ):
            raise Unavailable("mine")
        assert len(requests) == 1


@pytest.mark.parametrize("url", ["git://example.org/x", "file:///etc/passwd", "http://a b/", "ext::x"])
def test_what_is_not_the_web(url: str, file: Path) -> None:
    with pytest.raises(InvalidUrl), fetch(CLI, url):
        pass
    with pytest.raises(InvalidUrl):
        get(url, file)


def test_no_proxy_and_no_netrc_of_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with bait() as trap, answering(ok(b"abc")) as (port, requests):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "ftp_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap}")
        get(f"http://127.0.0.1:{port}/", file)
    assert b"Authorization" not in requests[0]


# -- redirects -------------------------------------------------------------------------------------------------------


def test_redirects_are_followed_and_the_last_place_is_told(file: Path) -> None:
    with answering(moved("/b c/\xe9?d=e#f"), moved("d"), ok(b"abc")) as (port, requests):
        found = get(f"http://me:secret@127.0.0.1:{port}/a", file)
    assert found.url == f"http://127.0.0.1:{port}/b%20c/d"
    assert [line.split()[1] for line in requests] == [b"/a", b"/b%20c/%E9?d=e", b"/b%20c/d"]
    assert all(b"Authorization: Basic" in head for head in requests), "it is the same server"


def test_redirects_without_end(file: Path) -> None:
    with answering(moved("/x")) as (port, requests):
        with pytest.raises(Unavailable, match="redirects"):
            get(f"http://127.0.0.1:{port}/x", file)
        assert len(requests) == 6
        with fetch(CLI, f"http://127.0.0.1:{port}/x", follow=False) as answer:
            assert (answer.status, answer.location) == (302, f"http://127.0.0.1:{port}/x")


def test_secrets_do_not_go_along_to_another_server(file: Path) -> None:
    with (
        answering(ok(b"abc")) as (other, theirs),
        answering(moved(f"http://127.0.0.1:{other}/x")) as (port, ours),
    ):
        given = {"PRIVATE-TOKEN": "t", "If-None-Match": "e"}
        get(f"http://me:secret@127.0.0.1:{port}/x", file, OPEN, headers=given)
    assert b"PRIVATE-TOKEN: t" in ours[0]
    assert b"Authorization" in ours[0]
    assert b"If-None-Match" in theirs[0]
    assert b"TOKEN" not in theirs[0]
    assert b"Authorization" not in theirs[0]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:BAIT/x", "//127.0.0.1:BAIT/", "http://localhost:BAIT/", "http://[::ffff:127.0.0.1]:BAIT/",
        "http://2130706433:BAIT/", "http://0177.0.0.1:BAIT/", "http://127.1:BAIT/", "http://0x7f.1:BAIT/",
        "http://good@127.0.0.1:BAIT/", "http://good.example\\@127.0.0.1:BAIT/", "http://inner.example:BAIT/",
        "http://half.example:BAIT/", "http://0.0.0.0:BAIT/", "http://localhost.:BAIT/", "file:///etc/passwd",
        "ftp://127.0.0.1:BAIT/x", "gopher://127.0.0.1:BAIT/", "http://[", "http://127.0.0.1:BAIT/%0d%0aX",
    ],
)  # fmt: skip
def test_redirects_to_where_nobody_may_go(file: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name_server(monkeypatch, {"inner.example": [["127.0.0.1"]], "half.example": [[PUBLIC, "127.0.0.1"]]})
    with bait() as trap, answering(moved(location.replace("BAIT", str(trap)))) as (port, requests):
        public = Target(
            f"http://origin.example:{port}/", "http", "origin.example", port, addresses=("127.0.0.1",)
        )
        for network, target in ((CLI, f"http://127.0.0.1:{port}/"), (NEVER, public)):
            with pytest.raises(Unavailable, match="redirected"):
                get(target, file, network)
        assert len(requests) == 2


def test_from_https_to_http_is_no_way(file: Path, tls: tuple[ssl.SSLContext, list[str]]) -> None:
    refused = pytest.raises(Unavailable, match="plain http")
    with bait() as trap, answering(moved(f"http://127.0.0.1:{trap}/"), tls=tls[0]) as (port, _), refused:
        get(secure(port), file, OPEN)


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [NEVER, CLI.with_cli(False)])
def test_private_addresses_are_refused(file: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    name_server(monkeypatch, {"inner.example": [["127.0.0.1"]]})
    with bait() as trap:
        for host in ("127.0.0.1", "localhost", "inner.example", "[::1]"):
            for scheme in ("http", "https", "ftp"):
                with pytest.raises(InvalidUrl):
                    get(f"{scheme}://{host}:{trap}/x", file, network)


def test_a_name_that_changes_is_connected_where_it_was_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = name_server(monkeypatch, {"rebind.example": [[PUBLIC], ["127.0.0.1"]]})
    tried: list[str] = []

    def connect(place: tuple[str, int], *_: object) -> socket.socket:
        tried.append(place[0])
        raise ConnectionRefusedError("refused")

    with bait() as trap:
        monkeypatch.setattr(socket, "create_connection", connect)
        for scheme in ("http", "https", "ftp"):
            with pytest.raises(Unavailable, match="refused"):
                get(NEVER.check(f"{scheme}://rebind.example:{trap}/x"), file, NEVER)
            asked.clear()
    assert set(tried) == {PUBLIC}


def test_the_checked_address_is_connected_and_the_name_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = name_server(monkeypatch, {})
    with answering(ok(b"abc")) as (port, requests):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = closed.getsockname()[1]
        assert nobody
        target = Target(
            f"http://pin.example:{port}/", "http", "pin.example", port, addresses=("::1", "127.0.0.1")
        )
        get(target, file, NEVER)
    assert f"Host: pin.example:{port}\r\n".encode() in requests[0]
    assert asked == []


@pytest.mark.parametrize(
    ("url", "addresses", "pinned"),
    [
        ("svn://me@h.example/a?b", ("2606::1", PUBLIC), f"svn://me@{PUBLIC}/a?b"),
        ("pserver://anon:x@h.example:2402/cvs/a#m", (PUBLIC,), f"pserver://anon:x@{PUBLIC}:2402/cvs/a#m"),
        ("git://h.example:1/a@b", ("2606::1",), "git://[2606::1]:1/a@b"),
        ("rsync://h.example", (PUBLIC,), f"rsync://{PUBLIC}"),
        ("bzr://h.example/a", (), "bzr://h.example/a"),
    ],
)
def test_pinned_urls(url: str, addresses: tuple[str, ...], pinned: str) -> None:
    assert pinned_url(msgspec.structs.replace(OPEN.check(url), addresses=addresses)) == pinned


def test_the_web_is_not_pinned_by_its_url() -> None:
    with pytest.raises(ValueError, match="name"):
        pinned_url(Target("https://h.example/", "https", "h.example", addresses=(PUBLIC,)))


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of pin.example that signs itself, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=pin.example", "-addext", "subjectAltName=DNS:pin.example",
            "-keyout", "key.pem", "-out", "cert.pem",
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ssl.SSLContext, list[str]]:
    """A server's context, whose certificate we believe, and the names that clients ask it for."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context, names = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[str]()
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    return context, names


def secure(port: int, host: str = "pin.example") -> Target:
    return Target(f"https://{host}:{port}/", "https", host, port, addresses=("127.0.0.1",))


def test_tls_goes_by_the_name_at_the_checked_address(
    file: Path, tls: tuple[ssl.SSLContext, list[str]]
) -> None:
    with answering(ok(b"abc"), tls=tls[0]) as (port, requests):
        assert get(secure(port), file).length == 3
        assert requests[0].count(b"Host: pin.example:") == 1
        with pytest.raises(Unavailable, match="certificate"):
            get(secure(port, "other.example"), file)
    assert tls[1] == ["pin.example", "other.example"]


def test_an_answer_cut_by_somebody_between_is_not_whole(
    file: Path, tls: tuple[ssl.SSLContext, list[str]]
) -> None:
    """Without a length only TLS's own end tells that it was the server's."""

    def cut(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")

    with raw_server(cut, tls[0]) as server, pytest.raises(Unavailable, match="not come whole"):
        get(secure(server.port), file)


def test_a_handshake_that_drips_is_stopped(file: Path, tls: tuple[ssl.SSLContext, list[str]]) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    began = time.monotonic()
    with raw_server(drip) as server, pytest.raises(Unavailable):
        get(secure(server.port), file, deadline=began + 0.5)
    assert time.monotonic() - began < 60


# -- FTP -------------------------------------------------------------------------------------------------------------


@contextmanager
def ftp_server(body: bytes, **told: str) -> Iterator[tuple[int, list[str]]]:
    """An FTP server that has ``body`` at every path; ``told`` are its answers where they are not the usual ones."""
    said: list[str] = []

    def serve(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        data: socket.socket | None = None
        connection.sendall(told.get("greeting", "220 hello").encode() + b"\r\n")
        for line in lines:
            command = line.decode("latin-1").strip()
            said.append(command)
            verb = command.split()[0]
            if verb in ("PASV", "EPSV"):
                data = socket.create_server(("127.0.0.1", 0))
                port = data.getsockname()[1]
                usual = f"227 ok ({told.get('host', '127,0,0,1')},{port >> 8},{port & 255})"
            else:
                usual = {"USER": "331 password", "PASS": "230 in", "RETR": "150 comes"}.get(verb, "200 ok")
            answer = told.get(verb, usual)
            connection.sendall(answer.encode() + b"\r\n")
            if verb == "RETR" and data is not None and answer.startswith("1"):
                with data, data.accept()[0] as out:
                    out.sendall(body)
                connection.sendall(told.get("end", "226 done").encode() + b"\r\n")
            elif data is not None and verb == "RETR":
                data.close()
        lines.close()

    with raw_server(serve) as server:
        yield server.port, said


def test_a_file_by_ftp(file: Path) -> None:
    body = os.urandom(600_000)
    with ftp_server(body) as (port, said):
        found = get(f"ftp://127.0.0.1:{port}/pub/a%20b%e9.tar", file)
        assert file.read_bytes() == body
        assert (found.length, found.filename[:3]) == (len(body), "a b")
        assert said[:3] == ["USER anonymous", "PASS anonymous@", "TYPE I"]
        assert said[-1] == "RETR pub/a b\xe9.tar"
        get(f"ftp://me:s%20cret@127.0.0.1:{port}/%2fx", file)
        assert said[-5:-2] == ["USER me", "PASS s cret", "TYPE I"]
        assert said[-1] == "RETR /x"
        with pytest.raises(LimitExceeded, match="max_pack_size"):
            get(f"ftp://127.0.0.1:{port}/x", file, limit=1000)


def test_data_by_ftp_comes_from_the_same_machine(file: Path) -> None:
    """Whatever address the server names."""
    with ftp_server(b"abc", host="10,0,0,1") as (port, _):
        assert get(f"ftp://127.0.0.1:{port}/x", file).length == 3
    with (
        ftp_server(b"abc", PASV="227 ok (127,0,0,1,0,25)") as (port, _),
        pytest.raises(Unavailable, match="25"),
    ):
        get(f"ftp://127.0.0.1:{port}/x", file)


@pytest.mark.parametrize(
    ("told", "error", "sessions"),
    [
        ({"RETR": "550 No such file"}, NotFound, 1),
        ({"PASS": "530 Login incorrect"}, NotFound, 1),
        ({"RETR": "501 What?"}, Unavailable, 1),
        ({"RETR": "450 Busy"}, Unavailable, 3),
        ({"end": "426 broken"}, Unavailable, 3),
        ({"greeting": "421 too many"}, Unavailable, 3),
        ({"greeting": "220-" + "x\r\n" * 400_000 + "220 hello"}, Unavailable, 3),
        ({"greeting": "x" * 10_000}, Unavailable, 3),
        ({"greeting": "nonsense"}, Unavailable, 3),
    ],
)
def test_what_ftp_servers_refuse(
    file: Path,
    told: dict[str, str],
    error: type[Exception],
    sessions: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []
    real = socket.create_connection

    def counted(*arguments: Any, **others: Any) -> socket.socket:
        opened.append(arguments[0][1])
        return real(*arguments, **others)

    monkeypatch.setattr(socket, "create_connection", counted)
    with ftp_server(b"abc", **told) as (port, _):
        with pytest.raises(error, match=r"ftp://127\.0\.0\.1"):
            get(f"ftp://127.0.0.1:{port}/x", file)
        assert opened.count(port) == sessions


def test_an_ftp_server_that_is_silent_is_left_at_the_deadline(file: Path) -> None:
    began = time.monotonic()
    with raw_server(read_head) as server, pytest.raises(Unavailable):
        get(f"ftp://127.0.0.1:{server.port}/x", file, deadline=began + 0.3)
    assert time.monotonic() - began < 60
