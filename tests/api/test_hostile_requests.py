"""Requests meant to do harm: each is refused in the API's form, leaves one plain line in the log, and delays nobody."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from reading_samples import URL, Sample

from swhkit.api import incoming, server
from swhkit.api.app import make_app
from swhkit.api.bodies import LIMIT
from swhkit.api.server import ACCESS_LOG, AccessLog, Runner

NOTHING = "swh:1:cnt:" + "0" * 40


class Answer:
    """One answer as it came over the socket."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]

    @property
    def json(self) -> Any:
        assert ("content-type", "application/json") in [(k.lower(), v) for k, v in self.headers]
        return json.loads(self.body)


class Server:
    """``swhkit serve`` in this process: a real socket, the real protocol, the access log."""

    def __init__(self, port: int, caplog: pytest.LogCaptureFixture, sample: Sample) -> None:
        self.port, self._caplog, self.sample = port, caplog, sample

    async def connect(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        return reader, writer

    async def exchange(self, data: bytes) -> bytes:
        """Everything that comes for ``data`` until the server ends the connection."""
        reader, writer = await self.connect(data)
        received = b""
        try:
            while piece := await reader.read(65536):
                received += piece
        except ConnectionError:
            pass
        finally:
            writer.close()
        return received

    async def ask(self, target: str | bytes, *headers: str | bytes, method: str = "GET") -> Answer:
        target = target if isinstance(target, bytes) else target.encode("latin-1")
        lines = [h if isinstance(h, bytes) else h.encode("latin-1") for h in headers]
        head = b"\r\n".join([method.encode() + b" " + target + b" HTTP/1.1", b"Host: x", *lines])
        return Answer(await self.exchange(head + b"\r\nConnection: close\r\n\r\n"))

    async def post(self, path: str, body: bytes, *headers: str, type: str = "application/json") -> Answer:
        head = f"POST /api/1/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {type}\r\nContent-Length: {len(body)}\r\n"
        more = "".join(f"{header}\r\n" for header in headers)
        return Answer(await self.exchange(f"{head}{more}Connection: close\r\n\r\n".encode("latin-1") + body))

    async def ping(self) -> None:
        assert (await self.ask("/api/1/ping/")).json == "pong"

    def check_log(self) -> None:
        """Nothing worse than a line of information was logged, each of plain characters."""
        for record in self._caplog.records:
            text = record.getMessage()
            assert record.exc_info is None
            assert "Traceback" not in text
            assert record.levelno < logging.WARNING or record.name == "asyncio", text
            assert text.isprintable()
            assert text.isascii()


@pytest.fixture
async def hostile(sample: Sample, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Server]:
    caplog.set_level(logging.INFO)
    runner = Runner(
        make_app(sample.archive, threads=2), access_log=ACCESS_LOG, access_log_class=AccessLog, shutdown_timeout=0.1
    )  # fmt: skip
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made = Server(runner.addresses[0][1], caplog, sample)
    try:
        yield made
        await made.ping()
        made.check_log()
    finally:
        await runner.cleanup()


def refused(answer: Answer, *statuses: int) -> Any:
    """The body of a refusal in one of the API's two forms."""
    assert answer.status in statuses, (answer.status, answer.body[:300])
    body = answer.json
    assert body.keys() in ({"exception", "reason"}, {"error", "reason"})
    assert b"Traceback" not in answer.body
    return body


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/api/1/../../etc/passwd", "/static/../../pyproject.toml",
        "/static/..%2f..%2fpyproject.toml", "/static/%2e%2e/%2e%2e/pyproject.toml", "/static/..%5c..%5cx",
        "/static//etc/passwd", "/static/%00", "/api/1/static/../app.py", "/api/1/content/..%2f..%2fetc%2fpasswd/raw/",
        "/api/1/directory/%2e%2e%2f%2e%2e/", "/api/1/raw/..%2f..%2fetc/", "/..;/api/1/ping/", "//etc/passwd",
        "/api/1/raw-extrinsic-metadata/get/..%2f..%2fetc%2fpasswd/", "/api/1//ping/", "/api/1/./ping/",
        "/api/1/extid/..%2f../hex:zz/", "/%2e%2e/%2e%2e/", "/\\..\\..\\etc\\passwd",
    ],
)  # fmt: skip
async def test_path_traversal(hostile: Server, path: str) -> None:
    answer = await hostile.ask(path)
    refused(answer, 400, 404)
    assert b"root:" not in answer.body
    assert b"hatchling" not in answer.body


