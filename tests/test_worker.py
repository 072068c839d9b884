"""Workers: what becomes of jobs whatever their processes do, and of workers that end, are killed, or are many."""

from __future__ import annotations

import datetime
import itertools
import os
import signal
import tarfile
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from generate import repository
from servers import http_server
from waiting import soon
from workers import Place, ended, now, running, settings

from swhkit.config import JobsSettings
from swhkit.errors import InvalidInput
from swhkit.jobs import Job, JobState, Lease, NewJob
from swhkit.queueing import ASKED, VisitArguments, visit_job
from swhkit.requests.saves import Artifact, NewSave, SaveStatus
from swhkit.requests.schedule import State
from swhkit.tasks import Outcome, Verdict, perform, visit
from swhkit.testing.processes import await_nobody_in, descendants
from swhkit.worker.endings import LONGEST_PAUSE, ending, given_back
from swhkit.worker.pool import GRACE
from swhkit.worker.upkeep import DEAD, PARTS, Part, Upkeep

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place", settings())


# -- decisions -------------------------------------------------------------------------------------------------------


def lease(leased: int = 1, **more: Any) -> Lease:
    job = Job(id=1, task="visit", key="k", state=JobState.LEASED, created=NOW, leased=leased, **more)
    return Lease(job, 7)


def again(**more: Any) -> Outcome:
    return Outcome(verdict=Verdict.AGAIN, error="why", **more)


@pytest.mark.parametrize(
    ("leased", "chance", "seconds"),
    [
        (1, 0.5, 60),
        (1, 0.0, 30),
        (1, 1.0, 90),
        (2, 0.5, 120),
        (5, 0.5, 960),
        (500, 0.5, 21_600),
        (0, 0.5, 60),
    ],
)
def test_another_try_comes_later_and_later(leased: int, chance: float, seconds: float) -> None:
    made = ending(lease(leased), again(), JobsSettings(), NOW, lambda: chance)
    assert (made.state, made.error, made.counts) == (JobState.QUEUED, "why", True)
    assert made.not_before == NOW + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("asked", "seconds"), [(3600.0, 3600), (1.0, 30), (-5.0, 30), (1e300, LONGEST_PAUSE), (float("nan"), 30)]
)
def test_no_sooner_than_a_server_wants(asked: float, seconds: float) -> None:
    made = ending(lease(), again(retry_after=asked), JobsSettings(), NOW, lambda: 0.0)
    assert made.not_before == NOW + datetime.timedelta(seconds=seconds)


def test_what_is_done_or_hopeless_is_final() -> None:
    done = ending(lease(), Outcome(verdict=Verdict.DONE, result={"a": 1}), JobsSettings(), NOW)
    assert (done.state, done.result, done.error) == (JobState.DONE, {"a": 1}, None)
    lost = ending(lease(), Outcome(verdict=Verdict.HOPELESS, error="no"), JobsSettings(), NOW)
    assert (lost.state, lost.error) == (JobState.FAILED, "no")
    back = given_back(lease(), NOW)
    assert (back.state, back.counts, back.not_before) == (JobState.QUEUED, False, NOW)


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_a_task_knows_nothing_of_jobs(place: Place) -> None:
    with place.desk() as desk:
        result = visit(desk, VisitArguments(url=place.url("ok"), visit_type="made", trusted=True))
        assert (result.visit, result.status, result.load_status) == (1, "full", "eventful")
        row = desk.requests.schedule.freshness(place.url("ok"), "made")
        assert row is not None
        assert row.state is State.OK
        with pytest.raises(InvalidInput):
            visit(desk, VisitArguments(url=place.url("ok"), visit_type="made"))
        with pytest.raises(InvalidInput, match="lists of archives are for visit type tar"):
            visit(
                desk,
                VisitArguments(
                    url=place.url("ok"), visit_type="made", trusted=True, artifacts=(Artifact("u", "1"),)
                ),
            )


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("cook", {}, "there is no task 'cook'; known: visit, listing"),
        ("visit", {"url": 1}, "the arguments of visit are wrong: "),
        ("visit", {"url": "https://x.org/", "visit_type": "none"}, "there is no loader named 'none'"),
        ("visit", {"url": "http://127.0.0.1/", "visit_type": "git"}, "127.0.0.1"),
        ("listing", {"forge": 99}, "there is no forge 99"),
    ],
)
def test_what_can_never_be_done_is_hopeless(
    place: Place, name: str, arguments: dict[str, Any], error: str
) -> None:
    with place.desk() as desk:
        outcome = perform(desk, name, arguments)
    assert outcome.verdict is Verdict.HOPELESS, outcome
    assert error in (outcome.error or "")


