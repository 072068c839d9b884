"""``origin/``: URL forms, visits, pages."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from reading_samples import EMPTY_URL, QUERY, SPACED, URL

FORMS = [
    URL,
    quote(URL, safe=""),
    URL.replace("://", ":/"),
    quote(URL.replace("://", ":/"), safe=""),
    URL.replace("/", "%2F"),
]


@pytest.mark.parametrize("form", FORMS)
async def test_get_by_every_form_of_the_url(api: Any, form: str) -> None:
    assert await api.json(f"origin/{form}/get/") == {
        "url": URL,
        "visit_types": ["git"],
        "origin_visits_url": f"{api.base}origin/{URL}/visits/",
        "metadata_authorities_url": (
            f"{api.base}raw-extrinsic-metadata/swhid/"
            "swh:1:ori:56d866998bc87f1aceaf500c32be41956cb27882/authorities/"
        ),
    }


async def test_urls_with_spaces_and_queries(api: Any) -> None:
    for form in (SPACED, SPACED.replace("%20", " ").replace(" ", "%2520"), quote(SPACED, safe="")):
        assert (await api.json(f"origin/{form}/get/"))["url"] == SPACED
    found = await api.json(f"origin/{quote(QUERY, safe='')}/get/")
    assert found["url"] == QUERY
    # The link to its visits leads there.
    visits = await api.json(found["origin_visits_url"].removeprefix(api.base))
    assert visits[0]["origin"] == QUERY
    link = (await api.json(f"origin/{SPACED}/get/"))["origin_visits_url"]
    assert link == f"{api.base}origin/https://git.example.org/a%2520b/visits/"
    assert (await api.json(link.removeprefix(api.base)))[0]["origin"] == SPACED


@pytest.mark.parametrize("url", [f"{URL}/", URL[:-1], URL.upper(), "x", "%00", "%FF", "a%0Ab", "searching"])
async def test_look_up_is_exact(api: Any, url: str) -> None:
    for end in ("get/", "visits/", "visit/latest/"):
        reason = await api.not_found(f"origin/{url}/{end}")
        assert reason.startswith("Origin with url ")
        assert reason.endswith(" not found!")
    assert await api.not_found("origin/https://x.org/r/get/") == "Origin with url https://x.org/r not found!"
    assert await api.not_found("origin/https:/x.org/r/get/") == "Origin with url https://x.org/r not found!"


def visit(api: Any, number: int, **values: Any) -> dict[str, Any]:
    """A visit of the sample origin as it is expected in a list."""
    snapshot = values.get("snapshot")
    return {
        "origin": URL,
        "visit": number,
        "date": "2024-01-01T12:00:00+00:00",
        "type": "git",
        "status": "full",
        "snapshot_url": snapshot and f"{api.base}snapshot/{snapshot}/",
        "metadata": {},
        "origin_visit_url": f"{api.base}origin/{URL}/visit/{number}/",
        **values,
    }


async def test_visits(api: Any) -> None:
    answer = await api.get(f"origin/{URL}/visits/")
    assert await answer.json() == [
        visit(api, 3, status="failed", snapshot=None, date="2024-02-29T12:00:00.123456+00:00"),
        visit(api, 2, snapshot=api.sample.snp.hex()),
        visit(api, 1, snapshot=api.sample.empty_snp.hex()),
    ]
    assert "Link" not in answer.headers


async def test_visits_in_pages(api: Any) -> None:
    path, seen = f"origin/{URL}/visits/?per_page=1", []
    for _ in range(5):
        answer = await api.get(path)
        seen.append([one["visit"] for one in await answer.json()])
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        if link is None:
            break
        path = link[1].removeprefix(api.base)
        assert path == f"origin/{URL}/visits/?last_visit={seen[-1][0]}&per_page=1"
    assert seen == [[3], [2], [1], []]
    assert len(await api.json(f"origin/{URL}/visits/?per_page=0")) == 1
    assert len(await api.json(f"origin/{URL}/visits/?per_page=1000")) == 3
    assert len(await api.json(f"origin/{URL}/visits/?last_visit={'9' * 40}")) == 3
    assert await api.json(f"origin/{URL}/visits/?last_visit=-{'9' * 40}") == []
    reason = await api.refused(f"origin/{URL}/visits/?per_page=x", 400, "ValidationError")
    assert reason == {"per_page": ["A valid integer is required."]}


async def test_latest(api: Any) -> None:
    failed = visit(api, 3, status="failed", snapshot=None, date="2024-02-29T12:00:00.123456+00:00")
    full = visit(api, 2, snapshot=api.sample.snp.hex())
    for expected in (failed, full):
        del expected["origin_visit_url"]
        expected["origin_url"] = f"{api.base}origin/{URL}/get/"
    assert await api.json(f"origin/{URL}/visit/latest/") == failed
    assert await api.json(f"origin/{URL}/visit/latest/?require_snapshot=False") == failed
    for yes in ("true", "True", "t", "yes", "Y", "on", "1"):
        assert await api.json(f"origin/{URL}/visit/latest/?require_snapshot={yes}") == full
    for word in ("", "maybe", "2"):
        reason = await api.refused(
            f"origin/{URL}/visit/latest/?require_snapshot={word}", 400, "ValidationError"
        )
        assert reason == {"require_snapshot": ["Must be a valid boolean."]}
    assert (await api.json(f"origin/{SPACED}/visit/latest/?visit_type=hg"))["type"] == "hg"
    for type in ("svn", "%FF", "%00"):
        assert await api.not_found(f"origin/{URL}/visit/latest/?visit_type={type}") == (
            f"No visit for origin {URL} found"
        )
    assert await api.not_found(f"origin/{EMPTY_URL}/visit/latest/?require_snapshot=1") == (
        f"No visit for origin {EMPTY_URL} found"
    )


async def test_visit_by_number(api: Any) -> None:
    found = await api.json(f"origin/{URL}/visit/2/")
    assert (found["visit"], found["origin_url"]) == (2, f"{api.base}origin/{URL}/get/")
    assert "origin_visit_url" not in found
    for number in ("4", "0", "9" * 19):
        assert await api.not_found(f"origin/{URL}/visit/{number}/") == (
            f"Origin {URL} or its visit with id {number} not found!"
        )
    unknown = "https://x.org/r"
    assert await api.not_found(f"origin/{unknown}/visit/1/") == (
        f"Origin {unknown} or its visit with id 1 not found!"
    )
    await api.not_found(f"origin/{URL}/visit/{'9' * 5000}/")
    status = (await api.json(f"origin/{EMPTY_URL}/visit/1/"))["status"]
    assert status == "created"
