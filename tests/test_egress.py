"""The proxy that child programs go out through: real programs, hostile servers, and clients that know no better."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest
from net_servers import PUBLIC, answering, bait, name_server, nothing_is_left, raw_server, read_head
from servers import free_port, git_http, wait_for

from swhkit.egress import relay, tunnel
from swhkit.net import Network, Target
from swhkit.plugin import Egress, LimitExceeded, Unavailable, egress

__all__ = ["nothing_is_left"]  # a fixture
pytestmark = pytest.mark.usefixtures("nothing_is_left")
CLI = Network(from_cli=True)
OPEN = Network(private_addresses="always")
NEVER = Network(private_addresses="never")


def origin(port: int, scheme: str = "http", path: str = "/") -> Target:
    """A server of this machine, under a name that only the proxy knows the address of."""
    url = f"{scheme}://origin.example:{port}{path}"
    return Target(url, scheme, "origin.example", port, addresses=("127.0.0.1",))


def proxied(
    port: int, network: Network = NEVER, *, limit: int = 1 << 30, deadline: float | None = None
) -> AbstractContextManager[Egress]:
    return egress(network, origin(port), limit=limit, limit_name="limits.this", deadline=deadline)


def secret(proxy: Egress) -> dict[str, str]:
    pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {pair}"}


@contextmanager
def client(proxy: Egress) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(proxy.host, proxy.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def ask(proxy: Egress, url: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, reason and body of the answer to one request by somebody who knows the secret."""
    with client(proxy) as connection:
        connection.request(method, url, headers=secret(proxy))
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.read()


def connect(proxy: Egress, place: str) -> tuple[socket.socket, bytes]:
    """A socket on which CONNECT was asked for, and the first line of the answer."""
    connection = socket.create_connection((proxy.host, proxy.port), 10)
    head = "".join(f"{name}: {value}\r\n" for name, value in secret(proxy).items())
    connection.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{head}\r\n".encode())
    return connection, read_head(connection).partition(b"\r\n")[0]


def talk(proxy: Egress, data: bytes, *, end: bool = False) -> bytes:
    """What comes back for bytes as they are, until the proxy closes."""
    received = b""
    with socket.create_connection((proxy.host, proxy.port), 10) as connection, suppress(ConnectionError):
        connection.sendall(data)
        if end:
            with suppress(OSError):  # the proxy may have had enough
                connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            received += piece
    return received


# -- real programs ---------------------------------------------------------------------------------------------------


