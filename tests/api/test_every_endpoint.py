"""Each endpoint of the public web API that reads the archive, one by one: it is routed, documented, and asked here for
its good answer and for each of its errors, reason by reason. What an answer holds is looked at key by key in the tests
of its resource.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import desks
import msgspec
import pytest
import yarl
from reading_samples import MISSING, URL, Sample

from swhkit import saving
from swhkit.api.table import ROUTES
from swhkit.manifest import emd_id, origin_digest
from swhkit.model import ExtId, ExtrinsicMetadata
from swhkit.requests.forges import NewForgeRequest
from swhkit.requests.saves import BulkOrigin, BulkRequest
from swhkit.saving import BLOCKED
from swhkit.swhid import Kind

M = MISSING.hex()
WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NODE = bytes(range(20))
ORI = f"swh:1:ori:{origin_digest(URL).hex()}"
FORGE = "forge https://forge.example.org/"
SAID = ExtrinsicMetadata(
    target=ORI,
    discovery_date=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    authority_type="forge",
    authority_url="https://forge.example.org/",
    fetcher_name="lister",
    fetcher_version="1",
    format="json",
    metadata=b"{}",
)
SAMPLE = Sample()
SAMPLE.catalog.add([SAID, ExtId("hg-nodeid", 0, NODE, Kind.REVISION, SAMPLE.first)])

SHA1, GIT = SAMPLE.hello.sha1.hex(), SAMPLE.hello.sha1_git.hex()
ROOT, FIRST, MERGE = SAMPLE.root.hex(), SAMPLE.first.hex(), SAMPLE.merge.hex()
SNP, REL = SAMPLE.snp.hex(), SAMPLE.release.hex()
ADA = SAMPLE.persons[b"Ada <ada@example.org>"]
ORIGIN = SAMPLE.catalog.origin(URL).id
SHORT = "Invalid checksum query string 12"
NO_REV = f"Revision with sha1_git {M} not found."
NO_ORIGIN = "Origin with url https://x.org/r not found!"
NO_TYPE = "Visit of type zz cannot be saved! Allowed types are the following:"
LOGIN = "This API endpoint requires authentication."
NO_PERMISSION = "This API endpoint requires a special user permission."
#: Who asks, and what they may.
USERS = {
    "ada": ("swh.web.api.save_bulk",),
    "bob": ("swh.web.api.save_bulk",),
    "reviewer": ("staff",),
    "nobody": (),
}
#: What GitHub's webhook sends with a push.
PUSH = {"User-Agent": "GitHub-Hookshot/1", "X-GitHub-Event": "push"}
#: A forge that nobody has proposed before.
PROPOSED = {
    "forge_type": "gitea",
    "forge_url": "https://new.example.org",
    "forge_contact_email": "grace@new.example.org",
    "forge_contact_name": "Grace",
}
BULK = "5d5e6ba1-a8de-4e5c-a6d6-3c1ea5cbf3a2"
NUMBER = {"per_page": ["A valid integer is required."]}


class Asked(NamedTuple):
    """A request below ``/api/1/`` and what it must be answered; ``json`` is the body of a POST, ``user`` who asks,
    ``headers`` are further ones."""

    route: str
    path: str
    status: int = 200
    reason: object = None
    name: str = ""
    json: object = None
    user: str = ""
    headers: Mapping[str, str] = MappingProxyType({})

    @property
    def exception(self) -> str:
        usual = {
            400: "BadInputExc",
            401: "UnauthorizedExc",
            403: "ForbiddenExc",
            404: "NotFoundExc",
            413: "LargePayloadExc",
        }
        return self.name or ("ValidationError" if isinstance(self.reason, dict) else usual[self.status])


def through_an_origin(name: str, prefix: str) -> list[Asked]:
    """The three older forms that find a revision through an origin, for one way to say which."""
    none = prefix.replace(f"origin/{ORIGIN}", "origin/999")
    never = re.sub("ts/[^/]+", "ts/never", prefix)
    ends = (
        ("", "/"), ("-log", "/log/"), ("-directory", "/directory/"), ("-directory-path", "/directory/sub/"),
    )  # fmt: skip
    directory = f"revision-origin{name}-directory"
    return [
        Asked(f"revision-origin{name}", f"{prefix}/"),
        Asked(f"revision-origin{name}-log", f"{prefix}/log/"),
        Asked(f"revision-origin{name}-log", f"{prefix}/log", 301),
        Asked(f"revision-origin{name}-log", f"{prefix}/log/?per_page=x", 400, NUMBER),
        Asked(directory, f"{prefix}/directory/"),
        Asked(f"{directory}-path", f"{prefix}/directory/sub/f.txt/"),
        Asked(
            f"{directory}-path",
            f"{prefix}/directory/nope/",
            404,
            f"Directory or File 'nope' pointed to by revision {MERGE} not found",
        ),
        *(Asked(f"revision-origin{name}{end}", f"{none}{path}", 404) for end, path in ends),
        *(
            Asked(f"revision-origin{name}{end}", f"{never}{path}", 400)
            for end, path in ends
            if never != prefix
        ),
    ]


ENDPOINTS = [
    # Overview and statistics
    Asked("index", ""),
    Asked("ping", "ping/"),
    Asked("stat-counters", "stat/counters/"),
    Asked("openapi", "openapi.json"),
    # Contents
    Asked("content", f"content/{SHA1}/"),
    Asked("content", f"content/sha1_git:{GIT}/"),
    Asked("content", f"content/{SAMPLE.hello.sha256.hex()}/"),
    Asked("content", f"content/blake2s256:{SAMPLE.hello.blake2s256.hex()}/"),
    Asked("content", "content/foo:12/", 400, "Unknown hash algorithm foo"),
    Asked("content", "content/sha1:12/", 400, "Invalid hash 12 for algorithm sha1"),
    Asked("content", "content/12/", 400, SHORT),
    Asked("content", f"content/{M}/", 404, f"Content with sha1 checksum equals to {M} not found!"),
    Asked("content-raw", f"content/sha1_git:{GIT}/raw/?filename=a.txt"),
    Asked("content-raw", "content/12/raw/", 400, SHORT),
    Asked("content-raw", f"content/{M}/raw/", 404, f"Content with sha1 checksum equals to {M} not found!"),
    Asked(
        "content-raw",
        f"content/{SAMPLE.skipped.sha1.hex()}/raw/",
        404,
        f"Bytes of content with sha1 checksum equals to {SAMPLE.skipped.sha1.hex()} are not available!",
    ),
    Asked("content-known", f"content/known/{SHA1},{M}/"),
    Asked("content-known", "content/known/zz/", 400, "Invalid checksum query string zz"),
    Asked("content-known-search", "content/known/search/", json={"q": SHA1}),
    Asked("content-known-search", "content/known/search/", 400, SHORT, json={"q": "12"}),
    # Directories
    Asked("directory", f"directory/{ROOT}/"),
    Asked("directory", "directory/4b825dc642cb6eb9a060e54bf8d69288fbee4904/"),
    Asked("directory", "directory/12/", 400, SHORT),
    Asked("directory", f"directory/{M}/", 404, f"Directory with sha1_git {M} not found"),
    Asked("directory-path", f"directory/{ROOT}/sub/f.txt/"),
    Asked("directory-path", "directory/12/x/", 400, SHORT),
    Asked(
        "directory-path",
        f"directory/{ROOT}/x/y/",
        404,
        f"Directory entry with path x/y from root directory {ROOT} not found",
    ),
    # Revisions
    Asked("revision", f"revision/{FIRST}/"),
    Asked("revision", "revision/12/", 400, SHORT),
    Asked("revision", f"revision/{M}/", 404, NO_REV),
    Asked("revision-raw", f"revision/{FIRST}/raw/"),
    Asked("revision-raw", "revision/12/raw/", 400, SHORT),
    Asked("revision-raw", f"revision/{M}/raw/", 404, NO_REV),
    Asked(
        "revision-raw",
        f"revision/{SAMPLE.silent.hex()}/raw/",
        404,
        f"No message for revision with sha1_git {SAMPLE.silent.hex()}.",
    ),
    Asked("revision-directory", f"revision/{FIRST}/directory/"),
    Asked("revision-directory", "revision/12/directory/", 400, SHORT),
    Asked("revision-directory", f"revision/{M}/directory/", 404, NO_REV),
    Asked("revision-directory-path", f"revision/{FIRST}/directory/sub/f.txt/"),
    Asked("revision-directory-path", "revision/12/directory/sub/", 400, SHORT),
    Asked(
        "revision-directory-path",
        f"revision/{FIRST}/directory/x/y/",
        404,
        f"Directory or File 'x/y' pointed to by revision {FIRST} not found",
    ),
    Asked(
        "revision-directory-path",
        f"revision/{FIRST}/directory/lost/",
        404,
        f"Content not found for revision {FIRST}",
    ),
    Asked("revision-log", f"revision/{MERGE}/log/?limit=3"),
    Asked("revision-log", f"revision/{MERGE}/log/?per_page=2"),
    Asked("revision-log", f"revision/{MERGE}/log/?limit=x", 400, {"limit": ["A valid integer is required."]}),
    Asked("revision-log", f"revision/{M}/log/", 404, NO_REV),
    Asked("revision-log-after", f"revision/{FIRST}/prev/{MERGE}/log/"),
    Asked("revision-log-after", f"revision/{FIRST}/prev/12/log/", 400, SHORT),
    Asked("revision-log-after", f"revision/{FIRST}/prev/{M}/log/", 404, NO_REV),
    *through_an_origin("", f"revision/origin/{ORIGIN}"),
    *through_an_origin("-branch", f"revision/origin/{ORIGIN}/branch/refs/heads/main"),
    *through_an_origin("-ts", f"revision/origin/{ORIGIN}/ts/2024-01-01T12:00:00+00:00"),
    *through_an_origin("-branch-ts", f"revision/origin/{ORIGIN}/branch/HEAD/ts/1704110400"),
    # Releases and snapshots
    Asked("release", f"release/{REL}/"),
    Asked("release", "release/12/", 400, SHORT),
    Asked("release", f"release/{M}/", 404, f"Release with sha1_git {M} not found."),
    Asked("snapshot", f"snapshot/{SNP}/?branches_count=2"),
    Asked(
        "snapshot",
        f"snapshot/{SNP}/?branches_count=1001",
        400,
        {"branches_count": ["Ensure this value is less than or equal to 1000."]},
    ),
    Asked("snapshot", f"snapshot/{M}/", 404, f"Snapshot with id {M} not found!"),
    # Persons
    Asked("person", f"person/{ADA}/"),
    Asked("person", "person/999/", 404, "Person with id 999 not found."),
    # Origins and visits
    Asked("origins", "origins/?origin_count=2"),
    Asked("origins", "origins/?origin_from=2&origin_count=1"),
    Asked("origins", "origins/?origin_from=x", 400),
    Asked("origins", "origins/?origin_count=x", 400, {"origin_count": ["A valid integer is required."]}),
    Asked("origin-search", "origin/search/git/?limit=2"),
    Asked("origin-search", "origin/search//"),
    Asked("origin-search", "origin/search/g.t/?regexp=true&offset=1"),
    Asked("origin-search", "origin/search/git/?limit=x", 400, {"limit": ["A valid integer is required."]}),
    Asked("origin", f"origin/{URL}/get/"),
    Asked("origin", "origin/https://x.org/r/get/", 404, NO_ORIGIN),
    Asked("origin-number", f"origin/{ORIGIN}/"),
    Asked("origin-number", "origin/999/", 404, "Origin 999 not found."),
    Asked("origin-typed", f"origin/git/url/{URL}/"),
    Asked("origin-typed", "origin/git/url/https://x.org/r/", 404, "Origin https://x.org/r not found."),
    Asked("origin-visits", f"origin/{URL}/visits/?per_page=1"),
    Asked("origin-visits", f"origin/{URL}/visits/?per_page=x", 400, NUMBER),
    Asked("origin-visits", "origin/https://x.org/r/visits/", 404, NO_ORIGIN),
    Asked("origin-number-visits", f"origin/{ORIGIN}/visits/"),
    Asked("origin-number-visits", f"origin/{ORIGIN}/visits/?per_page=x", 400, NUMBER),
    Asked("origin-number-visits", "origin/999/visits/", 404),
    Asked("origin-visit-latest", f"origin/{URL}/visit/latest/?require_snapshot=true"),
    Asked(
        "origin-visit-latest",
        f"origin/{URL}/visit/latest/?require_snapshot=x",
        400,
        {"require_snapshot": ["Must be a valid boolean."]},
    ),
    Asked(
        "origin-visit-latest",
        f"origin/{URL}/visit/latest/?visit_type=svn",
        404,
        f"No visit for origin {URL} found",
    ),
    Asked("origin-visit", f"origin/{URL}/visit/1/"),
    Asked("origin-visit", f"origin/{URL}/visit/99/", 404, f"Origin {URL} or its visit with id 99 not found!"),
    Asked("origin-number-visit", f"origin/{ORIGIN}/visit/1/"),
    Asked("origin-number-visit", f"origin/{ORIGIN}/visit/99/", 404),
    # Identifiers
    Asked("resolve", f"resolve/swh:1:rev:{FIRST};origin={URL}/"),
    Asked(
        "resolve",
        "resolve/swh:1:foo:1/",
        400,
        "Error when parsing identifier: Invalid SWHID: invalid syntax: swh:1:foo:1",
    ),
    Asked("resolve", f"resolve/swh:1:rev:{M}/", 404, NO_REV),
    Asked("known", "known/", json=[f"swh:1:rev:{FIRST}", f"swh:1:rev:{M}"]),
    Asked(
        "known",
        "known/",
        400,
        "Error when parsing identifier: CoreSWHID does not support qualifiers.",
        json=[f"swh:1:rev:{FIRST};origin=x"],
    ),
    Asked(
        "known",
        "known/",
        413,
        "The maximum number of SWHIDs this endpoint can receive is 1000",
        json=[f"swh:1:cnt:{number:040x}" for number in range(1001)],
    ),
    Asked("raw", f"raw/swh:1:snp:{SNP}/"),
    Asked("raw", f"raw/swh:1:ori:{M}/", 400),
    Asked("raw", f"raw/swh:1:cnt:{M}/", 404, f"Object with id swh:1:cnt:{M} not found."),
    Asked("extid", f"extid/hg-nodeid/hex:{NODE.hex()}/?extid_version=0"),
    Asked("extid", "extid/hg-nodeid/zzz:00/", 400, "Invalid external identifier format: zzz"),
    Asked("extid", "extid/hg-nodeid/hex:00/", 404, "ExtID of type hg-nodeid and value 00 not found."),
    Asked("extid-target", f"extid/target/swh:1:rev:{FIRST}/"),
    Asked(
        "extid-target",
        f"extid/target/swh:1:rev:{FIRST}/?extid_type=hg-nodeid",
        400,
        "Both extid_type and extid_version query parameters must be provided",
    ),
    Asked("extid-target", f"extid/target/swh:1:rev:{M}/", 404, f"ExtID targeting swh:1:rev:{M} not found."),
    # Extrinsic metadata
    Asked("raw-extrinsic-metadata-swhid", f"raw-extrinsic-metadata/swhid/{ORI}/?authority={FORGE}"),
    Asked(
        "raw-extrinsic-metadata-swhid",
        f"raw-extrinsic-metadata/swhid/{ORI}/",
        400,
        {"authority": ["This field is required."]},
    ),
    Asked("raw-extrinsic-metadata-authorities", f"raw-extrinsic-metadata/swhid/{ORI}/authorities/"),
    Asked(
        "raw-extrinsic-metadata-authorities", "raw-extrinsic-metadata/swhid/swh:1:foo:12/authorities/", 400
    ),
    Asked(
        "raw-extrinsic-metadata-origin-authorities", f"raw-extrinsic-metadata/origin/{URL}/authorities/", 302
    ),
    Asked("raw-extrinsic-metadata-get", f"raw-extrinsic-metadata/get/{emd_id(SAID).hex()}/?filename=a.json"),
    Asked(
        "raw-extrinsic-metadata-get",
        f"raw-extrinsic-metadata/get/{M}/",
        404,
        "Metadata not found. Use /raw-extrinsic-metadata/swhid/ to access metadata.",
    ),
    # Requests to save code
    Asked("save-origin", f"origin/save/git/url/{URL}/"),
    Asked("save-origin", "origin/save/git/url/https://x.org/a/url/b/", json={}),
    Asked(
        "save-origin",
        f"origin/save/zz/url/{URL}/",
        400,
        f"{NO_TYPE} archives, bzr, cvs, git, hg, svn, tarball",
    ),
    Asked(
        "save-origin",
        f"origin/save/zz/url/{URL}/",
        400,
        f"{NO_TYPE} bzr, cvs, git, hg, svn, tarball",
        json={},
    ),
    Asked("save-origin", "origin/save/git/url/x/", 400, "The provided origin URL 'x' is not valid!", json={}),
    Asked("save-origin", "origin/save/git/url/https://bad.example.org/r/", 403, BLOCKED, json={}),
    Asked(
        "save-origin",
        "origin/save/git/url/https://x.org/r/",
        404,
        "No save requests found for visit of type git on origin with url https://x.org/r.",
    ),
    Asked("save-origin-by-query", f"origin/save/?visit_type=git&origin_url={URL}"),
    Asked("save-origin-by-query", f"origin/save/?visit_type=git&origin_url={URL}", json={}),
    Asked(
        "save-origin-by-query",
        f"origin/save/?visit_type=zz&origin_url={URL}",
        400,
        {"visit_type": ['"zz" is not a valid choice.']},
    ),
    Asked(
        "save-origin-by-query",
        "origin/save/?visit_type=git",
        400,
        {"origin_url": ["This field is required."]},
    ),
    Asked(
        "save-origin-by-query",
        "origin/save/?visit_type=git&origin_url=https://bad.example.org/r",
        403,
        BLOCKED,
        json={},
    ),
    Asked("save-origin-by-query", "origin/save/?visit_type=hg&origin_url=https://x.org/r", 404),
    Asked("save-request", "origin/save/1/"),
    Asked("save-request", "origin/save/99/", 404, "No save request found for id 99."),
    Asked("save-review", "origin/save/review/", user="reviewer"),
    Asked(
        "save-review",
        "origin/save/review/?before=x",
        400,
        {"before": ["A valid integer is required."]},
        user="reviewer",
    ),
    Asked("save-review", "origin/save/review/", 401, LOGIN),
    Asked("save-review", "origin/save/review/", 403, NO_PERMISSION, user="nobody"),
    Asked("save-review-decide", "origin/save/review/2/", json={"decision": "accept"}, user="reviewer"),
    Asked(
        "save-review-decide",
        "origin/save/review/1/",
        400,
        "Save request 1 is not pending: it was accepted already.",
        json={"decision": "reject"},
        user="reviewer",
    ),
    Asked("save-review-decide", "origin/save/review/2/", 401, LOGIN, json={}),
    Asked("save-review-decide", "origin/save/review/2/", 403, NO_PERMISSION, json={}, user="nobody"),
    Asked("save-review-decide", "origin/save/review/99/", 404, json={"decision": "accept"}, user="reviewer"),
    Asked("save-bulk", "origin/save/bulk/", json=[{"origin_url": URL, "visit_type": "git"}], user="ada"),
    Asked(
        "save-bulk", "origin/save/bulk/", 400, "Origins data must be a list of dict.", json=[1], user="ada"
    ),
    Asked("save-bulk", "origin/save/bulk/", 401, LOGIN, json=[]),
    Asked("save-bulk", "origin/save/bulk/", 403, NO_PERMISSION, json=[], user="reviewer"),
    Asked("save-bulk-requests", "origin/save/bulk/requests/", user="ada"),
    Asked("save-bulk-requests", "origin/save/bulk/requests/?page=x", 400, user="ada", name="ValidationError"),
    Asked("save-bulk-requests", "origin/save/bulk/requests/", 401, LOGIN),
    Asked("save-bulk-requests", "origin/save/bulk/requests/", 403, NO_PERMISSION, user="reviewer"),
    Asked("save-bulk-request", f"origin/save/bulk/request/{BULK}/", user="ada"),
    Asked("save-bulk-request", f"origin/save/bulk/request/{BULK}/", user="reviewer"),
    Asked("save-bulk-request", f"origin/save/bulk/request/{BULK}/?per_page=x", 400, NUMBER, user="ada"),
    Asked("save-bulk-request", f"origin/save/bulk/request/{BULK}/", 401, LOGIN),
    Asked("save-bulk-request", f"origin/save/bulk/request/{BULK}/", 403, NO_PERMISSION, user="nobody"),
    Asked(
        "save-bulk-request",
        f"origin/save/bulk/request/{BULK}/",
        403,
        f"Save bulk request with id {BULK} was not created with your user account!",
        user="bob",
    ),
    Asked(
        "save-bulk-request",
        f"origin/save/bulk/request/{'0' * 8}{BULK[8:]}/",
        404,
        f"Save bulk request with id {'0' * 8}{BULK[8:]} not found!",
        user="ada",
    ),
    Asked(
        "save-webhook", "origin/save/webhook/github/", json={"repository": {"html_url": URL}}, headers=PUSH
    ),
    Asked(
        "save-webhook",
        "origin/save/webhook/gitea/",
        400,
        "POST request was not sent by a Gitea webhook and has not been processed.",
        json={},
        headers=PUSH,
    ),
    Asked(
        "save-webhook",
        "origin/save/webhook/github/",
        403,
        BLOCKED,
        json={"repository": {"html_url": "https://bad.example.org/r"}},
        headers=PUSH,
    ),
    # Requests to add a forge
    Asked("add-forge-create", "add-forge/request/create/", 201, json=PROPOSED, user="nobody"),
    Asked(
        "add-forge-create",
        "add-forge/request/create/",
        400,
        '{"forge_url": ["Enter a valid URL."]}',
        json={**PROPOSED, "forge_url": "x"},
        user="nobody",
    ),
    Asked(
        "add-forge-create",
        "add-forge/request/create/",
        409,
        "Request for forge already exists (id 1)",
        json={**PROPOSED, "forge_url": "https://git.example.org"},
        user="nobody",
    ),
    Asked("add-forge-update", "add-forge/request/1/update/", json={"text": "hello"}, user="reviewer"),
    Asked(
        "add-forge-update",
        "add-forge/request/1/update/",
        400,
        "New request status RequestStatus.ACCEPTED cannot be reached from current status PENDING",
        json={"text": "hello", "new_status": "ACCEPTED"},
        user="reviewer",
    ),
    Asked("add-forge-requests", "add-forge/request/list/?user_requests_only=1", user="nobody"),
    Asked(
        "add-forge-requests",
        "add-forge/request/list/?page=x",
        400,
        {"page": ["A valid integer is required."]},
    ),
    Asked("add-forge-request", "add-forge/request/1/get/"),
    Asked("add-forge-request", "add-forge/request/99/get/", 400, "Request id does not exist"),
    # How the archive keeps up
    Asked("swhkit-status", "swhkit/status/"),
    Asked("swhkit-status-origin", f"swhkit/status/origin/?origin_url={URL}"),
    Asked("swhkit-status-origin", "swhkit/status/origin/", 400, {"origin_url": ["This field is required."]}),
    Asked("swhkit-status-origin", "swhkit/status/origin/?origin_url=https://x.org/r", 404, NO_ORIGIN),
    # Outside of /api/1/
    Asked("badge", f"../../badge/swh:1:rev:{FIRST}/"),
    Asked("badge", "../../badge/swh:1:foo:12/", 400),
    Asked("badge", f"../../badge/swh:1:rev:{M}/", 404),
    Asked("badge-typed", f"../../badge/revision/{FIRST}/"),
    Asked("badge-typed", "../../badge/revision/zz/", 400),
    Asked("badge-typed", f"../../badge/revision/{M}/", 404),
    Asked("swhid", f"../../swh:1:rev:{FIRST}/", 302),
]
LISTED = {route.name: route for route in ROUTES if route.category and route.root == "/api/1/"}


@pytest.fixture
async def api(serving: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """A server with a request that was accepted, one that waits, a bulk request, a forge that was proposed, and the
    tokens of ``USERS``."""
    text = f'{desks.IN_MEMORY}save_code_now: {{accept: ["{URL}"], reject: ["https://bad.example.org/"]}}\n'
    with desks.desk(SAMPLE.archive, tmp_path, text) as desk:
        for url in (URL, "https://new.example.org/r"):
            saving.save(desk, url, "git", now=WHEN)
        desk.requests.saves.add_bulk(
            BulkRequest(id=BULK, date=WHEN, user="ada"), [BulkOrigin(url=URL, visit_type="git")]
        )
        desk.requests.forge_requests.add(
            NewForgeRequest(
                forge_type="gitea",
                forge_url="https://git.example.org",
                contact_name="Grace",
                contact_email="grace@git.example.org",
                submitter="nobody",
                submitter_email="nobody@example.org",
                date=WHEN,
            )
        )
        async with serving(SAMPLE, desk=desk, requests=lambda: desk.requests) as client:
            client.users = {name: desks.bearer(desk, name, *allowed) for name, allowed in USERS.items()}
            yield client


async def answer_to(api: Any, asked: Asked, method: str | None = None) -> Any:
    path = asked.path.removeprefix("../../")
    url = path if path == asked.path else f"{api.base.removesuffix('/api/1/')}/{path}"
    options: dict[str, Any] = {} if asked.json is None else {"json": asked.json}
    options["headers"] = {**asked.headers, **(api.users[asked.user] if asked.user else {})}
    usual = "GET" if asked.json is None else "POST"
    if url != path:
        return await api.client.session.request(
            method or usual, yarl.URL(url.replace(" ", "%20"), encoded=True), allow_redirects=False
        )
    return await api.ask(method or usual, path.replace(" ", "%20"), **options)


@pytest.mark.parametrize("asked", ENDPOINTS, ids=lambda asked: f"{asked.path[:60]} {asked.status}")
async def test_it_answers(api: Any, asked: Asked) -> None:
    answer = await answer_to(api, asked)
    assert answer.status == asked.status, await answer.text()
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(answer.headers)
    if asked.status < 400 or asked.route.startswith("badge"):
        return
    assert answer.headers["Content-Type"] == "application/json"
    body = await answer.json()
    if asked.route == "save-bulk":
        assert body == {"status": "rejected", "reason": asked.reason}
        return
    if asked.status == 409:
        assert body == asked.reason
        return
    assert list(body) == ["exception", "reason"]
    assert body["exception"] == asked.exception if asked.reason or asked.name else body["exception"]
    assert body["reason"] == asked.reason if asked.reason else body["reason"]


@pytest.mark.parametrize(
    "asked", [asked for asked in ENDPOINTS if asked.json is None], ids=lambda asked: asked.path[:60]
)
async def test_head_and_options(api: Any, asked: Asked) -> None:
    head = await answer_to(api, asked, "HEAD")
    assert head.status == asked.status
    assert await head.read() == b""
    if asked.status == 200:
        assert int(head.headers["Content-Length"]) > 0
        assert (await answer_to(api, asked, "OPTIONS")).status == 200


async def test_each_wrong_method_is_refused(api: Any) -> None:
    for asked in ENDPOINTS:
        if asked.status == 200:
            wrong = await answer_to(api, asked, "DELETE")
            assert wrong.status == 405, asked.path
            body = await wrong.json()
            assert body == {"exception": "MethodNotAllowed", "reason": 'Method "DELETE" not allowed.'}
            assert ("GET" if asked.json is None else "POST") in wrong.headers["Allow"]


def test_each_route_and_each_status_of_it_is_asked_for() -> None:
    """A new route, or a new error of one, has to be added above."""
    asked = {(one.route, one.status) for one in ENDPOINTS}
    known = {one.route for one in ENDPOINTS}
    assert set(LISTED) <= known
    assert known <= {route.name for route in ROUTES}
    for name, route in LISTED.items():
        assert {(name, 200), (name, 201), (name, 302)} & asked, f"{name}: no good answer"
        lacking = [status for status in route.refusals if (name, status) not in asked]
        assert not lacking, f"{name}: never asked for {lacking}"


async def test_each_is_in_the_document(api: Any) -> None:
    answer = await api.get("openapi.json")
    document = msgspec.json.decode(await answer.read())
    for asked in (one for one in ENDPOINTS if one.status != 301):
        route = next(route for route in ROUTES if route.name == asked.route)
        operations = document["paths"][route.template]
        statuses = operations[route.methods[0].lower()]["responses"]
        assert str(asked.status) in statuses, (asked.path, asked.status)
