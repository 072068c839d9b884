"""The contract of ``Jobs`` under many hands: threads at once, and random walks through everything a store can do.

A walk keeps its own account of what was asked for and who has what, and holds the store to it: no job is lost, none is
leased twice at once, what is asked for while it is being done is done after that, groups keep their limits.
"""

from __future__ import annotations

import datetime
import random
from collections import Counter

import pytest

from swhkit.jobs import Ending, Jobs, JobState, Lease
from swhkit.testing.job_queue import job, keys
from swhkit.testing.samples import NOON, together

_PER_GROUP, _SPACING = 2, 1.5


class Walk:
    """Random calls of one store, each a step, and what is known of it by them. The clock goes back now and then."""

    def __init__(self, jobs: Jobs, seed: int) -> None:
        self.jobs, self.chance, self.now, self.step = jobs, random.Random(seed), NOON, 0  # noqa: S311 - no secret
        self.ids: set[int] = set()
        self.forgotten = 0
        #: By key: the step in which it was asked for last, and in which it was begun last.
        self.asked: dict[str, int] = {}
        self.begun: dict[str, int] = {}
        #: By job: its latest lease, and when that runs out; of which it has ended, or was taken back.
        self.latest: dict[int, Lease] = {}
        self.ends: dict[int, datetime.datetime] = {}
        self.over: set[int] = set()
        self.taken_back: set[int] = set()
        self.lost: list[Lease] = []
        self.paused: dict[str, datetime.datetime] = {}
        self.group_begun: dict[str, datetime.datetime] = {}

    def run(self, steps: int) -> None:
        """Walk."""
        calls = (
            self.enqueue,
            self.enqueue,
            self.lease,
            self.lease,
            self.lease,
            self.end,
            self.end,
            self.extend,
        )
        for _ in range(steps):
            self.step += 1
            self.now += datetime.timedelta(seconds=self.chance.choice((0, 0, 0.5, 1, 3, 10, -4)))
            self.chance.choice((*calls, self.pause, self.prune))()
            self.compare()

    def enqueue(self) -> None:
        """Up to three jobs."""
        soon = self.now + datetime.timedelta(seconds=2)
        wanted = [
            job(
                str(n),
                group=("", "g", "h")[n % 3],
                task=("visit", "listing")[n % 2],
                priority=self.chance.choice((0, 0, 10)),
                not_before=self.chance.choice((None, soon)),
                attempts=self.chance.choice((1, 2, 5)),
            )
            for n in (self.chance.randrange(12) for _ in range(self.chance.randrange(4)))
        ]
        for new, kept in zip(wanted, self.jobs.enqueue(wanted, self.now), strict=True):
            assert kept.is_open
            assert kept.key == new.key
            self.asked[kept.key] = self.step
            self.ids.add(kept.id)

    def lease(self) -> None:
        """Some, under the limits of groups."""
        tasks = self.chance.choice((None, None, {"visit"}, {"listing", "visit"}))
        count = self.chance.choice((1, 2, 9))
        found = self.jobs.lease(
            "w", 5, self.now, count=count, per_group=_PER_GROUP, spacing=_SPACING, tasks=tasks
        )
        self.take_back()
        assert len(found) <= count
        assert [one.job.id for one in found] == [one.job.id for one in sorted(found, key=_turn)]
        for lease in found:
            assert tasks is None or lease.job.task in tasks
            self.begin(lease)
        for group in ("g", "h"):
            assert sum(one.group == group for one in self.jobs.latest(JobState.LEASED)) <= _PER_GROUP

    def take_back(self) -> None:
        """What every lease begins with."""
        for id, lease in self.latest.items():
            if id not in self.over | self.taken_back and self.ends[id] <= self.now:
                dead = lease.job.leased >= lease.job.attempts
                (self.over if dead else self.taken_back).add(id)

    def begin(self, lease: Lease) -> None:
        """What must be so of each job that is leased."""
        new = lease.job
        before = self.latest.get(new.id)
        if before is not None:
            assert new.id in self.over | self.taken_back, "leased twice at once"
            assert lease.number > before.number
            self.lost.append(before)
        assert new.not_before is not None
        assert new.not_before <= self.now
        if new.group:
            assert self.paused.get(new.group, self.now) <= self.now
            begun = self.group_begun.get(new.group)
            assert begun is None or abs(self.now - begun).total_seconds() >= _SPACING
            self.group_begun[new.group] = self.now
        self.latest[new.id], self.begun[new.key] = lease, self.step
        self.ends[new.id] = self.now + datetime.timedelta(seconds=5)
        self.over.discard(new.id)
        self.taken_back.discard(new.id)

    def end(self) -> None:
        """Some leases, in any way; and one that was lost or has ended, which is not heard."""
        valid = [lease for id, lease in self.latest.items() if id not in self.over]
        ending = self.chance.sample(valid, min(len(valid), self.chance.randrange(3)))
        invalid = self.lost + [self.latest[id] for id in self.over]
        late = self.chance.sample(invalid, min(len(invalid), 1))
        states = (JobState.DONE, JobState.FAILED, JobState.QUEUED)
        endings = [
            Ending(lease=lease, state=self.chance.choice(states), counts=self.chance.random() < 0.8)
            for lease in ending + late
        ]
        assert self.jobs.end(endings, self.now) == [True] * len(ending) + [False] * len(late)
        self.over.update(lease.job.id for lease in ending)

    def extend(self) -> None:
        """Some leases that were not taken back, and one that was lost."""
        valid = [lease for id, lease in self.latest.items() if id not in self.over | self.taken_back]
        chosen = self.chance.sample(valid, min(len(valid), 2))
        assert self.jobs.extend(chosen + self.lost[-1:], 5, self.now) == chosen
        self.ends |= {lease.job.id: self.now + datetime.timedelta(seconds=5) for lease in chosen}

    def pause(self) -> None:
        """A group, for some seconds."""
        group, until = (
            self.chance.choice("gh"),
            self.now + datetime.timedelta(seconds=self.chance.randrange(6)),
        )
        self.jobs.pause(group, until)
        self.paused[group] = max(until, self.paused.get(group, until))
        expected = {name: at for name, at in self.paused.items() if at > self.now}
        assert self.jobs.pauses(self.now) == expected

    def prune(self) -> None:
        """What ended a while ago."""
        self.forgotten += self.jobs.prune(self.now - datetime.timedelta(seconds=30))

    def compare(self) -> None:
        """What the store says of itself, against what was found out."""
        counts, everything = self.jobs.counts(), self.jobs.latest(limit=9999)
        assert Counter(str(one.state) for one in everything) == Counter(counts)
        assert sum(counts.values()) == len(self.ids) - self.forgotten
        assert max(Counter(one.key for one in everything if one.is_open).values(), default=1) == 1
        leased = {one.id for one in everything if one.state is JobState.LEASED}
        assert leased == self.latest.keys() - self.over - self.taken_back
        moments = [one.lease_ends or one.not_before for one in everything if one.is_open]
        assert self.jobs.next_due() == min(filter(None, moments), default=None)

    def drain(self) -> None:
        """Do all that is open, and see that everything was begun after it was asked for last."""
        while self.jobs.next_due() is not None:
            self.step, self.now = self.step + 1, self.now + datetime.timedelta(seconds=60)
            for lease in self.jobs.lease("w", 5, self.now, count=99):
                self.begun[lease.job.key] = self.step
                assert self.jobs.end([Ending(lease=lease, state=JobState.DONE)], self.now) == [True]
        assert {key for key, step in self.asked.items() if self.begun[key] <= step} == set()