@contextmanager
def running(*argv: str | Path, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(port, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def start(*argv: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C"}
        return subprocess.run(
            argv, env=base | environment, capture_output=True, text=True, check=False, timeout=60
        )

    return start


Run = Callable[..., subprocess.CompletedProcess[str]]


def test_hg(tmp_path: Path, run: Run) -> None:
    repository, port = tmp_path / "repo", free_port()
    run("hg", "init", repository)
    (repository / "file").write_bytes(os.urandom(300_000))
    run("hg", "-R", repository, "commit", "-Am", "one", "-u", "me")
    server = ("hg", "serve", "-R", repository, "-a", "127.0.0.1", "-p", str(port))
    always = ("hg", "--config", "http_proxy.always=yes")
    with running(*server, port=port), proxied(port) as proxy:
        done = run(*always, "clone", "--", origin(port).url, tmp_path / "copy", http_proxy=proxy.url)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "copy/file").read_bytes() == (repository / "file").read_bytes()
        assert 300_000 < proxy.bytes < 400_000
        assert (proxy.refused, proxy.cause()) == ([], None)
        for url in (f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/"):
            assert "403 refused by swhkit" in run(
                *always, "id", "--", url, http_proxy=proxy.url
            ).stderr.replace("Error 403:", "403")
        assert len(proxy.refused) == 2
        stranger = proxy.url.replace(proxy.password, "guess")
        assert "407" in run(*always, "id", "--", origin(port).url, http_proxy=stranger).stderr


def test_git(tmp_path: Path, run: Run) -> None:
    run("git", "init", "-q", tmp_path / "repo")
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    run("git", "-C", tmp_path / "repo", *identity, "commit", "-q", "--allow-empty", "-m", "one")
    with git_http(tmp_path) as base:
        port = int(base.rpartition(":")[2])
        with proxied(port) as proxy:
            settings = {
                "http_proxy": proxy.url,
                "https_proxy": proxy.url,
                "GIT_HTTP_PROXY_AUTHMETHOD": "basic",
            }
            url = f"http://origin.example:{port}/repo/.git"
            done = run("git", "clone", "-q", "--", url, tmp_path / "copy", **settings)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / "copy/.git/HEAD").exists()
            said = run("git", "ls-remote", "--", f"{base}/repo/.git", **settings).stderr
            assert "remote: refused by swhkit" in said
            assert "403" in run("git", "ls-remote", "--", f"https://127.0.0.1:{port}/repo", **settings).stderr


def test_svn(tmp_path: Path, run: Run) -> None:
    """It names itself only when it is asked to, and says in its own words what was refused."""
    reply = b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n"
    with answering(reply) as (port, requests), proxied(port) as proxy:
        (tmp_path / "servers").write_text(
            f"[global]\nhttp-proxy-host = {proxy.host}\nhttp-proxy-port = {proxy.port}\n"
            f"http-proxy-username = {proxy.user}\nhttp-proxy-password = {proxy.password}\n"
        )
        info = ("svn", "info", "--non-interactive", "--config-dir", tmp_path, "--")
        run(*info, f"http://origin.example:{port}/repo")
        assert requests[0].startswith(b"OPTIONS /repo HTTP/1.1\r\n")
        assert b"Proxy-Authorization" not in requests[0]
        seen = len(requests)
        assert "forbidden" in run(*info, f"http://127.0.0.1:{port}/repo").stderr
        assert "proxy server returned an error" in run(*info, f"https://127.0.0.1:{port}/repo").stderr
        assert len(proxy.refused) == 2
        assert len(requests) == seen


def test_rsync(tmp_path: Path, run: Run) -> None:
    port, module = free_port(), tmp_path / "module"
    module.mkdir()
    (module / "file").write_bytes(os.urandom(2 << 20))
    config = tmp_path / "rsyncd.conf"
    config.write_text(f"use chroot = no\n[m]\npath = {module}\nuid = {os.getuid()}\ngid = {os.getgid()}\n")
    server = (
        "rsync",
        "--daemon",
        "--no-detach",
        f"--config={config}",
        f"--port={port}",
        "--address=127.0.0.1",
    )
    target = origin(port, "rsync", "/m/")
    with running(*server, port=port), egress(NEVER, target, limit=3 << 20) as proxy:
        setting = proxy.url.removeprefix("http://")
        done = run("rsync", "-a", "--", target.url, tmp_path / "copy", RSYNC_PROXY=setting)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "copy/file").read_bytes() == (module / "file").read_bytes()
        done = run(
            "rsync", "-a", "--", f"rsync://127.0.0.1:{port}/m/", tmp_path / "other", RSYNC_PROXY=setting
        )
        assert "403 refused by swhkit: rsync://127.0.0.1" in done.stderr
        shutil.rmtree(tmp_path / "copy")
        assert run("rsync", "-a", "--", target.url, tmp_path / "copy", RSYNC_PROXY=setting).returncode != 0
        assert isinstance(proxy.cause(), LimitExceeded)


# -- requests --------------------------------------------------------------------------------------------------------


def echo(connection: socket.socket) -> None:
    """Answers each request of a connection with the request itself, body as it was framed, until there is none."""
    while head := read_head(connection):
        body, length = b"", None
        if b"Content-Length: " in head:
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
        while (b"chunked" in head and not body.endswith(b"0\r\n\r\n")) or (length and len(body) < length):
            piece = connection.recv(1 << 16)
            if not piece:
                return
            body += piece
        said = head + body
        sizes = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (said[:7], said[7:]))
        connection.sendall(b"HTTP/1.1 207 Multi\r\nX-A: 1\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n")
        connection.sendall(b"Keep-Alive: x\r\n\r\n" + sizes + b"0\r\n\r\n")


