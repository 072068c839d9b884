"""The contract of ``Catalog``: origins and visits here, the other parts beside it.

What the prose of ``swhkit.storage`` leaves open is fixed here: an origin's visit types come in the order of their first
visit; visits of a snapshot come oldest first; moments come back in UTC with their microseconds; a moment without time
zone, a ``count`` below 1, an unknown counter and a publication whose status is not final are a ``ValueError``; a limit
of 0 or less gives nothing; a number beyond 64 bits names nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swhkit.errors import NotHeld
from swhkit.manifest import object_id, origin_digest
from swhkit.model import Snapshot, Visit, VisitStatus, VisitUpdate
from swhkit.storage import Catalog, OriginQuery
from swhkit.testing import samples
from swhkit.testing.catalog_publications import (
    COUNTERS,
    URL,
    PublicationContract,
    publication,
    tip,
    visited,
)
from swhkit.testing.catalog_records import RecordContract
from swhkit.testing.catalog_search import SearchContract
from swhkit.testing.catalog_snapshots import SnapshotContract
from swhkit.testing.samples import moment


class CatalogContract(RecordContract, SnapshotContract, PublicationContract, SearchContract):
    """Subclass it and supply the fixture ``catalog``."""

    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        """An empty catalog; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named catalog")

    # --- origins ---

    def test_an_empty_catalog_knows_nothing(self, catalog: Catalog) -> None:
        assert catalog.counters() == dict.fromkeys(COUNTERS, 0)
        assert catalog.origin(URL) is None
        assert catalog.origin_by_id(1) is None
        assert catalog.origin_by_digest(bytes(20)) is None
        assert catalog.origins() == []
        assert catalog.visit(URL, 1) is None
        assert catalog.visits(URL) == []
        assert catalog.latest_visit(URL) is None
        assert catalog.unfinished_visits() == []
        assert catalog.history(URL, 1) == []
        assert catalog.gaps(URL, 1) == []
        assert catalog.visits_of_snapshot(bytes(20)) == []
        assert list(catalog.verify()) == []

    def test_an_origin_is_found_by_everything(self, catalog: Catalog) -> None:
        urls = [URL, "https://example.org/Project.git", "https://example.org/überfluß", URL + "/"]
        for n, url in enumerate(urls):
            catalog.open_visit(url, "git", moment(n))
        catalog.open_visit(URL, "hg", moment(9))
        catalog.open_visit(URL, "git", moment(10))
        for n, url in enumerate(urls, start=1):
            origin = catalog.origin(url)
            assert origin is not None
            assert (origin.id, origin.url) == (n, url)
            assert origin.visit_types == (("git", "hg") if url == URL else ("git",))
            assert catalog.origin_by_id(n) == catalog.origin_by_digest(origin_digest(url)) == origin
        assert catalog.counters()["origin"] == len(urls)

    def test_origins_in_pages(self, catalog: Catalog) -> None:
        for n in range(7):
            catalog.open_visit(f"https://example.org/{n}", "git", moment(n))
        pages, after = [], 0
        while page := catalog.origins(after, 3):
            pages.append([origin.id for origin in page])
            after = page[-1].id
        assert pages == [[1, 2, 3], [4, 5, 6], [7]]
        assert catalog.origins(1000) == []

    # --- visits ---

    def test_open_visit_counts_from_1_for_each_origin(self, catalog: Catalog) -> None:
        for url in (URL, "https://example.org/other"):
            for number in (1, 2, 3):
                visit = catalog.open_visit(url, "git", moment(number))
                assert visit == Visit(url, number, "git", moment(number), VisitStatus.CREATED)
                assert catalog.visit(url, number) == visit
        assert catalog.counters()["origin_visit"] == 6

    def test_moments_come_back_in_utc_with_microseconds(self, catalog: Catalog) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=-7, minutes=-30))
        for date in (
            moment(0).astimezone(zone),
            datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, datetime.UTC),
        ):
            number = catalog.open_visit(URL, "git", date).number
            found = catalog.visit(URL, number)
            assert found is not None
            assert found.date == date
            assert found.date.utcoffset() == datetime.timedelta(0)
        with pytest.raises(ValueError, match="time zone"):
            catalog.open_visit(URL, "git", moment(0).replace(tzinfo=None))
        assert catalog.counters()["origin_visit"] == 2

    def test_eight_may_open_visits_at_once(self, catalog: Catalog) -> None:
        numbers = samples.together(
            8, lambda n: [catalog.open_visit(URL, "git", moment(n)).number for _ in range(5)]
        )
        assert sorted(n for part in numbers for n in part) == list(range(1, 41))
        counters = catalog.counters()
        assert (counters["origin"], counters["origin_visit"]) == (1, 40)

    def test_update_visit_appends_until_the_status_is_final(self, catalog: Catalog) -> None:
        catalog.open_visit(URL, "git", moment(0))
        assert catalog.update_visit(URL, 1, VisitStatus.ONGOING, moment(1))
        assert catalog.update_visit(URL, 1, VisitStatus.FAILED, moment(2), "it burned")
        assert not catalog.update_visit(URL, 1, VisitStatus.ONGOING, moment(3))
        assert not catalog.update_visit(URL, 1, VisitStatus.FULL, moment(3))
        assert not catalog.publish(URL, 1, publication(snapshot=samples.snapshot(3)))
        assert catalog.history(URL, 1) == [
            VisitUpdate(moment(0), VisitStatus.CREATED),
            VisitUpdate(moment(1), VisitStatus.ONGOING),
            VisitUpdate(moment(2), VisitStatus.FAILED, None, "it burned"),
        ]
        assert catalog.visit(URL, 1) == Visit(URL, 1, "git", moment(0), VisitStatus.FAILED, None, "it burned")
        assert catalog.counters()["snapshot"] == 0

    @pytest.mark.parametrize("number", [0, 2, -1])
    def test_unknown_visits_cannot_be_changed(self, catalog: Catalog, number: int) -> None:
        catalog.open_visit(URL, "git", moment(0))
        for url in (URL, "https://example.org/unknown"):
            if (url, number) == (URL, 1):
                continue
            with pytest.raises(NotHeld, match=url):
                catalog.update_visit(url, number, VisitStatus.ONGOING, moment(1))
            with pytest.raises(NotHeld, match=url):
                catalog.publish(url, number, publication(snapshot=samples.snapshot(3)))
        assert catalog.counters()["snapshot"] == 0

    def test_visits_newest_first(self, catalog: Catalog) -> None:
        for n in range(12):
            catalog.open_visit(URL, "git", moment(-n))
        assert [visit.number for visit in catalog.visits(URL)] == list(range(12, 2, -1))
        assert [visit.number for visit in catalog.visits(URL, before=3)] == [2, 1]
        assert [visit.number for visit in catalog.visits(URL, before=10, limit=2)] == [9, 8]
        assert catalog.visits(URL, before=1) == []

    def test_latest_visit_that_fits(self, catalog: Catalog) -> None:
        empty = Snapshot({})
        visited(catalog, URL, snapshot=samples.snapshot(3))
        visited(catalog, URL, snapshot=empty, status=VisitStatus.PARTIAL, reason="gaps")
        catalog.open_visit(URL, "hg", moment(5))
        catalog.update_visit(URL, 3, VisitStatus.NOT_FOUND, moment(6))
        catalog.open_visit(URL, "git", moment(7))

        def number(**wanted: Any) -> int | None:
            found = catalog.latest_visit(URL, **wanted)
            assert found is None or found == catalog.visit(URL, found.number)
            return None if found is None else found.number

        assert number() == 4
        assert number(visit_type="hg") == 3
        assert number(visit_type="svn") is None
        assert number(require_snapshot=True) == 2
        assert number(require_snapshot=True, statuses=[VisitStatus.FULL]) == 1
        assert number(require_snapshot=True, visit_type="hg") is None
        assert number(statuses=[VisitStatus.FULL, VisitStatus.NOT_FOUND]) == 3
        assert number(statuses={VisitStatus.FAILED}) is None
        assert number(statuses=[]) is None
        found = catalog.latest_visit(URL, require_snapshot=True)
        assert found is not None
        assert (found.snapshot, found.status, found.reason) == (
            object_id(empty).digest,
            VisitStatus.PARTIAL,
            "gaps",
        )

    def test_unfinished_visits_are_all_that_are_not_final(self, catalog: Catalog) -> None:
        for n in range(5):
            catalog.open_visit(f"https://example.org/{n % 2}", "git", moment(n))
        catalog.update_visit("https://example.org/0", 2, VisitStatus.ONGOING, moment(9))
        catalog.update_visit("https://example.org/1", 1, VisitStatus.FAILED, moment(9))
        catalog.publish("https://example.org/0", 1, publication(snapshot=Snapshot({})))
        found = {(v.origin[-1], v.number, v.status) for v in catalog.unfinished_visits()}
        assert found == {
            ("0", 2, VisitStatus.ONGOING), ("0", 3, VisitStatus.CREATED), ("1", 2, VisitStatus.CREATED),
        }  # fmt: skip

    def test_numbers_and_limits_out_of_range_find_nothing(self, catalog: Catalog) -> None:
        visited(catalog, URL, snapshot=samples.snapshot(3))
        for huge in (1 << 63, 1 << 70, -1, -(1 << 70)):
            assert catalog.origin_by_id(huge) is None
            assert catalog.visit(URL, huge) is None
            assert catalog.history(URL, huge) == []
            assert catalog.gaps(URL, huge) == []
            assert catalog.person(huge) is None
            with pytest.raises(NotHeld):
                catalog.update_visit(URL, huge, VisitStatus.ONGOING, moment(1))
        assert catalog.origins(1 << 70) == []
        assert len(catalog.visits(URL, before=1 << 70)) == 1
        for limit in (0, -1):
            assert catalog.origins(limit=limit) == []
            assert catalog.visits(URL, limit=limit) == []
            assert catalog.snapshots(limit=limit) == []
            assert catalog.scan_contents(limit=limit) == []
            assert catalog.visits_of_snapshot(object_id(samples.snapshot(3)).digest, limit) == []

    # --- end ---

    def test_maintain_keeps_everything(self, catalog: Catalog) -> None:
        visited(catalog, URL, snapshot=samples.snapshot(500), closed=[tip(1)])
        catalog.add(samples.rows(100))
        before = catalog.counters()
        assert catalog.maintain()
        assert catalog.counters() == before
        assert catalog.snapshot(object_id(samples.snapshot(500)).digest) == samples.snapshot(500)
        assert list(catalog.verify()) == []

    def test_close_twice_then_nothing_more(self, catalog: Catalog) -> None:
        catalog.open_visit(URL, "git", moment(0))
        catalog.close()
        catalog.close()
        calls: list[Callable[[], object]] = [
            lambda: catalog.counters(),
            lambda: catalog.origin(URL),
            lambda: catalog.open_visit(URL, "git", moment(0)),
            lambda: catalog.add(samples.rows(1)),
            lambda: catalog.contents([bytes(20)]),
            lambda: catalog.search_origins(OriginQuery()),
            lambda: catalog.maintain(),
            lambda: list(catalog.verify()),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="closed"):
                call()