class JobWalksContract:
    """The part of ``JobsContract`` about what happens at once, and in any order."""

    @pytest.mark.parametrize("seed", range(6))
    def test_whatever_happens_nothing_is_lost_or_done_twice_at_once(self, jobs: Jobs, seed: int) -> None:
        walk = Walk(jobs, seed)
        walk.run(250)
        assert len(walk.lost) > 10
        assert len(walk.over) > 10
        walk.drain()

    def test_of_many_at_once_one_makes_the_job(self, jobs: Jobs) -> None:
        found = together(50, lambda n: jobs.enqueue([job("a"), job(f"b{n}")], NOON))
        assert len({kept.id for kept, _ in found}) == 1
        assert len({kept.id for _, kept in found}) == 50
        assert jobs.counts()["queued"] == 51

    def test_of_many_at_once_one_gets_the_job(self, jobs: Jobs) -> None:
        jobs.enqueue([job(str(n), group=f"g{n % 9}") for n in range(100)], NOON)

        def work(number: int) -> list[str]:
            done: list[str] = []
            while leases := jobs.lease(f"w{number}", 60, NOON, count=3):
                done += keys(leases)
                assert all(jobs.end([Ending(lease=lease, state=JobState.DONE) for lease in leases], NOON))
            return done

        done = [key for found in together(8, work) for key in found]
        assert sorted(done, key=int) == [str(n) for n in range(100)]

    def test_of_many_at_once_one_ends_the_lease(self, jobs: Jobs) -> None:
        jobs.enqueue([job("a")], NOON)
        (lease,) = jobs.lease("w", 60, NOON)
        counted = together(12, lambda n: jobs.end([Ending(lease=lease, state=JobState.DONE, result=n)], NOON))
        assert sorted(counted) == [[False]] * 11 + [[True]]
        (kept,) = jobs.latest()
        assert kept.result == counted.index([True])

    def test_a_group_keeps_its_limit_with_many_at_once(self, jobs: Jobs) -> None:
        jobs.enqueue([job(str(n), group="g") for n in range(50)], NOON)
        found = together(10, lambda n: jobs.lease(f"w{n}", 60, NOON, count=2, per_group=3))
        assert sum(map(len, found)) == 3
        assert jobs.counts()["leased"] == 3


def _turn(lease: Lease) -> tuple[int, datetime.datetime, int]:
    return -lease.job.priority, lease.job.not_before or NOON, lease.job.id