def test_requests_of_all_kinds_over_one_connection() -> None:
    with raw_server(echo) as server, proxied(server.port) as proxy, client(proxy) as connection:
        base = f"http://origin.example:{server.port}"
        own = {
            **secret(proxy),
            "Host": "evil.example",
            "TE": "x",
            "Connection": "X-Hop",
            "X-Hop": "1",
            "X-End": "2",
        }

        def answered(method: str, path: str, **others: object) -> bytes:
            connection.request(method, path if path == "*" else base + path, headers=own, **others)  # type: ignore[arg-type]
            answer = connection.getresponse()
            assert (answer.status, answer.headers.get_all("X-A"), answer.headers["Keep-Alive"]) == (
                207,
                ["1", "2"],
                None,
            )
            return answer.read()

        said = answered("GET", "/a%20b?c#d")
        assert said.startswith(b"GET /a%20b?c HTTP/1.1\r\n")
        assert f"Host: origin.example:{server.port}\r\n".encode() in said
        assert b"X-End: 2\r\n" in said
        assert not any(word in said for word in (b"Proxy-", b"evil", b"TE:", b"X-Hop"))
        assert answered("OPTIONS", "").startswith(b"OPTIONS / HTTP/1.1\r\n")
        assert answered("PROPFIND", "/x", body=b"<xml/>").endswith(b"\r\n\r\n<xml/>")
        body = answered("REPORT", "/x", body=iter([b"ab", b"!" * 200_000]), encode_chunked=True)
        assert body.count(b"!") == 200_000
        assert body.endswith(b"\r\n0\r\n\r\n")
    assert server.connections == 1
    assert proxy.bytes > 400_000


@pytest.mark.parametrize(
    ("reply", "method", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nabc", "GET", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", b""),
        (b"HTTP/1.1 204 No\r\n\r\n", "GET", b""),
        (b"HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", "GET", b""),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "GET", b""),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "GET", b"a"),
    ],
)
def test_answers_of_every_framing(reply: bytes, method: str, body: bytes) -> None:
    """And the client's connection lasts, whatever the server does with its own."""
    with answering(reply) as (port, requests), proxied(port) as proxy, client(proxy) as connection:
        for _ in range(3):
            connection.request(method, f"http://origin.example:{port}/", headers=secret(proxy))
            answer = connection.getresponse()
            assert answer.headers["Content-Length"] == (
                "3" if method == "HEAD" else answer.headers["Content-Length"]
            )
            assert answer.read() == body
            assert answer.headers["Connection"] is None
        assert len(requests) == 3


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"abc")])
def test_a_server_that_closes_what_it_kept_open(method: str, body: bytes | None, clean: bool) -> None:
    """Just as it is asked again: a GET is asked anew, whoever sent a body sees the connection closed, and asks again
    as without a proxy."""

    def once(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
            connection.recv(1 << 16 if clean else 1)  # with something left unread, it is reset

    with raw_server(once) as server, proxied(server.port) as proxy, client(proxy) as connection:
        url = f"http://origin.example:{server.port}/"
        connection.request("GET", url, headers=secret(proxy))
        assert connection.getresponse().read() == b"abc"
        connection.request(method, url, body, headers=secret(proxy))
        if body is None:
            assert connection.getresponse().read() == b"abc"
        else:
            with pytest.raises(ConnectionError):
                connection.getresponse()
        assert server.connections == (2 if body is None else 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_closes_a_new_connection_is_asked_once(method: str) -> None:
    with answering(b"") as (port, requests), proxied(port) as proxy:
        assert ask(proxy, f"http://origin.example:{port}/", method)[0] == 502
        assert len(requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ],
)
def test_an_answer_that_breaks_off_does_not_look_whole(reply: bytes) -> None:
    with answering(reply) as (port, _), proxied(port) as proxy, pytest.raises(IncompleteRead):
        ask(proxy, f"http://origin.example:{port}/")


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nab",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(reply: bytes) -> None:
    with answering(reply) as (port, _), proxied(port) as proxy:
        status, reason, _ = ask(proxy, f"http://origin.example:{port}/")
    assert (status, "answer" in reason) == (502, True)


def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    with raw_server(echo) as server, proxied(server.port) as proxy:
        head = f"PUT http://origin.example:{server.port}/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in secret(proxy).items())
        with socket.create_connection((proxy.host, proxy.port), 10) as connection:
            connection.sendall(f"{head}\r\n".encode())
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"abc")
            assert b" 207 " in read_head(connection)


# -- who may ask -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "CONNECT", "PROPFIND"])
def test_only_those_who_know_the_secret(method: str) -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, requests),
        proxied(port) as proxy,
    ):
        place = f"origin.example:{port}" if method == "CONNECT" else f"http://origin.example:{port}/"
        for value in (None, "", "Basic", "Basic eDp5", f"Bearer {proxy.password}", "Basic " + "é"):
            given = {} if value is None else {"Proxy-Authorization": value}
            with client(proxy) as connection:
                connection.request(method, place, body=b"x" if method == "PROPFIND" else None, headers=given)
                answer = connection.getresponse()
                assert (answer.status, answer.headers["Proxy-Authenticate"]) == (407, 'Basic realm="swhkit"')
                answer.read()
                if method == "PROPFIND" and value is None:  # as svn does it
                    connection.request(method, place, body=b"x", headers=secret(proxy))
                    assert connection.getresponse().status == 200
        assert len(requests) == (method == "PROPFIND")


