"""What those need who run the server: health, metrics, request ids, the access log, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import re
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from program import run, start
from prometheus_client.parser import text_string_to_metric_families
from reading_samples import Sample

from swhkit import errors
from swhkit.api.app import SERVICE, make_app
from swhkit.api.clients import Clients
from swhkit.api.requestids import request_id
from swhkit.api.server import ACCESS_LOG, AccessLog, Runner, log_accesses
from swhkit.api.throttling import Limits
from swhkit.archive import Archive
from swhkit.plugin import NoConfig
from swhkit.requests import Token, digest_of, new_secret
from swhkit_memory import open_requests

STORES = {"objects": "ok", "catalog": "ok"}


@contextlib.asynccontextmanager
async def serving(sample: Sample, **options: Any) -> AsyncIterator[Any]:
    async with TestClient(TestServer(make_app(sample.archive, **options))) as client:
        yield client


async def samples(client: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(await answer.text())
        for one in family.samples
    }


class Failing:
    """A store none of whose methods work."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any) -> Any:
            raise errors.Unreachable("secret.example.org is away")

        return fail


async def test_health(sample: Sample) -> None:
    async with serving(sample) as client:
        answer = await client.get("/health")
        assert (answer.status, await answer.json()) == (200, {"status": "ok", "stores": STORES})
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers
        head = await client.head("/health")
        assert (head.status, await head.read()) == (200, b"")
        assert head.headers["Content-Length"] == answer.headers["Content-Length"]
        assert (await client.post("/health")).status == 405
        assert (await client.get("/health/")).status == 404


@pytest.mark.parametrize("broken", ["objects", "catalog"])
async def test_health_of_a_store_that_does_not_answer(
    sample: Sample, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    stores: Any = {"objects": sample.objects, "catalog": sample.catalog, broken: Failing()}
    archive = Archive(stores["objects"], stores["catalog"], None)
    async with TestClient(TestServer(make_app(archive))) as client:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, "/health")
            assert answer.status == 503
        answer = await client.get("/health")
        assert await answer.json() == {"status": "failing", "stores": {**STORES, broken: "Unreachable"}}
        # The metrics go on without the counters of a catalog that is away.
        found = await samples(client)
        assert (("swhkit_archive_objects", (("kind", "content"),)) in found) == (broken == "objects")
    assert "secret.example.org" in caplog.text


async def test_health_while_draining(sample: Sample) -> None:
    async with serving(sample) as client:
        client.server.app[SERVICE].metrics.draining = True
        answer = await client.get("/health")
        assert answer.status == 503
        assert await answer.json() == {"status": "draining", "stores": STORES}
        assert answer.headers["Connection"] == "close"
        assert (await samples(client))[("swhkit_draining", ())] == 1


async def test_metrics_count(sample: Sample) -> None:
    async with serving(sample, limits=Limits({"swh_api": "3/h"}, 1)) as client:
        big = f"/api/1/content/sha1_git:{sample.big.sha1_git.hex()}/raw/"
        for path in (
            "/api/1/ping/",
            "/api/1/content/x0/",
            big,
            "/api/1/ping/",
            "/api/1/nope/",
            "/api/1/ping",
        ):
            await (await client.get(path, allow_redirects=False)).read()
        await client.head(big)
        found = await samples(client)
        requests = {
            (labels["route"], labels["status"]): value
            for (name, pairs), value in found.items()
            if name == "swhkit_http_requests_total" and (labels := dict(pairs))
        }
        assert requests == {
            ("ping", "2xx"): 1,
            ("ping", "4xx"): 1,
            ("content", "4xx"): 1,
            ("content-raw", "2xx"): 1,
            ("content-raw", "4xx"): 1,
            ("unrouted", "4xx"): 1,
            ("unrouted", "3xx"): 1,
        }
        assert found[("swhkit_http_throttled_total", ())] == 2
        assert found[("swhkit_http_request_seconds_count", (("route", "content-raw"),))] == 2
        assert found[("swhkit_http_request_seconds_bucket", (("le", "+Inf"), ("route", "ping")))] == 2
        assert (1 << 22) < found[("swhkit_http_response_bytes_total", ())] < (1 << 22) + 5000
        assert found[("swhkit_http_requests_under_way", ())] == 1
        assert found[("swhkit_thread_queue_length", ())] == 0
        for kind, count in sample.catalog.counters().items():
            assert found[("swhkit_archive_objects", (("kind", kind),))] == count
        assert found[("process_resident_memory_bytes", ())] > 1 << 20
        assert found[("process_cpu_seconds_total", ())] > 0


