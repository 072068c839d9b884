"""The OpenAPI document: it is valid, it has every route, and what the server answers is what it says.

schemathesis makes requests from the document, good and bad ones, with real ids of the sample among them. It does so for
about a minute; for longer: ``SWHKIT_EXAMPLES=500 pytest tests/api/test_openapi.py``.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import desks
import msgspec
import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from reading_samples import QUERY, URL, Sample
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from swhkit import saving
from swhkit.api import openapi
from swhkit.api.app import make_app
from swhkit.api.table import ROUTES
from swhkit.desk import Desk
from swhkit.manifest import emd_id
from swhkit.model import ExtId, ExtrinsicMetadata
from swhkit.requests.saves import BulkOrigin, BulkRequest
from swhkit.requests.schedule import Freshness, ListingStatus, NewForge, State, ToldBy
from swhkit.swhid import Kind

EXAMPLES = int(os.environ.get("SWHKIT_EXAMPLES", "12"))
SAMPLE = Sample()
BULK = "5d5e6ba1-a8de-4e5c-a6d6-3c1ea5cbf3a2"
EXTID = ExtId("hg-nodeid", 0, bytes(range(20)), Kind.REVISION, SAMPLE.merge)
METADATA = ExtrinsicMetadata(
    target=f"swh:1:dir:{SAMPLE.root.hex()}",
    discovery_date=datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC),
    authority_type="registry",
    authority_url="https://registry.example.org/",
    fetcher_name="loader",
    fetcher_version="1",
    format="json",
    metadata=b"{}",
    origin=URL,
    visit=1,
    path=b"a",
)
SAMPLE.catalog.add([EXTID, METADATA])
DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi.document(ROUTES)))
METHODS = [(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations]


def swhids(*kinds: str) -> list[str]:
    """SWHIDs of what the sample holds, of these kinds."""
    ids = {
        "cnt": SAMPLE.hello.sha1_git,
        "dir": SAMPLE.root,
        "rev": SAMPLE.merge,
        "rel": SAMPLE.release,
        "snp": SAMPLE.snp,
    }
    return [f"swh:1:{kind}:{ids[kind].hex()}" for kind in kinds]


def real(path: str, name: str) -> list[Any]:
    """Values that the sample answers a path with; none for parameters that any value does for."""
    contents = (SAMPLE.hello, SAMPLE.skipped, SAMPLE.lost)
    by_name: dict[str, list[Any]] = {
        "q": [
            f"{hash}:{getattr(row, hash).hex()}"
            for row in contents
            for hash in ("sha1", "sha256", "sha1_git")
        ],
        "hashes": [f"{SAMPLE.hello.sha1.hex()},{'0' * 40}"],
        "swhid": swhids("rev", "cnt", "dir", "rel", "snp"),
        "target": swhids("dir", "rev"),
        "url": [URL, QUERY],
        "visit": [1, 2, 3],
        "path": ["sub/f.txt", "sub", "bad", "link"],
        "type": ["git", "hg"] if "save" in path else ["git"] if "origin" in path else [],
        "branch": ["HEAD", "refs/heads/main"],
        "ts": ["2024-01-01T12:00:00+00:00", "1704110400"],
        "pattern": ["example.org", "git"],
        "earlier": [SAMPLE.left.hex()],
        "extid": [EXTID.value.hex()],
    }
    return _ids(path) if name == "id" else by_name.get(name, [])


def _ids(path: str) -> list[Any]:
    if "/add-forge/" in path:
        return [1]
    if "/save/" in path:
        return [BULK] if "bulk" in path else [2] if "review" in path else [1, 2]
    if "{id}" in path.partition("/origin/")[2] or "/person/" in path:
        return [1, 2]
    if "metadata" in path:
        return [emd_id(METADATA).hex()]
    revisions = (SAMPLE.merge, SAMPLE.odd, SAMPLE.svn, SAMPLE.silent, SAMPLE.authorless)
    found = {
        "directory": (SAMPLE.root, SAMPLE.inner, SAMPLE.bad_name),
        "revision": revisions,
        "release": (SAMPLE.release, SAMPLE.nested, SAMPLE.of_content),
        "snapshot": (SAMPLE.snp, SAMPLE.empty_snp),
    }
    word = path.partition("/{id}")[0].rpartition("/")[2]
    return [id.hex() for id in found.get(word, (SAMPLE.inner,))]


def fed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with real values for the parameters of paths beside those that their schemas allow."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    for path, operations in copy["paths"].items():
        for parameter in (
            p for one in operations.values() for p in one["parameters"] if p.get("in") == "path"
        ):
            values = real(path, parameter["name"])
            if values:
                del parameter["example"]
                parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
                parameter["examples"] = {str(n): {"value": value} for n, value in enumerate(values)}
    return copy


SCHEMA = schemathesis.openapi.from_dict(fed(DOCUMENT))


@SCHEMA.hook
def map_query(context: Any, query: Any) -> Any:
    """Without ``fields``: with it an answer has fewer keys than its schema requires, as the document says."""
    return {name: value for name, value in (query or {}).items() if name != "fields"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Where requests are taken: there is one that was accepted, one that waits, and a bulk request."""
    text = f'{desks.IN_MEMORY}save_code_now: {{accept: ["{URL}"]}}\n'
    with desks.desk(SAMPLE.archive, tmp_path_factory.mktemp("desk"), text) as opened:
        before = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        for url in (URL, "https://new.example.org/r"):
            saving.save(opened, url, "git", now=before)
        origins = [BulkOrigin(url=url, visit_type="git") for url in (URL, "https://new.example.org/r")]
        opened.requests.saves.add_bulk(BulkRequest(id=BULK, date=before, user="ada"), origins)
        keep_up(opened, before)
        yield opened


