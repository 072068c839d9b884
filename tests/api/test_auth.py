"""Tokens over HTTP: who gets in, with which words the others do not, and that no secret is told to anybody."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import program
import pytest
import yaml
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from reading_samples import MISSING, Sample

from swhkit.api.answers import Data
from swhkit.api.app import make_app
from swhkit.api.auth import BELIEVED, Tokens, check_permission
from swhkit.api.calls import Call, User
from swhkit.api.errors import ApiError
from swhkit.api.routing import Route
from swhkit.api.server import ACCESS_LOG, AccessLog, Runner
from swhkit.api.table import ROUTES
from swhkit.archive import Archive
from swhkit.errors import Busy, Corrupt
from swhkit.plugin import NoConfig
from swhkit.requests import Requests, Token, digest_of, new_secret
from swhkit_memory import open_requests

INVALID = "The access token is not valid: it is unknown, or it was revoked."
GRAPH, BULK, PROVENANCE = "swh.web.api.graph", "swh.web.api.save_bulk", "swh.web.api.provenance"


def whoami(call: Call) -> Data:
    """Who asks."""
    user = call.user
    return Data(user and {"name": user.name, "email": user.email, "permissions": sorted(user.permissions)})


def routes() -> tuple[Route, ...]:
    """The real table, with routes that ask for each kind of permission."""
    asking = (
        Route("whoami", "whoami/", whoami),
        Route("sent", "sent/", whoami, methods=("POST",), permission=PROVENANCE),
        *(Route(p, f"{p.rpartition('.')[2]}/", whoami, permission=p) for p in (GRAPH, BULK, PROVENANCE)),
    )
    return (*asking, *ROUTES)


class World:
    """A server with a store of tokens; ``secret("name", *permissions)`` makes one more."""

    def __init__(self, client: Any, store: Requests) -> None:
        self.client, self.store = client, store
        self.lookups = 0
        ask = store.token

        def counted(digest: bytes) -> Token | None:
            self.lookups += 1
            return ask(digest)

        store.token = counted  # type: ignore[method-assign]

    def secret(self, name: str, *permissions: str) -> str:
        secret = new_secret()
        now = datetime.datetime.now(datetime.UTC)
        made = Token(
            name=name, user=f"u-{name}", email=f"{name}@example.org", permissions=frozenset(permissions), created=now
        )  # fmt: skip
        assert self.store.add_token(made, digest_of(secret))
        return secret

    async def ask(
        self, path: str, *authorization: str, method: str = "GET", **options: Any
    ) -> ClientResponse:
        headers = CIMultiDict([("Authorization", value) for value in authorization])
        headers.extend(options.pop("headers", {}))
        answer: ClientResponse = await self.client.request(
            method, f"/api/1/{path}", headers=headers, allow_redirects=False, **options
        )
        return answer

    async def refused(self, path: str, status: int, name: str, *authorization: str, **options: Any) -> str:
        answer = await self.ask(path, *authorization, **options)
        assert answer.status == status, await answer.text()
        body = await answer.json()
        assert list(body) == ["exception", "reason"]
        assert body["exception"] == name
        return str(body["reason"])


@asynccontextmanager
async def served(archive: Archive, opener: Callable[[], Requests | None]) -> AsyncIterator[Any]:
    app = make_app(archive, routes=routes(), requests=opener)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def world(sample: Sample) -> AsyncIterator[World]:
    store = open_requests(NoConfig(), True)
    async with served(sample.archive, lambda: store) as client:
        yield World(client, store)


async def test_a_token_says_who_asks(world: World) -> None:
    secret = world.secret("ci", PROVENANCE)
    answer = await world.ask("whoami/", f"Bearer {secret}")
    known = {"name": "u-ci", "email": "ci@example.org", "permissions": [PROVENANCE]}
    assert (answer.status, await answer.json()) == (200, known)
    for spelled in (f"bearer {secret}", f"BEARER   {secret}", f"Bearer {secret} "):
        assert await (await world.ask("whoami/", spelled)).json() == known
    anonymous = await world.ask("whoami/")
    assert (anonymous.status, await anonymous.read()) == (200, b"")


BAD = [
    ("", "Invalid HTTP authorization header format"),
    ("Bearer", "Invalid HTTP authorization header format"),
    ("nospace", "Invalid HTTP authorization header format"),
    ("Bearer\tx", "Invalid HTTP authorization header format"),
    ("Basic YTpi", "Invalid or unsupported HTTP authorization type (Basic)."),
    ("Token x", "Invalid or unsupported HTTP authorization type (Token)."),
    ("Bearer: x", "Invalid or unsupported HTTP authorization type (Bearer:)."),
    ("Bearer x", INVALID),
    ("Bearer x y z", INVALID),
    ("Bearer " + "x" * 7000, INVALID),
    ("Bearer ünïcödé", INVALID),
    ("x" * 7000 + " y", f"Invalid or unsupported HTTP authorization type ({'x' * 20}…)."),
]


@pytest.mark.parametrize(("header", "reason"), BAD)
async def test_a_bad_header_is_403_with_these_words(world: World, header: str, reason: str) -> None:
    world.secret("ci")
    assert await world.refused("ping/", 403, "AuthenticationFailed", header) == reason


async def test_a_bad_token_fails_every_endpoint(world: World, sample: Sample) -> None:
    bad = f"Bearer {new_secret()}"
    paths = [
        "ping/",
        "stat/counters/",
        f"content/sha1_git:{sample.hello.sha1_git.hex()}/",
        f"content/sha1_git:{sample.hello.sha1_git.hex()}/raw/",
        f"content/sha1_git:{MISSING.hex()}/",
        f"directory/{sample.root.hex()}/",
        "whoami/",
    ]
    for path in paths:
        assert await world.refused(path, 403, "AuthenticationFailed", bad) == INVALID
    for path in ("known/", "sent/"):
        answer = await world.ask(path, bad, method="POST", json=[])
        assert answer.status == 403
        assert (await answer.json())["reason"] == INVALID
    # So it does where the method is wrong; a HEAD has no body.
    assert (await world.ask("ping/", bad, method="POST")).status == 403
    assert (await world.ask("ping/", bad, method="OPTIONS")).status == 403
    head = await world.ask("ping/", bad, method="HEAD")
    assert (head.status, await head.read()) == (403, b"")
    # What is no endpoint is what it was.
    assert (await world.ask("nope/", bad)).status == 404
    assert (await world.ask("ping", bad)).status == 301


async def test_a_refusal_takes_the_form_that_was_asked_for(world: World) -> None:
    answer = await world.ask("ping/", "x", headers={"Accept": "application/yaml"})
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/yaml")
    assert yaml.safe_load(await answer.text())["exception"] == "AuthenticationFailed"
    assert await (await world.ask("ping/?fields=exception", "x")).json() == {
        "exception": "AuthenticationFailed"
    }
    answer = await world.ask("ping/", "x", headers={"Accept": "application/xml"})
    assert answer.status == 406
    answer = await world.ask("ping/", "x", headers={"Origin": "https://x.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_several_headers_are_none(world: World) -> None:
    good = f"Bearer {world.secret('ci')}"
    for pair in ((good, good), (good, "Bearer x"), ("Bearer x", good), (good, "")):
        reason = await world.refused("ping/", 403, "AuthenticationFailed", *pair)
        assert reason == "Invalid HTTP authorization header format"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"Bearer \xff\xfe", 403),
        (b"\xff\xfe x", 403),
        (b"Bearer a\x00b", 400),
        (b"Bearer a\x1b[31m", 400),
        (b"Bearer \x7f", 400),
        (b"B\xc3\xa9arer x", 403),
        (b"Bearer " + b"x" * 100_000, 400),
    ],
)
async def test_bytes_that_no_client_sends(
    sample: Sample, caplog: pytest.LogCaptureFixture, value: bytes, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    runner = Runner(make_app(sample.archive), access_log=ACCESS_LOG, access_log_class=AccessLog)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        head = b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
        writer.write(head + value + b"\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    finally:
        await runner.cleanup()
    assert head.split(b" ", 2)[1] == b"%d" % status, head
    assert json.loads(body)["exception"] == {403: "AuthenticationFailed", 400: "BadInputExc"}[status]
    for text in (caplog.text, body.decode()):
        assert "Bearer " not in text
        assert "Traceback" not in text


async def test_permissions(world: World) -> None:
    needs_user = "This API endpoint requires authentication."
    needs_more = "This API endpoint requires a special user permission."
    plain = f"Bearer {world.secret('plain')}"
    staff = f"Bearer {world.secret('staff', 'staff')}"
    own = f"Bearer {world.secret('own', GRAPH, BULK, PROVENANCE)}"
    for path in ("graph/", "save_bulk/", "provenance/"):
        answer = await world.ask(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert await answer.json() == {"exception": "UnauthorizedExc", "reason": needs_user}
        assert await world.refused(path, 403, "ForbiddenExc", plain) == needs_more
        assert (await world.ask(path, own)).status == 200
        assert await world.refused(path, 403, "AuthenticationFailed", "Bearer x") == INVALID
    assert (await world.ask("provenance/", staff)).status == 200
    for path in ("graph/", "save_bulk/"):
        assert await world.refused(path, 403, "ForbiddenExc", staff) == needs_more


async def test_nothing_is_read_of_a_body_that_is_not_wanted(world: World) -> None:
    """Who may not post is told so before the upload, not after it."""
    head = b"POST /api/1/sent/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.client.port)
    writer.write(head)
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    assert line.startswith(b"HTTP/1.1 401")
    good = f"Bearer {world.secret('ci', PROVENANCE)}"
    answer = await world.ask("sent/", good, method="POST", json=[])
    assert (answer.status, (await answer.json())["name"]) == (200, "u-ci")


def test_who_may_what() -> None:
    user, staff = User("u", permissions=frozenset({GRAPH})), User("s", permissions=frozenset({"staff"}))
    check_permission(None, None)
    check_permission(user, None)
    check_permission(user, GRAPH)
    check_permission(staff, PROVENANCE)
    for nobody, permission in ((None, GRAPH), (user, PROVENANCE), (staff, GRAPH), (staff, BULK)):
        with pytest.raises(ApiError):
            check_permission(nobody, permission)


async def test_a_token_is_looked_up_now_and_then(world: World) -> None:
    good = f"Bearer {world.secret('ci')}"
    for _ in range(10):
        assert (await world.ask("ping/", good)).status == 200
    assert world.lookups == 1
    for _ in range(3):
        assert (await world.ask("ping/", "Bearer x")).status == 403
    assert world.lookups == 4, "a bad one is not believed to stay bad"


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def token(name: str = "ci") -> Token:
    return Token(name=name, user="ada", email="ada@example.org", created=datetime.datetime.now(datetime.UTC))


def test_a_revoked_token_is_believed_no_longer_than_said() -> None:
    store, clock = open_requests(NoConfig(), True), Clock()
    tokens = Tokens(lambda: store, lambda work: work(), clock)
    digest = digest_of("s")
    store.add_token(token(), digest)
    assert tokens.remembered(digest) is None
    assert tokens.find(digest).name == "ada"
    clock.time += BELIEVED - 0.01
    assert tokens.remembered(digest) is not None
    store.revoke_token("ci", datetime.datetime.now(datetime.UTC))
    clock.time += 0.02
    assert tokens.remembered(digest) is None
    with pytest.raises(ApiError, match="not valid"):
        tokens.find(digest)
    assert BELIEVED == 5.0, "docs/commands.md and docs/operations.md say so"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swhkit.api.auth.REMEMBERED", 3)
    store = open_requests(NoConfig(), True)
    tokens = Tokens(lambda: store, lambda work: work(), Clock())
    digests = [digest_of(str(n)) for n in range(5)]
    for n, digest in enumerate(digests):
        store.add_token(token(f"t{n}"), digest)
        tokens.find(digest)
    assert [tokens.remembered(digest) is not None for digest in digests] == [False, False, True, True, True]


def test_the_hour_of_use_is_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    store, clock, jobs = open_requests(NoConfig(), True), Clock(), list[Callable[[], object]]()
    tokens = Tokens(lambda: store, jobs.append, clock)
    store.add_token(token(), digest_of("s"))
    tokens.find(digest_of("s"))
    assert store.tokens()[0].last_used is None, "nobody waits for it"
    jobs.pop()()
    used = store.tokens()[0].last_used
    assert used is not None
    assert (used.minute, used.second, used.microsecond) == (0, 0, 0)
    tokens.find(digest_of("s"))
    assert jobs == []


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system"), Busy("in use"), Corrupt("damaged")])
def test_a_store_that_cannot_be_written_keeps_nobody_out(error: Exception) -> None:
    store = open_requests(NoConfig(), True)
    store.add_token(token(), digest_of("s"))

    def broken(name: str, at: datetime.datetime) -> None:
        raise error

    store.use_token = broken  # type: ignore[method-assign]
    tokens = Tokens(lambda: store, lambda work: work(), Clock())
    assert tokens.find(digest_of("s")).name == "ada"


async def test_the_first_token_works_while_the_server_runs(sample: Sample) -> None:
    store, there = open_requests(NoConfig(), True), threading.Event()
    async with served(sample.archive, lambda: store if there.is_set() else None) as client:
        world = World(client, store)
        good = f"Bearer {world.secret('ci')}"
        assert await world.refused("ping/", 403, "AuthenticationFailed", good) == INVALID
        there.set()
        assert (await world.ask("ping/", good)).status == 200


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [(Busy("it is in use"), 503, "StorageDBError"), (Corrupt("a token is damaged"), 500, "Corrupt")],
)
async def test_a_store_that_cannot_tell_is_no_bad_token(
    sample: Sample, error: Exception, status: int, name: str
) -> None:
    def opener() -> Requests:
        raise error

    async with served(sample.archive, opener) as client:
        answer = await client.get("/api/1/ping/", headers={"Authorization": "Bearer x"})
        assert (answer.status, (await answer.json())["exception"]) == (status, name)
        assert "X-RateLimit-Remaining" in answer.headers
        assert (await client.get("/api/1/ping/")).status == 200


async def test_no_secret_in_a_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    good, bad = world.secret("ci"), new_secret()

    def broken(name: str, at: datetime.datetime) -> None:
        raise OSError(30, "Read-only file system")

    world.store.use_token = broken  # type: ignore[method-assign]
    for value in (f"Bearer {good}", f"Bearer {bad}", bad, f"{bad} {bad}", f"Basic {bad}"):
        answer = await world.ask("ping/", value)
        assert bad not in await answer.text()
        assert bad not in str(answer.headers)

    def failing(digest: bytes) -> Token | None:
        raise RuntimeError("something unforeseen")

    world.store.token = failing  # type: ignore[method-assign]
    assert (await world.ask("ping/", f"Bearer {bad}")).status == 500
    text = caplog.text
    assert "something unforeseen" in text
    for secret in (good, bad):
        assert secret not in text
        assert secret[10:30] not in text
        assert digest_of(secret).hex() not in text


def get(port: int, path: str, *headers: str) -> tuple[int, str]:
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return int(data.split()[1]), data.decode()


@pytest.mark.slow
def test_a_token_of_the_command_line_opens_a_server_that_runs(tmp_path: Path) -> None:
    """Made after the server has started, in an archive that had no store of tokens; then revoked."""
    program.run("init", cwd=tmp_path)
    (tmp_path / "archive/requests.sqlite").unlink()
    (tmp_path / "swhkit.yaml").write_text("server: {throttling: {exempt_networks: []}}")
    server = program.start("--verbose", "serve", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
        assert get(port, "/api/1/ping/", "Authorization: Bearer x")[0] == 403
        create = ("token", "create", "ci", "--user", "ada", "--email", "ada@example.org")
        secret = program.run(*create, cwd=tmp_path).stdout.strip()
        status, text = get(port, "/api/1/ping/", f"Authorization: Bearer {secret}")
        assert (status, "x-ratelimit-limit: 120000\r\n" in text.lower()) == (200, True)
        (row,) = json.loads(program.run("token", "list", "--json", cwd=tmp_path).stdout)
        assert row["last_used"] is not None
        program.run("token", "revoke", "ci", cwd=tmp_path)
        assert asyncio.run(_refused_soon(port, secret)) <= BELIEVED + 3
    finally:
        server.terminate()
        _, log = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "GET /api/1/ping/" in log
    assert secret not in log
    assert secret[10:30] not in log


async def _refused_soon(port: int, secret: str) -> float:
    """Seconds until the token is refused."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while (await asyncio.to_thread(get, port, "/api/1/ping/", f"Authorization: Bearer {secret}"))[0] == 200:
        assert loop.time() < begun + 30
        await asyncio.sleep(0.25)
    return loop.time() - begun
