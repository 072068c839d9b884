"""The part of the catalog's contract on how visits end: publications, counters, closed tips."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from swhkit.manifest import object_id
from swhkit.model import Gap, Snapshot, Visit, VisitStatus, VisitUpdate
from swhkit.storage import Catalog, Publication
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.samples import moment

URL = "https://example.org/project.git"
COUNTERS = {
    "content",
    "directory",
    "origin",
    "origin_visit",
    "person",
    "release",
    "revision",
    "skipped_content",
    "snapshot",
}


def publication(status: VisitStatus = VisitStatus.FULL, **fields: Any) -> Publication:
    """A publication an hour after noon."""
    return Publication(status=status, date=moment(3600), **fields)


def visited(catalog: Catalog, url: str, **fields: Any) -> Visit:
    """Open a visit of ``url`` and publish it."""
    visit = catalog.open_visit(url, "git", moment(0))
    assert catalog.publish(url, visit.number, publication(**fields))
    found = catalog.visit(url, visit.number)
    assert found is not None
    return found


def tip(number: int) -> ObjectId:
    """A made-up revision."""
    return ObjectId(Kind.REVISION, number.to_bytes(20))


class PublicationContract:
    """Needs the fixture ``catalog``."""

    def test_publish_writes_everything(self, catalog: Catalog) -> None:
        snapshot, gaps = (
            samples.snapshot(5),
            [
                Gap("a tree is missing", Kind.DIRECTORY, b"\x01" * 20, b"\x02" * 20),
                Gap("a branch cannot be had", branch=b"refs/\xff"),
            ],
        )
        catalog.open_visit(URL, "git", moment(0))
        done = catalog.publish(URL, 1, publication(
            VisitStatus.PARTIAL, snapshot=snapshot, reason="shallow", gaps=gaps, closed=[tip(1)],
            new={Kind.DIRECTORY: 3, Kind.REVISION: 2, Kind.RELEASE: 1},
        ))  # fmt: skip
        digest = object_id(snapshot).digest
        assert done
        assert catalog.visit(URL, 1) == Visit(
            URL, 1, "git", moment(0), VisitStatus.PARTIAL, digest, "shallow"
        )
        assert catalog.history(URL, 1)[-1] == VisitUpdate(
            moment(3600), VisitStatus.PARTIAL, digest, "shallow"
        )
        assert catalog.gaps(URL, 1) == gaps
        assert catalog.closed([tip(1), tip(2)]) == {tip(1)}
        counters = catalog.counters()
        assert {key: counters[key] for key in ("directory", "revision", "release", "snapshot", "content")} == {
            "directory": 3, "revision": 2, "release": 1, "snapshot": 1, "content": 0,
        }  # fmt: skip

    def test_a_redo_of_publish_changes_nothing(self, catalog: Catalog) -> None:
        catalog.open_visit(URL, "git", moment(0))
        whole = publication(
            snapshot=samples.snapshot(5), gaps=[Gap("x")], closed=[tip(1)], new={Kind.REVISION: 2}
        )
        assert catalog.publish(URL, 1, whole) is True
        before = catalog.counters(), catalog.history(URL, 1), catalog.gaps(URL, 1)
        assert catalog.publish(URL, 1, whole) is False
        other = publication(
            VisitStatus.FAILED, snapshot=samples.snapshot(6), closed=[tip(2)], new={Kind.RELEASE: 2}
        )
        assert catalog.publish(URL, 1, other) is False
        assert (catalog.counters(), catalog.history(URL, 1), catalog.gaps(URL, 1)) == before
        assert catalog.closed([tip(1), tip(2)]) == {tip(1)}

    def test_publish_ends_a_visit_and_counts_no_contents(self, catalog: Catalog) -> None:
        catalog.open_visit(URL, "git", moment(0))
        with pytest.raises(ValueError, match="final"):
            catalog.publish(URL, 1, publication(VisitStatus.ONGOING, snapshot=samples.snapshot(3)))
        assert catalog.publish(URL, 1, publication(new={Kind.CONTENT: 5, Kind.RELEASE: 1}))
        assert (catalog.counters()["content"], catalog.counters()["release"]) == (0, 1)

    def test_publish_without_a_snapshot(self, catalog: Catalog) -> None:
        visit = visited(catalog, URL, status=VisitStatus.FAILED, reason="no disk")
        assert (visit.snapshot, visit.status, visit.reason) == (None, VisitStatus.FAILED, "no disk")
        assert catalog.unfinished_visits() == []

    def test_counters_are_exact_when_two_publish_at_once(self, catalog: Catalog) -> None:
        shared = samples.snapshot(4, "shared")

        def work(number: int) -> int:
            wins = 0
            for n in range(10):
                wins += catalog.publish(URL, n + 1, publication(snapshot=shared, new={Kind.REVISION: 1}))
                catalog.add(samples.rows(20, f"round {n}"))
                visited(
                    catalog, f"https://example.org/{number}", snapshot=samples.snapshot(4, f"{number} {n}")
                )
            return wins

        for n in range(10):
            catalog.open_visit(URL, "git", moment(n))
        assert sum(samples.together(2, work)) == 10
        assert catalog.counters() == dict.fromkeys(COUNTERS, 0) | {
            "origin": 3, "origin_visit": 30, "snapshot": 21, "revision": 10, "content": 200,
        }  # fmt: skip

    def test_a_reader_sees_all_of_a_publication_or_nothing(self, catalog: Catalog) -> None:
        done, wrong = threading.Event(), []
        for n in range(20):
            catalog.open_visit(URL, "git", moment(n))

        def work(number: int) -> None:
            if number:
                for n in range(20):
                    catalog.publish(URL, n + 1, publication(snapshot=samples.snapshot(50, f"{n}")))
                done.set()
            while not done.is_set():
                found = catalog.latest_visit(URL, require_snapshot=True)
                if found and found.snapshot and catalog.snapshot(found.snapshot) is None:
                    wrong.append(found)

        samples.together(2, work)
        assert wrong == []

    def test_visits_of_a_snapshot(self, catalog: Catalog) -> None:
        one, two = samples.snapshot(3, "one"), samples.snapshot(3, "two")
        expected = [
            (visited(catalog, url, snapshot=snapshot).origin, snapshot)
            for url, snapshot in [("u:1", one), ("u:2", two), ("u:2", one), ("u:3", one)]
        ]
        found = [visit.origin for visit in catalog.visits_of_snapshot(object_id(one).digest)]
        assert found == [url for url, snapshot in expected if snapshot is one]
        assert len(catalog.visits_of_snapshot(object_id(one).digest, limit=2)) == 2

    def test_set_counters_corrects_only_what_is_given(self, catalog: Catalog) -> None:
        visited(catalog, URL, snapshot=Snapshot({}), new={Kind.REVISION: 2})
        catalog.set_counters({"revision": 7, "directory": 3})
        counters = catalog.counters()
        assert (counters["revision"], counters["directory"], counters["snapshot"]) == (7, 3, 1)
        with pytest.raises(ValueError, match="commits"):
            catalog.set_counters({"release": 1, "commits": 1})
        assert catalog.counters()["release"] == 0

    # --- closed tips ---

    def test_unclose_forgets_tips(self, catalog: Catalog) -> None:
        visited(catalog, URL, snapshot=Snapshot({}), closed=[tip(n) for n in range(5)])
        for _ in range(2):
            catalog.unclose([tip(1), tip(3), tip(3), tip(99)])
        assert catalog.closed(tip(n) for n in range(6)) == {tip(0), tip(2), tip(4)}
        assert catalog.closed([ObjectId(Kind.RELEASE, tip(0).digest)]) == set()
        assert tip(1) not in catalog.likely_tips(URL, 10)

    def test_likely_tips_come_from_the_same_name_first_then_the_latest(self, catalog: Catalog) -> None:
        visited(catalog, "https://a.example/linux.git", snapshot=Snapshot({}), closed=[tip(1)])
        visited(catalog, "https://b.example/u/Linux/", snapshot=Snapshot({}), closed=[tip(2)])
        visited(catalog, "https://c.example/git", snapshot=Snapshot({}), closed=[tip(3)])
        visited(catalog, "https://d.example/u/not-linux", snapshot=Snapshot({}), closed=[tip(4), tip(1)])
        found = catalog.likely_tips("git://e.example/fork/LINUX.git//", 10)
        assert set(found[:2]) == {tip(1), tip(2)}
        assert found[2:] == [tip(4), tip(3)]
        assert catalog.likely_tips("https://e.example/linux", 1)[0] in (tip(1), tip(2))
        assert len(catalog.likely_tips("https://e.example/unheard", 2)) == 2
        assert catalog.likely_tips("", 10) != []
        assert catalog.likely_tips("https://e.example/linux", 0) == []
