"""Forms of the web API that older clients use: origins by number, occurrences, revisions by origin, branch and time."""

from __future__ import annotations

import datetime
import re
from typing import Any
from urllib.parse import quote

import pytest
from reading_samples import MISSING, QUERY, SPACED, URL, Sample

from swhkit.api.older_revisions import moment
from swhkit.errors import InvalidInput
from swhkit.manifest import origin_digest
from swhkit.model import Branch, BranchType, VisitStatus
from swhkit.query import visit_at

UTC = datetime.UTC


def origin(api: Any, number: int, url: str, type: str = "git", **values: Any) -> dict[str, Any]:
    """An origin as older clients expect it."""
    authorities = f"{api.base}raw-extrinsic-metadata/swhid/swh:1:ori:{origin_digest(url).hex()}/authorities/"
    return {
        "id": number,
        "type": type,
        "url": url,
        "visit_types": [type],
        "origin_visits_url": f"{api.base}origin/{number}/visits/",
        "metadata_authorities_url": authorities,
        **values,
    }


async def unrouted(api: Any, path: str) -> None:
    body = await api.json(path, 404)
    assert list(body) == ["error", "reason"]


# -- origins ---------------------------------------------------------------------------------------------------------


async def test_origin_by_number(api: Any) -> None:
    assert await api.json("origin/1/") == origin(api, 1, URL)
    assert await api.json("origin/2/") == origin(api, 2, SPACED, "hg")
    assert await api.json("origin/1/?fields=url,id") == {"id": 1, "url": URL}
    for number in ("0", "99", "9" * 19):
        assert await api.not_found(f"origin/{number}/") == f"Origin {number} not found."
    await api.not_found(f"origin/{'9' * 5000}/")


async def test_origin_by_type_and_url(api: Any) -> None:
    for form in (URL, quote(URL, safe=""), URL.replace("://", ":/")):
        assert await api.json(f"origin/git/url/{form}/") == origin(api, 1, URL)
    assert await api.json(f"origin/git/url/{quote(QUERY, safe='')}/") == origin(api, 3, QUERY)
    assert await api.json(f"origin/hg/url/{SPACED}/") == origin(api, 2, SPACED, "hg")
    assert await api.not_found(f"origin/svn/url/{URL}/") == f"Origin {URL} not found."
    assert await api.not_found("origin/git/url/https://x.org/r/") == "Origin https://x.org/r not found."
    assert await api.not_found("origin/git/url/https://x.org/url/r/get/") == (
        "Origin https://x.org/url/r/get not found."
    )


@pytest.mark.parametrize(
    "path",
    [
        "origin/metadata-search/", "origin/metadata-search/get/", "origin/save/url/https://x/", "origin/save/7/get/",
        f"origin/git/url/{URL}/intrinsic-metadata/", "origin/", "origin/search/", "origin/git/url//", "origin/GIT/url/x/",
    ],
)  # fmt: skip
async def test_what_is_not_served_is_not_taken_for_an_origin(api: Any, path: str) -> None:
    await unrouted(api, path)


@pytest.mark.parametrize("end", ["", "/get", "/visits", "/visit/latest", "/visit/1", "/url/https://y"])
async def test_a_request_to_save_is_not_taken_for_an_origin(api: Any, end: str) -> None:
    said = f"No save requests found for visit of type git on origin with url https://x.org{end}."
    assert await api.not_found(f"origin/save/git/url/https://x.org{end}/") == said


def visit(api: Any, number: int, **values: Any) -> dict[str, Any]:
    snapshot = values.get("snapshot")
    return {
        "origin": 1,
        "id": 1,
        "visit": number,
        "date": "2024-01-01T12:00:00+00:00",
        "type": "git",
        "status": "full",
        "snapshot_url": snapshot and f"{api.base}snapshot/{snapshot}/",
        "metadata": {},
        **values,
    }


async def test_visits_by_number(api: Any) -> None:
    s = api.sample
    expected = [
        visit(api, 3, status="failed", snapshot=None, date="2024-02-29T12:00:00.123456+00:00"),
        visit(api, 2, snapshot=s.snp.hex()),
        visit(api, 1, snapshot=s.empty_snp.hex()),
    ]
    for one in expected:
        one["origin_visit_url"] = f"{api.base}origin/1/visit/{one['visit']}/"
    assert await api.json("origin/1/visits/") == expected
    path, seen = "origin/1/visits/?per_page=1", []
    while path:
        answer = await api.get(path)
        seen += [one["visit"] for one in await answer.json()]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1].removeprefix(api.base) if link else ""
        assert not path or path == f"origin/1/visits/?last_visit={seen[-1]}&per_page=1"
    assert seen == [3, 2, 1]
    assert await api.not_found("origin/99/visits/") == "Origin 99 not found."
    reason = await api.refused("origin/1/visits/?per_page=x", 400, "ValidationError")
    assert reason == {"per_page": ["A valid integer is required."]}