def test_every_proxy_has_a_secret_of_its_own() -> None:
    with proxied(1) as one, proxied(1) as other:
        assert one.password != other.password
        assert one.port != other.port
        assert one.url == f"http://{one.user}:{one.password}@127.0.0.1:{one.port}"


# -- where to --------------------------------------------------------------------------------------------------------

#: BAIT is a port of this machine, ORIGIN that of the origin.
FORBIDDEN = [
    "127.0.0.1:BAIT", "127.0.0.1:ORIGIN", "localhost:BAIT", "localhost.:BAIT", "[::1]:BAIT", "[::ffff:127.0.0.1]:BAIT",
    "[::ffff:7f00:1]:BAIT", "2130706433:BAIT", "0x7f000001:BAIT", "0177.0.0.1:BAIT", "127.1:BAIT", "0.0.0.0:BAIT",
    "0:BAIT", "inner.example:BAIT", "half.example:BAIT", "mapped.example:BAIT", "origin.example:BAIT", "10.0.0.1:80",
    "169.254.169.254", "[fe80::1%25lo]:BAIT", "x@127.0.0.1:BAIT", "127.0.0.1:BAIT:80", ":BAIT", "127.0.0.1\\x:BAIT",
]  # fmt: skip


@pytest.mark.parametrize("network", [NEVER, CLI], ids=["never", "cli"])
@pytest.mark.parametrize("place", FORBIDDEN)
def test_where_nobody_may_go(place: str, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person at the shell may visit, what a server names may not."""
    table = {
        "inner.example": [["127.0.0.1"]], "half.example": [[PUBLIC, "127.0.0.1"]],
        "mapped.example": [["::ffff:127.0.0.1"]], "origin.example": [["127.0.0.1"]],
    }  # fmt: skip
    name_server(monkeypatch, table)
    with bait() as trap, bait() as own, proxied(own, network) as proxy:
        place = place.replace("BAIT", str(trap)).replace("ORIGIN", str(own))
        status, reason, body = ask(proxy, f"http://{place}/x")
        assert (status, body.decode().strip()) == (403, reason)
        assert reason.startswith("refused by swhkit: http://")
        connection, line = connect(proxy, place)
        connection.close()
        assert line.startswith(b"HTTP/1.1 403 refused by swhkit: https://")
        assert len(proxy.refused) == 2
        assert isinstance(proxy.cause(), Unavailable)


def test_a_refusal_is_heard_and_does_not_end_the_connection() -> None:
    with raw_server(echo) as server, proxied(server.port) as proxy, client(proxy) as connection:
        for size, lasts in ((400_000, True), (0, True), (4_000_000, False)):
            body = iter([bytes(100_000)] * (size // 100_000))
            own = {**secret(proxy), "Transfer-Encoding": "chunked"}
            with suppress(ConnectionError):
                connection.request("REPORT", "http://10.0.0.1/", body=body, headers=own, encode_chunked=True)
            if lasts:
                answer = connection.getresponse()
                assert (answer.status, answer.headers["Connection"]) == (403, "keep-alive")
                answer.read()
        connection.close()
        assert ask(proxy, f"http://origin.example:{server.port}/")[0] == 207


@pytest.mark.parametrize(
    "url", ["/x", "*", "https://origin.example/", "ftp://127.0.0.1/", "file:///etc/passwd", "http:x"]
)
def test_what_is_not_for_a_proxy(url: str) -> None:
    with proxied(1) as proxy:
        assert ask(proxy, url)[0] == 400


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = name_server(
        monkeypatch, {"a.example": [[PUBLIC], ["127.0.0.1"]], "b.example": [[PUBLIC], ["127.0.0.1"]]}
    )
    tried: list[tuple[str, int]] = []
    real = socket.create_connection

    def patched(place: tuple[str, int], *others: object) -> socket.socket:
        if place[0] == "127.0.0.1" and place[1] == proxy.port:
            return real(place, *others)  # type: ignore[arg-type]
        tried.append(place)
        raise ConnectionRefusedError("refused")

    with bait() as trap, proxied(1) as proxy:
        monkeypatch.setattr(socket, "create_connection", patched)
        for _ in range(2):
            assert ask(proxy, f"http://a.example:{trap}/")[0] == 502
            connection, line = connect(proxy, f"b.example:{trap}")
            connection.close()
            assert b" 502 " in line
    assert asked == ["a.example", "b.example"]
    assert tried == [(PUBLIC, trap)] * 4


def test_the_origin_may_be_private_where_a_person_says_so_and_is_asked_by_name_then() -> None:
    """And its server of the scheme's own port is the same server."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, _):
        with egress(CLI, CLI.check(f"http://127.0.0.1:{port}/x"), limit=1000) as proxy:
            assert ask(proxy, f"http://127.0.0.1:{port}/y")[0] == 200
            assert ask(proxy, f"http://127.0.0.1:{port + 1}/y")[0] == 403
            assert ask(proxy, "http://127.0.0.1/y")[0] == 502
        with egress(OPEN, OPEN.check("http://example.org/x"), limit=1000) as proxy:
            assert ask(proxy, f"http://127.0.0.1:{port}/y")[0] == 200


def test_a_scheme_that_is_not_allowed_is_not_spoken() -> None:
    with bait() as trap, egress(Network(schemes=("https",)), origin(trap, "https"), limit=1000) as proxy:
        assert ask(proxy, f"http://origin.example:{trap}/")[0] == 403


# -- tunnels ---------------------------------------------------------------------------------------------------------


def test_a_tunnel_carries_both_directions_at_once_and_their_ends() -> None:
    data, size = os.urandom(1 << 20), 8 << 20

    def chatter(connection: socket.socket) -> None:
        """Sends before it reads anything; answers the end with a last word."""
        writer = threading.Thread(target=lambda: connection.sendall(data * 8))
        writer.start()
        heard = 0
        while piece := connection.recv(1 << 16):
            heard += len(piece)
        writer.join()
        connection.sendall(b"%d" % heard)

    with raw_server(chatter) as server, proxied(server.port) as proxy:
        connection, line = connect(proxy, f"origin.example:{server.port}")
        assert b" 200 " in line
        with connection:

            def write() -> None:
                connection.sendall(data * 8)
                connection.shutdown(socket.SHUT_WR)

            writer = threading.Thread(target=write)
            time.sleep(0.1)
            writer.start()
            received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            writer.join()
    assert received[:size] == data * 8
    assert received[size:] == str(size).encode()
    assert proxy.bytes == 2 * size + len(str(size))


def test_what_comes_with_the_request_goes_into_the_tunnel() -> None:
    with (
        raw_server(lambda connection: connection.sendall(connection.recv(5))) as server,
        proxied(server.port) as proxy,
    ):
        head = f"CONNECT origin.example:{server.port} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in secret(proxy).items())
        assert talk(proxy, f"{head}\r\nearly".encode()).endswith(b"\r\n\r\nearly")


def test_a_tunnel_that_is_half_closed_and_silent_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "_CLOSING", 0.2)
    hold = threading.Event()
    with raw_server(lambda _: hold.wait(20)) as server, proxied(server.port) as proxy:
        connection, _ = connect(proxy, f"origin.example:{server.port}")
        with connection:
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        hold.set()


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_bytes_are_counted_and_limited() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000)
    with answering(body) as (port, _), proxied(port, limit=1_500_000) as proxy:
        assert proxy.cause() is None
        with pytest.raises(IncompleteRead):
            ask(proxy, f"http://origin.example:{port}/")
        cause = proxy.cause()
        assert isinstance(cause, LimitExceeded)
        assert "1500000 bytes" in str(cause)
        assert "limits.this" in str(cause)
        assert ask(proxy, f"http://origin.example:{port}/")[:2][0] == 403
        assert proxy.bytes < 2_000_000

    def pour(connection: socket.socket) -> None:
        while True:
            connection.sendall(bytes(1 << 16))

    with raw_server(pour) as server, proxied(server.port, limit=1 << 20) as proxy:
        connection, _ = connect(proxy, f"origin.example:{server.port}")
        with connection:
            received = 0
            while piece := connection.recv(1 << 16):
                received += len(piece)
        assert received <= 1 << 20
        assert isinstance(proxy.cause(), LimitExceeded)


