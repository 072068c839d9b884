"""``extid/``: identifiers of other systems, in each format, both ways."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reading_samples import MISSING, Sample

from swhkit.model import ExtId
from swhkit.swhid import Kind

NODE = bytes.fromhex("1ce49c60732c9020ce2f98d03a7a71ec8d5be191")
BZR = b"user@example.org-20090512192901-f22ja60nsgq9j5a4"
#: Its base64url has both characters that ordinary base64 writes otherwise, and needs padding.
ODD = b"\xfb\xff\xbe\x00"
COLON = b"a:b/c d"


@pytest.fixture
async def api(serving: Any) -> AsyncIterator[Any]:
    sample = Sample()
    rows = [
        ExtId("hg-nodeid", 0, NODE, Kind.REVISION, sample.first),
        ExtId("hg-nodeid", 1, NODE, Kind.REVISION, sample.merge),
        ExtId("bzr-nodeid", 0, BZR, Kind.REVISION, sample.first),
        ExtId("nar-sha256", 1, ODD, Kind.DIRECTORY, sample.root),
        ExtId("nar-sha256", 1, ODD, Kind.CONTENT, sample.hello.sha1_git),
        ExtId("colon", 0, COLON, Kind.RELEASE, sample.release),
    ]
    sample.catalog.add(rows)
    async with serving(sample) as client:
        yield client


def rev(digest: bytes) -> str:
    return f"swh:1:rev:{digest.hex()}"


async def test_by_value(api: Any) -> None:
    found = await api.json(f"extid/hg-nodeid/hex:{NODE.hex()}/?extid_version=0")
    assert {key: value for key, value in found.items() if key != "target_url"} == {
        "extid": NODE.hex(),
        "extid_type": "hg-nodeid",
        "extid_version": 0,
        "target": rev(api.sample.first),
    }
    assert list(found)[:4] == ["extid", "extid_type", "extid_version", "target"]
    found = await api.json(f"extid/bzr-nodeid/raw:{BZR.decode()}/")
    assert (found["extid"], found["target"]) == (BZR.decode(), rev(api.sample.first))


async def test_without_a_version_the_highest_counts(api: Any) -> None:
    found = await api.json(f"extid/hg-nodeid/hex:{NODE.hex().upper()}/")
    assert (found["extid_version"], found["target"]) == (1, rev(api.sample.merge))
    assert found["extid"] == NODE.hex()


@pytest.mark.parametrize("padding", ["", "=", "==", "%3D%3D"])
async def test_base64url(api: Any, padding: str) -> None:
    text = base64.urlsafe_b64encode(ODD).decode().rstrip("=")
    assert text.startswith("-_-")
    found = await api.json(f"extid/nar-sha256/base64url:{text}{padding}/?extid_version=1")
    # Of several objects the same one is always told.
    assert found["target"] == f"swh:1:cnt:{api.sample.hello.sha1_git.hex()}"
    assert found["extid"] == text


async def test_raw_values_may_have_colons_slashes_and_spaces(api: Any) -> None:
    for written in ("a:b/c%20d", "a%3Ab%2Fc%20d"):
        found = await api.json(f"extid/colon/raw:{written}/")
        assert (found["extid"], found["target"]) == ("a:b/c d", f"swh:1:rel:{api.sample.release.hex()}")


async def test_unknown_values(api: Any) -> None:
    assert await api.not_found("extid/foo/raw:bar/") == "ExtID of type foo and value bar not found."
    assert await api.not_found(f"extid/hg-nodeid/hex:{NODE.hex()}/?extid_version=7") == (
        f"ExtID of type hg-nodeid and value {NODE.hex()} not found."
    )
    assert await api.not_found("extid/%ff%00/raw:x/") == "ExtID of type \\xff\0 and value x not found."


@pytest.mark.parametrize(
    "written",
    ["hex:abc", "hex:zz", "hex:%C3%A9%C3%A9", "base64url:a",
     "base64url:+/+AAA", "base64url:a%20b%20c", "raw:%C3%A9", "raw:%ff"],
)  # fmt: skip
async def test_values_that_are_not_written_in_their_format(api: Any, written: str) -> None:
    assert (await api.bad(f"extid/hg-nodeid/{written}/")).startswith("Invalid external identifier of format ")


async def test_unknown_formats(api: Any) -> None:
    assert await api.bad("extid/foo/baz:bar/") == "Invalid external identifier format: baz"
    assert await api.bad("extid/foo/HEX:00/") == "Invalid external identifier format: HEX"
    path = f"extid/target/{rev(api.sample.first)}/?extid_format=zzz"
    assert await api.bad(path) == "Invalid external identifier format: zzz"


async def test_versions_that_are_no_numbers(api: Any) -> None:
    for path in (f"extid/hg-nodeid/hex:{NODE.hex()}/?extid_version=x",
                 f"extid/target/{rev(api.sample.first)}/?extid_type=a&extid_version=1.5"):  # fmt: skip
        reason = await api.refused(path, 400, "ValidationError")
        assert reason == {"extid_version": ["A valid integer is required."]}
    await api.not_found(f"extid/hg-nodeid/hex:{NODE.hex()}/?extid_version={'9' * 90}")


async def test_by_target(api: Any) -> None:
    swhid = rev(api.sample.first)
    found = await api.json(f"extid/target/{swhid}/?fields=extid,extid_type,extid_version,target")
    assert found == [
        {"extid": BZR.hex(), "extid_type": "bzr-nodeid", "extid_version": 0, "target": swhid},
        {"extid": NODE.hex(), "extid_type": "hg-nodeid", "extid_version": 0, "target": swhid},
    ]
    narrowed = "extid_type=hg-nodeid&extid_version=0&extid_format=base64url"
    (one,) = await api.json(f"extid/target/{swhid.upper().replace('SWH', 'swh')}/?{narrowed}")
    assert one["extid"] == base64.urlsafe_b64encode(NODE).decode().rstrip("=")
    (one,) = await api.json(f"extid/target/{swhid}/?extid_type=bzr-nodeid&extid_version=0&extid_format=raw")
    assert one["extid"] == BZR.decode()


async def test_by_target_refusals(api: Any) -> None:
    swhid = rev(api.sample.first)
    both = "Both extid_type and extid_version query parameters must be provided"
    assert await api.bad(f"extid/target/{swhid}/?extid_type=foo") == both
    assert await api.bad(f"extid/target/{swhid}/?extid_version=1") == both
    for missing in (rev(MISSING), rev(api.sample.left), f"swh:1:dir:{api.sample.first.hex()}"):
        assert await api.not_found(f"extid/target/{missing}/") == f"ExtID targeting {missing} not found."
    path = f"extid/target/{swhid}/?extid_type=hg-nodeid&extid_version=1"
    assert await api.not_found(path) == f"ExtID targeting {swhid} not found."
    assert "not ASCII" in await api.bad(f"extid/target/{swhid}/?extid_format=raw")
    for bad in (f"swh:1:ori:{'0' * 40}", "swh:1:rev:0", f"swh:2:rev:{'0' * 40}", f"{swhid};origin=x"):
        assert (await api.bad(f"extid/target/{bad}/")).startswith("Error when parsing identifier: ")


async def test_other_methods(api: Any) -> None:
    path = f"extid/target/{rev(api.sample.first)}/"
    assert (await api.ask("HEAD", path)).status == 200
    assert (await api.ask("OPTIONS", path)).status == 200
    assert (await api.post(path)).status == 405
    assert (await api.get(f"extid/hg-nodeid/hex:{NODE.hex()}")).status == 301