async def test_a_visit_by_number_has_occurrences(api: Any) -> None:
    s = api.sample
    branches = (await api.json(f"snapshot/{s.snp.hex()}/"))["branches"]
    assert len(branches) == len(s.branches)
    assert await api.json("origin/1/visit/2/") == visit(
        api, 2, snapshot=s.snp.hex(), origin_url=f"{api.base}origin/1/", occurrences=branches
    )
    failed = await api.json("origin/1/visit/3/")
    assert (failed["occurrences"], failed["snapshot"], failed["snapshot_url"]) == ({}, None, None)
    assert (await api.json("origin/1/visit/1/"))["occurrences"] == {}
    for id, number in ((1, 4), (1, 0), (99, 1)):
        assert await api.not_found(f"origin/{id}/visit/{number}/") == (
            f"Origin {id} or its visit with id {number} not found!"
        )


# -- revisions -------------------------------------------------------------------------------------------------------

AT = "2024-01-01T12:00:00+00:00"


@pytest.mark.parametrize(
    "branch", ["", "branch/HEAD/", "branch/refs/heads/main/", "branch/chain/", "branch/refs/tags/v1/"]
)
@pytest.mark.parametrize("ts", ["", f"ts/{AT}/", "ts/2024-01-01/", "ts/1704110400/"])
async def test_every_combination_of_branch_time_and_end(
    api: Any, sample: Sample, branch: str, ts: str
) -> None:
    # visits 1 (without branches) and 2 began at the same moment: the later counts
    start, merge = f"revision/origin/1/{branch}{ts}", sample.merge.hex()
    assert await api.json(start) == await api.json(f"revision/{merge}/")
    assert await api.json(f"{start}log/") == await api.json(f"revision/{merge}/log/")
    listing = await api.json(f"{start}directory/")
    plain = await api.json(f"revision/{merge}/directory/")
    for entry in listing["content"]:
        link = entry.pop(f"{entry['type']}_url")
        name = quote(b"a\xffb" if entry["name"] == "a\\xffb" else entry["name"].encode())
        assert link == f"{api.base}{start}directory/{name}/"
    assert listing == plain
    assert await api.json(f"{start}directory/sub/f.txt/") == await api.json(
        f"revision/{merge}/directory/sub/f.txt/"
    )
    inner = await api.json(f"{start}directory/bad/")
    assert inner["content"][0]["file_url"] == f"{api.base}{start}directory/bad/a%FFb/"
    assert (await api.json(f"{start}directory/bad/a%FFb/"))["type"] == "file"
    # without the last slash, they move on
    for end in ("", "log/", "directory/", "directory/sub/"):
        answer = await api.get((start + end)[:-1])
        assert answer.status == 301
        assert answer.headers["Location"].endswith(f"/api/1/{start}{end}")


async def test_links_of_a_directory_lead_on(api: Any) -> None:
    listing = await api.json("revision/origin/1/branch/refs/heads/main/ts/2024-01-01/directory/")
    for entry in listing["content"]:
        link = entry[f"{entry['type']}_url"].removeprefix(api.base)
        answer = await api.get(link)
        found = await answer.json()
        if answer.status == 200:
            assert found["type"] == entry["type"]
        else:
            assert (answer.status, found["exception"]) == (404, "NotFoundExc")


async def test_logs_in_pages(api: Any, sample: Sample) -> None:
    answer = await api.get("revision/origin/1/log/?per_page=1")
    assert [one["id"] for one in await answer.json()] == [sample.merge.hex()]
    assert answer.headers["Link"] == (f'<{api.base}revision/{sample.left.hex()}/log/?per_page=1>; rel="next"')
    answer = await api.get("revision/origin/1/log/?limit=1")
    assert len(await answer.json()) == 1
    assert "Link" not in answer.headers


async def test_a_log_after_others(api: Any, sample: Sample) -> None:
    left, right, first, merge = (one.hex() for one in (sample.left, sample.right, sample.first, sample.merge))
    path = f"revision/{left}/prev/{merge}/{right}/log/"
    assert [one["id"] for one in await api.json(path)] == [merge, right, left, first]
    assert (await api.json(path))[0] == await api.json(f"revision/{merge}/")
    answer = await api.get(f"{path}?per_page=1")
    assert [one["id"] for one in await answer.json()] == [merge, right, left]
    assert answer.headers["Link"] == f'<{api.base}revision/{first}/log/?per_page=1>; rel="next"'
    assert [one["id"] for one in await api.json(f"{path}?limit=1")] == [merge, right, left]
    missing = MISSING.hex()
    for bad in (f"revision/{missing}/prev/{merge}/log/", f"revision/{left}/prev/{merge}/{missing}/log/"):
        assert await api.not_found(bad) == f"Revision with sha1_git {missing} not found."
    assert await api.bad(f"revision/{left}/prev/abc/log/") == "Invalid checksum query string abc"
    moved = await api.get(f"revision/{left}/prev/{merge.upper()}/{right}/log/")
    assert (moved.status, moved.headers["Location"]) == (302, f"/api/1/{path}")
    await unrouted(api, f"revision/{left}/prev//log/")
    await unrouted(api, f"revision/{left}/prev/xyz/log/")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("99/", "99, branch_name: HEAD, ts: None"),
        ("99/branch/a/b/ts/2020-01-01/", "99, branch_name: a/b, ts: 2020-01-01"),
        ("1/branch/nope/", "1, branch_name: nope, ts: None"),
        ("1/branch/dangling/log/", "1, branch_name: dangling, ts: None"),
        ("1/branch/a-cycle/directory/", "1, branch_name: a-cycle, ts: None"),
        ("1/branch/bad%FF/", "1, branch_name: bad\\xff, ts: None"),
        ("1/branch/refs/heads/tree/", "1, branch_name: refs/heads/tree, ts: None"),
        ("2/", "2, branch_name: HEAD, ts: None"),
        ("4/ts/5/log/", "4, branch_name: HEAD, ts: 5"),
        ("4/directory/a/b/", "4, branch_name: HEAD, ts: None"),
    ],
)
async def test_what_leads_nowhere(api: Any, path: str, asked: str) -> None:
    assert await api.not_found(f"revision/origin/{path}") == f"Revision with (origin_id: {asked}) not found."