def test_everything_is_cut_at_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    began = time.monotonic()
    with raw_server(drip) as server, proxied(server.port, deadline=began + 0.5) as proxy:
        connection, _ = connect(proxy, f"origin.example:{server.port}")
        with pytest.raises((IncompleteRead, ConnectionError)):
            ask(proxy, f"http://origin.example:{server.port}/")
        with connection:
            while connection.recv(1 << 16):
                pass
    assert time.monotonic() - began < 60


def test_the_end_of_the_block_ends_all() -> None:
    """Whatever the clients are about: silent, in the middle of a head, of a body, of an answer, of a tunnel."""
    hold = threading.Event()
    with raw_server(lambda _: hold.wait(20)) as server:
        with proxied(server.port) as proxy:
            begun = "".join(f"{name}: {value}\r\n" for name, value in secret(proxy).items())
            post = f"POST http://origin.example:{server.port}/ HTTP/1.1\r\n{begun}Content-Length: 9\r\n\r\n"
            opened = [connect(proxy, f"origin.example:{server.port}")[0]]
            for said in ("", "GET http", post, f"{post}123456789"):
                opened.append(socket.create_connection((proxy.host, proxy.port), 10))
                opened[-1].sendall(said.encode())
            time.sleep(0.2)
            began = time.monotonic()
        assert time.monotonic() - began < 15
        for connection in opened:
            connection.close()
        hold.set()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), 1)


