"""How fresh origins are: states follow visits and the clock, each change is told once, what is due is enqueued."""

from __future__ import annotations

import datetime
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_forge
import msgspec
import program
import pytest
from fake_forge import NOW

from swhkit import freshness
from swhkit.desk import Desk
from swhkit.jobs import Ending, Job, JobState
from swhkit.model import VisitStatus
from swhkit.requests.schedule import Freshness, NewForge, State, ToldBy
from swhkit.storage import Publication

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
URL = "https://code.example.org/a.git"
CONFIGURED = f"schedule: {{jitter: 0, origins: [{{url: '{URL}', type: git, every: 1d}}]}}\n"


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with fake_forge.desk(tmp_path, CONFIGURED, request.param) as opened:
        yield opened


def visit(desk: Desk, now: datetime.datetime, status: VisitStatus, reason: str | None = None) -> None:
    """A visit that has ended, and was told of."""
    _, catalog, _ = desk.archive.writer()
    made = catalog.open_visit(URL, "git", now)
    catalog.publish(URL, made.number, Publication(status=status, date=now, reason=reason))
    freshness.visited(desk, URL, "git", now)


def row(desk: Desk) -> Freshness:
    found = desk.requests.schedule.freshness(URL, "git")
    assert found is not None
    return found


def queued(desk: Desk) -> list[Job]:
    return desk.jobs.latest(JobState.QUEUED)


def end_jobs(desk: Desk, now: datetime.datetime) -> None:
    leases = desk.jobs.lease("w", 60, now, count=100)
    assert all(desk.jobs.end([Ending(lease=lease, state=JobState.DONE) for lease in leases], now))


BECOMES = {
    VisitStatus.FULL: State.OK,
    VisitStatus.PARTIAL: State.OK,
    VisitStatus.NOT_FOUND: State.GONE,
    VisitStatus.FAILED: State.FAILING,
}


@pytest.mark.parametrize("before", [None, *State])
@pytest.mark.parametrize("status", BECOMES)
def test_every_change_of_state_is_told_once(
    tmp_path: Path, before: State | None, status: VisitStatus
) -> None:
    with fake_forge.desk(tmp_path, CONFIGURED, "memory") as desk:
        known = Freshness(url=URL, visit_type="git", state=before, since=NOW - DAY, failures=2)
        desk.requests.schedule.set_freshness([known] if before else [])
        visit(desk, NOW, status, "why")
        after = BECOMES[status]
        assert row(desk).state is after
        assert row(desk).since == (NOW - DAY if after is before else NOW)
        expected = [] if after is before else [f"{URL} git {before} {after}"]
        assert fake_forge.changes(tmp_path) == expected
        freshness.visited(desk, URL, "git", NOW + HOUR)
        assert fake_forge.changes(tmp_path) == [], "the same visit, told of again"
        good = after is State.OK
        failures = 0 if good else 3 if before else 1
        assert (row(desk).failures, row(desk).reason) == (failures, "why")
        assert row(desk).succeeded == (NOW if good else None)
        assert row(desk).visited == NOW


def test_only_visits_that_ended_count(desk: Desk, tmp_path: Path) -> None:
    freshness.visited(desk, URL, "git", NOW)
    assert desk.requests.schedule.freshness(URL, "git") is None
    visit(desk, NOW, VisitStatus.FULL)
    _, catalog, _ = desk.archive.writer()
    catalog.open_visit(URL, "git", NOW + DAY)
    catalog.open_visit(URL, "hg", NOW + DAY)
    freshness.visited(desk, URL, "git", NOW + DAY)
    assert row(desk).visited == NOW
    assert desk.requests.schedule.freshness(URL, "hg") is None
    assert fake_forge.changes(tmp_path) == [f"{URL} git None ok"]


def test_no_secret_is_kept(desk: Desk) -> None:
    visit(desk, NOW, VisitStatus.FAILED, "https://ada:hunter2@code.example.org/a.git: it answers 500")
    assert row(desk).reason == "https://ada:***@code.example.org/a.git: it answers 500"
    freshness.visited(desk, "https://ada:hunter2@code.example.org/a.git", "git", NOW)
    assert [one.url for one in desk.requests.schedule.origins()] == [URL]


