"""Requests to save code over HTTP: every answer and refusal, who may ask for what, and what becomes of a request."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import archives
import desks
import pytest
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import Sample

from swhkit.api.app import make_app
from swhkit.api.clients import Clients
from swhkit.api.throttling import Limits
from swhkit.archive import Archive
from swhkit.desk import Desk
from swhkit.jobs import Ending, JobState
from swhkit.model import Branch, BranchType, Snapshot, VisitStatus
from swhkit.requests.saves import NewSave, SaveStatus
from swhkit.storage import Publication

URL = "https://git.example.org/u/p"
NEW = "https://new.example.org/r"
BAD = "https://bad.example.org/r"
CONFIGURATION = (
    'save_code_now: {accept: ["https://git.example.org/"], reject: ["https://bad.example.org/"]}\n'
)
TYPES = "bzr, cvs, git, hg, svn, tarball"
BLOCKED = 'The "save code now" request has been rejected because the provided origin url is not allowed to be archived.'
PASSWORD = "The provided origin URL contains a password and cannot be accepted for security reasons."
NEVER = "max-age=0, no-cache, no-store, must-revalidate, private"
NO_PERMISSION = "This API endpoint requires a special user permission."
USERS = {
    "ada": ("swh.web.api.save_origin",),
    "ambassador": ("swh.ambassador",),
    "staff": ("staff",),
    "bob": (),
}


class Place(NamedTuple):
    """A server, the desk behind it, its archive, and the headers of its users."""

    api: Any
    desk: Desk
    archive: Archive
    users: dict[str, dict[str, str]]

    async def post(self, path: str, user: str | None = None, status: int = 200, **options: Any) -> Any:
        headers = {} if user is None else self.users[user]
        answer = await self.api.post(f"origin/save/{path}", headers=headers, **options)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def get(self, path: str, user: str | None = None, status: int = 200) -> Any:
        headers = {} if user is None else self.users[user]
        return await self.api.json(f"origin/save/{path}", status, headers=headers)

    async def refused(self, path: str, status: int, name: str, **options: Any) -> Any:
        body = await self.post(path, status=status, **options)
        assert list(body) == ["exception", "reason"]
        assert body["exception"] == name
        return body["reason"]


@pytest.fixture
async def place(taking: Any) -> AsyncIterator[Place]:
    async with taking(CONFIGURATION, USERS) as taken:
        yield Place(*taken)


# -- asking


async def test_a_request_as_it_is_shown(place: Place) -> None:
    made = await place.post(f"git/url/{NEW}/")
    date = datetime.datetime.fromisoformat(made.pop("save_request_date"))
    assert abs(datetime.datetime.now(datetime.UTC) - date) < datetime.timedelta(minutes=1)
    assert date.utcoffset() == datetime.timedelta(0)
    assert made == {
        "id": 1,
        "origin_url": NEW,
        "visit_type": "git",
        "origin_type": "git",
        "save_request_status": "pending",
        "save_task_status": "not created",
        "visit_status": None,
        "visit_date": None,
        "loading_task_id": -1,
        "note": "",
        "from_webhook": False,
        "webhook_origin": "",
        "snapshot_swhid": None,
        "request_url": f"{place.api.base}origin/save/1/",
    }
    accepted = await place.post(f"git/url/{URL}/")
    assert (accepted["save_request_status"], accepted["save_task_status"]) == ("accepted", "pending")
    assert accepted["loading_task_id"] > 0
    assert accepted["next_run"] == accepted["save_request_date"]
    assert "snapshot_url" not in accepted
    assert await place.get("2/") == accepted
    assert await place.get(f"git/url/{URL}/") == [accepted]
    assert await place.get(f"?visit_type=git&origin_url={URL}") == [accepted]


async def test_what_became_of_it(place: Place) -> None:
    made = await place.post(f"git/url/{URL}/")
    (lease,) = place.desk.jobs.lease("w", 60, datetime.datetime.now(datetime.UTC))
    assert (await place.get("1/"))["save_task_status"] == "running"
    now = datetime.datetime.now(datetime.UTC)
    _, catalog, _ = place.archive.writer()
    number = catalog.open_visit(URL, "git", now).number
    running = await place.get("1/")
    assert (running["save_task_status"], running["visit_status"]) == ("running", "created")
    assert running["visit_date"] == now.isoformat()
    snapshot = Snapshot({b"HEAD": Branch(BranchType.REVISION, bytes(20))})
    catalog.publish(URL, number, Publication(status=VisitStatus.FULL, date=now, snapshot=snapshot))
    place.desk.jobs.end([Ending(lease=lease, state=JobState.DONE, result={"visit": number})], now)
    done = await place.get("1/")
    assert (done["save_task_status"], done["visit_status"]) == ("succeeded", "full")
    id = done["snapshot_swhid"].removeprefix("swh:1:snp:")
    assert done["snapshot_url"] == f"{place.api.base}snapshot/{id}/"
    assert (await place.api.json(f"snapshot/{id}/"))["id"] == id
    assert done["id"] == made["id"]
    again = await place.post(f"git/url/{URL}/")
    assert again["id"] != made["id"]
    assert [one["id"] for one in await place.get(f"git/url/{URL}/")] == [again["id"], made["id"]], (
        "newest first"
    )


async def test_a_failure_says_why(place: Place) -> None:
    await place.post(f"git/url/{URL}/")
    now = datetime.datetime.now(datetime.UTC)
    (lease,) = place.desk.jobs.lease("w", 60, now)
    place.desk.jobs.end([Ending(lease=lease, state=JobState.FAILED, error="the host is away")], now)
    found = await place.get("1/")
    assert (found["save_task_status"], found["note"], found["next_run"]) == (
        "failed",
        "the host is away",
        None,
    )


async def test_webhook_requests_are_told(place: Place) -> None:
    date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    place.desk.requests.saves.add(
        NewSave(url=URL, visit_type="git", date=date, status=SaveStatus.PENDING, webhook="gitlab")
    )
    found = await place.get("1/")
    assert (found["from_webhook"], found["webhook_origin"]) == (True, "gitlab")


async def test_types(place: Place) -> None:
    said = "cannot be saved! Allowed types are the following:"
    for word in ("zz", "archives", "tarball-directory", "GIT", "%00", "a/b"):
        reason = await place.refused(f"{word}/url/{URL}/", 400, "BadInputExc")
        assert reason == f"Visit of type {word.replace('%00', chr(0))} {said} {TYPES}"
    reason = await place.refused(f"zz/url/{URL}/", 400, "BadInputExc", user="ada")
    assert reason == f"Visit of type zz {said} archives, {TYPES}"
    for word in TYPES.split(", "):
        assert (await place.post(f"{word}/url/{URL}/"))["visit_type"] == word
        assert (await place.post(f"?visit_type={word}&origin_url={NEW}"))["origin_type"] == word
    job = place.desk.jobs.open(f"visit tarball-directory {URL}")
    assert job is not None


async def test_urls_stand_in_the_path(place: Place) -> None:
    for path, url in (
        (URL, URL),
        ("https%3A%2F%2Fgit.example.org%2Fu%2Fp", URL),
        ("https:/git.example.org/u/p", URL),
        ("https://git.example.org/url/x/url/y", "https://git.example.org/url/x/url/y"),
        ("https://git.example.org/a%20b", "https://git.example.org/a%20b"),
        ("https://git.example.org/%3Fp=x", "https://git.example.org/?p=x"),
        ("https://git.example.org/get", "https://git.example.org/get"),
        ("https://git.example.org/visits", "https://git.example.org/visits"),
    ):
        assert (await place.post(f"git/url/{path}/"))["origin_url"] == url, path
        assert (await place.get(f"git/url/{path}/"))[0]["origin_url"] == url, path
    quoted = "https%3A%2F%2Fgit.example.org%2F%3Fp%3Dx%26q"
    assert (await place.post(f"?visit_type=git&origin_url={quoted}"))[
        "origin_url"
    ] == "https://git.example.org/?p=x&q"
    # POST without its slash is served.
    assert (await place.post(f"git/url/{URL}"))["origin_url"] == URL
    answer = await place.api.get(f"origin/save/git/url/{URL}")
    assert (answer.status, answer.headers["Location"]) == (301, f"/api/1/origin/save/git/url/{URL}/")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/r", "http://127.0.0.1:9/r", "http://[::1]/r", "http://0.0.0.0/r", "http://127.1/r",
     "http://2130706433/r", "http://0177.0.0.1/r", "http://[::ffff:127.0.0.1]/r", "http://169.254.169.254/r",
     "http://10.1.2.3/r", "http://172.16.0.1/r", "http://192.168.0.1/r", "http://100.64.0.1/r", "http://[fc00::1]/r",
     "http://[fe80::1]/r", "http://localhost./r", "http://localhost/r", "http://good@127.0.0.1/r", "git://127.0.0.1/r",
     "http://good.org\\@127.0.0.1/r", "x", "ext::sh -c id", "file:///etc/passwd", "-u./x", "javascript:alert(1)"],
)  # fmt: skip
async def test_urls_that_are_not_valid(place: Place, url: str) -> None:
    expected = f"The provided origin URL '{url}' is not valid!"
    for user in (None, "staff"):
        assert (
            await place.refused(
                "", 400, "BadInputExc", user=user, params={"visit_type": "git", "origin_url": url}
            )
            == expected
        )
    body = await (await place.api.get("origin/save/", params={"visit_type": "git", "origin_url": url})).json()
    assert body == {"exception": "BadInputExc", "reason": expected}
    assert place.desk.requests.saves.latest() == []


async def test_passwords(place: Place) -> None:
    for url in ("https://u:tok-secret@git.example.org/r", "http://u:tok-secret@127.0.0.1/"):
        assert await place.refused(f"git/url/{url}/", 400, "BadInputExc") == PASSWORD
    for password in ("anonymous", "guest", "password", ""):
        url = f"ftp://anonymous:{password}@ftp.example.org/p.tgz"
        assert (await place.post(f"tarball/url/{url}/"))["origin_url"] == url
    made = await place.post("git/url/https://ghp_secret@git.example.org/u/p/")
    assert made["origin_url"] == URL, "a lone user name may be a token"
    assert (await place.get("git/url/https://ghp_secret@git.example.org/u/p/"))[0]["id"] == made["id"]
    assert "secret" not in str(place.desk.requests.saves.latest())


async def test_origins_that_are_not_wanted(place: Place) -> None:
    for user in (None, "bob", "staff", "ada"):
        assert await place.refused(f"git/url/{BAD}/", 403, "ForbiddenExc", user=user) == BLOCKED
    (stored,) = await place.get(f"git/url/{BAD}/")
    assert (stored["save_request_status"], stored["save_task_status"]) == ("rejected", "not created")


@pytest.mark.parametrize("user", ["ada", "ambassador", "staff"])
async def test_who_needs_no_review(place: Place, user: str) -> None:
    waiting = await place.post(f"git/url/{NEW}/", "bob")
    assert waiting["save_request_status"] == "pending"
    accepted = await place.post(f"git/url/{NEW}/", user)
    assert (accepted["id"], accepted["save_request_status"]) == (waiting["id"], "accepted")
    assert (await place.post(f"hg/url/{NEW}/", "bob"))["save_request_status"] == "accepted", (
        "authorised from now on"
    )


async def test_repeats(place: Place) -> None:
    for url in (URL, NEW):
        first = await place.post(f"git/url/{url}/")
        assert await place.post(f"git/url/{url}/") == first
        assert len(await place.get(f"git/url/{url}/")) == 1
    assert place.desk.jobs.counts()["queued"] == 1


async def test_nothing_was_asked(place: Place) -> None:
    none = f"No save requests found for visit of type git on origin with url {NEW}."
    for path in (f"git/url/{NEW}/", f"?visit_type=git&origin_url={NEW}"):
        assert await place.get(path, status=404) == {"exception": "NotFoundExc", "reason": none}
    for id in ("1", "99999999999999999999999"):
        reason = f"No save request found for id {id}."
        assert await place.get(f"{id}/", status=404) == {"exception": "NotFoundExc", "reason": reason}
    assert (await place.get("1/x/", status=404))["error"] == "Resource not found"


async def test_the_query_form(place: Place) -> None:
    required = ["This field is required."]
    assert await place.refused("", 400, "ValidationError") == {"visit_type": required}
    assert await place.refused("?visit_type=git", 400, "ValidationError") == {"origin_url": required}
    wrong = {"visit_type": ['"zz" is not a valid choice.']}
    assert await place.refused(f"?visit_type=zz&origin_url={URL}", 400, "ValidationError") == wrong
    assert (await place.get(f"?visit_type=zz&origin_url={URL}", status=400))["reason"] == wrong
    made = await place.post("", json={"visit_type": "git", "origin_url": URL})
    assert made["origin_url"] == URL
    assert await place.post("", data={"visit_type": "git", "origin_url": URL}) == made


async def test_headers_and_methods(place: Place) -> None:
    await place.post(f"git/url/{URL}/")
    for path in (f"git/url/{URL}/", "1/", f"?visit_type=git&origin_url={URL}"):
        for method in ("GET", "HEAD"):
            answer = await place.api.ask(method, f"origin/save/{path}")
            assert (answer.status, answer.headers["Cache-Control"]) == (200, NEVER), path
            assert answer.headers["Expires"] == answer.headers["Date"]
            assert "ETag" not in answer.headers
    answer = await place.api.post(f"origin/save/git/url/{URL}/")
    assert answer.headers["Cache-Control"] == NEVER
    assert (await place.api.ask("OPTIONS", f"origin/save/git/url/{URL}/")).status == 200
    answer = await place.api.ask("DELETE", f"origin/save/git/url/{URL}/")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, HEAD, OPTIONS")
    assert (await place.api.post("origin/save/1/")).status == 405
    yaml = await place.api.get(f"origin/save/git/url/{URL}/?format=yaml&fields=id,visit_type")
    assert await yaml.text() == "- id: 1\n  visit_type: git\n"
    page = await place.api.get("origin/save/1/", headers={"Accept": "text/html"})
    assert (page.status, URL in await page.text()) == (200, True)


async def test_a_bad_token_is_told_first(place: Place) -> None:
    for method in ("GET", "POST"):
        answer = await place.api.ask(
            method, f"origin/save/git/url/{URL}/", headers={"Authorization": "Bearer x"}
        )
        assert (answer.status, (await answer.json())["exception"]) == (403, "AuthenticationFailed")
    assert place.desk.requests.saves.latest() == []


# -- archives


async def test_archives(place: Place, tmp_path: Path) -> None:
    async def refused(body: Any, **more: Any) -> Any:
        return await place.refused(
            f"archives/url/{NEW}/", 400, "BadInputExc", user="ambassador", json=body, **more
        )

    missing = "Artifacts data are missing for the archives visit type."
    nothing: list[Any] = [{}, [], {"archives_data": []}, {"archives_data": None}, 5, None, {"other": 1}]
    for body in nothing:
        assert await refused(body) == missing
    malformed = "Missing url or version for an artifact to load."
    good = {"artifact_url": "http://127.0.0.1:9/a.tgz", "artifact_version": "1"}
    entries: list[Any] = [
        *({}, {"artifact_url": "https://x.org/a"}, {"artifact_version": "1"}, None, 1, [], "x"),
        *({**good, "artifact_version": 1}, {**good, "artifact_url": ""}, {**good, "artifact_url": {}}),
    ]
    for entry in entries:
        assert await refused({"archives_data": [entry]}) == malformed
    for listed in ("x", {"a": 1}, 5, True):
        assert await refused({"archives_data": listed}) == malformed
    reason = await refused({"archives_data": [good]})
    assert reason == "The provided url (http://127.0.0.1:9/a.tgz) does not exist!"
    assert place.desk.requests.saves.latest() == []


async def test_archives_that_are_there(tmp_path: Path, serving: Any) -> None:
    """A server that the archive may ask, since its policy allows private addresses."""
    asked: list[str] = []

    async def answer(request: Any) -> Any:
        from aiohttp import web

        asked.append(f"{request.method} {request.path}")
        return web.Response(status={"/gone": 404, "/no-head": 405}.get(request.path, 200))

    from aiohttp import web

    files = web.Application()
    files.router.add_route("*", "/{name}", answer)
    text = desks.IN_MEMORY + "network: {private_addresses: always}\n"
    async with TestServer(files) as server:
        with (
            archives.archive("memory", tmp_path) as archive,
            desks.desk(archive, tmp_path, text) as desk,
        ):
            ada = desks.bearer(desk, "ada", "swh.ambassador")
            sample = Sample(archive.objects, archive.catalog)
            async with serving(sample, desk=desk, requests=lambda: desk.requests) as api:

                async def ask(*names: str) -> Any:
                    data = [
                        {"artifact_url": str(server.make_url(name)), "artifact_version": name}
                        for name in names
                    ]
                    body = {"archives_data": data}
                    return await api.post(f"origin/save/archives/url/{NEW}/", json=body, headers=ada)

                refused = await ask("/a.tgz", "/gone")
                assert refused.status == 400
                assert (await refused.json())[
                    "reason"
                ] == f"The provided url ({server.make_url('/gone')}) does not exist!"
                made = await (await ask("/a.tgz", "/no-head")).json()
                assert (made["visit_type"], made["save_request_status"]) == ("archives", "accepted")
                assert set(asked) == {"HEAD /a.tgz", "HEAD /gone", "HEAD /no-head"}
                job = desk.jobs.job(made["loading_task_id"])
                assert job is not None
                assert job.arguments["visit_type"] == "tar"
                assert [one["version"] for one in job.arguments["artifacts"]] == ["/a.tgz", "/no-head"]
                # Another file of the same package: one visit brings all of them.
                more = await (await ask("/b.tgz")).json()
                assert more["id"] != made["id"]
                job = desk.jobs.job(more["loading_task_id"])
                assert job is not None
                assert job.id == made["loading_task_id"]
                assert [one["version"] for one in job.arguments["artifacts"]] == [
                    "/a.tgz",
                    "/no-head",
                    "/b.tgz",
                ]
                assert (await (await ask("/b.tgz")).json())["id"] == more["id"]


# -- review


async def test_review(place: Place) -> None:
    for url in (NEW, f"{NEW}2", f"{NEW}3"):
        await place.post(f"git/url/{url}/")
    await place.post(f"git/url/{URL}/")
    for user in ("ambassador", "staff"):
        assert [one["id"] for one in await place.get("review/", user)] == [3, 2, 1]
    answer = await place.api.get("origin/save/review/?per_page=2", headers=place.users["staff"])
    assert [one["id"] for one in await answer.json()] == [3, 2]
    following = answer.links["next"]["url"]
    assert [one["id"] for one in await place.get(str(following).partition("/save/")[2], "staff")] == [1]
    for user in ("bob", "ada"):
        assert (await place.get("review/", user, 403))["reason"] == NO_PERMISSION
        assert (await place.post("review/1/", user, 403, json={"decision": "accept"}))[
            "reason"
        ] == NO_PERMISSION
    assert (await place.get("review/", status=401))["exception"] == "UnauthorizedExc"
    accepted = await place.post("review/1/", "ambassador", json={"decision": "accept", "note": "known"})
    assert (accepted["save_request_status"], accepted["note"]) == ("accepted", "known")
    assert place.desk.jobs.job(accepted["loading_task_id"]) is not None
    rejected = await place.post("review/2/", "staff", json={"decision": "reject", "note": "no code"})
    assert (rejected["save_request_status"], rejected["save_task_status"]) == ("rejected", "not created")
    assert (await place.get("2/"))["note"] == "no code"
    assert [one["id"] for one in await place.get("review/", "staff")] == [3]
    bodies: list[Any] = [{}, {"decision": "maybe"}, {"decision": 1}, {"decision": ["accept"]}, [], 5]
    for body in bodies:
        wrong = await place.post("review/3/", "staff", 400, json=body)
        assert wrong["reason"] == {"decision": ['Expected "accept" or "reject".']}
    for note in (1, None, "x" * 10_001, ["a"]):
        wrong = await place.post("review/3/", "staff", 400, json={"decision": "accept", "note": note})
        assert wrong["exception"] == "ValidationError"
    assert (await place.post("review/3/", "staff", data={"decision": "reject"}))[
        "save_request_status"
    ] == "rejected"
    said = "Save request 3 is not pending: it was rejected already."
    assert (await place.post("review/3/", "staff", 400, json={"decision": "accept"}))["reason"] == said


async def test_of_many_who_decide_one_is_heard(place: Place) -> None:
    await place.post(f"git/url/{NEW}/")

    async def decide(number: int) -> int:
        body = {"decision": ("accept", "reject")[number % 2]}
        answer = await place.api.post("origin/save/review/1/", headers=place.users["staff"], json=body)
        return int(answer.status)

    statuses = await asyncio.gather(*map(decide, range(20)))
    assert sorted(statuses) == [200] + [400] * 19


# -- archives that take no requests


async def test_a_read_only_archive_says_so(serving: Any, sample: Sample) -> None:
    said = {"exception": "ForbiddenExc", "reason": "This archive takes no requests: it is read-only."}
    async with serving(sample, desk=None) as api:
        for method, path in (
            ("POST", f"git/url/{URL}/"), ("GET", f"git/url/{URL}/"), ("GET", "1/"),
            ("POST", f"?visit_type=git&origin_url={URL}"),
        ):  # fmt: skip
            answer = await api.ask(method, f"origin/save/{path}")
            assert (answer.status, await answer.json()) == (403, said), path


# -- limits


async def test_requests_are_limited(place: Place) -> None:
    rates = {"swh_api": "120/h", "swh_save_origin": "4/h", "swh_save_origin_post": "2/h"}
    app = make_app(
        place.archive, desk=place.desk, requests=lambda: place.desk.requests, limits=Limits(rates, 1),
        clients=Clients(("127.0.0.1",)),
    )  # fmt: skip
    url = f"/api/1/origin/save/git/url/{URL}/"
    async with TestClient(TestServer(app)) as client:

        async def status(method: str, address: str, user: str | None = None) -> tuple[int, str]:
            headers = {"X-Forwarded-For": address, **(place.users[user] if user else {})}
            answer = await client.request(method, url, headers=headers)
            return answer.status, answer.headers["X-RateLimit-Remaining"]

        assert [await status("POST", "192.0.2.1") for _ in range(3)] == [(200, "1"), (200, "0"), (429, "0")]
        assert [(await status("GET", "192.0.2.1"))[0] for _ in range(5)] == [200] * 4 + [429]
        assert (await status("POST", "192.0.2.2"))[0] == 200
        assert await status("POST", "192.0.2.1", "bob") == (200, "19"), "ten times as many"
        # The permission lifts this limit, and no other.
        assert {await status("POST", "192.0.2.1", "ada") for _ in range(25)} == {(200, "1000000")}
        answer = await client.get("/api/1/ping/", headers=place.users["ada"])
        assert answer.headers["X-RateLimit-Limit"] == "1200"


# -- at once, and against harm


class Bait:
    """A listener on loopback that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.seen += 1
            connection.close()

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)


