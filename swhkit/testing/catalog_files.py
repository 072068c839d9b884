"""The contract of catalogs that keep their rows on disk: what two catalogs, two processes and SIGKILL may do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from swhkit.manifest import object_id
from swhkit.model import PersonRow, VisitStatus
from swhkit.storage import Catalog, Publication
from swhkit.swhid import Kind
from swhkit.testing import samples
from swhkit.testing.catalog_publications import URL, tip
from swhkit.testing.catalogs import CatalogContract
from swhkit.testing.on_disk import OnDiskContract, opened
from swhkit.testing.processes import killed, two_at_once
from swhkit.testing.samples import moment

#: ``opener(create)`` opens the same place again and again, in this or another process (so it must be picklable).
Opener = Callable[[bool], Catalog]


class DurableCatalogContract(OnDiskContract, CatalogContract):
    """Subclass it and supply the fixture ``opener``; ``catalog`` follows from it."""

    @pytest.fixture
    def catalog(self, opener: Opener) -> Iterator[Catalog]:
        yield from opened(opener)

    def test_what_one_learns_another_knows_at_once(self, catalog: Catalog, opener: Opener) -> None:
        other = opener(False)
        catalog.open_visit(URL, "git", moment(0))
        assert other.open_visit(URL, "git", moment(1)).number == 2
        catalog.publish(
            URL, 1, Publication(status=VisitStatus.FULL, date=moment(2), snapshot=samples.snapshot(9))
        )
        assert other.missing_snapshots([object_id(samples.snapshot(9)).digest]) == set()
        assert not other.publish(URL, 1, Publication(status=VisitStatus.FULL, date=moment(2)))
        other.add(samples.rows(5))
        assert catalog.missing_contents(row.sha1_git for row in samples.rows(5)) == set()
        other.close()
        assert catalog.counters()["content"] == 5

    def test_two_processes_may_write_at_once(self, catalog: Catalog, opener: Opener) -> None:
        two_at_once(_write_in_child, opener)
        counters = catalog.counters()
        assert counters["content"] == 300
        assert counters["origin_visit"] == 60
        assert (counters["origin"], counters["snapshot"], counters["revision"]) == (1, 41, 60)
        assert [visit.number for visit in catalog.visits(URL, limit=100)] == list(range(60, 0, -1))
        assert list(catalog.verify()) == []

    def test_what_was_learnt_survives_sigkill(self, opener: Opener) -> None:
        killed(_write_and_die, opener)
        catalog = opener(False)
        assert catalog.missing_contents(row.sha1_git for row in samples.rows(10)) == set()
        assert catalog.persons([b"Ada"]) == {b"Ada": 1}
        assert catalog.closed([tip(1)]) == {tip(1)}
        visit = catalog.visit(URL, 1)
        assert visit is not None
        assert visit.snapshot is not None
        assert catalog.snapshot(visit.snapshot) == samples.snapshot(9)
        assert [one.number for one in catalog.unfinished_visits()] == [2]
        assert list(catalog.verify()) == []
        catalog.close()


def _write_in_child(opener: Opener, number: int) -> None:
    catalog = opener(False)
    for n in range(30):
        visit = catalog.open_visit(URL, "git", moment(n))
        catalog.add(samples.rows(10, f"round {n}"))
        seed = "shared" if n % 3 == 0 else f"{number} {n}"
        whole = Publication(
            status=VisitStatus.FULL,
            date=moment(n),
            snapshot=samples.snapshot(5, seed),
            new={Kind.REVISION: 1},
        )
        catalog.publish(URL, visit.number, whole)
    catalog.close()


def _write_and_die(opener: Opener) -> None:
    catalog = opener(True)
    catalog.open_visit(URL, "git", moment(0))
    catalog.add([*samples.rows(10), PersonRow(b"Ada")])
    whole = Publication(
        status=VisitStatus.FULL, date=moment(1), snapshot=samples.snapshot(9), closed=[tip(1)]
    )
    catalog.publish(URL, 1, whole)
    catalog.open_visit(URL, "git", moment(2))
    os.kill(os.getpid(), signal.SIGKILL)