def test_what_is_gone_is_visited_less_and_less_often(desk: Desk) -> None:
    assert _days_until_due(desk, VisitStatus.NOT_FOUND, 6) == [1, 2, 4, 8, 8, 8]
    visit(desk, NOW + 300 * DAY, VisitStatus.FULL)
    assert row(desk).due == NOW + 301 * DAY


def test_the_tries_of_a_job_that_fails_are_one_step(desk: Desk) -> None:
    days = _days_until_due(desk, VisitStatus.FAILED, 21)
    assert days == [1] * 5 + [2] * 5 + [4] * 5 + [8] * 6
    assert row(desk).failures == 21


def _days_until_due(desk: Desk, status: VisitStatus, count: int) -> list[float]:
    freshness.tick(desk, NOW)
    days = []
    for number in range(count):
        visit(desk, NOW + number * HOUR, status)
        found = row(desk).due
        assert found is not None
        days.append((found - NOW - number * HOUR) / DAY)
    return days


def test_visits_are_put_off_by_a_part_of_their_interval(tmp_path: Path) -> None:
    random.seed(7)
    known = Freshness(url=URL, visit_type="git", every=86_400.0)
    with fake_forge.desk(tmp_path, "schedule: {jitter: 0.1}\n", "memory") as desk:
        found = [freshness.due_after(known, NOW, desk.settings) for _ in range(200)]
        never = freshness.due_after(msgspec.structs.replace(known, every=None), NOW, desk.settings)
    late = [(moment - NOW) / DAY for moment in found if moment is not None]
    assert len(late) == 200
    assert 1 <= min(late) < 1.02
    assert 1.08 < max(late) <= 1.1
    assert never is None


def test_an_origin_of_the_configuration_is_visited_every_so_often(desk: Desk, tmp_path: Path) -> None:
    freshness.tick(desk, NOW)
    (job,) = queued(desk)
    assert job.arguments == {"url": URL, "visit_type": "git", "trusted": True, "artifacts": []}
    assert row(desk).due == NOW + DAY
    freshness.tick(desk, NOW)
    assert len(queued(desk)) == 1
    end_jobs(desk, NOW)
    visit(desk, NOW, VisitStatus.FULL)
    freshness.tick(desk, NOW + DAY - HOUR)
    assert queued(desk) == []
    freshness.tick(desk, NOW + DAY)
    assert len(queued(desk)) == 1
    assert fake_forge.changes(tmp_path) == [f"{URL} git None ok"]


def test_a_visit_that_does_not_happen_makes_an_origin_stale(desk: Desk, tmp_path: Path) -> None:
    freshness.tick(desk, NOW)
    visit(desk, NOW, VisitStatus.FULL)
    fake_forge.changes(tmp_path)
    freshness.tick(desk, NOW + DAY)
    assert row(desk).state is State.OK, "it was just enqueued"
    freshness.tick(desk, NOW + 2 * DAY)
    assert row(desk).state is State.OK
    freshness.tick(desk, NOW + 3 * DAY)
    assert (row(desk).state, row(desk).since) == (State.STALE, NOW + 3 * DAY)
    freshness.tick(desk, NOW + 4 * DAY)
    assert fake_forge.changes(tmp_path) == [f"{URL} git ok stale"]
    visit(desk, NOW + 4 * DAY, VisitStatus.FULL)
    assert fake_forge.changes(tmp_path) == [f"{URL} git stale ok"]


def test_origins_are_found_stale_after_a_long_sleep(desk: Desk, tmp_path: Path) -> None:
    freshness.tick(desk, NOW)
    end_jobs(desk, NOW)
    visit(desk, NOW, VisitStatus.FULL)
    fake_forge.changes(tmp_path)
    freshness.tick(desk, NOW + 5 * DAY)
    assert fake_forge.changes(tmp_path) == [f"{URL} git ok stale"]
    assert row(desk).state is State.STALE
    assert len(queued(desk)) == 1
    assert row(desk).due == NOW + 6 * DAY