@pytest.mark.parametrize("length", [4000, 8000, 9000, 100_000, 10 << 20])
async def test_long_paths(hostile: Server, length: int) -> None:
    for path in (b"/" + b"a" * length, b"/api/1/origin/" + b"/x" * (length // 2) + b"/get/"):
        refused(await hostile.ask(path), 400, 404, 414)


async def test_long_and_many_headers(hostile: Server) -> None:
    refused(await hostile.ask("/api/1/ping/", "X: " + "a" * 100_000), 400, 431)
    refused(await hostile.ask("/api/1/ping/", *(f"X-{n}: a" for n in range(100_000))), 400, 431)


@pytest.mark.parametrize("count", [1001, 5000])
async def test_too_many_ids(hostile: Server, count: int) -> None:
    ids = [f"swh:1:cnt:{number:040x}" for number in range(count)]
    body = refused(await hostile.post("known/", json.dumps(ids).encode()), 413)
    assert body["reason"] == "The maximum number of SWHIDs this endpoint can receive is 1000"
    answer = await hostile.post("known/", json.dumps(ids[:1000]).encode())
    assert (answer.status, len(answer.json)) == (200, 1000)


@pytest.mark.parametrize("token", ["x", "-1", "AAAA", "%00", "%ff", "9" * 200, "A" * 3000, "../../x",
                                   "'; DROP TABLE origin", "=" * 40])  # fmt: skip
async def test_forged_page_tokens(hostile: Server, token: str) -> None:
    quoted = token.replace(" ", "%20")
    target = f"swh:1:rev:{hostile.sample.first.hex()}"
    path = f"/api/1/raw-extrinsic-metadata/swhid/{target}/?authority=forge%20https://x&page_token={quoted}"
    assert refused(await hostile.ask(path), 400)["exception"] == "BadInputExc"
    for listing in ("origins/", "origin/search/x/"):
        refused(await hostile.ask(f"/api/1/{listing}?page_token={quoted}"), 400)


@pytest.mark.parametrize("inserted", ["%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%0d%0a%0d%0abody", "%00",
                                      "%85%e2%80%a8X-Evil", "%ff%fe"])  # fmt: skip
async def test_header_injection(hostile: Server, inserted: str) -> None:
    """Nothing of a request becomes a header of its own: not by file names, URLs of origins, redirects, tokens."""
    hello = f"/api/1/content/sha1_git:{hostile.sample.hello.sha1_git.hex()}/raw/"
    for path in (
        f"{hello}?filename=a{inserted}", f"/api/1/origin/{URL}{inserted}/visits/?per_page=1{inserted}",
        f"/api/1/ping{inserted}", f"/api/1/origin/{inserted}/get", f"/api/1/origin/x{inserted}/get/?fields={inserted}",
        f"/api/1/raw-extrinsic-metadata/origin/{inserted}/authorities/", f"/api/1/revision/ABCDEF/?x={inserted}",
        f"/api/1/directory/ABC{inserted}/", f"/browse/origin/?origin_url={inserted}", f"/api/1/ping/?format=a{inserted}",
        f"/swh:1:cnt:{'0' * 40};origin={inserted}/",
        f"/api/1/snapshot/{hostile.sample.snp.hex()}/?branches_count=1&target_types=alias{inserted}",
    ):  # fmt: skip
        answer = await hostile.ask(path, "Origin: https://x.org\t", "X-Request-Id: a\tb")
        assert answer.status < 500
        assert all(len(header) == 2 for header in answer.headers), answer.headers
        names = [header[0].lower() for header in answer.headers]
        assert "x-evil" not in names
        assert len(set(names)) == len(names)
        for _, value in answer.headers:
            assert value.isprintable()


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b"[" * (5 << 20)]
)
async def test_deep_json(hostile: Server, body: bytes) -> None:
    for path in ("known/", "content/known/search/"):
        assert refused(await hostile.post(path, body), 400)["exception"] in ("ParseError", "BadInputExc")


@pytest.mark.parametrize(
    "body",
    [b"1e400", b"[1e400]", b'["\\ud800"]', b'{"q": "\\u0000"}', b"[null, true, 1]", b"\xff\xfe[\x00]\x00", b"NaN", b"[[]]",
     b"-" * 10_000, b"9" * 1_000_000, b'"' + b"a" * 1_000_000 + b'"', b"\0", b'["' + NOTHING.encode() + b'"' + b',{}]'],
)  # fmt: skip
async def test_odd_json(hostile: Server, body: bytes) -> None:
    refused(await hostile.post("known/", body), 400)


@pytest.mark.parametrize("type", ["application/yaml", "text/yaml", "application/x-yaml", "application/msgpack",
                                  "application/x-python-pickle", "application/xml", "text/csv"])  # fmt: skip
