"""``origin/search/`` and ``origins/``: what is found, in pages to the end, and what hostile patterns may not do."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import EMPTY_URL, QUERY, SPACED, URL, Sample

from swhkit.api.app import make_app
from swhkit.api.positions import position, token
from swhkit.api.table import ROUTES
from swhkit.archive import Archive
from swhkit.errors import InvalidInput
from swhkit.manifest import origin_digest
from swhkit_sqlite.catalog import SqliteCatalog, search, sums

LATER = "2024-02-29T12:00:00.123456+00:00"
NOON = "2024-01-01T12:00:00+00:00"


def links(api: Any, url: str) -> dict[str, str]:
    """The links of an origin."""
    swhid = f"swh:1:ori:{origin_digest(url).hex()}"
    return {
        "origin_visits_url": f"{api.base}origin/{quote(url, safe='/:;=')}/visits/",
        "metadata_authorities_url": f"{api.base}raw-extrinsic-metadata/swhid/{swhid}/authorities/",
    }


def found(api: Any, url: str, **values: Any) -> dict[str, Any]:
    """An origin as a search gives it."""
    return {
        "url": url,
        "visit_types": ["git"],
        "has_visits": True,
        "nb_visits": 1,
        "snapshot_id": None,
        "last_visit_date": NOON,
        "last_eventful_visit_date": NOON,
        **links(api, url),
        **values,
    }


def older(api: Any, id: int, url: str, type: str = "git") -> dict[str, Any]:
    """An origin as older clients know it."""
    known = {"id": id, "type": type, "url": url, "visit_types": [type], **links(api, url)}
    return {**known, "origin_visits_url": f"{api.base}origin/{id}/visits/"}


def link(answer: Any, name: str = "next") -> str | None:
    """The URL of a neighbouring page."""
    pairs = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("Link", ""))
    urls = {rel: url for url, rel in pairs}
    return urls.get(name)


async def pages(api: Any, path: str) -> tuple[list[list[str]], list[str]]:
    """The URLs of the origins of all pages, and the addresses of the pages but the first."""
    seen, went = list[list[str]](), list[str]()
    while True:
        answer = await api.get(path)
        assert answer.status == 200, await answer.text()
        seen.append([one["url"] for one in await answer.json()])
        following = link(answer)
        if following is None:
            return seen, went
        assert following.startswith(api.base)
        path = following.removeprefix(api.base)
        went.append(path)
        assert len(went) < 100


# -- search ----------------------------------------------------------------------------------------------------------


async def test_what_is_found(api: Any) -> None:
    s = api.sample
    answer = await api.get("origin/search/git.example/")
    assert answer.headers["X-Total-Count"] == "4"
    assert "Link" not in answer.headers
    assert await answer.json() == [
        found(api, URL, nb_visits=3, snapshot_id=s.snp.hex(), last_visit_date=LATER),
        found(api, SPACED, visit_types=["hg"], snapshot_id=s.empty_snp.hex())
        | {"origin_visits_url": f"{api.base}origin/https://git.example.org/a%2520b/visits/"},
        found(api, QUERY, snapshot_id=s.snp.hex()),
        found(api, EMPTY_URL, last_visit_date=LATER, last_eventful_visit_date=None),
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", [URL, SPACED, QUERY, EMPTY_URL]),
        ("u/p%20git", [URL]),
        ("ORG%20U/P%20Git", [URL]),
        ("org%20%20%20u/p%20", [URL]),
        (quote(URL, safe=""), [URL]),
        (URL, [URL]),
        (URL.replace("://", ":/"), [URL]),
        ("p", [URL, SPACED, QUERY, EMPTY_URL]),
        ("a%2520b", [SPACED]),
        (quote("?p="), [QUERY]),
        ("never", [EMPTY_URL]),
        ("nothing", []),
        ("visits", []),
        ("1/visits", []),
        ("git/url/x", []),
        ("%25", [SPACED]),
        ("_", []),
        ("%22", []),
        ("NEAR(u%20p)", []),
        ("git*", []),
        ("%00", []),
        ("git%00", []),
        ("%FF", []),
        ("%ED%A0%80", []),
        ("x" * 6000, []),
        ("%20".join(["git", "org"] * 500), [URL, SPACED, QUERY, EMPTY_URL]),
    ],
)
async def test_patterns(api: Any, pattern: str, expected: list[str]) -> None:
    answer = await api.get(f"origin/search/{pattern}/")
    assert [one["url"] for one in await answer.json()] == expected
    assert answer.headers["X-Total-Count"] == str(len(expected))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("with_visit=true", [URL, SPACED, QUERY]),
        ("with_visit=0", [URL, SPACED, QUERY, EMPTY_URL]),
        ("with_content=yes", [URL, QUERY]),
        ("with_content=1&with_visit=1&visit_type=git", [URL, QUERY]),
        ("visit_type=hg", [SPACED]),
        ("visit_type=svn", []),
        ("visit_type=", []),
        ("visit_type=%FF", []),
        ("visit_type=git%20hg", []),
        ("limit=2", [URL, SPACED]),
        ("limit=0", [URL]),
        ("limit=-5", [URL]),
        ("limit=100000", [URL, SPACED, QUERY, EMPTY_URL]),
        ("use_ql=false", [URL, SPACED, QUERY, EMPTY_URL]),
    ],
)
async def test_conditions(api: Any, query: str, expected: list[str]) -> None:
    for pattern in ("", "example", "e"):
        got = await api.json(f"origin/search/{pattern}/?{query}")
        assert [one["url"] for one in got] == expected


@pytest.mark.parametrize("pattern", ["example.org", "e", ""])
@pytest.mark.parametrize("limit", [1, 3, 4])
async def test_pages_to_the_end(api: Any, pattern: str, limit: int) -> None:
    path = f"origin/search/{pattern}/?with_visit=f&limit={limit}&fields=url&format=json"
    seen, went = await pages(api, path)
    assert [url for page in seen for url in page] == [URL, SPACED, QUERY, EMPTY_URL]
    assert all(len(page) == limit for page in seen[:-1])
    for each in went:
        start, _, last = each.partition("&page_token=")
        assert start == f"origin/search/{pattern}/?fields=url&format=json&limit={limit}"
        assert re.fullmatch(r"[A-Za-z0-9_%-]+&with_visit=f", last)
    for each in (path, *went):
        assert (await api.get(each)).headers["X-Total-Count"] == "4"


@pytest.mark.parametrize(
    ("query", "parameter", "text"),
    [
        ("limit=x", "limit", "A valid integer is required."),
        ("limit=", "limit", "A valid integer is required."),
        ("offset=1.5", "offset", "A valid integer is required."),
        ("with_visit=", "with_visit", "Must be a valid boolean."),
        ("with_content=2", "with_content", "Must be a valid boolean."),
        ("use_ql=maybe", "use_ql", "Must be a valid boolean."),
        ("regexp=x", "regexp", "Must be a valid boolean."),
    ],
)
async def test_parameters_that_are_refused(api: Any, query: str, parameter: str, text: str) -> None:
    assert await api.refused(f"origin/search/git/?{query}", 400, "ValidationError") == {parameter: [text]}


async def test_there_is_no_query_language(api: Any) -> None:
    reason = await api.bad("origin/search/origin=git/?use_ql=true")
    assert reason.startswith("Syntax error in search query: ")


FORGED = [
    "",
    "x",
    "1",
    "AAAA",
    token(5)[:-1],
    token(5)[1:],
    token(5) + "A",
    "9" * 28,
    "%00",
    "%FF",
    "%C3%A9",
    "A" * 5000,
]
FORGED += [token(5)[:3] + ("B" if token(5)[3] != "B" else "C") + token(5)[4:], token(5).replace("A", "a", 1)]


@pytest.mark.parametrize("forged", FORGED)
async def test_forged_page_tokens(api: Any, forged: str) -> None:
    for path in ("origin/search/git/", "origins/"):
        reason = await api.bad(f"{path}?page_token={forged}")
        assert reason == "Invalid page token: use the Link header to browse through the result"


def test_page_tokens() -> None:
    for pair in ((0, 0), (1, 0), (5, 7), ((1 << 64) - 1, (1 << 64) - 1)):
        assert position(token(*pair)) == pair
    with pytest.raises(InvalidInput, match="page token"):
        position("nonsense")


async def test_tokens_beyond_the_end(api: Any) -> None:
    for path in ("origin/search//", "origin/search/e/", "origins/"):
        assert await api.json(f"{path}?page_token={token((1 << 64) - 1)}") == []
        assert (await api.json(f"origin/search//?page_token={token(2, (1 << 64) - 1)}")) == []


# -- the older search ------------------------------------------------------------------------------------------------


async def test_older_search(api: Any) -> None:
    answer = await api.get("origin/search/git/?offset=0&limit=2")
    assert await answer.json() == [older(api, 1, URL), older(api, 2, SPACED, "hg")]
    assert link(answer) == f"{api.base}origin/search/git/?limit=2&offset=2"
    answer = await api.get("origin/search/git/?offset=2&limit=2&regexp=false")
    assert [one["id"] for one in await answer.json()] == [3, 4]
    assert link(answer) is None
    seen, went = await pages(api, "origin/search/e/?offset=0&limit=1&with_visit=t")
    assert seen == [[URL], [SPACED], [QUERY]]
    assert went == [f"origin/search/e/?limit=1&offset={n}&with_visit=t" for n in (1, 2)]
    for offset in ("4", "9" * 40):
        assert await api.json(f"origin/search/git/?offset={offset}") == []
    assert len(await api.json("origin/search/git/?offset=-3")) == 4


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"u/.$", [URL]),
        (r"^https:/git.*[?]", [QUERY]),
        ("HTTPS", [URL, SPACED, QUERY, EMPTY_URL]),
        ("a%|never", [SPACED, EMPTY_URL]),
        ("^git", []),
        ("", [URL, SPACED, QUERY, EMPTY_URL]),
    ],
)
async def test_regular_expressions(api: Any, pattern: str, expected: list[str]) -> None:
    got = await api.json(f"origin/search/{quote(pattern, safe='')}/?regexp=true")
    assert [one["url"] for one in got] == expected
    seen, went = await pages(api, f"origin/search/{quote(pattern, safe='')}/?regexp=true&limit=1")
    assert [url for page in seen for url in page] == expected
    assert all("regexp=true" in each and "limit=1" in each and "offset=" in each for each in went)


BOMBS = [
    "(a+)+$",
    "(.*a){25}",
    "([a-z]+)*[0-9]$",
    "((a?){30}){15}",
    "(x+x+)+y",
    "[ab]*a[ab]{300}",
    "(?:x*){400}",
]
REFUSED = [
    "(",
    "[a",
    "a**",
    "(?=a)",
    "(?<=a)b",
    r"(a)\1",
    "(?:a{1000}){1000}",
    "(" * 900,
    "\\",
    r"\pL{1000}",
    "a" * 1001,
]


@pytest.mark.parametrize("pattern", REFUSED)
async def test_expressions_that_are_refused(api: Any, pattern: str) -> None:
    reason = await api.bad(f"origin/search/{quote(pattern, safe='')}/?regexp=1")
    assert reason.startswith("The regular expression ")


@pytest.mark.parametrize("pattern", ["%FF", "%ED%A0%80"])
async def test_expressions_that_are_no_text(api: Any, pattern: str) -> None:
    answer = await api.get(f"origin/search/{pattern}/?regexp=1")
    assert answer.status in (200, 400)


# -- all origins -----------------------------------------------------------------------------------------------------


async def test_origins(api: Any) -> None:
    answer = await api.get("origins/?origin_count=2")
    assert await answer.json() == [
        {"url": url, "visit_types": [type], **links(api, url)}
        | (
            {}
            if url == URL
            else {"origin_visits_url": f"{api.base}origin/https://git.example.org/a%2520b/visits/"}
        )
        for url, type in ((URL, "git"), (SPACED, "hg"))
    ]
    following = link(answer)
    assert following is not None
    assert following.startswith(f"{api.base}origins/?origin_count=2&page_token=")
    seen, _ = await pages(api, "origins/?origin_count=3")
    assert seen == [[URL, SPACED, QUERY], [EMPTY_URL]]
    assert (await pages(api, "origins/"))[0] == [[URL, SPACED, QUERY, EMPTY_URL]]
    assert (await pages(api, "origins/?origin_count=0"))[0] == [[URL], [SPACED], [QUERY], [EMPTY_URL]]
    reason = await api.refused("origins/?origin_count=x", 400, "ValidationError")
    assert reason == {"origin_count": ["A valid integer is required."]}


async def test_origins_by_number(api: Any) -> None:
    answer = await api.get("origins/?origin_from=2&origin_count=2")
    assert await answer.json() == [
        older(api, 2, SPACED, "hg"),
        older(api, 3, QUERY),
    ]
    assert answer.headers["Link"] == (
        f'<{api.base}origins/?origin_count=2&origin_from=4>; rel="next",'
        f'<{api.base}origins/?origin_count=2&origin_from=1>; rel="previous"'
    )
    first = await api.get("origins/?origin_from=1&origin_count=2")
    assert (link(first), link(first, "previous")) == (
        f"{api.base}origins/?origin_count=2&origin_from=3",
        None,
    )
    last = await api.get("origins/?origin_from=4")
    assert (link(last), link(last, "previous")) == (
        None,
        f"{api.base}origins/?origin_count=100&origin_from=1",
    )
    seen, _ = await pages(api, "origins/?origin_from=0&origin_count=1")
    assert seen == [[URL], [SPACED], [QUERY], [EMPTY_URL]]
    for beyond in ("5", "9" * 40):
        answer = await api.get(f"origins/?origin_from={beyond}")
        assert (await answer.json(), "Link" in answer.headers) == ([], False)
    for word in ("x", "", "1.5", "%00"):
        assert (
            await api.bad(f"origins/?origin_from={word}")
            == "Please use the Link header to browse through result"
        )
    moved = await api.get("origins?origin_from=2")
    assert (moved.status, moved.headers["Location"]) == (301, "/api/1/origins/?origin_from=2")


async def test_head_options_and_the_scope(api: Any) -> None:
    for path in ("origins/", "origin/search/git/", "origin/search//"):
        got = await (await api.get(path)).read()
        head = await api.ask("HEAD", path)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(got)))
        assert await (await api.ask("OPTIONS", path)).read() == got
    assert {route.name: route.scope for route in ROUTES}["origin-search"] == "swh_api_origin_search"


# -- many origins ----------------------------------------------------------------------------------------------------

MANY = 50_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A catalog of many origins, in SQLite."""
    path: Path = tmp_path_factory.mktemp("many") / "catalog.sqlite"
    catalog = SqliteCatalog(path, True, 8 << 20)
    urls = [(n, f"https://git.example.org/user{n % 97}/{'a' * 30}-{n:x}") for n in range(1, MANY + 1)]
    with catalog._db.writing() as connection:
        sums.insert(connection, "origin", ((n, url, origin_digest(url), "git") for n, url in urls))
        sums.insert(connection, "visit", ((n, n, 1, "git", 0, "failed", None, None) for n, _ in urls))
        for n, url in urls:
            search.enter(connection, n, url)
    yield Archive(Sample().objects, catalog, None)
    catalog.close()


