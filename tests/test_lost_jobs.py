"""The job store was lost, or an older copy of it put back: what was asked for is done all the same."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import archives
import desks
import pytest

from swhkit import saving
from swhkit.desk import Desk
from swhkit.jobs import Ending, JobState
from swhkit.model import VisitStatus
from swhkit.requests.saves import NewSave, Prefix, SaveRequest, SaveStatus
from swhkit.saving.lost import restore_jobs
from swhkit.storage import Publication
from swhkit.worker.upkeep import Upkeep

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
SETTINGS = 'save_code_now: {accept: ["https://"]}\n'


class Place:
    """An archive whose desk can be opened again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with (
            archives.archive("sqlite", self.folder) as archive,
            desks.desk(archive, self.folder, SETTINGS) as desk,
        ):
            yield desk

    def lose_jobs(self) -> None:
        found = list(self.folder.rglob("jobs.sqlite*"))
        assert found
        for file in found:
            file.unlink()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def url(name: str) -> str:
    return f"https://git.example.org/{name}"


def visit(desk: Desk, name: str, status: VisitStatus, date: datetime.datetime) -> None:
    _, catalog, _ = desk.archive.writer()
    number = catalog.open_visit(url(name), "git", date).number
    catalog.publish(url(name), number, Publication(status=status, date=date))


def queued(desk: Desk) -> list[str]:
    jobs = desk.jobs.latest(JobState.QUEUED)
    return sorted(job.arguments["url"].rpartition("/")[2] for job in jobs)


def asked(desk: Desk, *names: str, now: datetime.datetime = NOW) -> list[SaveRequest]:
    return [saving.save(desk, url(name), "git", now=now) for name in names]


def word(desk: Desk, id: int, now: datetime.datetime = NOW) -> str:
    request = desk.requests.saves.get(id)
    assert request is not None
    return saving.standing(desk, request, now).task_status


def test_single_requests_get_new_jobs(place: Place) -> None:
    with place.desk() as desk:
        good, failed, waiting = asked(desk, "good", "failed", "waiting")
        visit(desk, "good", VisitStatus.FULL, NOW + DAY)
        visit(desk, "failed", VisitStatus.FAILED, NOW + DAY)
        assert restore_jobs(desk, NOW + DAY) == 0, "nothing is lost yet"
    place.lose_jobs()
    with place.desk() as desk:
        assert [word(desk, one.id) for one in (good, failed, waiting)] == ["succeeded", "failed", "pending"]
        assert restore_jobs(desk, NOW + DAY) == 2
        assert queued(desk) == ["failed", "waiting"]
        assert restore_jobs(desk, NOW + DAY) == 0
        assert word(desk, failed.id) == "scheduled"


def test_bulk_requests_get_new_jobs(place: Place) -> None:
    names = [f"r{number:04}" for number in range(1203)]
    with place.desk() as desk:
        desk.requests.saves.set_prefix(Prefix(prefix=url("r0007"), accepted=False, date=NOW))
        saving.submit(
            desk, [{"origin_url": url(name), "visit_type": "git"} for name in names], user="ada", now=NOW
        )
        visit(desk, "r0003", VisitStatus.PARTIAL, NOW + DAY)
        assert restore_jobs(desk, NOW + DAY) == 0
    place.lose_jobs()
    with place.desk() as desk:
        assert restore_jobs(desk, NOW + DAY) == 1201
        assert len(desk.jobs.latest(JobState.QUEUED, limit=5000)) == 1201
        assert restore_jobs(desk, NOW + DAY) == 0


def test_a_number_that_another_job_has_by_now_tells_nothing(place: Place) -> None:
    with place.desk() as desk:
        (mine,) = asked(desk, "mine")
    place.lose_jobs()
    with place.desk() as desk:
        (other,) = asked(desk, "other")
        assert other.job == mine.job
        (lease,) = desk.jobs.lease("w", 60, NOW)
        assert desk.jobs.end([Ending(lease=lease, state=JobState.FAILED, error="no")], NOW) == [True]
        assert (word(desk, other.id), word(desk, mine.id)) == ("failed", "pending")
        assert restore_jobs(desk, NOW) == 1
        assert queued(desk) == ["mine"]


def test_nor_does_it_of_a_bulk_request(place: Place) -> None:
    origins = [{"origin_url": url("mine"), "visit_type": "git"}]
    with place.desk() as desk:
        made = saving.submit(desk, origins, user="ada", now=NOW)
    place.lose_jobs()
    with place.desk() as desk:
        asked(desk, "other", now=NOW + DAY)
        (row,) = saving.rows(desk, made, offset=0, limit=10)
        assert row.scheduled == NOW


def test_who_asks_again_need_not_wait(place: Place) -> None:
    with place.desk() as desk:
        (mine,) = asked(desk, "mine")
    place.lose_jobs()
    with place.desk() as desk:
        (again,) = asked(desk, "mine", now=NOW + DAY)
        assert again.id == mine.id
        assert queued(desk) == ["mine"]


def test_what_may_have_been_forgotten_is_not_lost(place: Place) -> None:
    with place.desk() as desk:
        (request,) = asked(desk, "old")
        late = desk.requests.saves.add(
            NewSave(url=url("late"), visit_type="git", date=NOW, status=SaveStatus.PENDING)
        )
        assert desk.requests.saves.decide(late.id, SaveStatus.ACCEPTED, date=NOW + 29 * DAY, user=None)
        saving.ensure_jobs(desk, NOW + 29 * DAY)
    place.lose_jobs()
    with place.desk() as desk:
        assert restore_jobs(desk, NOW + 31 * DAY) == 1
        assert queued(desk) == ["late"], "it was accepted long after it was asked for"
        assert word(desk, request.id, NOW + 31 * DAY) == "failed"


def test_a_worker_does_it_when_it_starts(place: Place) -> None:
    now = datetime.datetime.now(datetime.UTC)
    with place.desk() as desk:
        asked(desk, "mine", now=now)
    place.lose_jobs()
    with place.desk() as desk:
        Upkeep(desk).tick(now)
        assert queued(desk) == ["mine"]