async def test_metrics_see_requests_that_wait() -> None:
    go = threading.Event()

    class Stuck:
        def counters(self) -> dict[str, int]:
            go.wait(30)
            return {}

    stuck: Any = Stuck()
    app = make_app(Archive(stuck, stuck, None), threads=1)
    async with TestClient(TestServer(app)) as client:
        waiting = [asyncio.ensure_future(client.get("/api/1/stat/counters/")) for _ in range(3)]
        service = app[SERVICE]
        while service._active < 3 or service._threads.waiting < 2:
            await asyncio.sleep(0.01)
        go.set()
        assert [(await one).status for one in waiting] == [200] * 3
        assert (service._active, service._threads.waiting) == (0, 0)


async def test_two_applications_do_not_meet(sample: Sample) -> None:
    async with serving(sample) as one, serving(sample) as other:
        await one.get("/api/1/ping/")
        ping = ("swhkit_http_requests_total", (("route", "ping"), ("status", "2xx")))
        assert (await samples(one))[ping] == 1
        assert ping not in await samples(other)


async def test_metrics_are_for_those_who_may(sample: Sample) -> None:
    proxies = Clients(["127.0.0.1"])
    async with serving(sample, metrics_networks=["10.0.0.0/8"], clients=proxies) as client:
        answer = await client.get("/metrics")
        assert answer.status == 401
        assert await answer.json() == {
            "exception": "UnauthorizedExc",
            "reason": "This API endpoint requires authentication.",
        }
        for address, status in [("10.1.2.3", 200), ("11.1.2.3", 401), ("10.1.2.3, 11.1.2.3", 401)]:
            assert (await client.get("/metrics", headers={"X-Forwarded-For": address})).status == status
        # Health is for everybody.
        assert (await client.get("/health")).status == 200


async def test_metrics_with_a_token(sample: Sample) -> None:
    store = open_requests(NoConfig(), True)
    answers = {}
    async with serving(sample, metrics_networks=[], requests=lambda: store) as client:
        for name, permissions in [("boss", ["staff"]), ("prometheus", ["swhkit.metrics"]), ("other", [])]:
            now, secret = datetime.datetime.now(datetime.UTC), new_secret()
            made = Token(
                name=name,
                user=name,
                email=f"{name}@example.org",
                permissions=frozenset(permissions),
                created=now,
            )
            store.add_token(made, digest_of(secret))
            answers[name] = await client.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
    assert {name: answer.status for name, answer in answers.items()} == {
        "boss": 200,
        "prometheus": 200,
        "other": 403,
    }


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_a_proxy_that_nobody_has_named_opens_no_door(sample: Sample, header: str) -> None:
    """Behind a proxy on this machine every client has a loopback address."""
    async with serving(sample) as client:
        assert (await client.get("/metrics")).status == 200
        answer = await client.get("/metrics", headers={header: "for=203.0.113.7"})
        assert answer.status == 401


