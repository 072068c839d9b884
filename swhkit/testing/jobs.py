"""The contract of ``Jobs``: what is told and forgotten here, with what lies on disk; queue, leases and walks beside it.

What the prose of ``swhkit.jobs`` leaves open is fixed here: moments come back in UTC with their microseconds; a moment
without time zone is a ``ValueError``; a limit or count of 0 or less gives nothing; a number beyond 64 bits names nothing.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swhkit.jobs import Ending, Jobs, JobState
from swhkit.testing.job_leases import JobLeasesContract
from swhkit.testing.job_queue import JobQueueContract, ended, job, keys, known, leased
from swhkit.testing.job_walks import JobWalksContract
from swhkit.testing.on_disk import OnDiskContract, opened
from swhkit.testing.processes import killed, two_at_once
from swhkit.testing.samples import NOON, moment

#: ``opener(create)`` opens the same place again and again, in this or another process (so it must be picklable).
Opener = Callable[[bool], Jobs]


class JobsContract(JobQueueContract, JobLeasesContract, JobWalksContract):
    """Subclass it and supply the fixture ``jobs``."""

    @pytest.fixture
    def jobs(self) -> Iterator[Jobs]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named jobs")

    # --- what is told ---

    def test_next_due_is_the_first_job_or_the_first_lease_to_run_out(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", not_before=moment(9), priority=-5), job("b", not_before=moment(20))], NOON)
        assert jobs.next_due() == moment(9)
        jobs.enqueue([job("c", not_before=moment(4), priority=7, group="g")], NOON)
        jobs.pause("g", moment(99))
        assert jobs.next_due() == moment(4)
        jobs.enqueue([job("c", not_before=moment(2))], NOON)
        assert jobs.next_due() == moment(2)
        c, b, a = jobs.lease("w", 6, moment(99), count=9)
        assert jobs.next_due() == moment(105)
        jobs.extend([c, b], 2, moment(99))
        jobs.extend([a], 1, moment(99))
        assert jobs.next_due() == moment(100)
        jobs.end([Ending(lease=lease, state=JobState.DONE) for lease in (a, c)], NOON)
        assert jobs.next_due() == moment(101)
        ended(jobs, b)
        assert jobs.next_due() is None

    def test_latest_pages_from_the_newest(self, jobs: Jobs) -> None:
        kept = jobs.enqueue([job(str(n)) for n in range(10)], NOON)
        for lease in jobs.lease("w", 60, NOON, count=6):
            state = JobState.FAILED if int(lease.job.key) % 2 else JobState.DONE
            ended(jobs, lease, state)
        leased(jobs)

        def found(state: JobState | None = None, before: int | None = None, limit: int = 100) -> str:
            return "".join(one.key for one in jobs.latest(state, before=before, limit=limit))

        assert found() == "9876543210"
        assert found(limit=3) == "987"
        assert found(limit=3, before=kept[7].id) == "654"
        assert found(JobState.DONE) == "420"
        assert found(JobState.FAILED, before=kept[5].id) == "31"
        assert found(JobState.LEASED) == "6"
        assert found(JobState.QUEUED, limit=2) == "98"
        assert found(limit=0) == found(limit=-1) == found(before=kept[0].id) == ""
        assert found(before=1 << 70) == "9876543210"
        assert found(before=-(1 << 70)) == ""
        assert jobs.counts() == {"queued": 3, "leased": 1, "done": 3, "failed": 3}

    def test_numbers_that_name_nothing(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a")], NOON)
        for number in (0, -1, kept.id + 1, 1 << 63, 1 << 70, -(1 << 70)):
            assert jobs.job(number) is None
        assert jobs.jobs([kept.id, kept.id, 1 << 70]) == {kept.id: kept}

    def test_ended_jobs_are_forgotten_and_open_ones_never(self, jobs: Jobs) -> None:
        jobs.enqueue([job(key) for key in "abcde"], NOON)
        a, b, c, d = jobs.lease("w", 600, NOON, count=4)
        ended(jobs, a, JobState.DONE, moment(10))
        ended(jobs, b, JobState.FAILED, moment(20))
        ended(jobs, c, JobState.QUEUED, moment(5))
        jobs.enqueue([job("d")], moment(6))
        ended(jobs, d, JobState.DONE, moment(7))  # and comes again
        assert jobs.prune(moment(10)) == 0
        assert jobs.prune(moment(10.000001)) == 1
        assert (jobs.job(a.job.id), known(jobs, b.job.id).state) == (None, JobState.FAILED)
        assert jobs.prune(moment(9999)) == 1
        assert jobs.counts() == {"queued": 3, "leased": 0, "done": 0, "failed": 0}
        assert keys(jobs.lease("w", 60, moment(6), count=9)) == ["e", "c", "d"]

    def test_numbers_of_forgotten_jobs_are_not_given_again(self, jobs: Jobs) -> None:
        (first,) = jobs.enqueue([job("a")], NOON)
        ended(jobs, leased(jobs))
        assert jobs.prune(moment(1)) == 1
        (second,) = jobs.enqueue([job("a")], NOON)
        assert second.id > first.id

    # --- what makes no sense ---

    def test_a_moment_without_time_zone_is_refused(self, jobs: Jobs) -> None:
        naive = NOON.replace(tzinfo=None)
        jobs.enqueue([job("a"), job("b")], NOON)
        lease = leased(jobs)
        before = jobs.latest()
        for call in (
            lambda: jobs.enqueue([job("c")], naive),
            lambda: jobs.enqueue([job("c"), job("d", not_before=naive)], NOON),
            lambda: jobs.lease("w", 60, naive),
            lambda: jobs.extend([lease], 60, naive),
            lambda: jobs.end([Ending(lease=lease, state=JobState.DONE)], naive),
            lambda: jobs.end([Ending(lease=lease, state=JobState.QUEUED, not_before=naive)], NOON),
            lambda: jobs.pause("g", naive),
            lambda: jobs.pauses(naive),
            lambda: jobs.prune(naive),
        ):
            with pytest.raises(ValueError, match="time zone"):
                call()
        assert jobs.latest() == before

    def test_after_closing_nothing_is_told(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        lease = leased(jobs)
        jobs.close()
        jobs.close()
        for call in (
            lambda: jobs.enqueue([job("b")], NOON),
            lambda: jobs.lease("w", 60, NOON),
            lambda: jobs.extend([lease], 60, NOON),
            lambda: jobs.end([Ending(lease=lease, state=JobState.DONE)], NOON),
            lambda: jobs.pause("g", NOON),
            lambda: jobs.pauses(NOON),
            lambda: jobs.job(1),
            lambda: jobs.jobs([1]),
            lambda: jobs.open("a"),
            jobs.next_due,
            jobs.latest,
            jobs.counts,
            lambda: jobs.prune(NOON),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()


class DurableJobsContract(OnDiskContract, JobsContract):
    """Subclass it and supply the fixture ``opener``; ``jobs`` follows from it."""

    @pytest.fixture
    def jobs(self, opener: Opener) -> Iterator[Jobs]:
        yield from opened(opener)

    def test_what_one_learns_another_knows_at_once(self, jobs: Jobs, opener: Opener) -> None:
        other = opener(False)
        (kept,) = jobs.enqueue([job("a", group="g")], NOON)
        assert other.job(kept.id) == kept
        lease = leased(other)
        assert jobs.lease("v", 60, NOON) == []
        assert jobs.extend([lease], 90, NOON) == [lease]
        assert ended(jobs, lease)
        assert not ended(other, lease)
        jobs.pause("g", moment(1))
        assert other.pauses(NOON) == {"g": moment(1)}
        other.close()

    def test_nobody_else_may_read_it(self, jobs: Jobs, place: Path) -> None:
        jobs.enqueue([job("a")], NOON)
        files = [path for path in place.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []

    def test_two_processes_never_get_the_same_job(self, jobs: Jobs, opener: Opener, place: Path) -> None:
        jobs.enqueue([job(str(n), group=f"g{n % 7}") for n in range(400)], NOON)
        two_at_once(_work_in_child, opener, place.parent)
        done = [(place.parent / f"done-{number}").read_text().split() for number in range(2)]
        assert sorted(done[0] + done[1], key=int) == [str(n) for n in range(400)]
        assert jobs.counts() == {"queued": 0, "leased": 0, "done": 400, "failed": 0}
        assert {one.leased for one in jobs.latest(limit=400)} == {1}

    def test_two_processes_enqueue_a_key_once(self, jobs: Jobs, opener: Opener) -> None:
        two_at_once(_enqueue_in_child, opener)
        assert sorted(one.key for one in jobs.latest(limit=999)) == sorted(str(n) for n in range(200))

    def test_a_job_comes_back_when_its_worker_was_killed(self, jobs: Jobs, opener: Opener) -> None:
        jobs.enqueue([job("a", group="g"), job("b"), job("c")], NOON)
        killed(_lease_and_die, opener)
        state = {one.key: one.state for one in jobs.latest()}
        assert state == {"a": JobState.LEASED, "b": JobState.DONE, "c": JobState.QUEUED}
        assert jobs.pauses(NOON) == {"h": moment(5)}
        assert keys(jobs.lease("v", 60, moment(59), count=9, per_group=1)) == ["c"]
        assert keys(jobs.lease("v", 60, moment(60), count=9, per_group=1)) == ["a"]

    def test_what_was_asked_for_survives_sigkill(self, opener: Opener) -> None:
        killed(_enqueue_and_die, opener)
        jobs = opener(False)
        (kept,) = jobs.latest()
        assert (kept.state, kept.again) == (JobState.LEASED, moment(1))
        jobs.enqueue([job("b", group="g")], NOON)
        assert jobs.lease("w", 60, moment(4), spacing=5) == []
        assert leased(jobs, moment(5), spacing=5).job.key == "b"
        assert leased(jobs, moment(60)).job.arguments == {"n": 2}
        jobs.close()


def _work_in_child(opener: Opener, folder: Path, number: int) -> None:
    jobs, done = opener(False), list[str]()
    while leases := jobs.lease(f"w{number}", 60, NOON, count=3):
        done += keys(leases)
        assert all(jobs.end([Ending(lease=lease, state=JobState.DONE) for lease in leases], NOON))
    (folder / f"done-{number}").write_text(" ".join(done))
    jobs.close()


def _enqueue_in_child(opener: Opener, number: int) -> None:
    jobs = opener(False)
    for start in range(0, 200, 4):
        wanted = [job(str(n)) for n in range(start, start + 4)]
        jobs.enqueue(wanted if number else reversed(wanted), NOON)
    jobs.close()


def _lease_and_die(opener: Opener) -> None:
    jobs = opener(False)
    _, b = jobs.lease("w", 60, NOON, count=2)
    ended(jobs, b)
    jobs.pause("h", moment(5))
    os.kill(os.getpid(), signal.SIGKILL)


def _enqueue_and_die(opener: Opener) -> None:
    jobs = opener(True)
    jobs.enqueue([job("a", group="g")], NOON)
    leased(jobs)
    jobs.enqueue([job("a", arguments={"n": 2})], moment(1))
    os.kill(os.getpid(), signal.SIGKILL)
