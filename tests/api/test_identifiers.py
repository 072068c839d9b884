"""``resolve/``, ``known/``, ``raw/``, ``stat/counters/``, ``ping/``."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from reading_samples import MISSING, URL, Sample

from swhkit.api.app import make_app
from swhkit.api.calls import Links
from swhkit.api.identifiers import browse_url
from swhkit.swhid import parse_qualified

WHO = {"content": "cnt", "directory": "dir", "revision": "rev", "release": "rel", "snapshot": "snp"}


def ids(sample: Sample) -> dict[str, bytes]:
    """One held object of each kind."""
    return {
        "cnt": sample.hello.sha1_git,
        "dir": sample.root,
        "rev": sample.odd,
        "rel": sample.of_content,
        "snp": sample.snp,
    }


@pytest.mark.parametrize("word", WHO)
async def test_resolve(api: Any, word: str) -> None:
    id = ids(api.sample)[WHO[word]].hex()
    expected = {
        "namespace": "swh",
        "scheme_version": 1,
        "object_type": word,
        "object_id": id,
        "metadata": {},
        "browse_url": f"{api.base.removesuffix('api/1/')}browse/{word}/{'sha1_git:' if word == 'content' else ''}{id}/",
    }
    assert await api.json(f"resolve/swh:1:{WHO[word]}:{id}/") == expected
    assert await api.json(f"resolve/SWH:1:{WHO[word].upper()}:{id.upper()}/") == expected


async def test_resolve_with_qualifiers(api: Any) -> None:
    s = api.sample
    core = f"swh:1:cnt:{s.hello.sha1_git.hex()}"
    context = f"origin={URL};visit=swh:1:snp:{s.snp.hex()};anchor=swh:1:rev:{s.first.hex()};path=/sub/f.txt;lines=1-2"
    found = await api.json(f"resolve/{core};{context}/")
    assert found["metadata"] == dict(part.split("=", 1) for part in context.split(";"))
    assert list(found["metadata"]) == ["origin", "visit", "anchor", "path", "lines"]
    missing = MISSING.hex()
    assert await api.not_found(f"resolve/{core};origin=https://x.org/r/") == (
        "Origin with url https://x.org/r not found!"
    )
    assert await api.not_found(f"resolve/{core};anchor=swh:1:rev:{missing}/") == (
        f"Revision with sha1_git {missing} not found."
    )
    assert await api.not_found(f"resolve/{core};visit=swh:1:snp:{missing}/") == (
        f"Snapshot with id {missing} not found!"
    )


async def test_resolve_reasons(api: Any) -> None:
    core = f"swh:1:cnt:{api.sample.hello.sha1_git.hex()}"
    assert await api.bad("resolve/swh:1:foo:1/") == (
        "Error when parsing identifier: Invalid SWHID: invalid syntax: swh:1:foo:1"
    )
    assert await api.bad(f"resolve/{core};visit={core}/") == "Visit must be a snapshot SWHID."
    assert (await api.bad(f"resolve/{core};anchor={core}/")).startswith("Anchor must be ")
    for part in ("foo=1", "lines=x", "lines=1-2;lines=3", "path", "visit=%FF", ""):
        await api.bad(f"resolve/{core};{part}/")
    missing = MISSING.hex()
    for kind, reason in {
        "cnt": f"Content with sha1_git checksum equals to {missing} not found!",
        "dir": f"Directory with sha1_git {missing} not found",
        "rev": f"Revision with sha1_git {missing} not found.",
        "rel": f"Release with sha1_git {missing} not found.",
        "snp": f"Snapshot with id {missing} not found!",
    }.items():
        assert await api.not_found(f"resolve/swh:1:{kind}:{missing}/") == reason
    assert await api.bad("resolve/bad/") == (
        "Error when parsing identifier: Invalid SWHID: invalid syntax: bad"
    )


def test_browse_urls_where_pages_are_served() -> None:
    links = Links("https://a.example", {"browse": "/browse/"})
    rev, cnt = "swh:1:rev:" + "1" * 40, "swh:1:cnt:" + "2" * 40
    dir, snp = "swh:1:dir:" + "3" * 40, "swh:1:snp:" + "4" * 40
    ones, twos, threes, fours = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)
    for text, path in {
        f"{rev};origin=https://x.org/r": f"revision/{ones}/?origin_url=https://x.org/r",
        f"{cnt};lines=1-2": f"content/sha1_git:{twos}/#L1-L2",
        f"{cnt};lines=9": f"content/sha1_git:{twos}/#L9",
        f"{cnt};anchor={rev};path=/sub/f.txt": f"revision/{ones}/?path=sub/f.txt",
        f"{dir};anchor={rev}": f"revision/{ones}/",
        f"swh:1:dir:{ones};anchor={dir};path=/sub/": f"directory/{threes}/?path=sub",
        f"{cnt};anchor={dir};path=/a": f"content/sha1_git:{twos}/?path={threes}/a",
        f"{cnt};visit={snp};anchor={rev};path=/a": (
            f"content/sha1_git:{twos}/?path=a&revision={ones}&snapshot={fours}"
        ),
        f"{rev};visit={snp};anchor={snp}": f"revision/{ones}/?snapshot={fours}",
        f"{cnt};origin=https://x.org/?a=b;path=/%22": (
            f"content/sha1_git:{twos}/?origin_url=https://x.org/%3Fa%3Db&path=%22"
        ),
    }.items():
        assert browse_url(links, parse_qualified(text)) == f"https://a.example/browse/{path}"


async def test_known(api: Any) -> None:
    held = [f"swh:1:{kind}:{digest.hex()}" for kind, digest in ids(api.sample).items()]
    s = api.sample
    unknown = [f"swh:1:{kind}:{MISSING.hex()}" for kind in WHO.values()]
    unknown += [f"swh:1:cnt:{s.rowless.sha1_git.hex()}", f"swh:1:cnt:{s.skipped.sha1_git.hex()}"]
    unknown += [f"swh:1:rev:{s.root.hex()}"]
    answer = await api.post("known/", json=[*held, *unknown, held[0]])
    assert answer.status == 200
    assert await answer.json() == {
        **{text: {"known": True} for text in held},
        **{text: {"known": False} for text in unknown},
    }
    assert (await (await api.post("known", json=held[:1])).json()) == {held[0]: {"known": True}}
    empties: list[Any] = [[], {}]
    for empty in empties:
        assert await (await api.post("known/", json=empty)).json() == {}
    directory = "swh:1:dir:4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert await (await api.post("known/", json=[directory])).json() == {directory: {"known": True}}


async def test_known_refuses(api: Any) -> None:
    core = f"swh:1:cnt:{'0' * 40}"
    for body, reason in {
        '["swh:1:foo:1"]': "Error when parsing identifier: Invalid SWHID: invalid syntax: swh:1:foo:1",
        f'["{core};lines=1"]': "Error when parsing identifier: CoreSWHID does not support qualifiers.",
        '{"a": 1}': "The body must be an array of SWHIDs.",
        '"swh"': "The body must be an array of SWHIDs.",
        "[1]": "Error when parsing identifier: Invalid SWHID: invalid syntax: 1",
        "[null]": "Error when parsing identifier: Invalid SWHID: invalid syntax: None",
        f'["swh:1:ori:{"0" * 40}"]': (
            f"Error when parsing identifier: Invalid SWHID: invalid syntax: swh:1:ori:{'0' * 40}"
        ),
    }.items():
        answer = await api.post("known/", data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 400
        assert await answer.json() == {"exception": "BadInputExc", "reason": reason}


async def test_known_takes_a_thousand(api: Any) -> None:
    texts = [f"swh:1:rev:{n:040x}" for n in range(1001)]
    answer = await api.post("known/", json=texts[:1000])
    assert (answer.status, len(await answer.json())) == (200, 1000)
    answer = await api.post("known/", json=texts)
    assert answer.status == 413
    assert await answer.json() == {
        "exception": "LargePayloadExc",
        "reason": "The maximum number of SWHIDs this endpoint can receive is 1000",
    }


@pytest.mark.parametrize("kind", WHO.values())
async def test_raw_hashes_to_the_swhid(api: Any, kind: str) -> None:
    id = ids(api.sample)[kind].hex()
    answer = await api.get(f"raw/swh:1:{kind}:{id}/", headers={"Accept": "application/xml"})
    body = await answer.read()
    assert hashlib.sha1(body).hexdigest() == id
    assert body.startswith(
        {"cnt": b"blob 6\0", "dir": b"tree ", "rev": b"commit ", "rel": b"tag ", "snp": b"snapshot "}[kind]
    )
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f"attachment; filename=swh_1_{kind}_{id}_raw"
    upper = await api.get(f"raw/SWH:1:{kind.upper()}:{id.upper()}/")
    assert await upper.read() == body


async def test_raw_of_what_json_cannot_show(api: Any) -> None:
    id = api.sample.truncated.hex()
    answer = await api.get(f"raw/swh:1:dir:{id}/")
    assert hashlib.sha1(await answer.read()).hexdigest() == id
    answer = await api.get("raw/swh:1:dir:4b825dc642cb6eb9a060e54bf8d69288fbee4904/")
    assert await answer.read() == b"tree 0\0"


async def test_raw_reasons(api: Any) -> None:
    missing = MISSING.hex()
    for kind in WHO.values():
        assert await api.not_found(f"raw/swh:1:{kind}:{missing}/") == (
            f"Object with id swh:1:{kind}:{missing} not found."
        )
    assert await api.bad(f"raw/swh:1:ori:{missing}/") == (
        f"Error when parsing identifier: Invalid SWHID: invalid syntax: swh:1:ori:{missing}"
    )
    await api.bad(f"raw/swh:2:cnt:{missing}/")
    await api.bad("raw/swh:1:cnt:abc/")
    await api.bad(f"raw/swh:1:cnt:{missing};origin=x/")


async def test_counters_and_ping(api: Any) -> None:
    counters = await api.json("stat/counters/")
    assert counters == api.sample.catalog.counters()
    assert sorted(counters) == [
        "content",
        "directory",
        "origin",
        "origin_visit",
        "person",
        "release",
        "revision",
        "skipped_content",
        "snapshot",
    ]
    answer = await api.get("ping/")
    assert (answer.status, await answer.read()) == (200, b'"pong"')


async def test_public_url_begins_every_link(sample: Sample) -> None:
    app = make_app(sample.archive, public_url="https://archive.example.org/swh/")
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(f"/api/1/snapshot/{sample.snp.hex()}/?branches_count=1")
        base = "https://archive.example.org/swh/api/1/"
        assert (await answer.json())["branches"]["HEAD"][
            "target_url"
        ] == f"{base}revision/{sample.merge.hex()}/"
        assert answer.headers["Link"].startswith(f"<{base}snapshot/")