async def test_request_ids(sample: Sample) -> None:
    async with serving(sample) as client:
        seen = set()
        for path in ("/api/1/ping/", "/api/1/nope/", "/api/1/content/x0/", "/api/1/ping", "/health", "/"):
            answer = await client.get(path, headers={"X-Request-Id": "mine"}, allow_redirects=False)
            assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-Id"])
            seen.add(answer.headers["X-Request-Id"])
        assert len(seen) == 6
    async with serving(sample, clients=Clients(["127.0.0.1"])) as client:
        for given, kept in [("mine-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False),
                            ("a;b", False), ("", False), ("é", False)]:  # fmt: skip
            answer = await client.get("/api/1/ping/", headers={"X-Request-Id": given})
            assert (answer.headers["X-Request-Id"] == given) == kept
        answer = await client.get("/api/1/ping/", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
        assert answer.headers["X-Request-Id"] not in ("a", "b")
    assert request_id("a\n") != "a\n"


async def test_errors_name_the_request(sample: Sample, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            def fail(*args: Any, **more: Any) -> Any:
                raise ValueError("broken")

            return fail

    broken: Any = Broken()
    app = make_app(Archive(broken, broken, None), threads=1)
    async with TestClient(TestServer(app)) as client:
        ids = [(await client.get("/api/1/stat/counters/")).headers["X-Request-Id"] for _ in range(3)]
    logged = [record.getMessage() for record in caplog.records if record.name == "swhkit.api.errors"]
    assert logged == [f"request {id} failed" for id in ids]


@pytest.fixture
def plain_access_log() -> Iterator[None]:
    """Undo what ``log_accesses`` does to a logger of the whole process."""
    handlers, level = list(ACCESS_LOG.handlers), ACCESS_LOG.level
    yield
    ACCESS_LOG.handlers[:], ACCESS_LOG.propagate = handlers, True
    ACCESS_LOG.setLevel(level)


async def _raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


async def test_access_log(
    sample: Sample,
    plain_access_log: None,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_accesses()
    runner = Runner(
        make_app(sample.archive, clients=Clients(["127.0.0.1"])),
        access_log=ACCESS_LOG,
        access_log_class=AccessLog,
    )
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    head = b"Host: x\r\nX-Forwarded-For: 203.0.113.7\r\nX-Request-Id: abc\r\nAuthorization: Bearer geheim\r\n"
    try:
        asked = b"GET /api/1/origin/https://user:geheim@x.org/%%0a%%1b/get/?q=%%22 HTTP/1.1\r\n%sConnection: close\r\n\r\n"
        await _raw(port, asked % head)
        await _raw(port, b"GET /api/1/origin/https%3A%2F%2Fu%3Ageheim%40x.org/get/ HTTP/1.0\r\n\r\n")
        answer = await _raw(port, b"GET /\x01 HTTP/1.1\r\n\r\n")
    finally:
        await runner.cleanup()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    size = rb"[0-9]+"
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) 203\.0\.113\.7 "
        r'"GET /api/1/origin/https://\*\*\*@x\.org/%0a%1b/get/\?q=%22 HTTP/1\.1" (403) \d+ \d\.\d{6}s abc',
        lines[0],
    )
    assert found, lines[0]
    assert '"GET /api/1/origin/https%3A%2F%2F***%40x.org/get/ HTTP/1.0" 404 ' in lines[1]
    assert "geheim" not in "".join(lines) + caplog.text
    id = re.search(rb"\r\nX-Request-Id: ([0-9a-f]{16})\r\n", answer, re.IGNORECASE)
    assert id is not None
    assert lines[2].endswith(f" {id[1].decode()}")
    assert re.search(rb"Content-Length: " + size, answer)
    assert b"aiohttp" not in answer


def _bait(folder: Path) -> None:
    run("init", cwd=folder)


async def _told(process: Any) -> str:
    line = await asyncio.to_thread(process.stdout.readline)
    return str(line).split()[-1]


async def test_an_orderly_end(tmp_path: Path) -> None:
    """SIGTERM: nobody new is let in, who is there is told, what is under way ends, and so does the program."""
    await asyncio.to_thread(_bait, tmp_path)
    process = start("serve", "--listen", "127.0.0.1:0", cwd=tmp_path)
    try:
        url = await _told(process)
        port = int(url.rstrip("/").rpartition(":")[2])
        body = b'["swh:1:cnt:' + b"0" * 40 + b'"]'
        head = b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        slow_in, slow_out = await asyncio.open_connection("127.0.0.1", port)
        slow_out.write(head % len(body) + body[:5])
        idle_in, idle_out = await asyncio.open_connection("127.0.0.1", port)
        idle_out.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle_in.readuntil(b"}}")).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        while True:
            try:
                _, late = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                break
            late.close()
            await asyncio.sleep(0.02)
        idle_out.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await idle_in.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "draining"
        slow_out.write(body[5:])
        answer = await slow_in.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"swh:1:cnt:' + b"0" * 40 + b'":{"known":false}}')
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


async def test_access_log_of_the_program(tmp_path: Path) -> None:
    await asyncio.to_thread(_bait, tmp_path)
    config = tmp_path / "swhkit.yaml"
    text = config.read_text()
    assert "#  access_log: false" in text
    config.write_text(text.replace("#  access_log: false", "  access_log: true"))
    process = start("serve", "--listen", "127.0.0.1:0", cwd=tmp_path)
    try:
        url = await _told(process)
        async with aiohttp.ClientSession() as session, session.get(f"{url}api/1/ping/") as answer:
            id = answer.headers["X-Request-Id"]
        process.terminate()
        _, stderr = await asyncio.to_thread(process.communicate, timeout=20)
    finally:
        process.kill()
        process.wait()
    (line,) = str(stderr).splitlines()
    assert re.fullmatch(rf'\S+Z 127\.0\.0\.1 "GET /api/1/ping/ HTTP/1\.1" 200 \d+ \d+\.\d+s {id}', line)


def test_the_access_log_is_off_when_nobody_reads_it() -> None:
    assert AccessLog(logging.getLogger("swhkit.access.silent"), "").enabled is False
