"""The part of the catalog's contract on snapshots: whole, in pages, filtered, small and huge."""

from __future__ import annotations

import time
from collections.abc import Collection

import pytest

from swhkit.manifest import object_id
from swhkit.model import Branch, BranchType, Snapshot, VisitStatus
from swhkit.storage import BranchPage, Catalog, Publication
from swhkit.testing import samples
from swhkit.testing.samples import moment

URL = "https://example.org/snapshots"


def keep(catalog: Catalog, snapshot: Snapshot) -> bytes:
    """Publish a snapshot; its digest."""
    visit = catalog.open_visit(URL, "git", moment(0))
    catalog.publish(
        URL, visit.number, Publication(status=VisitStatus.FULL, date=moment(1), snapshot=snapshot)
    )
    return object_id(snapshot).digest


def pages(
    catalog: Catalog, id: bytes, count: int, types: Collection[BranchType] | None = None
) -> list[tuple[bytes, Branch | None]]:
    """All branches of a snapshot, page by page."""
    found: list[tuple[bytes, Branch | None]] = []
    first: bytes | None = b""
    while first is not None:
        page = catalog.branches(id, first, count, types)
        assert page is not None
        assert len(page.branches) <= count
        assert page.next_branch is None or len(page.branches) == count
        found += page.branches.items()
        first = page.next_branch
    return found


class SnapshotContract:
    """Needs the fixture ``catalog``."""

    def test_a_snapshot_comes_back_whole(self, catalog: Catalog) -> None:
        snapshot = Snapshot(
            {
                b"refs/heads/z": Branch(BranchType.REVISION, b"\x01" * 20),
                b"": Branch(BranchType.CONTENT, b"\x02" * 20),
                b"\xff\x00: 7": Branch(BranchType.DIRECTORY, b"\x03" * 20),
                b"alias": Branch(BranchType.ALIAS, b"\xff\x00: 7"),
                b"deep": Branch(BranchType.SNAPSHOT, b"\x04" * 20),
                b"dangling": None,
                b"v1": Branch(BranchType.RELEASE, b"\x05" * 20),
            }
        )
        id = keep(catalog, snapshot)
        assert catalog.snapshot(id) == snapshot
        assert pages(catalog, id, 2) == sorted(snapshot.branches.items())
        for name, branch in snapshot.branches.items():
            assert catalog.branch(id, name) == branch
        assert catalog.branch(id, b"dangling-not") is None

    def test_the_empty_snapshot(self, catalog: Catalog) -> None:
        id = keep(catalog, Snapshot({}))
        assert catalog.snapshot(id) == Snapshot({})
        assert catalog.branches(id) == BranchPage({}, None)
        assert catalog.missing_snapshots([id]) == set()

    def test_unknown_snapshots(self, catalog: Catalog) -> None:
        known, unknown = keep(catalog, samples.snapshot(3)), b"\x07" * 20
        assert catalog.snapshot(unknown) is None
        assert catalog.branches(unknown) is None
        assert catalog.branch(unknown, b"HEAD") is None
        assert catalog.missing_snapshots([]) == set()
        assert catalog.missing_snapshots(id for id in [known, unknown, unknown]) == {unknown}

    def test_a_snapshot_kept_twice_is_one(self, catalog: Catalog) -> None:
        assert keep(catalog, samples.snapshot(10)) == keep(catalog, samples.snapshot(10))
        assert catalog.counters()["snapshot"] == 1
        assert len(catalog.snapshots()) == 1

    def test_snapshots_in_ascending_order(self, catalog: Catalog) -> None:
        ids = sorted(keep(catalog, samples.snapshot(2, f"{n}")) for n in range(7))
        assert catalog.snapshots() == ids
        assert catalog.snapshots(limit=2) == ids[:2]
        assert catalog.snapshots(ids[1], 3) == ids[2:5]
        assert catalog.snapshots(ids[6]) == []
        between = (int.from_bytes(ids[3]) - 1).to_bytes(20)
        assert catalog.snapshots(between, 1) == [ids[3]]

    def test_pages_begin_anywhere(self, catalog: Catalog) -> None:
        id = keep(catalog, samples.snapshot(30))
        page = catalog.branches(id, b"refs/heads/00000010", 2)
        assert page is not None
        assert list(page.branches) == [b"refs/heads/00000010", b"refs/heads/00000011"]
        assert page.next_branch == b"refs/heads/00000012"
        assert catalog.branches(id, b"refs/heads/00000028+", 9) == BranchPage(
            {b"refs/heads/00000029": samples.snapshot(30).branches[b"refs/heads/00000029"]}, None
        )
        assert catalog.branches(id, b"s") == BranchPage({}, None)

    def test_pages_of_some_types_only(self, catalog: Catalog) -> None:
        snapshot = samples.snapshot(450)
        id = keep(catalog, snapshot)
        for types in ([BranchType.RELEASE], {BranchType.ALIAS, BranchType.RELEASE}, (BranchType.REVISION,)):
            expected = [(n, b) for n, b in sorted(snapshot.branches.items()) if b and b.type in types]
            for count in (1, 3, 4, 1000):
                if count > 1 or len(expected) < 10:
                    assert pages(catalog, id, count, types) == expected
        assert catalog.branches(id, types=[BranchType.CONTENT]) == BranchPage({}, None)
        assert catalog.branches(id, types=[]) == BranchPage({}, None)

    @pytest.mark.parametrize("count", [0, -1])
    def test_a_page_has_room_for_one_at_least(self, catalog: Catalog, count: int) -> None:
        id = keep(catalog, samples.snapshot(3))
        with pytest.raises(ValueError, match="count"):
            catalog.branches(id, count=count)

    def test_a_snapshot_of_100_000_branches(self, catalog: Catalog) -> None:
        snapshot = samples.snapshot(100_000)
        id = keep(catalog, snapshot)
        assert catalog.snapshot(id) == snapshot
        assert pages(catalog, id, 10_000) == sorted(snapshot.branches.items())
        releases = [
            name for name, branch in snapshot.branches.items() if branch and branch.type is BranchType.RELEASE
        ]
        assert [name for name, _ in pages(catalog, id, 300, [BranchType.RELEASE])] == sorted(releases)
        begin = time.perf_counter()
        for n in range(1_000, 100_000, 1_000):
            page = catalog.branches(id, b"refs/heads/%08d" % n, 5)
            assert page is not None
            assert page.next_branch == b"refs/heads/%08d" % (n + 5)
            assert catalog.branch(id, b"refs/heads/%08d" % n) == snapshot.branches[b"refs/heads/%08d" % n]
        assert time.perf_counter() - begin < 20

    def test_long_names(self, catalog: Catalog) -> None:
        snapshot = Snapshot(
            {b"%d" % n + b"n" * 300_000: Branch(BranchType.REVISION, b"\x01" * 20) for n in range(9)}
        )
        id = keep(catalog, snapshot)
        assert catalog.snapshot(id) == snapshot
        assert pages(catalog, id, 4) == sorted(snapshot.branches.items())