def test_there_are_only_so_many_connections() -> None:
    with proxied(1) as proxy:
        opened = [socket.create_connection((proxy.host, proxy.port), 10) for _ in range(80)]
        time.sleep(0.3)
        assert threading.active_count() < 75
        assert opened[-1].recv(1) == b""
        for connection in opened:
            connection.close()
        until = time.monotonic() + 30
        while (answer := talk(proxy, b"x\r\n\r\n")) == b"" and time.monotonic() < until:
            time.sleep(0.05)
        assert b" 400 " in answer, "there is room again"


@pytest.mark.parametrize(
    "data",
    [
        b"GET http://origin.example/ HTTP/1.1\r\nX: " + b"x" * 200_000, b"GET http://" + b"x" * 200_000,
        b"GET http://origin.example/ HTTP/1.1\r\n" + b"X: x\r\n" * 1000 + b"\r\n", b"\x16\x03\x01\x02\x00" * 100,
        b"\r\n\r\n", b"GET\r\n\r\n", b"GET http://x/ HTTP/2.0\r\n\r\n", b"GET http://x/ HTTP/1.1\r\nSECRET",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\nabc",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETContent-Length: -3\r\n\r\n",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETTransfer-Encoding: chunked\r\n\r\n-5\r\nabc",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETTransfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\nabc",
        b"POST http://HERE/ HTTP/1.1\r\nSECRETContent-Length: 99\r\n\r\nabc",
        b"G\x00T http://HERE/ HTTP/1.1\r\nSECRET\r\n",
    ],
)  # fmt: skip
def test_clients_that_speak_no_http(data: bytes) -> None:
    """They get an error, or nothing at all; the server never gets a request that is not whole."""
    with raw_server(echo) as server, proxied(server.port) as proxy:
        own = "".join(f"{name}: {value}\r\n" for name, value in secret(proxy).items()).encode()
        here = f"origin.example:{server.port}".encode()
        answer = talk(proxy, data.replace(b"SECRET", own).replace(b"HERE", here), end=True)
        assert answer[:13] in (b"", b"HTTP/1.1 400 ", b"HTTP/1.1 502 ")
        assert ask(proxy, f"http://origin.example:{server.port}/")[0] == 207


def test_strangers_have_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_HEAD", 0.3)
    with proxied(1) as proxy:
        for first in (b"", b"GET http://x/ HTTP/1.1\r\n", b"GET http://x/ HTTP/1.1\r\n\r\n"):
            began = time.monotonic()
            with socket.create_connection((proxy.host, proxy.port), 10) as connection:
                connection.sendall(first)
                while connection.recv(1 << 16):
                    pass
            assert time.monotonic() - began < 8
        began = time.monotonic()
        with socket.create_connection((proxy.host, proxy.port), 10) as connection, suppress(OSError):
            while time.monotonic() - began < 30:
                connection.sendall(b"X")
                time.sleep(0.01)
        assert time.monotonic() - began < 15


def test_no_secret_is_told() -> None:
    with proxied(1) as proxy:
        ask(proxy, "http://me:hidden@10.0.0.1/")
        connection, line = connect(proxy, "me:hidden@10.0.0.1:443")
        connection.close()
        told = f"{line!r} {proxy.refused} {proxy.cause()}"
        assert "10.0.0.1" in told
        assert "hidden" not in told
        assert proxy.password not in told