@pytest.fixture
def bait() -> Iterator[Bait]:
    with closing(Bait()) as one:
        yield one


async def test_nothing_on_this_machine_is_connected_to(place: Place, bait: Bait) -> None:
    port = bait.port
    places = [
        f"http://127.0.0.1:{port}/", f"http://[::ffff:127.0.0.1]:{port}/", f"http://127.1:{port}/", f"http://2130706433:{port}/",
        f"http://0177.0.0.1:{port}/", f"http://0x7f.1:{port}/", f"http://0.0.0.0:{port}/", f"http://localhost:{port}/",
        f"http://localhost.:{port}/", f"http://a.localhost:{port}/", f"http://good@127.0.0.1:{port}/",
        f"http://127.0.0.1:{port}\\@good.example.org/", f"git://127.0.0.1:{port}/", f"http:\\\\127.0.0.1:{port}\\",
    ]  # fmt: skip
    for url in places:
        for word in ("git", "tarball", "archives"):
            body = {"archives_data": [{"artifact_url": url, "artifact_version": "1"}]}
            for origin in (url, NEW):
                answer = await place.api.post(
                    "origin/save/", params={"visit_type": word, "origin_url": origin}, json=body,
                    headers=place.users["staff"],
                )  # fmt: skip
                assert answer.status == (200 if origin == NEW and word != "archives" else 400)
    # The bait works.
    assert bait.seen == 0
    socket.create_connection(("127.0.0.1", port)).close()
    for _ in range(500):
        if bait.seen:
            break
        await asyncio.sleep(0.01)
    assert bait.seen == 1


