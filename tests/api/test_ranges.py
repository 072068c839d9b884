"""Parts of files, and answers that a client has already."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import ClientError
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import MISSING, URL, Sample

from swhkit import errors
from swhkit.api.app import make_app
from swhkit.api.conditions import Conditions, Unsatisfiable, byte_range, unchanged
from swhkit.api.paging import never_cached
from swhkit.archive import Archive
from swhkit.swhid import ObjectId

BIG = bytes(range(256)) * 16384
FOREVER = "max-age=31536000, immutable"

#: Range, first and last byte of 4 MiB.
PARTS = [
    ("bytes=0-0", 0, 0),
    ("bytes=0-", 0, len(BIG) - 1),
    ("bytes=5-9", 5, 9),
    ("bytes=-1", len(BIG) - 1, len(BIG) - 1),
    ("bytes=-99999999", 0, len(BIG) - 1),
    ("bytes=1048570-1048580", 1048570, 1048580),
    ("bytes=1000000-3000000", 1000000, 3000000),
    ("bytes=4194303-", len(BIG) - 1, len(BIG) - 1),
    ("bytes=3-99999999999999999999999", 3, len(BIG) - 1),
    ("Bytes= 5-9 ", 5, 9),
]


def paths(sample: Sample) -> list[str]:
    id = sample.big.sha1_git.hex()
    return [f"content/sha1_git:{id}/raw/", f"content/{sample.big.sha256.hex()}/raw/"]


@pytest.mark.parametrize(("asked", "first", "last"), PARTS)
async def test_part_of_a_large_file(api: Any, asked: str, first: int, last: int) -> None:
    for path in paths(api.sample):
        answer = await api.get(path, headers={"Range": asked})
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(BIG)}"
        assert answer.headers["Content-Length"] == str(last + 1 - first)
        assert answer.headers["ETag"] == f'"{api.sample.big.sha1_git.hex()}"'
        assert await answer.read() == BIG[first : last + 1]


@pytest.mark.parametrize(
    ("asked", "body"),
    [("bytes=1-2", b"el"), ("bytes=-2", b"o\n"), ("bytes=4-", b"o\n"), ("bytes=0-5", b"hello\n")],
)
async def test_part_of_a_small_file(api: Any, asked: str, body: bytes) -> None:
    answer = await api.get(f"content/{api.sample.hello.sha1.hex()}/raw/", headers={"Range": asked})
    assert (answer.status, await answer.read()) == (206, body)


async def test_part_of_a_manifest(api: Any) -> None:
    path = f"raw/swh:1:cnt:{api.sample.hello.sha1_git.hex()}/"
    answer = await api.get(path, headers={"Range": "bytes=0-6"})
    assert (answer.status, await answer.read()) == (206, b"blob 6\0")
    assert answer.headers["Content-Range"] == "bytes 0-6/13"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-0,1-1", "bytes=" + "0-0," * 1000 + "0-0", "x", "bytes", "bytes=", "bytes=-", "bytes=2-1",
        "bytes=a-b", "lines=1-2", "bytes=1", "bytes=--1", "bytes=0x1-2", "bytes=٣-٤".encode().decode("latin-1"),
        "bytes=" + "9" * 101 + "-", "",
    ],
)  # fmt: skip
async def test_what_is_no_single_range_gets_the_whole(api: Any, asked: str) -> None:
    answer = await api.get(f"content/{api.sample.hello.sha1.hex()}/raw/", headers={"Range": asked})
    assert (answer.status, await answer.read()) == (200, b"hello\n")
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=6-", "bytes=6-7", "bytes=-0", "bytes=" + "9" * 99 + "-"])
async def test_a_range_behind_the_end(api: Any, asked: str) -> None:
    answer = await api.get(f"content/{api.sample.hello.sha1.hex()}/raw/", headers={"Range": asked})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */6")
    assert await answer.json() == {
        "exception": "RangeNotSatisfiable",
        "reason": "The range begins behind the end: there are 6 bytes.",
    }


async def test_ranges_of_nothing(api: Any) -> None:
    path = f"content/{api.sample.empty.sha1.hex()}/raw/"
    assert (await api.get(path, headers={"Range": "bytes=0-"})).status == 416
    answer = await api.get(path, headers={"Range": "bytes=-5"})
    assert (answer.status, await answer.read()) == (200, b"")


async def test_if_range(api: Any) -> None:
    path, tag = f"content/{api.sample.hello.sha1.hex()}/raw/", f'"{api.sample.hello.sha1_git.hex()}"'
    for value, status in [
        (tag, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 200),
    ]:
        answer = await api.get(path, headers={"Range": "bytes=0-0", "If-Range": value})
        assert (answer.status, len(await answer.read())) == (status, 1 if status == 206 else 6)
    answer = await api.get(path, headers={"Range": "bytes=9-", "If-Range": '"other"'})
    assert (answer.status, await answer.read()) == (200, b"hello\n")


async def test_head_has_the_headers_of_the_whole(api: Any) -> None:
    for path in (*paths(api.sample), f"content/{api.sample.hello.sha1.hex()}/raw/"):
        get = await api.get(path)
        head = await api.ask("HEAD", path, headers={"Range": "bytes=0-1"})
        assert (head.status, await head.read()) == (200, b"")
        for name in ("Content-Length", "Accept-Ranges", "ETag", "Cache-Control", "Content-Disposition"):
            assert head.headers[name] == get.headers[name]
        assert get.headers["Cache-Control"] == FOREVER


async def test_raw_bytes_that_a_client_has(api: Any) -> None:
    id = api.sample.hello.sha1_git.hex()
    for path in (*paths(api.sample), f"raw/swh:1:cnt:{id}/", f"revision/{api.sample.first.hex()}/raw/"):
        tag = (await api.get(path)).headers["ETag"]
        for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            for method in ("GET", "HEAD"):
                headers = {"If-None-Match": sent, "Range": "bytes=0-0"}
                answer = await api.ask(method, path, headers=headers)
                assert (answer.status, await answer.read()) == (304, b"")
                assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (tag, FOREVER)
                assert "X-RateLimit-Limit" in answer.headers
                assert "Vary" in answer.headers
        for sent in ('"x"', tag.strip('"'), "", '"*"', tag[:-1], '"x",' * 5000 + tag):
            if len(sent) < 8000:
                assert (await api.get(path, headers={"If-None-Match": sent})).status == 200
    assert tag == f'"{api.sample.first.hex()}"'


async def test_missing_content_is_not_unchanged(api: Any) -> None:
    for path in (f"content/sha1_git:{MISSING.hex()}/raw/", f"revision/{MISSING.hex()}/"):
        answer = await api.get(path, headers={"If-None-Match": "*"})
        assert answer.status == 404
        assert "ETag" not in answer.headers


async def test_data_that_a_client_has(api: Any) -> None:
    """The tag is of the very bytes: other formats, fields and hosts have others. Nothing is kept without asking."""
    path = f"revision/{api.sample.first.hex()}/"
    answers = [
        await api.get(path),
        await api.get(path, headers={"Accept": "application/yaml"}),
        await api.get(path + "?fields=id"),
        await api.get(path, headers={"Host": "other.example.org"}),
    ]
    tags = [answer.headers["ETag"] for answer in answers]
    assert len(set(tags)) == 4
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-cache"}
    assert (await api.get(path)).headers["ETag"] == tags[0]
    for method in ("GET", "HEAD"):
        answer = await api.ask(method, path, headers={"If-None-Match": tags[0]})
        assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", tags[0])
        assert answer.headers["X-RateLimit-Remaining"]
    answer = await api.get(path, headers={"If-None-Match": tags[0], "Accept": "application/yaml"})
    assert answer.status == 200
    answer = await api.post("known/", json=[], headers={"If-None-Match": "*"})
    assert (answer.status, await answer.json()) == (200, {})


async def test_pages_that_a_client_has_still_name_their_neighbours(api: Any) -> None:
    path = f"origin/{URL}/visits/?per_page=1"
    first = await api.get(path)
    again = await api.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.headers["Link"]) == (304, first.headers["Link"])


async def test_errors_are_not_kept(api: Any) -> None:
    answer = await api.get(f"revision/{MISSING.hex()}/")
    assert answer.status == 404
    assert "Cache-Control" not in answer.headers


class Damaged:
    """Objects whose streams give 64 KiB pieces and then fail or end."""

    def __init__(self, real: Any, pieces: int, error: Exception | None) -> None:
        self._real, self._pieces, self._error = real, pieces, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        for _ in range(self._pieces):
            yield b"x" * 65536
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize(
    ("pieces", "error"),
    [(64, errors.Corrupt("damaged")), (40, RuntimeError("died")), (63, None), (65, None)],
)
@pytest.mark.parametrize("asked", ["bytes=0-0", "bytes=0-199999", "bytes=70000-", "bytes=-1"])
async def test_damage_behind_a_part_cuts_it(
    sample: Sample, pieces: int, error: Exception | None, asked: str
) -> None:
    """Nobody has the whole of a part before the whole file has turned out to be sound."""
    objects: Any = Damaged(sample.objects, pieces, error)
    async with TestClient(TestServer(make_app(Archive(objects, sample.catalog, None)))) as client:
        path = f"/api/1/content/sha1_git:{sample.big.sha1_git.hex()}/raw/"
        answer = await client.get(path, headers={"Range": asked})
        assert answer.status == 206
        with pytest.raises(ClientError):
            await answer.read()


async def test_parts_at_the_same_time(api: Any) -> None:
    path = paths(api.sample)[0]

    async def part(number: int) -> bytes:
        first = number * 524288
        answer = await api.get(path, headers={"Range": f"bytes={first}-{first + 524287}"})
        return bytes(await answer.read())

    assert b"".join(await asyncio.gather(*map(part, range(8)))) == BIG


def test_ranges_fit_for_every_length() -> None:
    for length in range(4):
        for first in range(5):
            for last in range(first, 5):
                asked = Conditions(range=f"bytes={first}-{last}")
                if first >= length:
                    with pytest.raises(Unsatisfiable):
                        byte_range(asked, length, None)
                else:
                    assert byte_range(asked, length, None) == (first, min(last, length - 1))


def test_tags() -> None:
    assert not unchanged(Conditions(none_match="*"), None)
    assert not unchanged(Conditions(), '"a"')
    assert unchanged(Conditions(none_match='"b",W/"a"'), '"a"')
    assert not unchanged(Conditions(none_match='"a' + '"' * 9000), '"a"')


def test_what_nobody_may_keep() -> None:
    headers = never_cached()
    assert headers["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    then = parsedate_to_datetime(headers["Expires"])
    assert abs(then - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
