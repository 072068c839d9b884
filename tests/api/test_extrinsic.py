"""``raw-extrinsic-metadata/``: what others say about objects and origins."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reading_samples import SPACED, URL, Sample

from swhkit.manifest import emd_id, origin_digest
from swhkit.model import ExtrinsicMetadata

FORGE = ("forge", "https://forge.example.org/?a=b&c=d")
REGISTRY = ("registry", "https://registry.example.org/")
#: As clients write the first of them.
ASKED = "authority=forge%20https://forge.example.org/%3Fa%3Db%26c%3Dd"
ORIGIN = f"swh:1:ori:{origin_digest(URL).hex()}"
DAY = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)


def said(target: str, number: int = 0, authority: tuple[str, str] = FORGE, **more: Any) -> ExtrinsicMetadata:
    return ExtrinsicMetadata(
        target=target, discovery_date=DAY + datetime.timedelta(hours=number // 2), authority_type=authority[0],
        authority_url=authority[1], fetcher_name="lister", fetcher_version="1.2", format="json",
        metadata=b'{"n": %d}' % number, **more,
    )  # fmt: skip


@pytest.fixture
async def api(serving: Any) -> AsyncIterator[Any]:
    sample = Sample()
    swhid = f"swh:1:dir:{sample.root.hex()}"
    full = said(
        swhid, 8, REGISTRY, origin=URL, visit=2, snapshot=f"swh:1:snp:{sample.snp.hex()}",
        release=f"swh:1:rel:{sample.release.hex()}", revision=f"swh:1:rev:{sample.merge.hex()}",
        path=b"a/\xff", directory=swhid,
    )  # fmt: skip
    sample.catalog.add([said(swhid, number) for number in range(7)])
    sample.catalog.add([full, said(ORIGIN, 1), said(f"swh:1:emd:{emd_id(full).hex()}", 2)])
    async with serving(sample) as client:
        client.swhid, client.full = swhid, full
        yield client


def path(swhid: str, query: str = ASKED) -> str:
    return f"raw-extrinsic-metadata/swhid/{swhid}/?{query}"


async def test_listing(api: Any) -> None:
    found = await api.json(path(api.swhid))
    assert len(found) == 7
    id = emd_id(said(api.swhid, 0)).hex()
    first = next(one for one in found if id in one["metadata_url"])
    assert first == {
        "target": api.swhid,
        "discovery_date": "2024-01-01T12:00:00+00:00",
        "authority": {"type": FORGE[0], "url": FORGE[1]},
        "fetcher": {"name": "lister", "version": "1.2"},
        "format": "json",
        "metadata_url": f"{api.base}raw-extrinsic-metadata/get/{id}/?filename={api.swhid}_metadata",
    }
    assert [one["discovery_date"] for one in found] == sorted(one["discovery_date"] for one in found)
    upper = api.swhid.replace("dir", "DIR").replace(api.swhid[10:], api.swhid[10:].upper())
    assert await api.json(path(upper)) == found


async def test_context(api: Any) -> None:
    (found,) = await api.json(path(api.swhid, f"authority=registry%20{REGISTRY[1]}"))
    keys = ("origin", "visit", "snapshot", "release", "revision", "path", "directory")
    assert {key: found[key] for key in keys} == {
        "origin": URL,
        "visit": 2,
        "snapshot": api.full.snapshot,
        "release": api.full.release,
        "revision": api.full.revision,
        "path": "a/\\xff",
        "directory": api.swhid,
    }


async def test_origins_have_no_target_and_a_file_name_of_their_own(api: Any) -> None:
    (found,) = await api.json(path(ORIGIN))
    assert "target" not in found
    assert found["metadata_url"].endswith("/?filename=https_git_example_org_u_p_metadata")
    answer = await api.get(found["metadata_url"].removeprefix(api.base))
    assert (
        answer.headers["Content-Disposition"] == 'attachment; filename="https_git_example_org_u_p_metadata"'
    )


async def test_metadata_about_metadata(api: Any) -> None:
    target = f"swh:1:emd:{emd_id(api.full).hex()}"
    (found,) = await api.json(path(target))
    assert found["target"] == target


async def test_unknown_targets_and_authorities(api: Any) -> None:
    assert await api.json(path(f"swh:1:rev:{'0' * 40}")) == []
    assert await api.json(path(f"swh:1:ori:{'0' * 40}")) == []
    assert await api.json(path(api.swhid, "authority=forge%20https://other.example.org/")) == []
    assert await api.json(path(api.swhid, "authority=deposit_client%20%ff%00")) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
async def test_pages(api: Any, limit: int) -> None:
    whole = await api.json(path(api.swhid))
    where, seen = path(api.swhid, f"limit={limit}&{ASKED}"), []
    while True:
        answer = await api.get(where)
        page = await answer.json()
        assert 0 < len(page) <= limit
        seen += page
        link = answer.headers.get("Link")
        if link is None:
            break
        url = re.fullmatch(r'<(.*)>; rel="next"', link)[1]  # type: ignore[index]
        names = re.findall(r"[?&](\w+)=", url)
        assert names == ["authority", "limit", "page_token"]
        assert "authority=forge%20https://forge.example.org/" in url
        where = url.removeprefix(api.base)
    assert seen == whole


async def test_long_lists_are_read_in_parts(api: Any) -> None:
    target = f"swh:1:rev:{api.sample.first.hex()}"
    api.sample.catalog.add([said(target, number) for number in range(120)])
    assert len(await api.json(path(target, ASKED + "&limit=120"))) == 120
    answer = await api.get(path(target))
    assert len(await answer.json()) == 100
    rest = await api.json(answer.headers["Link"][1:].partition(">")[0].removeprefix(api.base))
    assert len(rest) == 20
    assert len(await api.json(path(target, ASKED + "&limit=99999"))) == 120
    assert len(await api.json(path(target, ASKED + "&limit=-5"))) == 1


@pytest.mark.parametrize(
    ("after", "count"),
    [
        ("2024-01-01T12:00:00Z", 5),
        ("2024-01-01T13:00:00%2B00:00", 3),
        ("2024-01-01T14:00:00%2B01:00", 3),
        ("2024-01-01T14:00:00+01:00", 3),
        ("2024-01-01T13:59", 3),
        ("2024-01-01", 7),
        ("2030-01-01T00:00:00.5Z", 0),
    ],
)
async def test_after(api: Any, after: str, count: int) -> None:
    assert len(await api.json(path(api.swhid, f"{ASKED}&after={after}"))) == count


async def test_pages_keep_after(api: Any) -> None:
    answer = await api.get(path(api.swhid, f"{ASKED}&after=2024-01-01T12:00Z&limit=2"))
    following = answer.headers["Link"][1:].partition(">")[0]
    assert "?after=2024-01-01T12:00:00%2B00:00&authority=" in following
    assert len(await api.json(following.removeprefix(api.base))) == 2


@pytest.mark.parametrize(
    ("query", "name", "text"),
    [
        ("", "authority", "This field is required."),
        ("authority=", "authority", "The 'authority' query parameter must contain a space."),
        ("authority=forge", "authority", "The 'authority' query parameter must contain a space."),
        ("authority=%20forge%20", "authority", "The 'authority' query parameter must contain a space."),
        (
            "authority=foo%20https://x",
            "authority",
            "Invalid type foo, must be one of: deposit_client, forge, registry",
        ),
        (ASKED + "&limit=x", "limit", "A valid integer is required."),
        (ASKED + "&after=yesterday", "after", None),
        (ASKED + "&after=", "after", None),
        (ASKED + "&after=0001-01-01T00:00:00%2B23:59", "after", None),
    ],
)
async def test_bad_parameters(api: Any, query: str, name: str, text: str | None) -> None:
    reason = await api.refused(path(api.swhid, query), 400, "ValidationError")
    assert list(reason) == [name]
    (told,) = reason[name]
    assert told == text or (text is None and told.startswith("Datetime has wrong format."))


@pytest.mark.parametrize(
    "token",
    ["", "x", "1", "%00", "AAAA", "%C3%A9", "%ff", "A" * 36, "A" * 39, "=" * 38, "/" * 38, "-" * 5000,
     base64.urlsafe_b64encode(b"\x7f" + b"\xff" * 27).decode()],
)  # fmt: skip
async def test_forged_page_tokens(api: Any, token: str) -> None:
    assert "page_token" in await api.bad(path(api.swhid, f"{ASKED}&page_token={token}"))


@pytest.mark.parametrize("target", ["swh:1:dir:0", f"swh:2:dir:{'0' * 40}", f"swh:1:foo:{'0' * 40}",
                                    f"swh:1:dir:{'0' * 40};origin=x", f"swh:1:dir:{'0' * 41}"])  # fmt: skip
async def test_bad_targets(api: Any, target: str) -> None:
    for where in (path(target), f"raw-extrinsic-metadata/swhid/{target}/authorities/"):
        assert (await api.bad(where)).startswith("Invalid target SWHID: Invalid SWHID: invalid syntax: ")


async def test_authorities(api: Any) -> None:
    found = await api.json(f"raw-extrinsic-metadata/swhid/{api.swhid}/authorities/")
    assert found == [
        {
            "type": type,
            "url": url,
            "metadata_list_url": f"{api.base}raw-extrinsic-metadata/swhid/{api.swhid}/?{asked}",
        }
        for type, url, asked in [
            (*FORGE, ASKED),
            (*REGISTRY, "authority=registry%20https://registry.example.org/"),
        ]
    ]
    for one, count in zip(found, (7, 1), strict=True):
        assert len(await api.json(one["metadata_list_url"].removeprefix(api.base))) == count
    assert await api.json(f"raw-extrinsic-metadata/swhid/swh:1:emd:{'0' * 40}/authorities/") == []


@pytest.mark.parametrize("form", [URL, URL.replace("://", ":/"), URL.replace("/", "%2F")])
async def test_authorities_of_an_origin(api: Any, form: str) -> None:
    answer = await api.get(f"raw-extrinsic-metadata/origin/{form}/authorities/")
    where = f"/api/1/raw-extrinsic-metadata/swhid/{ORIGIN}/authorities/"
    assert (answer.status, answer.headers["Location"], await answer.read()) == (302, where, b"")
    (one,) = await api.json(where.removeprefix("/api/1/"))
    assert one["url"] == FORGE[1]


async def test_authorities_of_other_origins(api: Any) -> None:
    for asked, meant in [
        (SPACED, SPACED),
        ("https://x.org/unknown", "https://x.org/unknown"),
        ("%0d%0aSet-Cookie:x=1", "\r\nSet-Cookie:x=1"),
    ]:
        answer = await api.get(f"raw-extrinsic-metadata/origin/{asked}/authorities/")
        assert answer.status == 302
        assert f"swh:1:ori:{origin_digest(meant).hex()}" in answer.headers["Location"]
        assert "Set-Cookie" not in answer.headers


async def test_download(api: Any) -> None:
    record = said(api.swhid, 3)
    where = f"raw-extrinsic-metadata/get/{emd_id(record).hex()}/"
    for query, disposition in [
        ("", "attachment"),
        ("?filename=a:b._-Z9", 'attachment; filename="a:b._-Z9"'),
        ("?filename=a%22b", "attachment"),
        ("?filename=a%0d%0aSet-Cookie:x", "attachment"),
        ("?filename=a/b", "attachment"),
        ("?filename=", "attachment"),
        ("?filename=a%0a", "attachment"),
    ]:
        answer = await api.get(where + query, headers={"Accept": "application/xml"})
        assert (answer.status, await answer.read()) == (200, record.metadata)
        assert answer.headers["Content-Disposition"] == disposition
        assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["ETag"] == f'"{emd_id(record).hex()}"'
    answer = await api.get(where, headers={"Range": "bytes=1-3"})
    assert (answer.status, await answer.read()) == (206, record.metadata[1:4])
    upper = emd_id(record).hex().upper()
    assert (await api.get(f"raw-extrinsic-metadata/get/{upper}/")).status == 200


@pytest.mark.parametrize("id", ["0" * 40, "0" * 39, "zz", "0" * 64, "%ff", "0" * 5000])
async def test_unknown_metadata(api: Any, id: str) -> None:
    assert await api.not_found(f"raw-extrinsic-metadata/get/{id}/") == (
        "Metadata not found. Use /raw-extrinsic-metadata/swhid/ to access metadata."
    )
