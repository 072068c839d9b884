"""The contract of the job store, as prose: what is to be done, by whom it is being done, and what became of it.

A job is the name of a task and its arguments; what a task is, this module does not know. A worker *leases* jobs for a
time, extends its leases while it works, and ends each: ``finish``, ``retry``, ``fail`` or ``give_back``. Whose lease ran
out has lost it: the job is leased again, and what the loser says of it is not heard. So a job that was enqueued is done
once or several times, never not at all, and nothing may depend on it being done once: visiting twice equals visiting once.

What ``swhkit.storage`` says of all stores holds for this one: synchronous, from any thread, durable on return,
``ValueError`` after ``close``. Moments have a time zone; ``now`` is always the caller's. ``swhkit.testing.JobsContract``
is its suite.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

#: How often a job is leased before it has failed for good, if nothing else is said.
ATTEMPTS = 5


class JobState(StrEnum):
    """Where a job stands. ``queued`` and ``leased`` are open, the others final."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be enqueued. ``arguments``: plain JSON values. ``key``: at most one job of a key is open. ``group``: what is
    to be spared, such as a host; empty is no group. ``not_before``: None is at once, and is kept as the moment of
    enqueueing. Higher ``priority`` comes first."""

    task: str
    arguments: Mapping[str, Any] = {}
    key: str
    group: str = ""
    not_before: datetime.datetime | None = None
    priority: int = 0
    attempts: int = ATTEMPTS


class Job(NewJob, frozen=True, kw_only=True):
    """A job as it is kept. ``leased``: how often it was leased (a lease that was given back does not count). ``again``:
    while leased, it was enqueued once more, to be done from this moment on when the lease has ended. ``worker``: who has
    it; of a queued job, who lost it. ``result``: what ``finish`` or ``fail`` was given; ``error``: the latest reason of a
    failure, in one line; both stay when the job is queued again."""

    id: int
    state: JobState
    created: datetime.datetime
    leased: int = 0
    again: datetime.datetime | None = None
    worker: str | None = None
    lease_ends: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    result: Any = None
    error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done, or being done."""
        return self.state in (JobState.QUEUED, JobState.LEASED)


class Lease(msgspec.Struct, frozen=True):
    """A job that was given to a worker. ``number`` differs between all leases of a job: it tells whose word counts."""

    job: Job
    number: int


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a lease ends. ``state``: ``done`` or ``failed``, final both; ``queued`` is another try, ``not_before`` then.
    ``counts`` is False for a lease that is given back: it is as if the job had never been leased."""

    lease: Lease
    state: JobState
    not_before: datetime.datetime | None = None
    result: Any = None
    error: str | None = None
    counts: bool = True


def as_json(value: object) -> str:
    """Arguments and results as they are kept. Raises ``ValueError`` for what is no plain JSON."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"arguments and results of jobs are plain JSON values: {error}") from error


def died(times: int) -> str:
    """The error of a job whose leases ran out, the last one that it had included."""
    return f"its workers died {times} time{'' if times == 1 else 's'}"


class Jobs(Protocol):
    """A queue of jobs, and the pauses of groups."""

    def enqueue(self, jobs: Iterable[NewJob], now: datetime.datetime) -> list[Job]:
        """Each job in the order given; those whose key is open give that open job, in one transaction a batch.

        An open job that is ``queued`` may come sooner by it (the earlier ``not_before``, the higher ``priority``), one
        that is ``leased`` is done once more afterwards (``again``, the earlier moment), however often it is enqueued
        meanwhile. The arguments of an open queued job are replaced by the new ones; those of a leased one, and its
        priority, when it is done again. If its lease runs out before, the next lease is that doing. Task, group and
        attempts stay those of the open job. ``ValueError``, and nothing is kept, if one of the arguments is no plain
        JSON.
        """

    def lease(
        self,
        worker: str,
        seconds: float,
        now: datetime.datetime,
        *,
        count: int = 1,
        per_group: int | None = None,
        spacing: float = 0.0,
        tasks: Collection[str] | None = None,
    ) -> list[Lease]:
        """Up to ``count`` jobs that are due, by priority, then by the moment they became due, then by number.

        Of one group no more than ``per_group`` are leased at a time, none while it is paused, and no two begin within
        ``spacing`` seconds. Leases that ran out come first back into the queue; a job that was leased ``attempts`` times
        by then has failed (``its workers died N times``: so many of its leases had run out).
        """

    def extend(self, leases: Sequence[Lease], seconds: float, now: datetime.datetime) -> list[Lease]:
        """Have them end ``seconds`` after ``now``; returns those that are still valid, as they were given. A lease is
        valid until another worker has the job, or the job has failed, even if its time has run out."""

    def end(self, endings: Sequence[Ending], now: datetime.datetime) -> list[bool]:
        """End leases, in one transaction; for each whether it counted. False, and nothing is changed, for one that is no
        longer valid (so the second of two equal calls changes nothing).

        A job that is to be tried again but was leased ``attempts`` times has failed. One with ``again`` is queued once
        more, as if new (``leased`` is 0), whatever the ending; its result and error are kept. It is due when ``again``
        says, or when it was to be tried again, if that is earlier. Without ``not_before``, another try is at once, and
        what is given back has its old place in the queue. ``ValueError`` for a state that is no ending.
        """

    def pause(self, group: str, until: datetime.datetime) -> None:
        """Lease nothing of a group before a moment; of two moments the later holds. Kept across restarts. The empty
        group is none: nothing happens."""

    def pauses(self, now: datetime.datetime) -> dict[str, datetime.datetime]:
        """The groups that are paused, and until when."""

    def job(self, id: int) -> Job | None:
        """One job."""

    def jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Those of these that are known."""

    def open(self, key: str) -> Job | None:
        """The open job of a key."""

    def next_due(self) -> datetime.datetime | None:
        """When the next queued job is due, or the next lease runs out; None if nothing is open. Pauses are not regarded."""

    def latest(
        self, state: JobState | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[Job]:
        """Jobs with numbers below ``before``, newest first; of one state, if it is given."""

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state; all states are there."""

    def prune(self, before: datetime.datetime) -> int:
        """Forget jobs that ended before a moment; returns how many there were."""

    def close(self) -> None:
        """Release files."""