async def test_other_bodies_are_not_taken(hostile: Server, type: str) -> None:
    bomb = b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: !!python/object/apply:os.system ['true']\n"
    answer = await hostile.post("known/", bomb, type=type)
    assert refused(answer, 415) == {
        "exception": "UnsupportedMediaType",
        "reason": f'Unsupported media type "{type}" in request.',
    }


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x" * 200])
async def test_compressed_bodies_are_not_taken(hostile: Server, encoding: str) -> None:
    plain = b" " * (64 << 20) + b"[]"
    bomb = zlib.compress(plain, 9) if encoding == "deflate" else gzip.compress(plain, 9)
    for body in (bomb, gzip.compress(b"[]"), b"no gzip at all", b""):
        reason = refused(await hostile.post("known/", body, f"Content-Encoding: {encoding}"), 415)["reason"]
        assert reason == f'Unsupported content encoding "{encoding[:100]}" in request.'
    assert (await hostile.post("known/", b"[]", "Content-Encoding: identity")).json == {}


async def test_large_bodies(hostile: Server) -> None:
    for size in (LIMIT + 1, 1 << 40):
        head = (
            f"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await hostile.connect(head.encode() + b" " * 1000)
        # It is refused by what it says, before it is there.
        answer = Answer(await reader.readuntil(b"}"))
        assert refused(answer, 413)["reason"] == f"The maximum size of a request body is {LIMIT} bytes"
        writer.close()
    assert (await hostile.post("known/", b" " * (LIMIT - 2) + b"[]")).json == {}


async def test_chunked_bodies_without_end(hostile: Server) -> None:
    head = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await hostile.connect(head)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = asyncio.ensure_future(reader.readuntil(b"}"))
    try:
        for _ in range(100_000):
            writer.write(chunk)
            await writer.drain()
            if answer.done():
                break
    except ConnectionError:
        pass
    assert refused(Answer(await answer), 413)["exception"] == "LargePayloadExc"
    writer.close()


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"-1\r\n", b"5\r\n[]", b"f" * 18 + b"\r\n", b"2;" + b"x" * 20_000 + b"\r\n"]
)
async def test_broken_chunks(hostile: Server, body: bytes) -> None:
    head = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await hostile.connect(head + body)
    writer.write_eof()
    received = await reader.read()
    assert received == b"" or int(received.split()[1]) in (400, 413)
    writer.close()


