"""What holds for every resource: slashes, methods, formats, fields, headers, errors, hostile requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
import yarl
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import MISSING, URL, Sample

from swhkit import errors
from swhkit.api.answers import Data
from swhkit.api.app import ROUTER, SERVICE, make_app
from swhkit.api.calls import Call, Links
from swhkit.api.routing import Route, Router
from swhkit.api.server import ACCESS_LOG, AccessLog, Runner
from swhkit.api.table import ROUTES
from swhkit.api.threads import Threads
from swhkit.archive import Archive
from swhkit.swhid import ObjectId


async def test_missing_slash(api: Any) -> None:
    for path in ("ping", f"origin/{URL}/get", f"content/{'0' * 40}/raw", "known"):
        answer = await api.get(f"{path}?a=b&fields=c%20d")
        assert answer.status == 301
        assert answer.headers["Location"] == f"/api/1/{path}/?a=b&fields=c%20d"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert await answer.read() == b""
    assert (await api.ask("HEAD", "ping")).status == 301
    assert (await api.get("nope")).status == 404


async def test_head_is_get_without_body(api: Any) -> None:
    for path in ("ping/", f"directory/{api.sample.root.hex()}/", f"directory/{MISSING.hex()}/", "nope/"):
        get, head = await api.get(path), await api.ask("HEAD", path)
        assert head.status == get.status
        assert await head.read() == b""
        different = {"Date", "X-RateLimit-Reset", "X-Request-ID"}
        assert {k: v for k, v in head.headers.items() if k not in different} == {
            k: v for k, v in get.headers.items() if k not in different
        }


async def test_options(api: Any) -> None:
    answer = await api.ask("OPTIONS", "ping/")
    assert (answer.status, await answer.json()) == (200, "pong")
    answer = await api.ask("OPTIONS", "known/")
    assert answer.status == 200
    assert list(await answer.json()) == ["name", "description", "renders", "parses"]


async def test_cors(api: Any) -> None:
    for path in ("known/", "ping", "nope/"):
        answer = await api.ask(
            "OPTIONS", path, headers={"Origin": "https://x.org", "Access-Control-Request-Method": "POST"}
        )
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "DELETE, GET, OPTIONS, PATCH, POST, PUT"
        assert answer.headers["access-control-allow-headers"] == (
            "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"
        )
        assert answer.headers["access-control-max-age"] == "86400"
    for path in ("ping/", "nope/", f"content/{api.sample.hello.sha1.hex()}/raw/", "content/x/"):
        answer = await api.get(path, headers={"Origin": "https://x.org"})
        assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in (await api.get("ping/")).headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
async def test_wrong_method(api: Any, method: str) -> None:
    for path in ("ping/", "ping"):
        answer = await api.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert await answer.json() == {
            "exception": "MethodNotAllowed",
            "reason": f'Method "{method}" not allowed.',
        }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/*", "json"),
        ("text/html", "html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("application/yaml", "yaml"),
        ("application/yaml;q=0.9, application/json;q=0.1", "yaml"),
        ("application/xml, application/yaml", "yaml"),
        ("APPLICATION/YAML;q=x", "yaml"),
        ("application/json;q=0, */*", "yaml"),
    ],
)
async def test_negotiation(api: Any, accept: str | None, kind: str) -> None:
    answer = await api.client.session.request(
        "GET",
        api.base + "stat/counters/",
        headers={} if accept is None else {"Accept": accept},
        skip_auto_headers=["Accept"],
    )
    assert answer.status == 200
    text = await answer.text()
    if kind == "html":
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert text.startswith("<!DOCTYPE html>")
        return
    assert answer.headers["Content-Type"] == f"application/{kind}"
    found = json.loads(text) if kind == "json" else yaml.safe_load(text)
    assert found == api.sample.catalog.counters()


@pytest.mark.parametrize("accept", ["application/xml", "image/*", "application/json;q=0", "garbage"])
async def test_not_acceptable(api: Any, accept: str) -> None:
    answer = await api.get("ping/", headers={"Accept": accept})
    assert answer.status == 406
    assert await answer.json() == {
        "exception": "NotAcceptable",
        "reason": "Could not satisfy the request Accept header.",
    }


async def test_accept_in_two_headers(api: Any) -> None:
    answer = await api.get("ping/", headers=[("Accept", "application/xml"), ("Accept", "application/yaml")])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/yaml")


async def test_format_parameter(api: Any) -> None:
    answer = await api.get("ping/?format=yaml", headers={"Accept": "application/xml"})
    assert answer.headers["Content-Type"] == "application/yaml"
    assert (await api.get("ping/?format=html")).status == 200
    assert await api.json("ping/?format=zip", 404) == {"exception": "Http404", "reason": ""}
    answer = await api.get(f"revision/{MISSING.hex()}/?format=yaml")
    assert yaml.safe_load(await answer.text())["exception"] == "NotFoundExc"


async def test_yaml_is_block_style_and_without_aliases(api: Any) -> None:
    path = f"revision/{api.sample.odd.hex()}/"
    text = await (await api.get(path, headers={"Accept": "application/yaml"})).text()
    assert yaml.safe_load(text) == await api.json(path)
    assert "*id" not in text
    assert re.search(r"^author:$", text, re.MULTILINE)
    names = await (await api.get(f"directory/{api.sample.root.hex()}/?fields=name&format=yaml")).text()
    assert "- name: é" in names


async def test_json_is_compact_utf8(api: Any) -> None:
    body = await (await api.get(f"directory/{api.sample.root.hex()}/%C3%A9/?fields=name,type")).read()
    assert body == '{"type":"file","name":"é"}'.encode()


async def test_fields(api: Any) -> None:
    id = api.sample.snp.hex()
    assert await api.json(f"snapshot/{id}/?fields=id,nope") == {"id": id}
    for one in await api.json(f"directory/{api.sample.root.hex()}/?fields=name,type"):
        assert one.keys() == {"name", "type"}
    assert await api.json(f"snapshot/{MISSING.hex()}/?fields=id", 404) == {}
    assert len(await api.json(f"snapshot/{id}/?fields=")) == 3
    assert await api.json("ping/?fields=x") == "pong"
    assert (await api.json(f"revision/{api.sample.first.hex()}/?fields=author"))["author"]["name"] == "Ada"


async def test_headers_of_every_answer(api: Any) -> None:
    raw = f"content/{api.sample.hello.sha1.hex()}/raw/"
    for path in ("ping/", "nope/", "content/x/", "ping", raw, f"release/{MISSING.hex()}/"):
        answer = await api.get(path)
        headers = answer.headers
        assert headers["Vary"] == "Accept, origin, Cookie"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("1000000", "1000000")
        assert 3600 <= int(headers["X-RateLimit-Reset"]) - int(time.time()) <= 7200
        assert headers["Content-Length"] == str(len(await answer.read()))
        assert "aiohttp" not in headers["Server"]
    assert (await api.get("ping/")).headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "path",
    [
        "nope/",
        "content/",
        "vault/flat/bad/",
        f"directory/{'g' * 40}/",
        "raw/bad/",
        "origin/get/",
        "content/%00/",
    ],
)
async def test_unrouted(api: Any, path: str) -> None:
    shown = path.replace("%00", "\0")
    expected = {
        "error": "Resource not found",
        "reason": f"The resource /api/1/{shown} could not be found on the server.",
    }
    assert await api.json(path, 404) == expected
    answer = await api.get(path, headers={"Accept": "application/yaml"})
    assert yaml.safe_load(await answer.text()) == expected


async def test_unrouted_pages_repeat_nothing(api: Any) -> None:
    answer = await api.get("%3Cscript%3Ealert(1)%3C/script%3E/", headers={"Accept": "text/html"})
    text = await answer.text()
    assert (answer.status, answer.content_type) == (404, "text/html")
    assert "alert" not in text
    for path in ("/nope", "//api/1/ping/", "/api/2/ping/", "/static/", "/static/..%2f..%2fetc/passwd"):
        answer = await api.client.session.get(yarl.URL(api.base.removesuffix("/api/1/") + path, encoded=True))
        assert answer.status == 404
        assert (await answer.json())["error"] == "Resource not found"


async def test_no_link_leads_nowhere(api: Any) -> None:
    """Every URL of every kind of answer is itself answered, though perhaps with "not found"."""
    s = api.sample
    pages = [
        f"content/{s.hello.sha1.hex()}/",
        f"directory/{s.root.hex()}/",
        f"revision/{s.odd.hex()}/",
        f"release/{s.of_content.hex()}/",
        f"snapshot/{s.snp.hex()}/",
        f"origin/{URL}/get/",
        f"origin/{URL}/visits/",
        f"origin/{URL}/visit/latest/",
    ]
    links = {url for page in pages for url in _urls(await api.json(page))}
    assert len(links) > 15
    for url in links:
        assert url.startswith(api.base)
        answer = await api.get(url.removeprefix(api.base))
        body = {} if "/raw/" in url else await answer.json()
        assert answer.status == 200 or (answer.status == 404 and "exception" in body), url


def _urls(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, value in data.items():
            if (key == "url" or key.endswith("_url")) and value and value != URL:
                yield value
            yield from _urls(value)
    elif isinstance(data, list):
        for value in data:
            yield from _urls(value)


def test_links_appear_with_their_routes() -> None:
    def nothing(call: Call) -> Data:
        return Data(None)

    route = Route("bundle", "bundle/{id:number}/", nothing)
    assert Links("", Router(ROUTES).templates).to("bundle", id=7) is None
    assert Links("", Router((*ROUTES, route)).templates).to("bundle", id=7) == "/api/1/bundle/7/"


def test_every_route_says_what_it_answers() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert route.summary.endswith(".")
        assert route.path.endswith("/") or route.root == "/" or route.name in ("index", "openapi")


class Broken:
    """A store all of whose methods raise."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise self._error

        return fail