def keep_up(desk: Desk, now: datetime.datetime) -> None:
    """A forge that was proposed, one that was listed, and an origin that is not fresh."""
    desks.propose(desk, now=now)
    schedule = desk.requests.schedule
    forge = schedule.set_forge(NewForge(kind="gitea", url="https://f.example.org", source=ToldBy.CLI), now)
    schedule.end_listing(schedule.begin_listing(forge.id, True, now).id, ListingStatus.FAILED, now, error="x")
    schedule.set_freshness(
        [Freshness(url=URL, visit_type="git", state=State.FAILING, since=now, reason="x", due=now)]
    )


@pytest.fixture(scope="module")
def user(desk: Desk) -> dict[str, str]:
    """The headers of somebody who may do everything."""
    return desks.bearer(desk, "ada", "staff", "swh.web.api.save_bulk")


@pytest.fixture(scope="module")
def server(desk: Desk) -> Iterator[str]:
    """The sample, served by a thread of its own; the address."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    server = TestServer(make_app(SAMPLE.archive, desk=desk, requests=lambda: desk.requests))

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.start_server())
        loop.call_soon(started.set)
        loop.run_forever()
        loop.run_until_complete(server.close())

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(20)
    yield f"http://{server.host}:{server.port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="SWHKIT_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_documented(case: Any, server: str, user: dict[str, str]) -> None:
    case.call_and_validate(
        base_url=server,
        headers=user,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            allow_header_conformance,
        ],
    )


def routes() -> list[Any]:
    return [pytest.param(route, id=route.name) for route in ROUTES]


def test_the_document_is_valid() -> None:
    document = {"servers": [{"url": "http://127.0.0.1"}], **DOCUMENT}
    validate(document, cls=OpenAPIV31SpecValidator)


@pytest.mark.parametrize("route", routes())
def test_each_route_is_documented_or_unlisted_on_purpose(route: Any) -> None:
    assert route.handler.__doc__, "a route says what it answers"
    if not route.category:
        # For people and those who run the server: pages, files of pages, /health and /metrics.
        assert route.root == "/" or route.path.endswith("doc/")
        assert route.template not in DOCUMENT["paths"]
        return
    assert route.category in [tag["name"] for tag in DOCUMENT["tags"]]
    assert set(route.about) <= set(route.types)
    for method in route.methods:
        operation = DOCUMENT["paths"][route.template][method.lower()]
        assert operation["summary"] == route.summary
        assert {p["name"] for p in operation["parameters"] if p.get("in") == "path"} == set(route.types)
    if not route.binary and 200 in route.statuses:
        assert route.answer, "a route that answers data has a schema of it"
    if "POST" in route.methods:
        assert route.body


def test_names_of_operations_are_unique_and_every_schema_is_used() -> None:
    ids = [DOCUMENT["paths"][path][method]["operationId"] for path, method in METHODS]
    assert len(ids) == len(set(ids))
    text = msgspec.json.encode(DOCUMENT).decode()
    unused = [name for name in DOCUMENT["components"]["schemas"] if f'schemas/{name}"' not in text]
    assert unused == []


def test_statuses_stand_only_where_they_can_occur() -> None:
    def statuses(path: str, method: str = "get") -> set[str]:
        return set(DOCUMENT["paths"][path][method]["responses"])

    common = {"200", "301", "304", "400", "403", "404", "406", "429", "500", "503"}
    assert statuses("/api/1/stat/counters/") == common
    assert statuses("/api/1/revision/{id}/") == common | {"302"}
    assert statuses("/api/1/content/{q}/raw/") == (common | {"206", "302", "416"}) - {"406"}
    assert statuses("/api/1/known/", "post") == (common | {"413", "415"}) - {"301", "304"}
    assert statuses("/{swhid}/") == (common | {"302"}) - {"200", "304"}


async def test_it_is_served_with_the_address_that_was_asked(api: Any) -> None:
    answer = await api.get("openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    document = await answer.json()
    assert document.pop("servers") == [{"url": api.base.removesuffix("/api/1/")}]
    assert document == DOCUMENT


@pytest.mark.parametrize(("path", "method"), METHODS)
def test_each_operation_has_a_good_answer(
    path: str, method: str, server: str, user: dict[str, str], desk: Desk
) -> None:
    operation = DOCUMENT["paths"][path][method]
    values = {
        p["name"]: (real(path, p["name"]) or [p["example"]])[0]
        for p in operation["parameters"]
        if p.get("in") == "path"
    }
    if "review" in path and values:  # not one that was decided on by now
        values["id"] = saving.save(desk, "https://fresh.example.org/r", "git", now=METADATA.discovery_date).id
    query = {"authority": "registry https://registry.example.org/"} if "authority" in str(operation) else {}
    if path.startswith("/browse/origin/") or path.endswith("/save/"):
        query = {"origin_url": URL, "visit_type": "git"}
    if path.endswith("/status/origin/"):
        query = {"origin_url": URL}
    address = server + path.format(**{name: quote(str(value), safe=":") for name, value in values.items()})
    body = known_body(path) if method == "post" else None
    headers = {**user, "User-Agent": "GitHub-Hookshot/1", "X-GitHub-Event": "push"}
    answer = requests.request(
        method, address, params=query, json=body, headers=headers, allow_redirects=False, timeout=20
    )
    good = {int(status) for status in operation["responses"] if int(status) < 400} - {304, 206}
    assert answer.status_code in good, answer.text


def known_body(path: str) -> Any:
    if "/add-forge/" in path:
        forge = (
            ("forge_type", "gitea"),
            ("forge_url", "https://new.example.org"),
            ("forge_contact_name", "Grace"),
        )
        return dict([*forge, ("forge_contact_email", "grace@example.org"), ("text", "hello")])
    if "/webhook/" in path:
        return {"repository": {"html_url": URL}}
    if "/save/" in path:
        one = {"origin_url": "https://new.example.org/r", "visit_type": "hg"}
        return [one] if "bulk" in path else {"decision": "accept"} if "review" in path else {}
    return {"README": SAMPLE.hello.sha1.hex()} if "content" in path else swhids("dir")