DEEP = [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"archives_data":' * 100_000]
ODD = [
    *(b"", b"null", b"1e400", b'"\\ud800"', b"\xff", b"\0", b"{", b"NaN", b"[]" * 9),
    b'{"archives_data": [{"artifact_url": "\\u0000"}]}',
    b'{"visit_type": {}, "origin_url": []}',
    b'{"visit_type": "git", "origin_url": 5}',
]


@pytest.mark.parametrize("body", DEEP + ODD)
async def test_bodies_that_make_no_sense(place: Place, body: bytes) -> None:
    for path in (f"archives/url/{NEW}/", "", "?visit_type=archives&origin_url=https://x.org/r", "review/1/"):
        for type in ("application/json", "application/x-www-form-urlencoded", "text/csv", ""):
            headers = {**place.users["staff"], "Content-Type": type}
            answer = await place.api.post(f"origin/save/{path}", data=body, headers=headers)
            assert answer.status in (400, 404, 415), (path, type, await answer.text())
            assert list(await answer.json()) == ["exception", "reason"]
    assert place.desk.requests.saves.latest() == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_fifty_at_once_are_one(kind: str, tmp_path: Path) -> None:
    """Fifty clients with connections of their own, on a server of its own."""
    stores = desks.IN_MEMORY if kind == "memory" else ""
    with (
        archives.archive(kind, tmp_path) as archive,
        desks.desk(archive, tmp_path, stores + CONFIGURATION) as desk,
        Running(archive, desk) as base,
    ):
        barrier = threading.Barrier(50)

        def ask(number: int) -> int:
            barrier.wait()
            word = "?visit_type=git&origin_url=" if number % 2 else "git/url/"
            request = urllib.request.Request(
                f"{base}/api/1/origin/save/{word}{URL}{'' if number % 2 else '/'}", method="POST"
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(json.load(answer)["id"])

        with ThreadPoolExecutor(50) as pool:
            ids = list(pool.map(ask, range(50)))
        assert set(ids) == {1}
        assert len(desk.requests.saves.latest()) == 1
        assert desk.jobs.counts()["queued"] == len(desk.jobs.latest()) == 1


class Running:
    """A server in a thread of its own; gives its address."""

    def __init__(self, archive: Archive, desk: Desk) -> None:
        self._archive, self._desk = archive, desk
        self._loop, self._started = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = TestServer(make_app(self._archive, desk=self._desk))
        self._loop.run_until_complete(self._server.start_server())
        self._loop.call_soon(self._started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._server.close())

    def __enter__(self) -> str:
        self._thread.start()
        assert self._started.wait(20)
        return f"http://{self._server.host}:{self._server.port}"

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