@pytest.fixture
async def crowd(many: Archive, api: Any) -> AsyncIterator[Any]:
    """A server over them."""
    async with TestClient(TestServer(make_app(many))) as client:
        yield type(api)(client, api.sample)


@pytest.mark.parametrize("pattern", BOMBS)
async def test_bombs_hold_nobody_up(crowd: Any, pattern: str) -> None:
    delays: list[float] = []
    done = False

    async def others() -> None:
        while not done:
            start = time.perf_counter()
            assert (await crowd.get("ping/")).status == 200
            assert (await crowd.get("origin/7/")).status == 200
            delays.append(time.perf_counter() - start)

    beside = asyncio.create_task(others())
    start = time.perf_counter()
    answers = await asyncio.gather(
        *(crowd.get(f"origin/search/{quote(pattern, safe='')}/?regexp=true") for _ in range(3))
    )
    took, done = time.perf_counter() - start, True
    await beside
    assert [answer.status for answer in answers] == [200] * 3
    assert took < 60, took
    assert len(delays) > 3
    assert sorted(delays)[len(delays) // 2] < 3.0


async def test_a_search_that_takes_its_time_is_gone_on_with(
    crowd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit.search.LOOKING_SECONDS", 0.0)
    for query, expected in (("regexp=true&limit=1000", 0), ("regexp=true&offset=1&limit=1000", 1)):
        path: str | None = f"origin/search/-{quote('(c34f|c350)$')}/?{query}"
        seen: list[int] = []
        short, turns = 0, 0
        while path is not None and turns < 2_000:
            answer = await crowd.get(path)
            assert answer.status == 200
            body = await answer.json()
            seen += [one["id"] for one in body]
            following = link(answer)
            short += following is not None and len(body) < 1000
            path = following and following.removeprefix(crowd.base)
            turns += 1
        assert seen == [0xC34F, 0xC350][expected:]
        assert short > 10


async def test_all_of_many(crowd: Any) -> None:
    seen, _ = await pages(crowd, "origin/search/user7%20example/?limit=100")
    expected = [n for n in range(1, MANY + 1) if f"user{n % 97}".startswith("user7")]
    assert [int(url.rpartition("-")[2], 16) for page in seen for url in page][: len(expected)] == expected
    answer = await crowd.get("origin/search/git/")
    assert answer.headers["X-Total-Count"] == str(MANY)
    listed, _ = await pages(crowd, "origins/?origin_count=10000")
    assert [len(page) for page in listed] == [10_000] * 5


async def test_patterns_of_a_megabyte(crowd: Any) -> None:
    start = time.perf_counter()
    for pattern in ("a" * 1_000_000, "%28" * 300_000):
        answer = await crowd.get(f"origin/search/{pattern}/?regexp=true")
        assert 400 <= answer.status < 500
    assert time.perf_counter() - start < 60
    assert (await crowd.get("ping/")).status == 200
