"""Limits: windows, scopes, who is counted as whom, and the headers that every answer has."""

from __future__ import annotations

import asyncio
import datetime
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import MISSING, Sample

from swhkit.api.answers import Data
from swhkit.api.app import make_app
from swhkit.api.calls import Call, User
from swhkit.api.clients import Client, Clients
from swhkit.api.routing import Route
from swhkit.api.server import Runner
from swhkit.api.table import ROUTES
from swhkit.api.throttling import UNLIMITED, Limits, Verdict
from swhkit.config import Rates
from swhkit.plugin import NoConfig
from swhkit.requests import Token, digest_of
from swhkit.units import rate_of
from swhkit_memory import open_requests

RATES = {
    "swh_api": "3/m",
    "swh_api_origin_search": "2/h",
    "swh_save_origin": "3/h",
    "swh_save_origin_post": "1/m",
}
ADA, BOB = User("ada"), User("bob")
HERE, THERE = Client("192.0.2.1"), Client("192.0.2.2")


class Clock:
    """Seconds since the start, and Unix time, which may jump."""

    def __init__(self) -> None:
        self.time, self.unix = 50.0, 1_700_000_000.25

    def limits(self, factor: float | None = 1, exempt: Sequence[str] = (), **options: Any) -> Limits:
        return Limits(RATES, factor, exempt, clock=lambda: self.time, now=lambda: self.unix, **options)

    def pass_(self, seconds: float) -> None:
        self.time += seconds
        self.unix += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_window_begins_with_the_first_request_and_stays(clock: Clock) -> None:
    limits = clock.limits()
    reset = 1_700_000_061
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 2, reset)
    clock.pass_(40)
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 1, reset)
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 0, reset)
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 0, reset, 20)
    clock.pass_(19.5)
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 0, reset, 1)
    clock.pass_(0.5)
    assert limits.count(HERE, None, "swh_api") == Verdict(3, 2, 1_700_000_121)


def test_a_clock_that_is_set_does_not_move_a_window(clock: Clock) -> None:
    limits = clock.limits()
    first = limits.count(HERE, None, "swh_api")
    clock.unix -= 86_400
    assert limits.count(HERE, None, "swh_api").reset == first.reset
    clock.time += 60
    assert limits.count(HERE, None, "swh_api").remaining == 2


def test_scopes_and_methods_are_counted_apart(clock: Clock) -> None:
    limits = clock.limits()
    assert limits.count(HERE, None, "swh_api").remaining == 2
    assert limits.count(HERE, None, "swh_api_origin_search") == Verdict(2, 1, 1_700_003_601)
    assert limits.count(HERE, None, "swh_save_origin", "GET").limit == 3
    assert limits.count(HERE, None, "swh_save_origin", "POST") == Verdict(1, 0, 1_700_000_061)
    assert limits.count(HERE, None, "swh_save_origin", "POST").wait == 60
    assert limits.count(HERE, None, "swh_save_origin", "GET").remaining == 1
    assert limits.count(HERE, None, "swh_api").remaining == 1
    # A scope without a rate is part of the default one; a strange method is no scope.
    assert limits.count(HERE, None, "swh_of_a_plugin").remaining == 0
    assert limits.count(HERE, None, "swh_api", "ORIGIN_SEARCH").wait == 60


def test_a_head_is_counted_as_a_get(clock: Clock) -> None:
    limits = Limits({"swh_api": "5/m", "swh_x": "9/m", "swh_x_get": "2/m"}, 1, clock=lambda: clock.time)
    limits.count(HERE, None, "swh_x", "GET")
    assert limits.count(HERE, None, "swh_x", "HEAD").remaining == 0
    assert limits.count(HERE, None, "swh_x", "OPTIONS").remaining == 8


def test_who_is_counted_as_whom(clock: Clock) -> None:
    limits = clock.limits()
    assert limits.count(HERE, None, "swh_api").remaining == 2
    assert limits.count(THERE, None, "swh_api").remaining == 2
    assert limits.count(HERE, ADA, "swh_api") == Verdict(30, 29, 1_700_000_061)
    assert limits.count(THERE, ADA, "swh_api").remaining == 28
    assert limits.count(HERE, BOB, "swh_api").remaining == 29
    assert limits.count(HERE, None, "swh_api").remaining == 1
    # A user may have any name, that of an address too.
    assert limits.count(THERE, User("192.0.2.1"), "swh_api").remaining == 29
    assert limits.count(Client("unknown"), None, "swh_api").remaining == 2


