"""Bulk requests over HTTP: every form of a list, every refusal, and what became of each origin."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import archives
import desks
import pytest
from reading_samples import Sample

from swhkit.archive import Archive
from swhkit.desk import Desk
from swhkit.model import Snapshot, VisitStatus
from swhkit.storage import Publication

ONE, TWO = "https://a.example.org/r", "https://b.example.org/r"
BAD = "https://bad.example.org/r"
CONFIGURATION = 'save_code_now: {reject: ["https://bad.example.org/"]}\n'
USERS = {
    "ada": ("swh.web.api.save_bulk",),
    "bob": ("swh.web.api.save_bulk",),
    "staff": ("staff",),
    "nobody": ("swh.ambassador", "swh.web.api.save_origin"),
}
LOGIN = "This API endpoint requires authentication."
NO_PERMISSION = "This API endpoint requires a special user permission."
NOTHING = "No origins data were provided in POST request body."
NO_LIST = "Origins data must be a list of dict."
SOME = "Some origins data could not be validated."
MALFORMED = "Provided origin data are malformed, please check provided values."
NEVER = "max-age=0, no-cache, no-store, must-revalidate, private"
NOBODYS = "00000000-a8de-4e5c-a6d6-3c1ea5cbf3a2"


class Place(NamedTuple):
    """A server, the desk behind it, its archive, and the headers of its users."""

    api: Any
    desk: Desk
    archive: Archive
    users: dict[str, dict[str, str]]

    async def send(self, data: bytes | str, type: str | None, user: str | None = "ada") -> Any:
        headers = {} if user is None else dict(self.users[user])
        if type is not None:
            headers["Content-Type"] = type
        skipped = ["Content-Type"] if type is None else []
        return await self.api.post("origin/save/bulk/", data=data, headers=headers, skip_auto_headers=skipped)

    async def accepted(self, data: bytes | str, type: str | None, user: str = "ada") -> str:
        answer = await self.send(data, type, user)
        body = await answer.json()
        assert answer.status == 200, body
        assert answer.headers["Cache-Control"] == NEVER
        id = str(body.pop("request_id"))
        assert body == {
            "status": "accepted",
            "request_info_url": f"{self.api.base}origin/save/bulk/request/{id}/",
        }
        return id

    async def rejected(
        self, data: bytes | str, type: str | None, status: int = 400, user: str | None = "ada"
    ) -> dict[str, Any]:
        answer = await self.send(data, type, user)
        body: dict[str, Any] = await answer.json()
        assert answer.status == status, body
        assert body.pop("status") == "rejected"
        assert self.desk.requests.saves.count_bulks() == 0
        return body

    async def get(self, path: str, user: str | None = "ada", status: int = 200) -> Any:
        headers = {} if user is None else self.users[user]
        return await self.api.json(f"origin/save/bulk/{path}", status, headers=headers)

    def kept(self, id: str) -> list[tuple[str, str]]:
        return [(one.url, one.visit_type) for one in self.desk.requests.saves.bulk_origins(id)]


@pytest.fixture
async def place(taking: Any) -> AsyncIterator[Place]:
    async with taking(CONFIGURATION, USERS) as taken:
        yield Place(*taken)


def listed(*origins: tuple[str, str]) -> list[dict[str, str]]:
    return [{"origin_url": url, "visit_type": type} for url, type in origins]


# -- forms of a list


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (f"{TWO},git\n{ONE},hg\n{TWO},git\n", "text/csv"),
        (f"{TWO},git\r\n{ONE},hg", "text/csv; charset=utf-8"),
        (f"\ufeff\"{TWO}\", git \n\n{ONE},hg,more\n".encode(), None),
        (json.dumps(listed((TWO, "git"), (ONE, "hg"), (TWO, "git"))), "application/json"),
        (f"- origin_url: {TWO}\n  visit_type: git\n- {{origin_url: '{ONE}', visit_type: hg}}\n", "application/yaml"),
        (json.dumps(listed((TWO, "git"), (ONE, "hg"))), "application/yaml"),
    ],
)  # fmt: skip
async def test_forms(place: Place, data: bytes | str, type: str | None) -> None:
    id = await place.accepted(data, type)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id)
    assert place.kept(id) == [(ONE, "hg"), (TWO, "git")]
    assert {job.arguments["url"] for job in place.desk.jobs.latest()} == {ONE, TWO}


async def test_each_type_is_taken(place: Place) -> None:
    types = ["bzr", "cvs", "git", "hg", "svn", "tarball-directory"]
    id = await place.accepted("".join(f"{ONE},{type}\n" for type in types), "text/csv")
    assert place.kept(id) == [(ONE, type) for type in types]


@pytest.mark.parametrize(
    "type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
             "application/octet-stream", "application/x-yaml", "x"],
)  # fmt: skip
async def test_other_forms_are_not_taken(place: Place, type: str) -> None:
    answer = await place.send(f"{ONE},git", type)
    assert answer.status == 415
    reason = f'Unsupported media type "{type}" in request.'
    assert await answer.json() == {"exception": "UnsupportedMediaType", "reason": reason}


# -- refusals


async def test_who_may(place: Place) -> None:
    assert await place.rejected(f"{ONE},git", "text/csv", 401, None) == {"reason": LOGIN}
    for user in ("staff", "nobody"):
        assert await place.rejected(f"{ONE},git", "text/csv", 403, user) == {"reason": NO_PERMISSION}
    answer = await place.api.post("origin/save/bulk/")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = await place.api.get("origin/save/bulk/", headers=place.users["ada"])
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize(
    ("data", "type"),
    [("", "text/csv"), ("", None), ("\n \n", "text/csv"), (",\n,,\n", "text/csv"), ("", "application/json"),
     ("[]", "application/json"), ("{}", "application/json"), ("null", "application/json"), ("", "application/yaml"),
     ("[]", "application/yaml"), ("# nothing\n", "application/yaml")],
)  # fmt: skip
async def test_no_origins(place: Place, data: str, type: str | None) -> None:
    assert await place.rejected(data, type) == {"reason": NOTHING}


@pytest.mark.parametrize(
    ("data", "type"),
    [("[1]", "application/json"), ('{"a": 1}', "application/json"), ("5", "application/json"), ('"x"', "application/json"),
     ("[[]]", "application/json"), ("[{}, null]", "application/json"), ("true", "application/json"),
     ("a: 1", "application/yaml"),
     ("[a]", "application/yaml"), ("x", "application/yaml")],
)  # fmt: skip
async def test_lists_that_are_none(place: Place, data: str, type: str) -> None:
    assert await place.rejected(data, type) == {"reason": NO_LIST}


@pytest.mark.parametrize(
    ("data", "type", "start"),
    [
        ("[", "application/json", "JSON parse error - "),
        ('["\\ud800"]', "application/json", "JSON parse error - "),
        (b"\xff", "application/json", "JSON parse error - "),
        ("[" * 100_000, "application/json", "JSON parse error - "),
        ("[" * 100_000 + "]" * 100_000, "application/json", "JSON parse error - "),
        ('{"origin_url":' * 100_000, "application/json", "JSON parse error - "),
        ("[{}", "application/yaml", "YAML parse error - "),
        (b"\xff", "application/yaml", "YAML parse error - "),
        ("[" * 100_000, "application/yaml", "YAML parse error - "),
        ("- !!python/object/apply:os.system ['true']", "application/yaml", "YAML parse error - "),
        ("a: &a [x]\n" + "".join(f"k{n}: [*a]\n" for n in range(60)), "application/yaml", "YAML parse error - "),
        ("- {origin_url: a, origin_url: b}", "application/yaml", "YAML parse error - "),
        ("x" * 200_000, "text/csv", "CSV parse error - "),
        ('"' + "x,\n" * 100_000, "text/csv", "CSV parse error - "),
    ],
)  # fmt: skip
async def test_bodies_that_make_no_sense(place: Place, data: bytes | str, type: str, start: str) -> None:
    body = await place.rejected(data, type)
    assert body.keys() == {"reason"}
    assert body["reason"].startswith(start)


async def test_one_bad_origin_refuses_all(place: Place) -> None:
    origins: list[Any] = [
        *listed(
            (ONE, "git"),
            (TWO, "zz"),
            ("http://127.0.0.1/", "git"),
            ("https://u:p@h.org/", "git"),
            ("x", "zz"),
        ),
        {},
        {"origin_url": ONE},
        {"origin_url": ONE, "visit_type": 5, "deep": [[{}]]},
    ]
    body = await place.rejected(json.dumps(origins), "application/json")
    assert body["reason"] == SOME
    password = "The provided origin URL contains a password and cannot be accepted for security reasons."
    assert body["rejected_origins"] == [
        {"origin": {}, "rejection_reason": MALFORMED},
        {
            "origin": origins[2],
            "rejection_reason": "The provided origin URL 'http://127.0.0.1/' is not valid!",
        },
        {"origin": {"origin_url": ONE}, "rejection_reason": MALFORMED},
        {"origin": origins[7], "rejection_reason": MALFORMED},
        {"origin": origins[1], "rejection_reason": "Visit type 'zz' is not supported."},
        {"origin": origins[3], "rejection_reason": password},
        {"origin": origins[4], "rejection_reason": "The provided origin URL 'x' is not valid!"},
    ]
    assert place.desk.jobs.counts()["queued"] == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (ONE, MALFORMED),
        (f",{ONE}", MALFORMED),
        (f"{ONE},", MALFORMED),
        (f"git,{ONE}", "The provided origin URL 'git' is not valid!"),
        ("origin_url,visit_type", "The provided origin URL 'origin_url' is not valid!"),
        (f"{ONE};git", MALFORMED),
        (b"https://\xff.org/,git", "The provided origin URL 'https://\\xff.org/' is not valid!"),
        ("https://x.org/\0,git", "The provided origin URL 'https://x.org/\0' is not valid!"),
    ],
)  # fmt: skip
async def test_bad_lines(place: Place, line: bytes | str, reason: str) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    body = await place.rejected(f"{TWO},git\n".encode() + data, "text/csv")
    (rejected,) = body["rejected_origins"]
    assert rejected["rejection_reason"] == reason


async def test_a_read_only_archive_says_so(tmp_path: Path, serving: Any, sample: Sample) -> None:
    said = "This archive takes no requests: it is read-only."
    with desks.desk(sample.archive, tmp_path) as desk:
        ada = desks.bearer(desk, "ada", "swh.web.api.save_bulk")
        async with serving(sample, desk=None, requests=lambda: desk.requests) as api:
            answer = await api.post("origin/save/bulk/", headers=ada)
            assert (answer.status, await answer.json()) == (403, {"status": "rejected", "reason": said})
            answer = await api.get("origin/save/bulk/requests/", headers=ada)
            assert (answer.status, await answer.json()) == (
                403,
                {"exception": "ForbiddenExc", "reason": said},
            )


# -- what became of it


async def test_feedback(place: Place) -> None:
    id = await place.accepted(
        json.dumps(listed((TWO, "git"), (BAD, "git"), (ONE, "tarball-directory"))), "application/json"
    )
    blocked = 'The "save code now" request has been rejected because the provided origin url is not allowed to be archived.'
    one, two, bad = await place.get(f"request/{id}/")
    date = one.pop("last_scheduling_date")
    assert datetime.datetime.fromisoformat(date).utcoffset() == datetime.timedelta(0)
    empty = dict.fromkeys(
        ("last_visit_date", "last_visit_status", "last_snapshot_swhid", "rejection_reason", "browse_url")
    )
    assert one == {"origin_url": ONE, "visit_type": "tarball-directory", "status": "accepted", **empty}
    assert two == {
        "origin_url": TWO,
        "visit_type": "git",
        "status": "accepted",
        **empty,
        "last_scheduling_date": date,
    }
    assert bad == {
        "origin_url": BAD, "visit_type": "git", "status": "rejected", **empty, "last_scheduling_date": None,
        "rejection_reason": blocked,
    }  # fmt: skip
    _, catalog, _ = place.archive.writer()
    now = datetime.datetime.now(datetime.UTC)
    ended: list[tuple[str, str, datetime.datetime, VisitStatus]] = [
        (ONE, "tarball-directory", now, VisitStatus.NOT_FOUND),
        (TWO, "git", now - datetime.timedelta(days=1), VisitStatus.FAILED),
        (TWO, "git", now, VisitStatus.PARTIAL),
    ]
    for url, type, when, status in ended:
        number = catalog.open_visit(url, type, when).number
        snapshot = Snapshot({}) if status is VisitStatus.PARTIAL else None
        catalog.publish(url, number, Publication(status=status, date=when, snapshot=snapshot))
    one, two, bad = await place.get(f"request/{id.upper()}/")
    assert (one["last_visit_date"], one["last_visit_status"], one["browse_url"]) == (
        now.isoformat(),
        "failed",
        None,
    )
    assert (two["last_visit_date"], two["last_visit_status"]) == (now.isoformat(), "successful")
    assert two["last_snapshot_swhid"] == "swh:1:snp:1a8893e6a86f444e8be8e7bda6cb34fb1735a00e"
    browse = await place.api.client.session.get(two["browse_url"], allow_redirects=False)
    assert browse.status == 302
    assert bad["last_visit_date"] is None


async def test_visits_from_before_are_hidden(place: Place) -> None:
    _, catalog, _ = place.archive.writer()
    before = datetime.datetime.now(datetime.UTC)
    number = catalog.open_visit(ONE, "git", before).number
    catalog.publish(ONE, number, Publication(status=VisitStatus.FULL, date=before, snapshot=Snapshot({})))
    (row,) = await place.get(f"request/{await place.accepted(f'{ONE},git', None)}/")
    assert (row["last_visit_date"], row["last_visit_status"], row["last_snapshot_swhid"]) == (
        None,
        None,
        None,
    )


async def test_whose_it_is(place: Place) -> None:
    id = await place.accepted(f"{ONE},git", "text/csv")
    assert len(await place.get(f"request/{id}/", "staff")) == 1
    other = await place.get(f"request/{id}/", "bob", 403)
    assert other == {
        "exception": "ForbiddenExc",
        "reason": f"Save bulk request with id {id} was not created with your user account!",
    }
    for user in ("ada", "staff"):
        missing = await place.get(f"request/{NOBODYS}/", user, 404)
        assert missing == {
            "exception": "NotFoundExc",
            "reason": f"Save bulk request with id {NOBODYS} not found!",
        }
    for path in (f"request/{id}/", f"request/{NOBODYS}/"):
        assert await place.get(path, "nobody", 403) == {"exception": "ForbiddenExc", "reason": NO_PERMISSION}
        assert await place.get(path, None, 401) == {"exception": "UnauthorizedExc", "reason": LOGIN}
    assert (await place.get("request/x/", status=404))["error"] == "Resource not found"


async def test_the_list(place: Place) -> None:
    ids = [await place.accepted(f"{ONE},git\n{TWO}/{n},git", "text/csv") for n in range(3)]
    await place.accepted(f"{ONE},git", "text/csv", "bob")
    found = await place.get("requests/")
    assert [one["request_id"] for one in found] == ids[::-1]
    assert found[0].keys() == {"request_id", "request_date", "request_info_url"}
    assert found[0]["request_info_url"] == f"{place.api.base}origin/save/bulk/request/{ids[2]}/"
    for user in ("staff", "nobody"):
        assert await place.get("requests/", user, 403) == {
            "exception": "ForbiddenExc",
            "reason": NO_PERMISSION,
        }
    assert await place.get("requests/", None, 401) == {"exception": "UnauthorizedExc", "reason": LOGIN}


async def test_pages(place: Place) -> None:
    urls = [f"https://x.org/{n:02}" for n in range(25)]
    id = await place.accepted("".join(f"{url},git\n" for url in reversed(urls)), "text/csv")
    address, seen = f"{place.api.base}origin/save/bulk/request/{id}/?per_page=10", []
    pages = []
    while address:
        answer = await place.api.client.session.get(address, headers=place.users["ada"])
        assert answer.headers["Cache-Control"] == NEVER
        seen += [row["origin_url"] for row in await answer.json()]
        pages.append({name: str(link["url"]).partition("?")[2] for name, link in answer.links.items()})
        address = str(answer.links["next"]["url"]) if "next" in answer.links else ""
    assert seen == urls
    assert pages == [
        {"next": "page=2&per_page=10"},
        {"next": "page=3&per_page=10", "previous": "page=1&per_page=10"},
        {"previous": "page=2&per_page=10"},
    ]
    assert await place.get(f"request/{id}/?page=4&per_page=10") == []
    assert await place.get(f"request/{id}/?page=99999999999999999999") == []
    assert len(await place.get(f"request/{id}/?per_page=99999999")) == 25
    assert await place.get("requests/?page=2") == []
    for path in (f"request/{id}/", "requests/"):
        wrong = await place.get(f"{path}?page=x", status=400)
        assert wrong["reason"] == {"page": ["A valid integer is required."]}


@pytest.mark.parametrize("form", ["csv", "json", "yaml"])
async def test_ten_thousand_origins(tmp_path: Path, serving: Any, form: str) -> None:
    """In one request, with all their jobs, on stores on disk. How long it may take is generous here, for what is measured
    is that nothing is done ten thousand times."""
    text = "archive: {jobs: {backend: memory}}\n" if form != "csv" else ""
    with archives.archive("memory", tmp_path) as archive, desks.desk(archive, tmp_path, text) as desk:
        ada = desks.bearer(desk, "ada", "swh.web.api.save_bulk")
        sample = Sample(archive.objects, archive.catalog)
        urls = [f"https://git.example.org/user{n % 100}/project{n}" for n in range(10_000)]
        if form == "csv":
            file = io.StringIO()
            csv.writer(file).writerows((url, "git") for url in urls)
            body = file.getvalue()
        elif form == "json":
            body = json.dumps(listed(*((url, "git") for url in urls)))
        else:
            body = "".join(f"- {{origin_url: '{url}', visit_type: git}}\n" for url in urls)
        headers = {**ada, "Content-Type": f"{'text' if form == 'csv' else 'application'}/{form}"}
        async with serving(sample, desk=desk, requests=lambda: desk.requests) as api:
            begun = time.perf_counter()
            answer = await api.post("origin/save/bulk/", data=body, headers=headers)
            made = await answer.json()
            assert answer.status == 200, made
            print(f"{form}: {time.perf_counter() - begun:.2f} s")
            assert desk.requests.saves.count_bulk_origins(made["request_id"]) == 10_000
            assert desk.jobs.counts()["queued"] == 10_000
            assert desk.requests.saves.jobless_bulk() == []
            begun = time.perf_counter()
            answer = await api.get(
                f"origin/save/bulk/request/{made['request_id']}/?per_page=10000", headers=ada
            )
            rows = await answer.json()
            print(f"feedback: {time.perf_counter() - begun:.2f} s")
            assert [row["origin_url"] for row in rows] == sorted(urls)
            assert all(row["last_scheduling_date"] for row in rows)


async def test_many_at_once(place: Place) -> None:
    ids = await asyncio.gather(*(place.accepted(f"{ONE},git\n{TWO}/{n},hg", "text/csv") for n in range(20)))
    assert len(set(ids)) == 20
    assert place.desk.jobs.counts()["queued"] == 21
    assert place.desk.requests.saves.jobless_bulk() == []
