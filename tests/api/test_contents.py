"""``content/``: metadata by every digest, bytes, known sha1s."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from reading_samples import MISSING

HELLO = hashlib.sha1(b"hello\n").hexdigest()
EMPTY_SHA1 = hashlib.sha1(b"").hexdigest()


@pytest.mark.parametrize("algorithm", ["sha1", "sha1_git", "sha256", "blake2s256"])
async def test_metadata_by_each_digest(api: Any, algorithm: str) -> None:
    row = api.sample.hello
    digest = getattr(row, algorithm).hex()
    assert await api.json(f"content/{algorithm}:{digest}/") == {
        "length": 6,
        "status": "visible",
        "checksums": {
            "sha1": row.sha1.hex(),
            "sha1_git": row.sha1_git.hex(),
            "sha256": row.sha256.hex(),
            "blake2s256": row.blake2s256.hex(),
        },
        "data_url": f"{api.base}content/{algorithm}:{digest}/raw/",
        "swhid": f"swh:1:cnt:{row.sha1_git.hex()}",
    }


async def test_without_algorithm_the_length_tells_which(api: Any) -> None:
    assert (await api.json(f"content/{HELLO}/"))["data_url"] == f"{api.base}content/sha1:{HELLO}/raw/"
    sha256 = hashlib.sha256(b"hello\n").hexdigest()
    assert (await api.json(f"content/{sha256}/"))["length"] == 6


async def test_skipped_content_is_absent(api: Any) -> None:
    found = await api.json(f"content/sha1_git:{api.sample.skipped.sha1_git.hex()}/")
    assert (found["status"], found["length"]) == ("absent", 10)


async def test_percent_encoded_colon_and_upper_case(api: Any) -> None:
    assert (await api.json(f"content/sha1%3A{HELLO}/"))["length"] == 6
    answer = await api.get(f"content/sha1:{HELLO.upper()}/?fields=length")
    assert (answer.status, answer.headers["Location"]) == (302, f"/api/1/content/sha1:{HELLO}/")
    answer = await api.get(f"content/sha1:{HELLO.upper()}/raw/")
    assert answer.headers["Location"] == f"/api/1/content/sha1:{HELLO}/raw/"


async def test_reasons(api: Any) -> None:
    missing = MISSING.hex()
    reason = f"Content with sha1_git checksum equals to {missing} not found!"
    assert await api.not_found(f"content/sha1_git:{missing}/") == reason
    assert await api.not_found(f"content/sha1_git:{missing}/raw/") == reason
    assert await api.not_found("content/blake2s256:abcd/") == (
        "Content with blake2s256 checksum equals to abcd not found!"
    )
    assert await api.bad("content/abc/") == "Invalid checksum query string abc"
    assert await api.bad("content/sha1:a:b/") == "Invalid checksum query string sha1:a:b"
    assert await api.bad("content/sha1:abc/") == "Invalid hash abc for algorithm sha1"
    assert await api.bad("content/sha1_git:xyza/") == "Invalid hash xyza for algorithm sha1_git"
    assert await api.bad(f"content/sha256:{missing}/") == f"Invalid hash {missing} for algorithm sha256"
    assert await api.bad(f"content/foo:{missing}/") == "Unknown hash algorithm foo"
    assert await api.bad(f"content/md5:{missing}/") == "Unknown hash algorithm md5"


async def test_raw(api: Any) -> None:
    digest = api.sample.html.sha1_git.hex()
    answer = await api.get(f"content/sha1_git:{digest}/raw/", headers={"Accept": "application/xml"})
    assert answer.status == 200
    assert await answer.read() == b"<script>alert(1)</script>\n"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "26"
    assert answer.headers["Content-Disposition"] == (f'attachment; filename="content_sha1_git_{digest}_raw"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in answer.headers


async def test_raw_of_every_size(api: Any) -> None:
    answer = await api.get(f"content/{api.sample.big.sha1.hex()}/raw/")
    assert await answer.read() == bytes(range(256)) * 16384
    assert answer.headers["Content-Length"] == str(1 << 22)
    answer = await api.get(f"content/{EMPTY_SHA1}/raw/")
    assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, "0", b"")


async def test_head_of_raw(api: Any) -> None:
    answer = await api.ask("HEAD", f"content/{api.sample.big.sha1.hex()}/raw/")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(1 << 22))
    assert await answer.read() == b""
    answer = await api.ask("HEAD", f"content/{'0' * 40}/raw/")
    assert answer.status == 404


@pytest.mark.parametrize("name", ["skipped", "lost"])
async def test_known_content_without_bytes(api: Any, name: str) -> None:
    digest = getattr(api.sample, name).sha1_git.hex()
    assert await api.not_found(f"content/sha1_git:{digest}/raw/") == (
        f"Bytes of content with sha1_git checksum equals to {digest} are not available!"
    )


async def test_bytes_without_a_row_are_not_held(api: Any) -> None:
    digest = api.sample.rowless.sha1_git.hex()
    for path in (
        f"content/sha1_git:{digest}/",
        f"content/sha1_git:{digest}/raw/",
        f"raw/swh:1:cnt:{digest}/",
    ):
        await api.not_found(path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("x/y%20z.txt", 'attachment; filename="y z.txt"'),
        ("a%22b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("a%0d%0aSet-Cookie:%20x=1", 'attachment; filename="a__Set-Cookie: x=1"'),
        ("%C3%A9%0a%7f", "attachment; filename=\"___\"; filename*=UTF-8''%C3%A9__"),
        ("%C3%A9.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("%ff", "attachment; filename=\"_xff\"; filename*=UTF-8''%5Cxff"),
        ("a%5C", "attachment; filename=\"a_\"; filename*=UTF-8''a%5C"),
    ],
)
async def test_file_names(api: Any, asked: str, told: str) -> None:
    answer = await api.get(f"content/{HELLO}/raw/?filename={asked}")
    assert (answer.status, answer.headers["Content-Disposition"]) == (200, told)
    assert "X" not in answer.headers


@pytest.mark.parametrize("asked", ["", "dir/", "x" * 256])
async def test_bad_file_names(api: Any, asked: str) -> None:
    reason = await api.refused(f"content/{HELLO}/raw/?filename={asked}", 400, "ValidationError")
    assert list(reason) == ["filename"]


async def test_known(api: Any) -> None:
    unknown = "0" * 40
    found = await api.json(f"content/known/{HELLO.upper()},{unknown},{EMPTY_SHA1}/")
    assert found == {
        "search_res": [
            {"sha1": HELLO, "found": True},
            {"sha1": unknown, "found": False},
            {"sha1": EMPTY_SHA1, "found": True},
        ],
        "search_stats": {"nbfiles": 3, "pct": 66},
    }
    skipped = api.sample.skipped.sha1.hex()
    assert (await api.json(f"content/known/{skipped}/"))["search_res"][0]["found"] is False
    nothing = {"search_res": None, "search_stats": {"nbfiles": 0, "pct": 0}}
    assert await api.json("content/known/,/") == nothing
    assert await api.bad("content/known/zz/") == "Invalid checksum query string zz"
    assert await api.bad("content/known/sha1_git:x/") == "Invalid checksum query string sha1_git:x"


async def test_known_search(api: Any) -> None:
    expected = {
        "search_res": [
            {"sha1": HELLO, "found": True},
            {"sha1": "0" * 40, "found": False, "filename": "x.c"},
        ],
        "search_stats": {"nbfiles": 2, "pct": 50},
    }
    fields = {"q": HELLO, "x.c": "0" * 40, "dropped": ""}
    for path in ("content/known/search/", "content/known/search"):
        for options in ({"json": fields}, {"data": fields}):
            answer = await api.post(path, **options)
            assert (answer.status, await answer.json()) == (200, expected)
    boundary = "".join(
        f'--B\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = await api.post("content/known/search/", data=f"{boundary}--B--\r\n", headers=headers)
    assert await answer.json() == expected
    answer = await api.post("content/known/search/", json={})
    assert (await answer.json())["search_res"] is None


@pytest.mark.parametrize(
    "body", ["[]", "[1]", '"x"', '{"a": 1}', '{"a": "zz"}', '{"a": ["x"]}', '{"q": null, "b": {}, "c": 5}']
)
async def test_known_search_refuses(api: Any, body: str) -> None:
    answer = await api.post("content/known/search/", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert (await answer.json())["exception"] == "BadInputExc"


async def test_search_is_never_an_identifier(api: Any) -> None:
    answer = await api.get("content/known/search/")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert await answer.json() == {
        "exception": "MethodNotAllowed",
        "reason": 'Method "GET" not allowed.',
    }