def test_ipv6_is_counted_by_64_bits(clock: Clock) -> None:
    limits = clock.limits()
    for number, remaining in enumerate((2, 1, 0)):
        assert limits.count(Client(f"2001:db8:1:2::{number}"), None, "swh_api").remaining == remaining
    assert limits.count(Client("2001:db8:1:2:ffff:ffff:ffff:ffff"), None, "swh_api").wait == 60
    assert limits.count(Client("2001:db8:1:3::1"), None, "swh_api").remaining == 2


def test_who_has_no_limits(clock: Clock) -> None:
    limits = clock.limits(exempt=["127.0.0.0/8", "::1", "198.51.100.7"])
    hour = (int(clock.unix) // 3600 + 2) * 3600
    unlimited = Verdict(UNLIMITED, UNLIMITED, hour)
    for client in (Client("127.9.9.9"), Client("::1"), Client("198.51.100.7")):
        for _ in range(5):
            assert limits.count(client, None, "swh_api") == unlimited
        assert limits.count(client, ADA, "swh_api") == unlimited
    for permission in ("staff", "swh.web.api.throttling_exempted"):
        user = User("x", permissions=frozenset({permission}))
        assert limits.count(HERE, user, "swh_save_origin", "POST") == unlimited
    others = frozenset({"swh.ambassador", "swh.web.api.graph", "swh.web.api.save_bulk"})
    assert limits.count(HERE, User("y", permissions=others), "swh_api").limit == 30
    # Who came through a proxy that nobody vouches for may be anybody.
    assert limits.count(Client("127.0.0.1", hidden=True), None, "swh_api").limit == 3


@pytest.mark.parametrize("factor", [None, 0, 0.0])
def test_no_factor_no_limits(clock: Clock, factor: float | None) -> None:
    limits = clock.limits(factor)
    assert limits.count(HERE, None, "swh_save_origin", "POST").limit == UNLIMITED


def test_the_factor_multiplies_all(clock: Clock) -> None:
    assert clock.limits(100).count(HERE, None, "swh_api").limit == 300
    assert clock.limits(100).count(HERE, ADA, "swh_api").limit == 3000
    assert clock.limits(0.5).count(HERE, None, "swh_api").limit == 1
    assert clock.limits(0.01).count(HERE, None, "swh_api").limit == 1, "one request is always allowed"
    assert clock.limits(1e6).count(HERE, None, "swh_api").limit == UNLIMITED - 1


def test_what_is_not_counted_shows_the_state(clock: Clock) -> None:
    limits = clock.limits()
    assert limits.count(HERE, None, None) == Verdict(3, 3, 1_700_000_061)
    limits.count(HERE, None, "swh_api")
    for _ in range(3):
        assert limits.count(HERE, None, None) == Verdict(3, 2, 1_700_000_061)
    for _ in range(3):
        limits.count(HERE, None, "swh_api")
    assert limits.count(HERE, None, None) == Verdict(3, 0, 1_700_000_061)


def test_the_windows_of_those_long_unseen_are_forgotten(clock: Clock) -> None:
    limits = clock.limits(windows=3)
    for number in (1, 2, 3, 1, 4):
        limits.count(Client(f"192.0.2.{number}"), None, "swh_api")
    assert limits.count(Client("192.0.2.1"), None, "swh_api").remaining == 0
    assert limits.count(Client("192.0.2.2"), None, "swh_api").remaining == 2


def test_memory_is_bounded_whoever_asks(clock: Clock) -> None:
    limits = clock.limits(windows=2000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            limits.count(Client(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), None, "swh_api")
            if number == 9999:
                half, _ = tracemalloc.get_traced_memory()
        whole, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole < half * 1.2
    assert whole < 4 << 20


def test_the_rates_are_the_public_archive_s() -> None:
    rates = msgspec.structs.asdict(Rates())
    assert {name: rate_of(text) for name, text in rates.items()} == {
        "swh_api": (120, 3600),
        "swh_api_origin_search": (10, 60),
        "swh_api_origin_visit_latest": (700, 60),
        "swh_api_metadata_citation": (60, 60),
        "swh_raw_object": (120, 3600),
        "swh_save_origin": (120, 3600),
        "swh_save_origin_post": (10, 3600),
        "swh_vault_cooking": (120, 3600),
        "swh_vault_cooking_get": (60, 60),
    }
    scopes = {route.scope for route in ROUTES} - {None}
    assert scopes <= rates.keys(), "a scope that the configuration has no rate for"


# --- over HTTP ---


def saved(call: Call) -> Data:
    """Count me."""
    return Data(call.method)


EXTRA = (
    Route("save", "save/", saved, methods=("GET", "POST"), scope="swh_save_origin"),
    Route("free", "free/", saved, scope=None),
    Route("guarded", "guarded/", saved, permission="swh.web.api.graph"),
)
RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@asynccontextmanager
async def served(sample: Sample, limits: Limits, **options: Any) -> AsyncIterator[Any]:
    store = open_requests(NoConfig(), True)
    for name, permissions in (("ada", frozenset[str]()), ("eve", frozenset({"staff"}))):
        made = Token(
            name=name, user=name, email=f"{name}@example.org", permissions=permissions,
            created=datetime.datetime.now(datetime.UTC),
        )  # fmt: skip
        store.add_token(made, digest_of(name))
    app = make_app(sample.archive, routes=(*EXTRA, *ROUTES), limits=limits, requests=lambda: store, **options)
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(client: Any, path: str, method: str = "GET", **headers: str) -> Any:
    return await client.request(
        method, f"/api/1/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}, allow_redirects=False
    )  # fmt: skip


def rate(answer: Any) -> tuple[int, int, int]:
    limit, remaining, reset = (int(answer.headers[name]) for name in RATE)
    return limit, remaining, reset


async def test_over_the_limit_it_is_429(sample: Sample) -> None:
    async with served(sample, Limits(RATES, 1)) as client:
        answers = [await ask(client, "ping/") for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * 3
        assert [rate(answer)[:2] for answer in answers] == [(3, 2), (3, 1), (3, 0)]
        (reset,) = {rate(answer)[2] for answer in answers}
        assert 55 < reset - time.time() <= 61
        over = await ask(client, "ping/")
        assert (over.status, rate(over)) == (429, (3, 0, reset))
        body = await over.json()
        assert list(body) == ["exception", "reason"]
        assert body["exception"] == "Throttled"
        waits = [f"Request was throttled. Expected available in {n} seconds." for n in range(50, 61)]
        assert body["reason"] in waits
        assert "Retry-After" not in over.headers
        assert (over.headers["Allow"], over.headers["Content-Type"]) == (
            "GET, HEAD, OPTIONS",
            "application/json",
        )
        # Whatever the method, and also where something else is wrong.
        assert (await ask(client, "ping/", "OPTIONS")).status == 429
        assert (await ask(client, "ping/", "POST")).status == 429
        head = await ask(client, "ping/", "HEAD")
        assert (head.status, await head.read()) == (429, b"")
        assert (await ask(client, f"content/sha1_git:{MISSING.hex()}/")).status == 429
        yaml = await ask(client, "ping/", Accept="application/yaml")
        assert (yaml.status, yaml.headers["Content-Type"]) == (429, "application/yaml")
        # Other scopes, and users, go on.
        assert (await ask(client, "save/")).status == 200
        assert rate(await ask(client, "ping/", Authorization="Bearer ada"))[:2] == (30, 29)
        assert rate(await ask(client, "ping/", Authorization="Bearer eve"))[:2] == (UNLIMITED, UNLIMITED)
        bad = await ask(client, "ping/", Authorization="Bearer nobody")
        assert (bad.status, rate(bad)) == (403, (3, 0, reset))


async def test_every_answer_has_the_headers(sample: Sample) -> None:
    hello = sample.hello.sha1_git.hex()
    limits = Limits(RATES | {"swh_api": "100/m"}, 1)
    async with served(sample, limits) as client:
        counted = [
            ("ping/", "GET", 200),
            ("ping/", "HEAD", 200),
            ("ping/", "OPTIONS", 200),
            ("ping/", "POST", 405),
            ("ping/?format=nonsense", "GET", 404),
            (f"content/sha1_git:{hello}/raw/", "GET", 200),
            (f"content/sha1_git:{MISSING.hex()}/", "GET", 404),
            ("content/sha1_git:12/", "GET", 400),
            ("guarded/", "GET", 401),
        ]
        for number, (path, method, status) in enumerate(counted, start=1):
            answer = await ask(client, path, method)
            assert (answer.status, rate(answer)[:2]) == (status, (100, 100 - number)), path
        answer = await ask(client, "ping/", Accept="application/xml")
        assert (answer.status, rate(answer)[1]) == (406, 90)
        answer = await ask(client, "ping/", Authorization="nonsense")
        assert (answer.status, rate(answer)[1]) == (403, 89)
        for path, method, status in (
            ("nope/", "GET", 404),
            ("ping", "GET", 301),
            (f"content/sha1_git:{hello.upper()}/", "GET", 302),
            ("free/", "GET", 200),
        ):
            answer = await ask(client, path, method)
            assert (answer.status, rate(answer)[:2]) == (status, (100, 89)), path
        preflight = await ask(
            client, "ping/", "OPTIONS", Origin="https://x.example", Access_Control_Request_Method="GET"
        )
        assert (preflight.status, rate(preflight)[:2]) == (200, (100, 89))
        invalid = await ask(client, "ping/", Host="a b")
        assert (invalid.status, rate(invalid)[:2]) == (400, (100, 89))


async def test_a_redirect_of_a_user_shows_the_user_s_state(sample: Sample) -> None:
    async with served(sample, Limits(RATES, 1)) as client:
        assert rate(await ask(client, "ping/", Authorization="Bearer ada"))[:2] == (30, 29)
        moved = await ask(client, "ping", Authorization="Bearer ada")
        assert (moved.status, rate(moved)[:2]) == (301, (30, 29))


async def test_what_the_parser_refuses_has_the_headers_too(sample: Sample) -> None:
    runner = Runner(make_app(sample.archive, limits=Limits(RATES, 1)), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nAuthorization: a\x00b\r\n\r\n")
        head = (await reader.read()).partition(b"\r\n\r\n")[0].lower()
        writer.close()
    finally:
        await runner.cleanup()
    assert head.split(b" ")[1] == b"400"
    assert b"\r\nx-ratelimit-limit: 3\r\nx-ratelimit-remaining: 3\r\nx-ratelimit-reset: " in head


async def test_a_method_may_have_its_own_rate(sample: Sample) -> None:
    async with served(sample, Limits(RATES, 1)) as client:
        assert rate(await ask(client, "save/", "POST"))[:2] == (1, 0)
        assert (await ask(client, "save/", "POST")).status == 429
        assert rate(await ask(client, "save/"))[:2] == (3, 2)


async def test_clients_behind_a_trusted_proxy_are_told_apart(sample: Sample) -> None:
    async with served(sample, Limits(RATES, 1), clients=Clients(["127.0.0.1"])) as client:
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            assert rate(await ask(client, "ping/", X_Forwarded_For=address))[1] == 2
        assert rate(await ask(client, "ping/", X_Forwarded_For="6.6.6.6, 192.0.2.1"))[1] == 1
        assert rate(await ask(client, "ping/", X_Forwarded_For="7.7.7.7, 192.0.2.1"))[1] == 0
        assert (await ask(client, "ping/", X_Forwarded_For="127.0.0.1, 192.0.2.1")).status == 429


async def test_a_client_that_makes_itself_up_is_one(sample: Sample) -> None:
    """Without trusted proxies no header helps, not even to the exemption of this machine."""
    async with served(sample, Limits(RATES, 1, ["127.0.0.0/8"])) as client:
        statuses = [
            (await ask(client, "ping/", X_Forwarded_For=f"192.0.2.{number}")).status for number in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await ask(client, "ping/", Forwarded="for=127.0.0.1")).status == 429
        assert rate(await ask(client, "ping/"))[0] == UNLIMITED


async def test_many_requests_at_once_are_counted_exactly(sample: Sample) -> None:
    async with served(sample, Limits({"swh_api": "50/m"}, 1)) as client:
        answers = await asyncio.gather(*(ask(client, "ping/") for _ in range(120)))
        statuses = [answer.status for answer in answers]
        assert (statuses.count(200), statuses.count(429)) == (50, 70)
        assert sorted(rate(a)[1] for a in answers if a.status == 200) == list(range(50))
