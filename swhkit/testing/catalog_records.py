"""The part of the catalog's contract on what ``add`` learns: contents, metadata, external ids, persons."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from swhkit.hashes import HashName
from swhkit.manifest import emd_id
from swhkit.model import ContentRow, ExtId, ObjectMetadata, PersonRow
from swhkit.storage import TRANSACTION_ROWS, Added, Catalog, Record
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.samples import moment

UNKNOWN = b"\x5a" * 20
TARGET = "swh:1:rev:" + "1" * 40


class RecordContract:
    """Needs the fixture ``catalog``."""

    # --- contents ---

    def test_content_rows_come_back(self, catalog: Catalog) -> None:
        rows = [*samples.rows(5), samples.row(b"absent", "absent", "too large"), samples.row(b"")]
        assert catalog.add(rows) == Added(content=6, skipped_content=1)
        ids = [row.sha1_git for row in rows]
        assert catalog.contents(id for id in [*ids, UNKNOWN, *ids]) == {row.sha1_git: row for row in rows}
        assert catalog.missing_contents(iter([*ids, UNKNOWN, UNKNOWN])) == {UNKNOWN, rows[5].sha1_git}
        assert catalog.contents([]) == {}
        assert catalog.missing_contents([]) == set()
        counters = catalog.counters()
        assert (counters["content"], counters["skipped_content"]) == (6, 1)

    def test_adding_again_changes_nothing(self, catalog: Catalog) -> None:
        rows = samples.rows(5)
        catalog.add(rows + rows[:2])
        assert catalog.counters()["content"] == 5
        assert catalog.add(iter(rows)) == Added()
        assert catalog.add([]) == Added()
        assert catalog.counters()["content"] == 5
        assert catalog.scan_contents() == catalog.scan_contents()
        assert len(catalog.scan_contents()) == 5

    def test_absent_becomes_visible_and_never_back(self, catalog: Catalog) -> None:
        absent, visible = samples.row(b"x", "absent", "too large"), samples.row(b"x")
        assert catalog.add([absent]) == Added(skipped_content=1)
        assert catalog.add([samples.row(b"x", "absent", "another reason")]) == Added()
        assert catalog.contents([absent.sha1_git]) == {absent.sha1_git: absent}
        assert catalog.add([visible]) == Added(content=1)
        assert catalog.add([absent]) == Added()
        assert catalog.contents([visible.sha1_git]) == {visible.sha1_git: visible}
        assert catalog.missing_contents([visible.sha1_git]) == set()
        counters = catalog.counters()
        assert (counters["content"], counters["skipped_content"]) == (1, 0)
        assert catalog.find_contents("sha256", [visible.sha256]) == {visible.sha256: [visible]}

    def test_absent_and_visible_in_one_batch(self, catalog: Catalog) -> None:
        absent, visible = samples.row(b"x", "absent", "too large"), samples.row(b"x")
        catalog.add([absent, visible, absent])
        catalog.add([samples.row(b"y"), samples.row(b"y", "absent", "too large")])
        assert catalog.contents([visible.sha1_git]) == {visible.sha1_git: visible}
        counters = catalog.counters()
        assert (counters["content"], counters["skipped_content"]) == (2, 0)

    def test_a_row_of_other_digests_replaces_nothing(self, catalog: Catalog) -> None:
        held, other = samples.row(b"x"), samples.row(b"y")
        forged = ContentRow(held.sha1_git, other.sha1, other.sha256, other.blake2s256, other.length)
        skipped = samples.row(b"z", "absent", "too large")
        forged_skipped = ContentRow(
            skipped.sha1_git, other.sha1, other.sha256, other.blake2s256, other.length
        )
        catalog.add([held, skipped])
        assert catalog.add([forged, forged_skipped]) == Added()
        assert catalog.contents([held.sha1_git, skipped.sha1_git]) == {
            held.sha1_git: held,
            skipped.sha1_git: skipped,
        }

    @pytest.mark.parametrize("algorithm", ["sha1", "sha1_git", "sha256", "blake2s256"])
    def test_contents_are_found_by_any_digest(self, catalog: Catalog, algorithm: HashName) -> None:
        rows = samples.rows(300)
        catalog.add(rows)
        digests = [getattr(row, algorithm) for row in rows]
        found = catalog.find_contents(algorithm, iter([*digests, bytes(len(digests[0])), digests[0]]))
        assert found == {getattr(row, algorithm): [row] for row in rows}
        assert catalog.find_contents(algorithm, []) == {}

    def test_contents_that_share_a_sha1_are_both_found(self, catalog: Catalog) -> None:
        one, two = samples.rows(2)
        two = ContentRow(two.sha1_git, one.sha1, two.sha256, two.blake2s256, two.length)
        near = samples.row(b"near")
        near = ContentRow(
            near.sha1_git, one.sha1[:10] + near.sha1[10:], near.sha256, near.blake2s256, near.length
        )
        catalog.add([one, two, near])
        found = catalog.find_contents("sha1", [one.sha1])
        assert set(found) == {one.sha1}
        assert sorted(found[one.sha1], key=lambda row: row.sha256) == sorted(
            [one, two], key=lambda row: row.sha256
        )
        assert catalog.find_contents("sha256", [two.sha256]) == {two.sha256: [two]}
        assert catalog.counters()["content"] == 3

    def test_ids_that_share_a_beginning_are_told_apart(self, catalog: Catalog) -> None:
        rows = [
            ContentRow(
                b"same beginning......"[:12] + row.sha1_git[:8],
                row.sha1,
                row.sha256,
                row.blake2s256,
                row.length,
            )
            for row in samples.rows(20)
        ]
        assert catalog.add(rows[:10]) == Added(content=10)
        assert catalog.add(rows) == Added(content=10)
        assert catalog.contents(row.sha1_git for row in rows) == {row.sha1_git: row for row in rows}
        assert catalog.missing_contents([rows[0].sha1_git[:19] + b"\x00"]) == {
            rows[0].sha1_git[:19] + b"\x00"
        }

    def test_scan_contents_sees_each_row_once(self, catalog: Catalog) -> None:
        rows = [*samples.rows(25), samples.row(b"absent", "absent", "too large")]
        catalog.add(rows)
        seen: list[ContentRow] = []
        while page := catalog.scan_contents(seen[-1].sha1_git if seen else None, 10):
            assert len(page) <= 10
            seen += page
            if len(seen) == 10:
                catalog.add(samples.rows(3, "later"))
        assert {row.sha1_git for row in seen} >= {row.sha1_git for row in rows}
        assert len(seen) == len({row.sha1_git for row in seen})

    def test_remove_contents_adjusts_the_counters(self, catalog: Catalog) -> None:
        rows, absent = samples.rows(5), samples.row(b"absent", "absent", "too large")
        catalog.add([*rows, absent])
        gone = [rows[0].sha1_git, rows[3].sha1_git, absent.sha1_git]
        assert catalog.remove_contents(iter([*gone, UNKNOWN, *gone])) == 3
        assert catalog.remove_contents(gone) == 0
        assert catalog.missing_contents(row.sha1_git for row in rows) == set(gone[:2])
        counters = catalog.counters()
        assert (counters["content"], counters["skipped_content"]) == (3, 0)
        assert catalog.add(rows) == Added(content=2)
        assert catalog.counters()["content"] == 5

    def test_more_rows_than_one_transaction_takes(self, catalog: Catalog) -> None:
        rows = samples.rows(2 * TRANSACTION_ROWS + 7)
        assert catalog.add(iter(rows)) == Added(content=len(rows))
        ids = [row.sha1_git for row in rows]
        assert catalog.missing_contents([*ids, UNKNOWN]) == {UNKNOWN}
        assert len(catalog.contents(ids)) == len(rows)

    def test_rows_of_an_interrupted_call_stay(self, catalog: Catalog) -> None:
        rows = samples.rows(TRANSACTION_ROWS + 5)

        def torn() -> Iterator[Record]:
            yield from rows
            raise OSError("the source has gone")

        with pytest.raises(OSError, match="gone"):
            catalog.add(torn())
        held = len(rows) - len(catalog.missing_contents(row.sha1_git for row in rows))
        assert held in (TRANSACTION_ROWS, len(rows))
        assert catalog.counters()["content"] == held
        catalog.add(rows)
        assert catalog.counters()["content"] == len(rows)

    def test_two_may_add_the_same_at_once(self, catalog: Catalog) -> None:
        rows = samples.rows(3_000)
        added = samples.together(2, lambda _: catalog.add(rows).content)
        assert sum(added) == len(rows)
        assert catalog.counters()["content"] == len(rows)

    # --- metadata of objects, external ids ---

    def test_object_metadata_by_kind_and_digest(self, catalog: Catalog) -> None:
        one = ObjectMetadata(
            Kind.REVISION, b"\x01" * 20, "hg", True, {"extra": [1, None, "ü\ud800"], "n": 1 << 70}
        )
        two = ObjectMetadata(Kind.RELEASE, b"\x01" * 20, None, True)
        assert catalog.add([one, two, one]).other == 2
        assert catalog.add([one, ObjectMetadata(Kind.REVISION, b"\x01" * 20, "svn")]) == Added()
        unknown = ObjectId(Kind.REVISION, UNKNOWN)
        assert catalog.metadata(iter([one.id, two.id, unknown, one.id])) == {one.id: one, two.id: two}
        assert catalog.metadata([]) == {}

    def test_external_ids_by_value_and_by_target(self, catalog: Catalog) -> None:
        rows = [
            ExtId("hg-nodeid", 1, b"\x01" * 20, Kind.REVISION, b"\x11" * 20),
            ExtId("hg-nodeid", 2, b"\x01" * 20, Kind.REVISION, b"\x12" * 20),
            ExtId("hg-nodeid", 1, b"\x02" * 20, Kind.REVISION, b"\x11" * 20),
            ExtId("svn-dir", 1, b"\x01" * 20, Kind.DIRECTORY, b"\x11" * 20),
            ExtId("svn-dir", 0, b"", Kind.SNAPSHOT, b"\x11" * 20),
        ]
        assert catalog.add([*rows, *rows]).other == 5
        assert catalog.add(rows) == Added()

        def same(found: list[ExtId], *numbers: int) -> bool:
            return len(found) == len(numbers) and set(found) == {rows[n] for n in numbers}

        value = b"\x01" * 20
        assert same(catalog.extids("hg-nodeid", [value, value]), 0, 1)
        assert same(catalog.extids("hg-nodeid", iter([value, b"\x02" * 20, UNKNOWN]), 1), 0, 2)
        assert same(catalog.extids("svn-dir", [b"", value]), 3, 4)
        assert catalog.extids("svn-dir", [value], 7) == catalog.extids("unheard", [value]) == []
        assert catalog.extids("svn-dir", []) == catalog.extids_of([]) == []
        revision, directory = ObjectId(Kind.REVISION, b"\x11" * 20), ObjectId(Kind.DIRECTORY, b"\x11" * 20)
        assert same(catalog.extids_of(iter([revision, revision])), 0, 2)
        assert same(catalog.extids_of([revision, directory]), 0, 2, 3)
        assert same(catalog.extids_of([revision, directory], "svn-dir"), 3)
        assert catalog.extids_of([revision], "hg-nodeid", 2) == []

    # --- extrinsic metadata ---

    def test_extrinsic_metadata_comes_back(self, catalog: Catalog) -> None:
        whole = samples.emd(TARGET, 5, data=b"\x00\xff" * 1000)
        context = {
            "origin": "https://example.org/ü",
            "visit": 3,
            "path": b"a/\xff",
            "directory": "swh:1:dir:" + "2" * 40,
        }
        whole = type(whole)(**({name: getattr(whole, name) for name in whole.__struct_fields__} | context))
        assert catalog.add([whole, whole]).other == 1
        assert catalog.add([whole]) == Added()
        assert catalog.extrinsic_metadata(TARGET) == [(emd_id(whole), whole)]
        assert catalog.extrinsic_metadata_by_id(emd_id(whole)) == whole
        assert catalog.extrinsic_metadata_by_id(UNKNOWN) is None
        assert catalog.extrinsic_metadata("swh:1:rev:" + "3" * 40) == []

    def test_extrinsic_metadata_in_pages(self, catalog: Catalog) -> None:
        records = [samples.emd(TARGET, n // 3, data=b"%d" % n) for n in range(12)]
        catalog.add([*records, samples.emd("swh:1:rev:" + "2" * 40, 0)])
        ordered = sorted((record.discovery_date, emd_id(record)) for record in records)
        assert [(r.discovery_date, id) for id, r in catalog.extrinsic_metadata(TARGET)] == ordered
        seen: list[tuple[datetime.datetime, bytes]] = []
        after: datetime.datetime | None = None
        before_id: bytes | None = None
        while page := catalog.extrinsic_metadata(TARGET, after=after, before_id=before_id, limit=5):
            seen += [(record.discovery_date, id) for id, record in page]
            after, before_id = seen[-1]
        assert seen == ordered
        later = catalog.extrinsic_metadata(TARGET, after=moment(1))
        assert [(r.discovery_date, id) for id, r in later] == ordered[6:]
        assert catalog.extrinsic_metadata(TARGET, after=moment(3)) == []

    def test_extrinsic_metadata_by_authority(self, catalog: Catalog) -> None:
        catalog.add(
            [samples.emd(TARGET, 1, "https://a.example/"), samples.emd(TARGET, 2, "https://b.example/")]
        )
        catalog.add([samples.emd(TARGET, 3, "https://a.example/")])
        assert len(catalog.extrinsic_metadata(TARGET, ("forge", "https://a.example/"))) == 2
        assert catalog.extrinsic_metadata(TARGET, ("registry", "https://a.example/")) == []
        assert sorted(catalog.authorities(TARGET)) == [
            ("forge", "https://a.example/"),
            ("forge", "https://b.example/"),
        ]
        assert catalog.authorities("swh:1:rev:" + "9" * 40) == []

    # --- persons ---

    def test_persons_are_numbered_in_order_of_first_sight(self, catalog: Catalog) -> None:
        names = [b"Ada <ada@example.org>", b"", b"\xff\x00", b"x" * 1_000_000, b"x" * 999_999 + b"y"]
        assert catalog.add(PersonRow(name) for name in [*names[:3], *names]) == Added(person=5)
        assert catalog.add([PersonRow(names[3])]) == Added()
        assert catalog.persons(iter([*names, b"unknown", names[0]])) == {
            name: n for n, name in enumerate(names, 1)
        }
        assert [catalog.person(n) for n in range(7)] == [None, *names, None]
        assert catalog.persons([]) == {}
        assert catalog.counters()["person"] == 5

    def test_all_sorts_of_records_in_one_call(self, catalog: Catalog) -> None:
        records: list[Record] = [
            samples.row(b"visible"),
            PersonRow(b"Ada"),
            samples.row(b"absent", "absent", "too large"),
            ExtId("t", 1, b"v", Kind.REVISION, b"\x01" * 20),
            ObjectMetadata(Kind.REVISION, b"\x01" * 20, "hg"),
            samples.emd(TARGET, 1),
        ]
        assert catalog.add(records) == Added(content=1, skipped_content=1, person=1, other=3)
        assert catalog.add(records) == Added()