class Archives(BaseHTTPRequestHandler):
    """The same archive at every path."""

    data = b""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.send_header("Last-Modified", "Fri, 14 Jul 2017 02:40:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.data)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


def test_the_archives_of_a_request(place: Place, tmp_path: Path) -> None:
    """A request names URL and version of each archive, and no more."""
    (tmp_path / "f").write_text("1")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(tmp_path / "f", "f")
    Archives.data = (tmp_path / "x.tar").read_bytes()
    with http_server(Archives) as server, place.desk() as desk:
        base = f"http://127.0.0.1:{server.server_port}"
        artifacts = (Artifact(f"{base}/1.tar", "1"), Artifact(f"{base}/2.tar", "2"))
        job = visit_job(f"{base}/home", "tar", trusted=True, artifacts=artifacts)
        outcome = perform(desk, job.task, dict(job.arguments))
        assert (outcome.verdict, outcome.result["status"]) == (Verdict.DONE, "full"), outcome
        assert desk.archive.catalog.counters()["release"] == 2


# -- processes -------------------------------------------------------------------------------------------------------


def test_repositories_are_visited(place: Place, tmp_path: Path) -> None:
    urls = [f"file://{repository(tmp_path / f'{n}.git', 2, seed=n)}" for n in range(3)]
    place.enqueue(*(visit_job(url, "git", trusted=True, priority=ASKED) for url in urls))
    done = place.work("--slots", "2")
    assert sorted(line.split(": full")[0] for line in done.stdout.splitlines()) == [
        f"done: visit git {url}" for url in urls
    ]
    assert done.stderr == ""
    for url in urls:
        (made,) = place.visits(url)
        assert made.status == "full"
    jobs = place.jobs()
    assert {job.state for job in jobs.values()} == {JobState.DONE}
    assert jobs["0.git"].result["snapshot"].startswith("swh:1:snp:")
    with place.desk() as desk:
        assert desk.requests.schedule.count_states()["ok"] == 3


BAD = {
    "kill": "its process was killed by signal 9 (SIGKILL)",
    "abort": "its process was killed by signal 6 (SIGABRT)",
    "exit": "its process ended with code 3: a library has had enough",
    "hang": "its process was killed: it took longer than 5 s (jobs.time)",
    "loud": "its process said more than 2000 bytes (jobs.output): it was killed",
    "eat": "there was not enough memory to load file://PLACE/eat",
    "garbage": "its process ended without an outcome that can be understood",
    "away": "away does not answer: https://me:***@example.org/",
}


@pytest.mark.slow
def test_a_bad_origin_stops_nobody(tmp_path: Path) -> None:
    """Each is tried as often as it may be, and has failed then; those before and after it are visited."""
    limits = {"memory": 300 << 20, "output": 2000, "time": 5}
    place = Place(tmp_path / "place", settings(limits))
    place.enqueue("ok-0", *(name for bad in BAD for name in (bad, f"ok-{bad}")), "print")
    place.work()
    jobs = place.jobs()
    for name, error in BAD.items():
        job = jobs[name]
        assert (job.state, job.leased) == (JobState.FAILED, 2), job
        assert error.replace("PLACE", str(place.folder)) in (job.error or ""), job
        assert "\n" not in (job.error or "")
        assert "geheim" not in (job.error or "")
        visits = place.visits(place.url(name))
        assert [made.status for made in visits if made.status != "failed"] in ([], ["full"] * len(visits))
    good = [job for name, job in jobs.items() if name not in BAD]
    assert {job.state for job in good} == {JobState.DONE}, good
    await_nobody_in(place.folder)
    with place.desk() as desk:
        assert desk.archive.catalog.unfinished_visits() == []


def test_what_is_not_there_or_refused_is_tried_once(place: Place) -> None:
    refused = visit_job("http://127.0.0.1:1/x", "git")
    unknown = NewJob(task="cook", key="cook/it")
    place.enqueue("gone", refused, unknown)
    done = place.work()
    jobs = place.jobs()
    assert {(job.state, job.leased) for job in jobs.values()} == {(JobState.FAILED, 1)}
    assert "gone is not there" in (jobs["gone"].error or "")
    assert jobs["gone"].result["status"] == "not_found"
    assert place.visits("http://127.0.0.1:1/x") == []
    assert len(done.stdout.splitlines()) == 3


class Busy(BaseHTTPRequestHandler):
    """Has no time."""

    seen: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(429)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


def test_a_host_that_wants_to_be_left_alone_is(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", settings({"per_host": 1}, network={"private_addresses": "always"}))
    Busy.seen = []
    with http_server(Busy) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        place.enqueue(*(visit_job(f"{base}/{n}", "content") for n in range(3)), "ok")
        place.work()
        # Another worker does not know of it, but the store does.
        place.enqueue(visit_job(f"{base}/0", "content", priority=ASKED), "ok-2")
        place.work()
    assert Busy.seen == ["/0"]
    jobs = place.jobs()
    assert {jobs["ok"].state, jobs["ok-2"].state} == {JobState.DONE}
    assert [jobs[str(n)].leased for n in range(3)] == [1, 0, 0]
    assert "429" in (jobs["0"].error or "")
    until = place.pauses()["127.0.0.1"]
    assert 3400 < (until - now()).total_seconds() <= 3600


def test_one_host_is_asked_by_so_many_at_a_time(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", settings({"per_host": 1, "host_delay": 0.1}))
    place.enqueue(*(place.job(f"span-{n}", group="host") for n in range(3)))
    place.work("--slots", "3")
    spans = sorted(
        tuple(map(float, line.split())) for line in (place.folder / "spans").read_text().splitlines()
    )
    assert len(spans) == 3
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_asked_for_fifty_times_during_a_visit_is_one_more_visit(place: Place) -> None:
    place.enqueue("wait")
    with running(place, "worker", "--once") as process:
        assert place.began("wait")
        assert len({number for _ in range(50) for number in place.enqueue("wait")}) == 1
        place.let_go("wait")
        assert ended(process)[0] == 0
    assert [made.status for made in place.visits(place.url("wait"))] == ["full", "full"]
    assert place.jobs()["wait"].state is JobState.DONE


# -- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_in_order(place: Place, number: signal.Signals) -> None:
    place.enqueue("wait", "wait-2", "ok")
    with running(place, "worker", "--slots", "2") as process:
        assert place.began("wait")
        assert place.began("wait-2")
        began = time.monotonic()
        process.send_signal(number)
        assert ended(process)[0] == 0
        assert time.monotonic() - began < 8
    await_nobody_in(place.folder)
    jobs = place.jobs()
    assert [(job.state, job.leased) for job in jobs.values()] == [(JobState.QUEUED, 0)] * 3
    (made,) = place.visits(place.url("wait"))
    assert (made.status, "interrupted" in (made.reason or "")) == ("failed", True)
    place.let_go("wait")
    place.let_go("wait-2")
    place.work()
    assert {job.state for job in place.jobs().values()} == {JobState.DONE}


def test_a_second_signal_kills(place: Place) -> None:
    """The process of the job does not end when it is asked to."""
    place.enqueue("hang")
    with running(place, "worker") as process:
        assert soon(lambda: any(made.status == "ongoing" for made in place.visits(place.url("hang"))), 30)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert ended(process)[0] == 0
        assert time.monotonic() - began < GRACE
    await_nobody_in(place.folder)
    assert (place.jobs()["hang"].state, place.jobs()["hang"].leased) == (JobState.QUEUED, 0)


def test_the_jobs_of_a_killed_worker_come_again(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", settings({"lease": 1, "attempts": 5}))
    place.enqueue(place.job("wait", attempts=5))
    with running(place, "worker") as process:
        assert place.began("wait")
        process.kill()
        process.communicate()
    await_nobody_in(place.folder)
    assert place.jobs()["wait"].state is JobState.LEASED
    place.let_go("wait")
    with running(place, "worker") as process:
        assert place.all_end()
        process.terminate()
        assert ended(process)[0] == 0
    statuses = [made.status for made in place.visits(place.url("wait"))]
    assert sorted(statuses) == ["failed", "full"]


def test_who_has_lost_a_job_ends_it_and_is_not_heard(tmp_path: Path) -> None:
    """A worker that stood still for longer than its lease finds that another has the job."""
    place = Place(tmp_path / "place", settings({"lease": 1}))
    place.enqueue(place.job("wait", attempts=5))
    with running(place, "worker") as slow, running(place, "worker") as other:
        assert place.began("wait")
        other.send_signal(signal.SIGSTOP)
        holder = slow if f":{slow.pid}" in (place.jobs()["wait"].worker or "") else other
        free = other if holder is slow else slow
        holder.send_signal(signal.SIGSTOP)
        free.send_signal(signal.SIGCONT)
        assert soon(lambda: f":{free.pid}" in (place.jobs()["wait"].worker or ""), 30)
        holder.send_signal(signal.SIGCONT)
        assert place.began("wait", times=2), "the first visit was not ended, and keeps the second waiting"
        place.let_go("wait")
        assert place.all_end()
        for process in (slow, other):
            process.terminate()
            assert ended(process)[0] == 0
    assert place.jobs()["wait"].state is JobState.DONE
    assert sorted(made.status for made in place.visits(place.url("wait"))) == ["failed", "full"]


def test_two_workers_share_what_there_is(place: Place) -> None:
    names = [f"ok-{n}" for n in range(12)]
    place.enqueue(*names)
    workers = [place.start("worker", "--once", "--slots", "1") for _ in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    lines = [output.splitlines() for output in outputs]
    assert all(lines), lines
    assert sum(map(len, lines)) == 12
    for name in names:
        (made,) = place.visits(place.url(name))
        assert made.status == "full"


# -- beside jobs -----------------------------------------------------------------------------------------------------


def test_an_accepted_request_gets_its_job_from_a_worker(place: Place, tmp_path: Path) -> None:
    """Who accepted it has died before making it."""
    url = f"file://{repository(tmp_path / 'r.git', 1)}"
    with place.desk() as desk:
        request = desk.requests.saves.add(
            NewSave(url=url, visit_type="git", date=now(), status=SaveStatus.ACCEPTED, trusted=True)
        )
    place.work()
    assert [made.status for made in place.visits(url)] == ["full"]
    with place.desk() as desk:
        kept = desk.requests.saves.get(request.id)
        assert kept is not None
        assert kept.job is not None


def test_a_visit_that_died_is_ended_and_its_origin_known_to_fail(place: Place) -> None:
    with place.desk() as desk:
        desk.archive.writer()[1].open_visit(place.url("dead"), "made", now())
        upkeep = Upkeep(desk)
        upkeep.tick(now())
        (made,) = desk.archive.catalog.visits(place.url("dead"), limit=10)
        assert made.status == "failed"
        row = desk.requests.schedule.freshness(place.url("dead"), "made")
        assert row is not None
        assert row.state is State.FAILING


def test_a_part_that_fails_keeps_nobody_from_the_others(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def fail(*_: object) -> None:
        ran.append("bad")
        raise RuntimeError("out of order")

    parts = (Part("do this", 0.0, fail), Part("do that", 0.0, lambda *_: ran.append("good")))
    with place.desk() as desk:
        upkeep = Upkeep(desk, parts)
        for _ in range(3):
            upkeep.tick(now())
    assert ran == ["bad", "good"] * 3
    assert caplog.messages == ["cannot do this: out of order"]


def test_upkeep_is_done_by_one_at_a_time_and_as_often_as_it_is_due(place: Place) -> None:
    ran: list[str] = []
    with place.desk() as desk:
        inner = Upkeep(desk, (Part("x", 0.0, lambda *_: ran.append("inner")),))

        def meet(*_: object) -> None:
            ran.append("outer")
            inner.tick(now())

        outer = Upkeep(desk, (Part("now", 0.0, meet), Part(DEAD.name, 3600.0, lambda *_: ran.append("dead"))))
        outer.tick(now())
        outer.tick(now())
        assert ran == ["outer", "dead", "outer"], "somebody came in while another was at it, or too often"
        outer.look_for_dead()
        outer.tick(now())
        assert ran[3:] == ["outer", "dead"]
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_old_jobs_are_forgotten(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", settings({"keep": 0}))
    place.enqueue("ok", "gone")
    assert len(place.work().stdout.splitlines()) == 2
    with place.desk() as desk:
        Upkeep(desk).tick(now())
    assert place.jobs() == {}


def test_limits_hold_for_what_a_job_starts(place: Place) -> None:
    """Processes that git and the like are inherit the bound on memory, and are the first to go when memory is short."""
    place.enqueue("wait")
    with running(place, "worker") as process:
        assert place.began("wait")
        child = int((place.folder / "began-wait").read_text())
        assert child in descendants(process.pid)
        limits = Path(f"/proc/{child}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max data size")]
        assert line.split()[3:5] == [str(4 << 30)] * 2
        assert Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "500"
        assert os.getpgid(child) == child
        place.let_go("wait")
        assert place.all_end()