async def test_slow_bodies_end(hostile: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "PATIENCE", 0.2)
    head = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n["
    answer = Answer(await hostile.exchange(head))
    assert refused(answer, 400)["exception"] == "ParseError"


async def test_who_never_asks_is_shown_out(hostile: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST", 0.2)
    for start in (b"", b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        assert await hostile.exchange(start) == b""
    # Who has asked may stay.
    ping = b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\n\r\n"
    reader, writer = await hostile.connect(ping)
    assert (await reader.readuntil(b'"pong"')).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.4)
    writer.write(ping)
    assert (await reader.readuntil(b'"pong"')).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_nobody_waits_for_the_slow(hostile: Server) -> None:
    """Bodies that do not come, files that nobody reads and headers that do not end: all the others are answered."""
    post = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n["
    big = f"GET /api/1/content/sha1_git:{hostile.sample.big.sha1_git.hex()}/raw/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    slow = [await hostile.connect(start) for start in (post, big, b"GET /api/1/pi") for _ in range(30)]
    waiting = [asyncio.ensure_future(reader.readuntil(b"\r\n\r\n{}")) for reader, _ in slow[:30]]
    for _ in range(20):
        await hostile.ping()
        assert (await hostile.ask("/api/1/stat/counters/")).status == 200
    assert not any(one.done() for one in waiting)
    for _, writer in slow[:30]:
        writer.write(b"]")
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in await asyncio.gather(*waiting))
    for _, writer in slow:
        writer.transport.abort()


@pytest.mark.parametrize("count", [1001, 20_000])
async def test_many_query_parameters(hostile: Server, count: int) -> None:
    # More than a line may have is refused by its length.
    query = (
        "&".join("a" for _ in range(count))[:7000]
        if count > 5000
        else "&".join("a" * 1 for _ in range(count))
    )
    refused(await hostile.ask(f"/api/1/ping/?{query}"), 400)
    refused(await hostile.ask("/api/1/ping/?" + "a&" * 50_000), 400, 414)


@pytest.mark.parametrize(
    "path",
    ["origin/%00/get/", "origin/https://x.org/%00/visits/", "origin/%ED%A0%80/get/",
     "origin/%ff/visit/latest/?visit_type=%00",
     "extid/%00/raw:%00/", "extid/%ED%B2%80/hex:00/", "content/%00/", "raw-extrinsic-metadata/get/%00/", "person/%00/",
     "revision/%ED%A0%80/", "resolve/" + NOTHING + ";path=%ED%A0%80/", "directory/" + "0" * 40 + "/%00/"],
)  # fmt: skip
async def test_nul_and_lone_surrogates(hostile: Server, path: str) -> None:
    refused(await hostile.ask(f"/api/1/{path}"), 400, 404)


async def test_nul_and_lone_surrogates_in_parameters(hostile: Server) -> None:
    root, swhid = hostile.sample.root.hex(), f"swh:1:rev:{hostile.sample.first.hex()}"
    for path in (
        f"directory/{root}/?fields=%00,%ff", f"snapshot/{hostile.sample.snp.hex()}/?branches_from=%ED%A0%80%00",
        f"origin/{URL}/visit/latest/?visit_type=%ED%A0%80",
        f"raw-extrinsic-metadata/swhid/{swhid}/?authority=forge%20%ED%A0%80%00",
        "origin/search/%ED%A0%80/", "origin/search/%00/?visit_type=%ff%00",
        f"content/sha1_git:{hostile.sample.hello.sha1_git.hex()}/raw/?filename=%ED%A0%80%00",
    ):  # fmt: skip
        assert (await hostile.ask(f"/api/1/{path}")).status in (200, 404), path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: y"], (400, 200)),
        (["Accept: application/xml", "Accept: application/yaml"], (200,)),
        (["Content-Length: 0", "Content-Length: 0"], (400, 200)),
        (["Content-Length: 0", "Content-Length: 1"], (400,)),
        (["Content-Length: 0", "Transfer-Encoding: chunked"], (400,)),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], (400,)),
        (["Transfer-Encoding: xchunked"], (400,)),
        (["Authorization: Bearer a", "Authorization: Bearer b"], (403,)),
        (["Range: bytes=0-1", "Range: bytes=2-3"], (200,)),
        (["If-None-Match: *", "If-None-Match: x"], (304, 200)),
        (["Origin: a", "Origin: b"], (200,)),
        (["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: evil"], (200,)),
        (["Connection: close, close", "Connection: keep-alive"], (200,)),
        (["Expect: 100-continue"], (200,)),
        (["Expect: evil"], (417, 200, 400)),
        (["Upgrade: websocket", "Connection: Upgrade"], (200, 400)),
    ],
)
async def test_doubled_and_odd_headers(hostile: Server, headers: list[str], status: tuple[int, ...]) -> None:
    answer = await hostile.ask("/api/1/ping/", *headers)
    assert answer.status in (*status, 100)
    if answer.status >= 400:
        refused(answer, answer.status)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/1/ping/ HTTP/1.0",
        b"GET http://evil.example/api/1/ping/ HTTP/1.1",
        b"GET HTTP://x:1/api/1/ping/ HTTP/1.1",
        b"GET /api/1/ping/",
        b"GET  /api/1/ping/ HTTP/1.1",
    ],
)
async def test_odd_but_good_request_lines(hostile: Server, line: bytes) -> None:
    answer = Answer(await hostile.exchange(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert (answer.status, answer.json) == (200, "pong")


@pytest.mark.parametrize(
    "line",
    [b"GET /api/1/ping/ HTTP/9.9", b"G\0T / HTTP/1.1", b"GET / HTTP/1.1 x",
     b"GET http:///ping HTTP/1.1", b"GET http://[::1/ HTTP/1.1", b"GET ping HTTP/1.1",
     b"PRI * HTTP/2.0", b"GET http://x:99999/api/1/nope/ HTTP/1.1", b"OPTIONS * HTTP/1.1", b"BREW /api/1/nope/ HTTP/1.1"],
)  # fmt: skip
async def test_bad_request_lines(hostile: Server, line: bytes) -> None:
    refused(
        Answer(await hostile.exchange(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")),
        400,
        404,
        405,
        501,
        505,
    )


async def test_pipelines(hostile: Server) -> None:
    """Requests sent at once are answered in their order; what follows a malformed one is never read."""
    one = b"GET /api/1/%s/ HTTP/1.1\r\nHost: x\r\n\r\n"
    bad = b"GET /api/1/ping/ HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"
    data = b"".join([one % b"ping", one % b"nope", one % b"stat/counters"] * 50)
    received = await hostile.exchange(data + bad + one % b"ping" * 10)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
    # Those that came in one piece with the malformed one are lost with it.
    assert statuses[-1] == 400
    assert 100 < len(statuses) <= 151
    assert statuses[:-1] == ([200, 404, 200] * 50)[: len(statuses) - 1]
    # What follows a body is a request of its own, no more and no less.
    post = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
    last = b"GET /api/1/nope/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await hostile.exchange(post + last)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"200", b"404"]


@pytest.mark.parametrize(
    "host", ["", "a b", "x@evil", "evil.org/..", "x:y", "[::1", "x\ty", "\xff", "a" * 5000 + "/"]
)
async def test_hosts(hostile: Server, host: str) -> None:
    head = f"GET /api/1/revision/{hostile.sample.first.hex()}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = Answer(await hostile.exchange(head.encode("latin-1")))
    if host:
        refused(answer, 400)
    else:
        assert answer.status in (200, 400)