async def test_paths_that_lead_nowhere(api: Any, sample: Sample) -> None:
    merge = sample.merge.hex()
    assert await api.not_found("revision/origin/1/directory/nope/") == (
        f"Directory or File 'nope' pointed to by revision {merge} not found"
    )
    assert (await api.json("revision/origin/1/directory/submodule/"))["content"] is None


async def test_a_branch_with_odd_bytes(api: Any, sample: Sample) -> None:
    for name in ("%FF%FE", "%5Cxff%5Cxfe"):
        assert (await api.json(f"revision/origin/1/branch/{name}/"))["id"] == sample.odd.hex()


@pytest.mark.parametrize(
    "ts", ["now", "2024-13-01", "x", "1e5", "%00", "%FF", "9" * 19, "9" * 30, "-", "2024-01-01T25:00",
     "0001-01-01T00:00+23:59", "NaN", "inf"]
)  # fmt: skip
async def test_times_that_are_none(api: Any, ts: str) -> None:
    for end in ("", "log/", "directory/", "directory/sub/"):
        reason = await api.bad(f"revision/origin/1/ts/{ts}/{end}")
        assert reason.startswith("Invalid timestamp ")


def test_times() -> None:
    noon = datetime.datetime(2016, 1, 17, 12, 30, tzinfo=UTC)
    for text in (
        "2016-01-17T12:30:00+00:00", "2016-01-17T12:30", "2016-01-17 12:30", "2016-01-17T14:30:00+02:00", "20160117T123000Z",
        "1453033800", "1453033800.0", "+1453033800",
    ):  # fmt: skip
        assert moment(text) == noon
        assert moment(text).tzinfo is UTC
    assert moment("2016-01-17") == noon.replace(hour=0, minute=0)
    assert moment("-1") == datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="Invalid timestamp"):
        moment("")


def test_the_visit_closest_in_time() -> None:
    sample = Sample()
    url = "https://example.org/visited"

    def day(number: float) -> datetime.datetime:
        return datetime.datetime(2024, 1, 1, tzinfo=UTC) + datetime.timedelta(days=number)

    def snapshot(name: bytes) -> Any:
        return sample.snapshot({name: Branch(BranchType.REVISION, sample.first)})[1]

    assert visit_at(sample.archive, url, None) is None
    assert visit_at(sample.archive, url, day(1)) is None
    sample.visit(url, snapshot(b"1"), date=day(10))
    sample.visit(url, snapshot(b"2"), VisitStatus.PARTIAL, date=day(20))
    sample.visit(url, None, VisitStatus.FAILED, date=day(14))
    sample.visit(url, snapshot(b"4"), date=day(0))  # dates need not grow
    sample.visit(url, snapshot(b"5"), date=day(20))
    sample.visit(url, snapshot(b"6"), VisitStatus.FAILED, date=day(30))
    sample.catalog.open_visit(url, "git", day(40))

    def number(at: datetime.datetime | None) -> int:
        found = visit_at(sample.archive, url, at)
        assert found is not None
        return found.number

    assert number(None) == 5
    for at, expected in (
        (-100, 4),
        (0, 4),
        (4.9, 4),
        (5, 4),
        (5.1, 1),
        (14, 1),
        (15, 5),
        (19, 5),
        (20, 5),
        (1000, 5),
    ):
        assert number(day(at)) == expected, at


async def test_options_and_head(api: Any) -> None:
    for path in (
        "origin/1/",
        f"origin/git/url/{URL}/",
        "origin/1/visits/",
        "origin/1/visit/1/",
        "revision/origin/1/",
    ):
        got = await (await api.get(path)).read()
        head = await api.ask("HEAD", path)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(got)))
        options = await api.ask("OPTIONS", path)
        assert (options.status, await options.read()) == (200, got)
        refused = await api.ask("POST", path, data=b"")
        assert refused.status == 405
