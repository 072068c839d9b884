"""Clients behind proxies: who is believed, who is not, and what strangers write into the headers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from reading_samples import Sample

from swhkit.api.app import make_app
from swhkit.api.clients import Client, Clients, Networks, canonical
from swhkit.api.server import ACCESS_LOG, AccessLog, Runner

PROXIES = ("10.0.0.0/8", "::1", "2001:db8:f::/48")
HIDDEN = Client("10.0.0.1", hidden=True)


def seen(peer: str | None, *headers: tuple[str, str], trusted: tuple[str, ...] = PROXIES) -> Client:
    return Clients(trusted).of(peer, CIMultiDict(headers))


def xff(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("Forwarded", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("10.0.0.1", xff("192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", xff("1.1.1.1, 192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", xff("1.1.1.1", "192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", xff("1.1.1.1, 192.0.2.7, 10.0.0.2"), "192.0.2.7"),
        ("10.0.0.1", xff("1.1.1.1, 192.0.2.7", "10.0.0.2,10.0.0.3"), "192.0.2.7"),
        ("10.0.0.1", xff("10.1.1.1, 10.2.2.2"), "10.1.1.1"),
        ("10.0.0.1", xff("192.0.2.7:4711"), "192.0.2.7"),
        ("10.0.0.1", xff("[2001:DB8::1]:4711"), "2001:db8::1"),
        ("10.0.0.1", xff("2001:db8::0:1"), "2001:db8::1"),
        ("10.0.0.1", xff("fe80::1%eth0"), "fe80::1"),
        ("10.0.0.1", xff("::ffff:192.0.2.7"), "192.0.2.7"),
        ("::ffff:10.0.0.1", xff("192.0.2.7"), "192.0.2.7"),
        ("::1", xff("192.0.2.7"), "192.0.2.7"),
        ("2001:db8:f:1::9", xff("192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", forwarded("for=192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", forwarded("for=1.1.1.1, For=192.0.2.7;proto=https;by=10.0.0.1"), "192.0.2.7"),
        ("10.0.0.1", forwarded("for=192.0.2.7", 'for="10.0.0.2:80"'), "192.0.2.7"),
        ("10.0.0.1", forwarded('for="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe::17"),
        ("10.0.0.1", forwarded('for=1.1.1.1;x="a, for=2.2.2.2", for=192.0.2.7'), "192.0.2.7"),
        ("10.0.0.1", [*forwarded("for=1.1.1.1"), *xff("192.0.2.7")], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.7", [], "192.0.2.7"),
    ],
)
def test_the_chain_is_read_from_the_right(peer: str, headers: list[tuple[str, str]], address: str) -> None:
    assert seen(peer, *headers) == Client(address, seen(peer, *headers).scheme)
    assert not seen(peer, *headers).hidden


@pytest.mark.parametrize(
    "headers", [xff("1.1.1.1"), xff("10.0.0.2"), forwarded("for=1.1.1.1"), xff("127.0.0.1"), xff("")]
)
def test_who_is_not_trusted_is_the_client_whatever_it_says(headers: list[tuple[str, str]]) -> None:
    said = [*headers, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]
    assert seen("192.0.2.7", *said) == Client("192.0.2.7", hidden=True)
    assert seen("10.0.0.1", *said, trusted=()) == HIDDEN


@pytest.mark.parametrize(
    "headers",
    [
        xff("unknown"),
        xff("192.0.2.7, unknown"),
        xff("192.0.2.7, _hidden"),
        xff("192.0.2.7,"),
        xff(""),
        xff("999.1.1.1"),
        xff("3232235777"),
        xff("1.1.1.1 2.2.2.2"),
        xff("\udcff\udcfe"),
        xff("localhost"),
        xff("1.1.1.1:"),
        xff("[1.1.1.1"),
        forwarded("unknown"),
        forwarded("for=_gazonk"),
        forwarded("proto=https"),
        forwarded("for=2001:db8::1:x"),
        forwarded("for=1.1.1.1 for=2.2.2.2"),
        forwarded('for=1.1.1.1;x="'),
        # A client opens a quote, into which what the proxy appends falls.
        forwarded('for=6.6.6.6;x=", for="[2001:db8::1]"'),
        forwarded('for=6.6.6.6;x="\\, for=192.0.2.7'),
        forwarded("for=1.1.1.1;" * 3000),
    ],
)
def test_a_proxy_that_does_not_tell_is_all_there_is(headers: list[tuple[str, str]]) -> None:
    found = seen("10.0.0.1", *headers)
    assert (found.address, found.hidden) == ("10.0.0.1", True)


@pytest.mark.parametrize("peer", [None, "", "/run/socket", "nonsense"])
def test_a_peer_without_address(peer: str | None) -> None:
    assert seen(peer, *xff("1.1.1.1")) == Client("unknown")


@pytest.mark.parametrize(
    ("headers", "scheme", "host"),
    [
        ([("X-Forwarded-Proto", "HTTPS")], "https", None),
        ([("X-Forwarded-Proto", "gopher")], None, None),
        ([("X-Forwarded-Proto", "https://x")], None, None),
        ([("X-Forwarded-Host", "a.example:8080")], None, "a.example:8080"),
        ([("X-Forwarded-Host", "[2001:db8::1]:80")], None, "[2001:db8::1]:80"),
        ([("X-Forwarded-Host", "a.example/evil?")], None, None),
        ([("X-Forwarded-Host", "a b")], None, None),
        ([("X-Forwarded-Host", "x@evil.example")], None, None),
        (
            [("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "evil, a.example")],
            "https",
            "a.example",
        ),
        (
            [*xff("192.0.2.7, 10.0.0.2"), ("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "a, b")],
            "https",
            "a",
        ),
        ([*xff("6.6.6.6, 192.0.2.7"), ("X-Forwarded-Host", "evil, a")], None, "a"),
        ([*xff("192.0.2.7, 10.0.0.2"), ("X-Forwarded-Proto", "https")], "https", None),
        (forwarded("for=192.0.2.7;proto=https;host=a.example"), "https", "a.example"),
        (
            forwarded("for=6.6.6.6;host=evil, for=192.0.2.7;proto=https;host=a, for=10.0.0.2;proto=http"),
            "https",
            "a",
        ),
        (forwarded('for=192.0.2.7;host="a.example:80"'), None, "a.example:80"),
        (forwarded('for=192.0.2.7;host="a\\.example"'), None, "a.example"),
        (forwarded("for=192.0.2.7;host=a;host=evil"), None, "a"),
    ],
)
def test_scheme_and_host(headers: list[tuple[str, str]], scheme: str | None, host: str | None) -> None:
    found = seen("10.0.0.1", *headers)
    assert (found.scheme, found.host) == (scheme, host)


@pytest.mark.parametrize(
    "value",
    [
        '"\\' * 4000,
        '"' * 8000,
        "for=" + " " * 8000 + '"',
        "a=1;" * 2000,
        "," * 8000,
        'for="' + "\\" * 8000,
        "10.0.0.2," * 900,
    ],
)
def test_no_header_takes_long(value: str) -> None:
    clients = Clients(PROXIES)
    for name in ("Forwarded", "X-Forwarded-For"):
        headers = CIMultiDict([(name, value)] * 2)
        begun = time.thread_time()
        clients.of("10.0.0.1", headers)
        assert time.thread_time() - begun < 0.5


def test_networks() -> None:
    networks = Networks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])
    for inside in ("10.255.0.1", "192.0.2.1", "2001:db8::5", "::ffff:10.0.0.1"):
        assert inside in networks
    for outside in ("11.0.0.1", "192.0.2.2", "2001:db9::", "", "x", "unknown"):
        assert outside not in networks
    with pytest.raises(ValueError, match="does not appear to be"):
        Networks(["x"])
    assert canonical("1.2.3.4%x") == "1.2.3.4"


@asynccontextmanager
async def served(sample: Sample, **options: Any) -> AsyncIterator[Any]:
    async with TestClient(TestServer(make_app(sample.archive, **options))) as client:
        yield client


async def link(client: Any, sample: Sample, *headers: tuple[str, str]) -> str:
    path = f"/api/1/content/sha1_git:{sample.hello.sha1_git.hex()}/"
    answer = await client.get(path, headers=CIMultiDict(headers))
    assert answer.status == 200
    return str((await answer.json())["data_url"])


async def test_links_begin_with_what_a_trusted_proxy_says(sample: Sample) -> None:
    said = [*xff("192.0.2.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a.example")]
    async with served(sample, clients=Clients(["127.0.0.0/8"])) as client:
        assert (await link(client, sample, *said)).startswith("https://a.example/api/1/")
        assert (await link(client, sample)).startswith(f"http://127.0.0.1:{client.port}/api/1/")
        evil = [*xff("192.0.2.7"), ("X-Forwarded-Host", "evil.example/?")]
        assert (await link(client, sample, *evil)).startswith(f"http://127.0.0.1:{client.port}/api/1/")
    async with served(sample) as client:
        assert (await link(client, sample, *said)).startswith(f"http://127.0.0.1:{client.port}/api/1/")
    async with served(sample, clients=Clients(["127.0.0.0/8"]), public_url="https://b.example") as client:
        assert (await link(client, sample, *said)).startswith("https://b.example/api/1/")


@pytest.mark.parametrize(
    ("trusted", "address"), [(["127.0.0.0/8"], "192.0.2.7"), ([], "127.0.0.1"), (["10.0.0.0/8"], "127.0.0.1")]
)
async def test_the_access_log_names_the_client(
    sample: Sample, caplog: pytest.LogCaptureFixture, trusted: list[str], address: str
) -> None:
    caplog.set_level(logging.INFO)
    runner = Runner(
        make_app(sample.archive, clients=Clients(trusted)), access_log=ACCESS_LOG, access_log_class=AccessLog
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.7"}
        async with (
            ClientSession() as session,
            session.get(f"http://{host}:{port}/api/1/ping/", headers=headers) as answer,
        ):
            assert answer.status == 200
    finally:
        await runner.cleanup()
    (line,) = [record.getMessage() for record in caplog.records if record.name == ACCESS_LOG.name]
    assert line.startswith(f'{address} "GET /api/1/ping/ HTTP/1.1" 200 ')
