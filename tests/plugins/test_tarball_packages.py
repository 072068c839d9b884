"""Packages: a release for each archive, in the order of versions; what cannot be loaded is left out and told."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tarball_samples import Loads, loads, root_of, sha256, tar, web

from swhkit import visit
from swhkit.manifest import parse_release
from swhkit.model import Branch, Release
from swhkit.plugin import Kind, ObjectId, Timestamp
from swhkit.swhid import parse_core
from swhkit_tarball import TarConfig
from swhkit_tarball.versions import parse_time, version_key

HOME = "https://example.org/p"
TIME = "2020-02-29T12:34:56.789000-03:30"


def item(path: Path | str, version: str, **more: Any) -> dict[str, Any]:
    url = path if isinstance(path, str) else f"file://{path}"
    return {"time": TIME, "url": url, "version": version, "length": 7, **more}


def branches(target: Loads, report: visit.Report) -> dict[bytes, Branch | None]:
    assert report.snapshot, report
    snapshot = target.archive.catalog.snapshot(parse_core(report.snapshot).digest)
    assert snapshot is not None
    return dict(snapshot.branches)


def release(target: Loads, report: visit.Report, version: str) -> Release:
    branch = branches(target, report)[b"releases/" + version.encode()]
    assert branch is not None
    id = ObjectId(Kind.RELEASE, branch.target)
    return parse_release(target.archive.read([id])[id])


def test_a_release_for_each_version(tmp_path: Path) -> None:
    paths = {
        version: tar(tmp_path / f"{version}.tar", {"f": version.encode()})
        for version in ("1.9", "1.10", "1.2")
    }
    with loads(tmp_path / "archive") as target:
        report = target.load(HOME, "tar", artifacts=[item(path, version) for version, path in paths.items()])
        assert (report.status, report.load_status, report.error) == ("full", "eventful", None)
        found = branches(target, report)
        assert set(found) == {b"HEAD", b"releases/1.9", b"releases/1.10", b"releases/1.2"}
        assert found[b"HEAD"] is not None
        assert found[b"HEAD"].target == b"releases/1.10"
        made = release(target, report, "1.2")
        assert (made.name, made.target_type, made.author and made.author.fullname) == (
            b"1.2",
            Kind.DIRECTORY,
            b"",
        )
        assert made.message == f"Synthetic release for archive at file://{paths['1.2']}\n".encode()
        assert made.date == Timestamp(1582992296, 789000, b"-0330")
        assert made.target
        assert str(ObjectId(Kind.DIRECTORY, made.target)) == root_of(paths["1.2"])


def test_what_is_known_is_not_asked_for_again(tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        tar(tmp_path / f"{version}.tar", {"f": version.encode()})
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        url = f"http://127.0.0.1:{server.server_port}"
        items = [item(f"{url}/{version}.tar", version) for version in ("1", "2")]
        target.load(HOME, "tar", artifacts=items)
        assert target.load(HOME, "tar", artifacts=items).load_status == "uneventful"
        assert server.requests == ["/1.tar", "/2.tar"]
        report = target.load(HOME, "tar", artifacts=[*items, item(f"{url}/3.tar", "3")])
        assert (report.status, report.new["release"]) == ("full", 1)
        assert server.requests == ["/1.tar", "/2.tar", "/3.tar"]
        text = f"{TIME} 7 1 {url}/1.tar"
        (known,) = target.archive.catalog.extids(
            "package-manifest-sha256", [hashlib.sha256(text.encode()).digest()], 0
        )
        assert known.kind is Kind.RELEASE
        # Another length is another archive, for all that is known.
        target.load(HOME, "tar", artifacts=[items[0] | {"length": None}])
        assert server.requests[3:] == ["/1.tar"]


def test_an_archive_that_nobody_described_is_what_its_server_says(tmp_path: Path) -> None:
    path = tar(tmp_path / "1.tar", {"f": b"one"})
    os.utime(path, (1_500_000_000, 1_500_000_000))
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        url = f"http://127.0.0.1:{server.server_port}/1.tar"
        bare = [{"url": url, "version": "1"}]
        report = target.load(HOME, "tar", artifacts=bare)
        assert report.status == "full", report
        assert release(target, report, "1").date == Timestamp(1_500_000_000, 0, b"+0000")
        assert target.load(HOME, "tar", artifacts=bare).load_status == "uneventful"
        assert server.requests == ["HEAD /1.tar", "/1.tar", "HEAD /1.tar"]
        os.utime(path, (1_600_000_000, 1_600_000_000))
        assert target.load(HOME, "tar", artifacts=bare).load_status == "eventful"
        # What is described is not asked about, and a file has no server.
        target.load(HOME, "tar", artifacts=[item(url, "1")])
        assert server.requests[5:] == ["/1.tar"], server.requests
        report = target.load(HOME, "tar", artifacts=[{"url": f"file://{path}", "version": "1"}])
        assert release(target, report, "1").date is None


def test_an_undescribed_archive_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    tar(tmp_path / "1.tar", {"f": b"one"})
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        url = f"http://127.0.0.1:{server.server_port}"
        report = target.load(
            HOME, "tar", artifacts=[{"url": f"{url}/{n}.tar", "version": str(n)} for n in (1, 2)]
        )
    assert (report.status, "1 of 2 archives" in (report.error or "")) == ("partial", True), report


def test_what_fails_is_left_out_and_named(tmp_path: Path) -> None:
    good = tar(tmp_path / "good.tar", {"f": b"good"})
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(
        tar(damaged, {"first": b"x" * 5_000_000, "last": b"y" * 5_000_000}).read_bytes()[:7_000_000]
    )
    (tmp_path / "text.tar").write_text("no archive")
    items = [
        item(good, "1"),
        item(damaged, "2"),
        item(tmp_path / "none.tar", "3"),
        item(tmp_path / "text.tar", "4"),
        item(good, "5", checksums={"sha256": "00" * 32}),
        item(good, "6", checksums={"sha256": sha256(good)}),
    ]
    with loads(tmp_path / "archive") as target:
        report = target.load(HOME, "tar", artifacts=items)
        assert (report.status, report.load_status) == ("partial", "eventful")
        assert "4 of 6 archives could not be loaded: 2 (" in (report.error or "")
        assert "and 1 more" in (report.error or "")
        assert set(branches(target, report)) == {b"HEAD", b"releases/1", b"releases/6"}
        assert target.counts() == (1, 1), "something of an archive that failed was kept"


def test_when_all_fail_the_visit_is_partial_and_empty(tmp_path: Path) -> None:
    with loads(tmp_path / "archive") as target:
        for _ in range(2):
            report = target.load(HOME, "tar", artifacts=[item(tmp_path / "none.tar", "1")])
            assert (report.status, report.load_status, branches(target, report)) == (
                "partial",
                "uneventful",
                {},
            )


def test_without_a_list_the_visit_fails(tmp_path: Path) -> None:
    with loads(tmp_path / "archive") as target:
        report = target.load(HOME, "tar")
        assert (report.status, "--artifacts FILE.json" in (report.error or "")) == ("failed", True)


def test_two_archives_of_one_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[1\]\.version: '1' is the version of artifacts\[0\]"):
        msgspec.convert({"artifacts": [item("a", "1"), item("b", "1")]}, TarConfig)


# -- versions and moments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "versions",
    [
        ["1.9", "1.10"],
        ["1.0", "1.0.1", "1.1"],
        ["1.0", "1.0a1", "1.0a2", "1.0b1", "1.0rc1"],
        [
            "0.960923",
            "1.5.1",
            "1.5.2b2",
            "1.13++",
            "2g6",
            "2.0b1pl0",
            "5.5.kw",
            "8.02",
            "11g",
            "161",
            "1996.07.12",
        ],
        ["1.5.2a2", "1.5.2b2", "1.5.2.1"],
        ["v1.9", "v1.10"],
        ["beta", "1"],
        ["1.0-rc1", "1.0.0"],
        ["1.00", "1.01"],
        ["9" * 50, "1" + "0" * 50],
    ],
)
def test_the_order_of_versions(versions: list[str]) -> None:
    backwards = versions[::-1]
    assert sorted(backwards, key=version_key) == versions


@given(st.lists(st.text(st.sampled_from("019.abé-+٣"), max_size=8), max_size=8))
def test_any_versions_have_an_order(versions: list[str]) -> None:
    backwards = versions[::-1]
    assert sorted(versions, key=version_key) == sorted(backwards, key=version_key)


@pytest.mark.parametrize(
    ("text", "seconds", "microseconds", "offset"),
    [
        ("2017-07-14T02:40:00+00:00", 1500000000, 0, b"+0000"),
        ("2017-07-14T02:40:00Z", 1500000000, 0, b"+0000"),
        ("2017-07-14 02:40:00", 1500000000, 0, b"+0000"),
        ("2017-07-14", 1499990400, 0, b"+0000"),
        ("2017-07-14T02:40:00.5-12:30", 1500045000, 500000, b"-1230"),
        ("1969-12-31T23:59:59.999999Z", -1, 999999, b"+0000"),
        ("0001-01-01T00:00:00+14:00", -62135647200, 0, b"+1400"),
    ],
)
def test_moments(text: str, seconds: int, microseconds: int, offset: bytes) -> None:
    assert parse_time(text) == Timestamp(seconds, microseconds, offset)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2017-13-01", "2017-07-14T02:40:00+00:00:30", "1500000000"]
)
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        parse_time(text)