def test_the_configuration_has_the_last_word(tmp_path: Path) -> None:
    with fake_forge.desk(tmp_path, CONFIGURED) as desk:
        freshness.tick(desk, NOW)
        end_jobs(desk, NOW)
        visit(desk, NOW, VisitStatus.FULL)
        assert row(desk).every == 86_400
    with fake_forge.desk(tmp_path, CONFIGURED.replace("1d", "2h")) as desk:
        freshness.tick(desk, NOW + HOUR)
        assert (row(desk).every, row(desk).due) == (7200, NOW + 2 * HOUR)
    with fake_forge.desk(tmp_path) as desk:
        freshness.tick(desk, NOW + 3 * HOUR)
        assert (row(desk).every, row(desk).due) == (None, None)
        assert row(desk).state is State.OK
        assert queued(desk) == []
    with fake_forge.desk(tmp_path, CONFIGURED) as desk:
        freshness.tick(desk, NOW + 3 * HOUR)
        assert row(desk).due == NOW + DAY


def test_what_a_forge_lists_is_due_while_the_forge_is_listed(desk: Desk) -> None:
    schedule = desk.requests.schedule
    forge = schedule.set_forge(NewForge(kind="fake", url="https://f.example.org", source=ToldBy.CLI), NOW)
    listed = Freshness(
        url="https://f.example.org/r.git", visit_type="git", forge=forge.id, every=3600.0, due=NOW
    )
    schedule.set_freshness([listed])
    freshness.tick(desk, NOW)
    assert {(job.arguments["url"], job.arguments["trusted"]) for job in queued(desk)} == {
        (URL, True),
        (listed.url, False),
    }
    end_jobs(desk, NOW)
    schedule.enable_forge(forge.id, False)
    freshness.tick(desk, NOW + HOUR)
    assert queued(desk) == []
    after = schedule.freshness(listed.url, "git")
    assert after is not None
    assert after.due is None


def test_what_cannot_be_visited_is_said_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        "schedule:\n  origins:\n"
        "    - {url: 'https://code.example.org/plain', every: 1d}\n"
        "    - {url: 'https://ada:hunter2@code.example.org/a.git', type: git}\n"
        "    - {url: 'https://code.example.org/b', type: nonsense}\n"
        "    - {url: 'ext::sh', type: git}\n"
        f"    - {{url: '{URL}', type: git}}\n"
    )
    with fake_forge.desk(tmp_path, text, "memory") as desk:
        freshness.tick(desk, NOW)
        freshness.tick(desk, NOW)
        assert [job.arguments["url"] for job in queued(desk)] == [URL]
    warnings = [record.getMessage() for record in caplog.records if "schedule.origins" in record.getMessage()]
    assert len(warnings) == 4
    assert "add type: to the entry" in warnings[0]
    assert "hunter2" not in caplog.text
    assert "no loader named 'nonsense'" in warnings[2]


def test_many_that_are_due_come_in_turns(desk: Desk) -> None:
    schedule = desk.requests.schedule
    forge = schedule.set_forge(NewForge(kind="fake", url="https://f.example.org", source=ToldBy.CLI), NOW)
    schedule.set_freshness(
        Freshness(
            url=f"https://f.example.org/{n}", visit_type="git", forge=forge.id, every=3600.0, due=NOW - DAY
        )
        for n in range(1500)
    )
    freshness.tick(desk, NOW)
    assert desk.jobs.counts()["queued"] == freshness.BATCH
    freshness.tick(desk, NOW)
    assert desk.jobs.counts()["queued"] == 1501


TOLD_BY_ALL = """
import datetime, sys
from pathlib import Path
import fake_forge
from swhkit import freshness
with fake_forge.desk(Path(sys.argv[1]), Path(sys.argv[2]).read_text()) as desk:
    print("ready", flush=True)
    sys.stdin.readline()
    freshness.visited(desk, sys.argv[3], "git", fake_forge.NOW)
"""


def test_of_several_processes_one_tells(tmp_path: Path) -> None:
    with fake_forge.desk(tmp_path, CONFIGURED) as desk:
        _, catalog, _ = desk.archive.writer()
        made = catalog.open_visit(URL, "git", NOW)
        catalog.publish(URL, made.number, Publication(status=VisitStatus.FAILED, date=NOW))
    text = tmp_path / "text"
    text.write_text(CONFIGURED)
    argv = [sys.executable, "-c", TOLD_BY_ALL, str(tmp_path), str(text), URL]
    processes = [
        subprocess.Popen(
            argv, env=program.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert fake_forge.changes(tmp_path) == [f"{URL} git None failing"]
    with fake_forge.desk(tmp_path, CONFIGURED) as desk:
        assert row(desk).failures == 1