@pytest.mark.parametrize(
    ("error", "status", "name", "reason"),
    [
        (errors.Unreachable("peer x is away"), 503, "StorageAPIError", "peer x is away"),
        (errors.Busy("locked"), 503, "StorageDBError", "locked"),
        (errors.Corrupt("it is damaged"), 500, "Corrupt", "it is damaged"),
        (errors.TooLarge("65 MiB"), 413, "LargePayloadExc", "65 MiB"),
        (KeyError("secret of ours"), 500, "KeyError", "An internal error occurred; it has been logged."),
        (ValueError("/etc/passwd"), 500, "ValueError", "An internal error occurred; it has been logged."),
    ],
)
async def test_errors_of_stores(
    error: Exception, status: int, name: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = Broken(error)
    async with TestClient(TestServer(make_app(Archive(broken, broken, None)))) as client:
        for path in (f"revision/{'0' * 40}/", f"content/{'0' * 40}/raw/", "stat/counters/"):
            answer = await client.get(f"/api/1/{path}")
            assert answer.status == status
            assert await answer.json() == {"exception": name, "reason": reason}
            assert ("Retry-After" in answer.headers) == (status == 503)
    if status == 500:
        assert any(record.levelno == logging.ERROR for record in caplog.records)
    if name in ("KeyError", "ValueError"):
        assert any(record.exc_info for record in caplog.records)


class Damaged:
    """Objects whose streams fail after some pieces."""

    def __init__(self, real: Any, pieces: int, error: Exception | None) -> None:
        self._real, self._pieces, self._error = real, pieces, error
        self.closed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        try:
            for _ in range(self._pieces):
                yield b"x" * 65536
            if self._error is not None:
                raise self._error
        finally:
            self.closed += 1


async def _whole(client: Any, path: str) -> bytes:
    answer = await client.get(path)
    assert answer.status == 200
    return bytes(await answer.read())


class Rows:
    """A catalog in which every content has the same row."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return lambda algorithm, digests: {digest: [self._row] for digest in digests}


#: Pieces of 64 KiB that come, and how they end; 64 are as many as was announced.
BAD_ENDS = [
    (40, errors.Corrupt("damaged")),
    (40, RuntimeError("child died")),
    (64, errors.Corrupt("damaged")),
    (63, None),
    (65, None),
    (65, errors.Corrupt("damaged")),
]


@pytest.mark.parametrize(("pieces", "error"), BAD_ENDS)
@pytest.mark.parametrize("path", ["content/sha1_git:{}/raw/", "raw/swh:1:cnt:{}/"])
async def test_damage_on_the_way_cuts_the_connection(
    sample: Sample, pieces: int, error: Exception | None, path: str
) -> None:
    """A body that turns out wrong after its headers were sent never arrives whole."""
    objects: Any = Damaged(sample.objects, pieces, error)
    app = make_app(Archive(objects, sample.catalog, None))
    async with TestClient(TestServer(app)) as client:
        with pytest.raises(ClientError):
            await _whole(client, "/api/1/" + path.format(sample.big.sha1_git.hex()))
        for _ in range(100):
            if objects.closed:
                break
            await asyncio.sleep(0.01)
        assert objects.closed == 1


async def test_damage_in_the_first_piece_is_an_answer(sample: Sample) -> None:
    objects: Any = Damaged(sample.objects, 0, errors.Corrupt("it is damaged"))
    async with TestClient(TestServer(make_app(Archive(objects, sample.catalog, None)))) as client:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, f"/api/1/content/sha1_git:{sample.big.sha1_git.hex()}/raw/")
            assert answer.status == 500


@pytest.mark.parametrize(("pieces", "length"), [(1, 65535), (1, 65537), (2, 65536), (1000, 65536)])
async def test_small_files_of_another_length_are_an_answer(sample: Sample, pieces: int, length: int) -> None:
    objects: Any = Damaged(sample.objects, pieces, None)
    catalog: Any = Rows(msgspec.structs.replace(sample.big, length=length))
    async with TestClient(TestServer(make_app(Archive(objects, catalog, None)))) as client:
        answer = await client.get(f"/api/1/content/sha1_git:{'0' * 40}/raw/")
        assert (answer.status, (await answer.json())["exception"]) == (500, "Corrupt")
        assert objects.closed == 1


async def test_a_client_that_goes_away_frees_the_store(sample: Sample) -> None:
    objects: Any = Damaged(sample.objects, 1 << 20, None)
    row = msgspec.structs.replace(sample.big, length=65536 << 20)
    catalog: Any = Rows(row)
    async with TestClient(TestServer(make_app(Archive(objects, catalog, None)))) as client:
        answer = await client.get(f"/api/1/content/sha1_git:{'0' * 40}/raw/")
        assert await answer.content.read(1 << 17)
        answer.close()
        for _ in range(300):
            if objects.closed:
                break
            await asyncio.sleep(0.01)
        assert objects.closed == 1


@pytest.mark.parametrize("body", ["{", "[1,", "\xff", "", "nul", "[" * 200_000, '"\\ud800"', "1e999"])
async def test_bodies_that_are_no_json(api: Any, body: str) -> None:
    answer = await api.post(
        "known/", data=body.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    if body == "":
        assert (answer.status, await answer.json()) == (200, {})
        return
    assert answer.status == 400
    found = await answer.json()
    if body != "1e999":
        assert found["exception"] == "ParseError"
        assert found["reason"].startswith("JSON parse error - ")


async def test_bodies_of_other_types(api: Any) -> None:
    answer = await api.post("known/", data="[]", headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert await answer.json() == {
        "exception": "UnsupportedMediaType",
        "reason": 'Unsupported media type "text/plain" in request.',
    }
    answer = await api.post("known/", data="x", headers={"Content-Type": "multipart/form-data"})
    assert (answer.status, (await answer.json())["exception"]) == (400, "ParseError")
    answer = await api.post(
        "known/",
        data=b"this is no gzip",
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    assert answer.status == 415


async def test_bodies_that_are_too_large(api: Any) -> None:
    answer = await api.post(
        "known/", data=b" " * (10 << 20) + b"[]", headers={"Content-Type": "application/json"}
    )
    assert (answer.status, (await answer.json())["exception"]) == (413, "LargePayloadExc")


@pytest.mark.parametrize(
    "path",
    [
        "content/" + "a" * 7000 + "/x/",
        "content/" + ":" * 7000 + "/",
        "origin/" + "/visit/1" * 800 + "/x/",
        "raw/swh:1:cnt:" + "a" * 7000 + ";" + "/" * 500,
        "directory/" + "a" * 40 + "/x" * 3500 + "/",
        "%" * 7000,
        "%ff%fe/",
        "\\..\\..\\/",
        "../../../etc/passwd",
        "content/%2e%2e/%2e%2e/etc/passwd/",
        f"origin/{'%F0%9F%92%A9' * 500}/get/",
        "snapshot/" + "a" * 40 + "/?" + "a=b&" * 2000,
        "ping/?" + "%ff=%fe&" * 100 + "fields=%ff&format=%ff",
        "content/known/" + "0" * 40 + ",%ff/",
        "resolve/swh:1:cnt:" + "0" * 40 + ";path=%ff;origin=%ff/",
    ],
)
async def test_hostile_paths(api: Any, path: str) -> None:
    start = time.monotonic()
    answer = await api.get(path)
    body = await answer.read()
    assert time.monotonic() - start < 30
    assert 400 <= answer.status < 500
    assert answer.headers["Content-Type"] == "application/json"
    assert "Traceback" not in json.dumps(json.loads(body))


async def test_hostile_host(api: Any) -> None:
    for host in ('x"><script>', "a b", "x/../y", "evil.org\\@good", "[::1"):
        answer = await api.get(f"revision/{api.sample.first.hex()}/", headers={"Host": host})
        assert answer.status == 400
        await answer.json()
    found = await api.json("origin/" + URL + "/get/", headers={"Host": "[::1]:80"})
    assert found["origin_visits_url"].startswith("http://[::1]:80/api/1/")


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /" + b"a" * (10 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n",
        b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]",
        b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n[]",
        b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"GET /api/1/ping/ HTTP/1.1\r\nHost : x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_http(sample: Sample, request_text: bytes) -> None:
    """Refusals of the HTTP parser itself have the API's form, too, and the connection ends."""
    runner = Runner(make_app(sample.archive), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        answer = await asyncio.to_thread(_exchange, runner.addresses[0][1], request_text)
    finally:
        await runner.cleanup()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == 400
    assert json.loads(body).keys() == {"exception", "reason"}
    assert b"Traceback" not in answer


def _exchange(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
        return received


async def test_other_requests_are_not_delayed(sample: Sample) -> None:
    """A slow store holds a thread, never the loop."""
    stuck: Any = Stuck()
    async with TestClient(TestServer(make_app(Archive(stuck, stuck, None)))) as client:
        waiting = asyncio.ensure_future(client.get("/api/1/stat/counters/"))
        await asyncio.sleep(0.1)
        for path in ("ping/", "content/x/", "nope/"):
            assert (await client.get(f"/api/1/{path}")).status in (200, 400, 404)
        assert not waiting.done()
        stuck.go.set()
        assert (await waiting).status == 200


async def test_the_table_can_be_found(sample: Sample) -> None:
    assert make_app(sample.archive)[ROUTER].routes == ROUTES


async def _listening(sample: Sample) -> Runner:
    runner = Runner(make_app(sample.archive), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


@pytest.mark.parametrize(
    ("line", "status", "location"),
    [
        (b"GET http://other.example/api/1/ping/ HTTP/1.1", 200, None),
        (b"GET http://other.example/api/1/ping HTTP/1.1", 301, b"/api/1/ping/"),
        (b"OPTIONS * HTTP/1.1", 404, None),
        (b"GET //evil.example/api/1/ping HTTP/1.1", 404, None),
        (b"GET /api/1/origin/%FF%C3%A9/get HTTP/1.1", 301, b"/api/1/origin/%FF%C3%A9/get/"),
        (b"GET /api/1/origin/\xff\xc3\xa9/get/ HTTP/1.1", 400, None),
        (b"HEAD /api/1/nope%FF/ HTTP/1.0", 404, None),
    ],
)
async def test_odd_request_lines(sample: Sample, line: bytes, status: int, location: bytes | None) -> None:
    runner = await _listening(sample)
    try:
        request_text = line + b"\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await asyncio.to_thread(_exchange, runner.addresses[0][1], request_text)
    finally:
        await runner.cleanup()
    head = answer.partition(b"\r\n\r\n")[0]
    assert int(head.split()[1]) == status
    found = re.search(rb"\r\nLocation: (.*)", head)
    assert (found and found[1].strip()) == location


async def test_without_host_links_have_our_own_address(sample: Sample) -> None:
    runner = await _listening(sample)
    port = runner.addresses[0][1]
    try:
        request_text = b"GET /api/1/release/%s/ HTTP/1.0\r\n\r\n" % sample.release.hex().encode()
        answer = await asyncio.to_thread(_exchange, port, request_text)
    finally:
        await runner.cleanup()
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["target_url"] == f"http://127.0.0.1:{port}/api/1/revision/{sample.merge.hex()}/"


async def test_requests_sent_at_once_are_answered_in_order(sample: Sample) -> None:
    runner = await _listening(sample)
    try:
        first = b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /api/1/stat/counters/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await asyncio.to_thread(_exchange, runner.addresses[0][1], first * 20 + last)
    finally:
        await runner.cleanup()
    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert answer.count(b'"pong"') == 20
    assert answer.endswith(b"}")


async def test_handlers_on_the_loop_answer_alike(sample: Sample) -> None:
    paths = [f"revision/{sample.odd.hex()}/", f"content/{'0' * 40}/", "ping/"]
    answers = []
    for on_loop in ((), ("revision", "content", "ping")):
        async with TestClient(
            TestServer(make_app(sample.archive, public_url="https://x.org", on_loop=on_loop))
        ) as client:
            answers.append([await (await client.get(f"/api/1/{path}")).text() for path in paths])
    assert answers[0] == answers[1]


class Stuck:
    """Counters that never come while ``held``."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def counters(self) -> dict[str, int]:
        self.go.wait(30)
        return {}


async def test_drain_waits_for_what_is_under_way() -> None:
    stuck: Any = Stuck()
    app = make_app(Archive(stuck, stuck, None))
    async with TestClient(TestServer(app)) as client:
        await app[SERVICE].drain(5)
        waiting = asyncio.ensure_future(client.get("/api/1/stat/counters/"))
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await app[SERVICE].drain(0.3)
        assert 0.2 < time.monotonic() - start < 20
        assert not waiting.done()
        asyncio.get_running_loop().call_later(0.1, stuck.go.set)
        await app[SERVICE].drain(5)
        answer = await waiting
        assert (answer.status, answer.headers["Connection"]) == (200, "close")


async def test_errors_in_the_background_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads(1)

    def fail() -> None:
        raise ValueError("this one")

    threads.send(fail)
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 // 0)
    threads.close()
    assert "this one" in caplog.text


async def test_work_that_waits_does_not_hold_up_what_comes_after_it() -> None:
    """One thread does it all while it gets on; three that wait leave the fourth to those that come later."""
    threads = Threads(4)
    go = threading.Event()
    stuck = [asyncio.ensure_future(threads.call(go.wait, 60)) for _ in range(3)]
    await asyncio.sleep(0)  # now they are asked for
    names = [await threads.call(lambda: threading.current_thread().name) for _ in range(20)]
    assert len(set(names)) == 1
    assert not any(one.done() for one in stuck)
    assert threads.waiting == 0
    go.set()
    assert await asyncio.gather(*stuck) == [True] * 3
    quick = [await threads.call(lambda: threading.current_thread().name) for _ in range(20)]
    assert set(quick) <= {f"swhkit-api-{number}" for number in range(4)}
    threads.close()


async def test_one_line_a_request_in_the_log(sample: Sample, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a stranger puts into a path, the log has one line of plain characters for it."""
    caplog.set_level(logging.INFO, "swhkit.access")
    server_app = make_app(sample.archive)
    runner = Runner(server_app, access_log=ACCESS_LOG, access_log_class=AccessLog)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    request_text = (
        b"GET /api/1/%ff%0d%0a%1b[31m/ HTTP/1.1\r\nHost: x\r\nUser-Agent: a\tb\r\nConnection: close\r\n\r\n"
    )
    try:
        await asyncio.to_thread(_exchange, runner.addresses[0][1], request_text)
    finally:
        await runner.cleanup()
    lines = [record.getMessage() for record in caplog.records if record.name == "swhkit.access"]
    (line,) = lines
    assert line.startswith('127.0.0.1 "GET /api/1/%ff%0d%0a%1b[31m/ HTTP/1.1" 404 ')
    assert line.isascii()
    assert line.isprintable()
