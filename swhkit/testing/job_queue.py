"""The contract of ``Jobs``: what is enqueued, in which order it is leased, what groups may not have, and what is told."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from swhkit.jobs import Ending, Job, Jobs, JobState, Lease, NewJob
from swhkit.testing.samples import NOON, moment

_EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


def job(key: str, **changes: Any) -> NewJob:
    """A job of the key, which its arguments name too."""
    fields: dict[str, Any] = {"task": "visit", "arguments": {"url": key}, "key": key}
    return NewJob(**fields | changes)


def keys(leases: list[Lease]) -> list[str]:
    """Of the jobs that were leased."""
    return [lease.job.key for lease in leases]


def leased(jobs: Jobs, now: datetime.datetime = NOON, **how: Any) -> Lease:
    """The one job that is to be leased, for a minute."""
    (lease,) = jobs.lease("w", 60, now, **how)
    return lease


def ended(
    jobs: Jobs, lease: Lease, state: JobState = JobState.DONE, now: datetime.datetime = NOON, **how: Any
) -> bool:
    """End one lease; whether it counted."""
    (counted,) = jobs.end([Ending(lease=lease, state=state, **how)], now)
    return counted


def known(jobs: Jobs, id: int) -> Job:
    """A job that is there."""
    found = jobs.job(id)
    assert found is not None
    assert jobs.jobs([id]) == {id: found}
    return found


class JobQueueContract:
    """The part of ``JobsContract`` about the queue."""

    # --- enqueueing ---

    def test_an_empty_store_has_nothing(self, jobs: Jobs) -> None:
        assert jobs.lease("w", 60, NOON, count=10) == []
        assert (jobs.job(1), jobs.jobs([1, 2]), jobs.open("a"), jobs.latest()) == (None, {}, None, [])
        assert (jobs.next_due(), jobs.pauses(NOON), jobs.prune(NOON)) == (None, {}, 0)
        assert jobs.counts() == {"queued": 0, "leased": 0, "done": 0, "failed": 0}

    def test_all_of_a_job_comes_back(self, jobs: Jobs) -> None:
        arguments = {
            "url": "https://example.org/größe/🚀?q='\"\\",
            "deep": [{"a": [None, True, 0, -1.5, 2**70, "\0", "\udcff"]}, {}],
            "": "",
        }
        new = job(
            "visit git ключ\0'\"", task="aufgabe ✓", arguments=arguments, group="ünïcode.example",
            not_before=moment(5).astimezone(_EAST), priority=-3, attempts=2,
        )  # fmt: skip
        (kept,) = jobs.enqueue([new], NOON.astimezone(_EAST))
        assert kept == Job(
            id=kept.id, task="aufgabe ✓", arguments=arguments, key="visit git ключ\0'\"", group="ünïcode.example",
            not_before=moment(5), priority=-3, attempts=2, state=JobState.QUEUED, created=NOON,
        )  # fmt: skip
        assert kept.not_before is not None
        assert kept.created.utcoffset() == kept.not_before.utcoffset() == datetime.timedelta(0)
        assert known(jobs, kept.id) == jobs.open(kept.key) == kept
        assert kept.is_open

    def test_at_once_is_kept_as_the_moment_of_enqueueing(self, jobs: Jobs) -> None:
        (kept,) = jobs.enqueue([job("a")], NOON)
        assert kept.not_before == NOON

    def test_batches_may_be_empty_and_generators(self, jobs: Jobs) -> None:
        assert jobs.enqueue([], NOON) == []
        kept = jobs.enqueue((job(key) for key in "abc"), NOON)
        assert [one.key for one in kept] == ["a", "b", "c"]
        assert kept[0].id < kept[1].id < kept[2].id
        assert jobs.jobs(one.id for one in kept) == {one.id: one for one in kept}
        assert jobs.jobs([]) == {}

    def test_a_batch_of_thousands_is_one_of_few(self, jobs: Jobs) -> None:
        kept = jobs.enqueue([job(str(n)) for n in range(3000)], NOON)
        assert [one.key for one in kept] == [str(n) for n in range(3000)]
        again = jobs.enqueue([job(str(n)) for n in range(2999, -1, -1)], NOON)
        assert [one.id for one in again] == [one.id for one in reversed(kept)]
        assert len(jobs.jobs(one.id for one in kept)) == 3000
        assert len(jobs.lease("w", 60, NOON, count=5000)) == 3000

    def test_a_key_twice_in_a_batch_is_one_job(self, jobs: Jobs) -> None:
        first, other, second = jobs.enqueue(
            [job("a", arguments={"n": 1}), job("b"), job("a", arguments={"n": 2})], NOON
        )
        assert first.id == second.id != other.id
        assert known(jobs, first.id).arguments == {"n": 2}
        assert jobs.counts()["queued"] == 2

    def test_a_queued_job_may_come_sooner_but_never_later(self, jobs: Jobs) -> None:
        (first,) = jobs.enqueue([job("a", not_before=moment(100), priority=5, group="g", attempts=2)], NOON)
        later = job(
            "a", not_before=moment(200), priority=1, arguments={"n": 2}, task="t", group="h", attempts=9
        )
        (kept,) = jobs.enqueue([later], moment(1))
        assert (kept.id, kept.not_before, kept.priority) == (first.id, moment(100), 5)
        assert (kept.arguments, kept.created) == ({"n": 2}, NOON)
        assert (kept.task, kept.group, kept.attempts) == ("visit", "g", 2)
        (kept,) = jobs.enqueue([job("a", not_before=moment(50), priority=7)], moment(2))
        assert (kept.not_before, kept.priority, kept.again) == (moment(50), 7, None)
        (kept,) = jobs.enqueue([job("a")], moment(3))
        assert kept.not_before == moment(3)
        lease = leased(jobs, moment(3))
        assert lease.job.arguments == {"url": "a"}
        assert ended(jobs, lease, now=moment(4))
        assert jobs.open("a") is None

    def test_an_ended_job_frees_its_key(self, jobs: Jobs) -> None:
        (first,) = jobs.enqueue([job("a")], NOON)
        ended(jobs, leased(jobs))
        (second,) = jobs.enqueue([job("a")], moment(1))
        assert second.id > first.id
        assert [one.id for one in jobs.latest()] == [second.id, first.id]

    def test_what_is_no_plain_json_is_refused(self, jobs: Jobs) -> None:
        circle: list[Any] = []
        circle.append(circle)
        for value in (b"bytes", {1, 2}, float("nan"), float("inf"), NOON, circle):
            with pytest.raises(ValueError, match="plain JSON"):
                jobs.enqueue([job("a"), job("b", arguments={"x": value})], NOON)
        assert jobs.counts()["queued"] == 0
        jobs.enqueue([job("a")], NOON)
        lease = leased(jobs)
        with pytest.raises(ValueError, match="plain JSON"):
            ended(jobs, lease, result=b"bytes")
        assert known(jobs, lease.job.id).state is JobState.LEASED

    def test_nobody_changes_what_is_kept(self, jobs: Jobs) -> None:
        arguments = {"list": [1]}
        (kept,) = jobs.enqueue([job("a", arguments=arguments)], NOON)
        arguments["list"].append(2)
        kept.arguments["list"].append(3)
        assert known(jobs, kept.id).arguments == {"list": [1]}

    def test_huge_arguments_and_results(self, jobs: Jobs) -> None:
        text = "ä" * (4 << 20)
        (kept,) = jobs.enqueue([job("a", arguments={"text": text})], NOON)
        lease = leased(jobs)
        assert lease.job.arguments == {"text": text}
        assert ended(jobs, lease, result=[text])
        assert known(jobs, kept.id).result == [text]

    # --- the order ---

    def test_priority_then_the_moment_then_the_number(self, jobs: Jobs) -> None:
        jobs.enqueue(
            [job("late", not_before=moment(3)), job("low", priority=-1, not_before=moment(-9))], NOON
        )
        jobs.enqueue([job("high", priority=9, not_before=moment(4)), job("x", not_before=moment(2))], NOON)
        jobs.enqueue([job("y", not_before=moment(2)), job("first", not_before=moment(1), group="g")], NOON)
        expected = ["high", "first", "x", "y", "late", "low"]
        assert keys(jobs.lease("w", 60, moment(5), count=4)) == expected[:4]
        assert keys(jobs.lease("w", 60, moment(5), count=4)) == expected[4:]

    def test_nothing_is_leased_before_it_is_due(self, jobs: Jobs) -> None:
        jobs.enqueue([job("high", priority=9, not_before=moment(10)), job("low", not_before=moment(9))], NOON)
        assert jobs.lease("w", 60, moment(8.999999), count=2) == []
        assert keys(jobs.lease("w", 60, moment(9), count=2)) == ["low"]
        assert jobs.lease("w", 60, moment(9.999999), count=2) == []
        assert keys(jobs.lease("w", 60, moment(10), count=2)) == ["high"]

    def test_groups_and_tasks_do_not_change_the_order(self, jobs: Jobs) -> None:
        wanted = [
            job(str(n), group=f"g{n % 5}", task=f"t{n % 3}", priority=-(n // 40), not_before=moment(n // 8 % 5 - 9))
            for n in range(120)
        ]  # fmt: skip
        ids = {one.key: one.id for one in jobs.enqueue(wanted, NOON)}
        expected = sorted(wanted, key=lambda one: (-one.priority, one.not_before, ids[one.key]))
        found: list[str] = []
        while leases := jobs.lease("w", 60, NOON, count=7):
            found += keys(leases)
        assert found == [one.key for one in expected]

    def test_a_worker_says_which_tasks_it_can_do(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", task="visit"), job("b", task="listing"), job("c", task="other")], NOON)
        assert jobs.lease("w", 60, NOON, count=9, tasks=[]) == []
        assert jobs.lease("w", 60, NOON, count=9, tasks={"visi", "unknown"}) == []
        assert keys(jobs.lease("w", 60, NOON, count=9, tasks=("listing", "other"))) == ["b", "c"]
        assert keys(jobs.lease("w", 60, NOON, count=9)) == ["a"]

    def test_no_more_are_leased_than_asked_for(self, jobs: Jobs) -> None:
        jobs.enqueue([job(key) for key in "abc"], NOON)
        for count in (0, -1):
            assert jobs.lease("w", 60, NOON, count=count) == []
        assert keys(jobs.lease("w", 60, NOON)) == ["a"]
        assert keys(jobs.lease("w", 60, NOON, count=99)) == ["b", "c"]

    # --- groups ---

    def test_so_many_of_a_group_at_a_time(self, jobs: Jobs) -> None:
        jobs.enqueue([job(f"{group}{n}", group=group) for group in ("g", "h", "") for n in range(3)], NOON)
        first = jobs.lease("w", 60, NOON, count=99, per_group=2)
        assert keys(first) == ["g0", "g1", "h0", "h1", "0", "1", "2"]
        assert jobs.lease("v", 60, NOON, count=99, per_group=2) == []
        assert ended(jobs, first[0])
        assert keys(jobs.lease("v", 60, NOON, count=99, per_group=2)) == ["g2"]
        assert jobs.lease("v", 60, NOON, count=99, per_group=0) == []
        assert keys(jobs.lease("v", 60, NOON, count=99)) == ["h2"]

    def test_a_group_is_one_whatever_the_task_and_the_priority(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", group="g", priority=2), job("b", group="g", task="listing", priority=2)], NOON)
        jobs.enqueue([job("c", group="g"), job("d", group="h")], NOON)
        assert keys(jobs.lease("w", 60, NOON, count=2, per_group=1)) == ["a", "d"]

    def test_a_full_group_holds_nobody_up(self, jobs: Jobs) -> None:
        jobs.enqueue([job(f"g{n}", group="g", priority=9) for n in range(700)], NOON)
        jobs.enqueue([job(f"h{n}", group=f"h{n % 50}") for n in range(100)], NOON)
        found = jobs.lease("w", 60, NOON, count=90, per_group=1)
        assert keys(found) == ["g0", *(f"h{n}" for n in range(50))]

    def test_no_two_of_a_group_begin_close_together(self, jobs: Jobs) -> None:
        jobs.enqueue([job(key, group="g") for key in "abcd"] + [job("x"), job("y")], NOON)
        first = jobs.lease("w", 60, NOON, count=9, spacing=2.5)
        assert keys(first) == ["a", "x", "y"]
        ended(jobs, first[0])
        assert jobs.lease("w", 60, moment(2.499999), count=9, spacing=2.5) == []
        assert keys(jobs.lease("w", 60, moment(2.5), count=9, spacing=2.5)) == ["b"]
        assert keys(jobs.lease("w", 60, moment(2.5), count=1)) == ["c"]
        assert jobs.lease("w", 60, moment(4.9), spacing=2.5) == []

    def test_a_clock_that_goes_back_does_not_block_a_group(self, jobs: Jobs) -> None:
        jobs.enqueue([job(key, group="g", not_before=moment(-9999)) for key in "ab"], NOON)
        leased(jobs, NOON, spacing=5)
        assert jobs.lease("w", 60, moment(-4), spacing=5) == []
        assert leased(jobs, moment(-5), spacing=5).job.key == "b"

    def test_a_paused_group_waits(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a", group="g", priority=9), job("b", group="h"), job("c", group="g")], NOON)
        running = leased(jobs)
        jobs.pause("g", moment(100).astimezone(_EAST))
        assert ended(jobs, leased(jobs, NOON, count=9), state=JobState.DONE)
        assert jobs.counts() == {"queued": 1, "leased": 1, "done": 1, "failed": 0}
        assert jobs.extend([running], 500, NOON) == [running]
        assert jobs.lease("w", 60, moment(99.999999)) == []
        assert leased(jobs, moment(100)).job.key == "c"

    def test_of_two_pauses_the_later_holds(self, jobs: Jobs) -> None:
        jobs.pause("g", moment(50))
        jobs.pause("g", moment(30))
        jobs.pause("ü", moment(20))
        jobs.pause("old", moment(-1))
        assert jobs.pauses(NOON) == {"g": moment(50), "ü": moment(20)}
        jobs.pause("g", moment(60))
        assert jobs.pauses(moment(20)) == {"g": moment(60)}
        assert jobs.pauses(moment(60)) == {}

    def test_no_group_is_never_paused(self, jobs: Jobs) -> None:
        jobs.pause("", moment(100))
        assert jobs.pauses(NOON) == {}
        jobs.enqueue([job("a")], NOON)
        assert leased(jobs).job.key == "a"
