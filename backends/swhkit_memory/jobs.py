"""Jobs in a dict behind one lock: what the contract is read against, so it says things one by one."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from swhkit.jobs import Ending, Job, JobState, Lease, NewJob, as_json, died
from swhkit.requests.kept import in_utc


@dataclass
class _Entry:
    """A job with what only the store knows: ``number`` of its latest lease, ``lost``: how many leases ran out, and what
    comes with ``again``. ``arguments`` and ``result`` are JSON, so that nobody changes them from outside."""

    id: int
    task: str
    arguments: str
    key: str
    group: str
    due: datetime.datetime
    priority: int
    attempts: int
    created: datetime.datetime
    state: JobState = JobState.QUEUED
    leased: int = 0
    number: int = 0
    lost: int = 0
    again: datetime.datetime | None = None
    again_arguments: str = ""
    again_priority: int = 0
    worker: str | None = None
    lease_ends: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    result: str = "null"
    error: str | None = None

    def job(self) -> Job:
        """As others see it."""
        return Job(
            id=self.id, task=self.task, arguments=json.loads(self.arguments), key=self.key, group=self.group,
            not_before=self.due, priority=self.priority, attempts=self.attempts, state=self.state,
            created=self.created, leased=self.leased, again=self.again, worker=self.worker,
            lease_ends=self.lease_ends, ended=self.ended, result=json.loads(self.result), error=self.error,
        )  # fmt: skip


class MemoryJobs:
    """A ``Jobs`` store in memory; see ``swhkit.jobs`` for what each method promises."""

    def __init__(self) -> None:
        self._lock, self._closed = threading.Lock(), False
        self._all: dict[int, _Entry] = {}
        self._keys: dict[str, _Entry] = {}
        self._pauses: dict[str, datetime.datetime] = {}
        self._begun: dict[str, datetime.datetime] = {}
        self._last = 0

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ValueError("the job store is closed")
            yield

    def enqueue(self, jobs: Iterable[NewJob], now: datetime.datetime) -> list[Job]:
        """As the contract."""
        now = in_utc(now)
        wanted = [(job, in_utc(job.not_before or now), as_json(dict(job.arguments))) for job in jobs]
        with self._open():
            return [self._enqueue(job, due, arguments, now).job() for job, due, arguments in wanted]

    def _enqueue(self, job: NewJob, due: datetime.datetime, arguments: str, now: datetime.datetime) -> _Entry:
        entry = self._keys.get(job.key)
        if entry is None:
            self._last += 1
            entry = _Entry(
                self._last, job.task, arguments, job.key, job.group, due, job.priority, job.attempts, now
            )
            self._all[entry.id] = self._keys[job.key] = entry
            return entry
        if entry.worker is not None:  # whoever has it, or lost it to nobody yet, may have seen too little
            first = entry.again is None
            entry.again = due if entry.again is None else min(entry.again, due)
            entry.again_arguments = arguments
            entry.again_priority = job.priority if first else max(entry.again_priority, job.priority)
        if entry.state is JobState.QUEUED:
            entry.due, entry.priority = min(entry.due, due), max(entry.priority, job.priority)
            entry.arguments = arguments
        return entry

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
        """As the contract."""
        now, ends = in_utc(now), in_utc(now) + datetime.timedelta(seconds=seconds)
        leases: list[Lease] = []
        with self._open():
            self._take_back(now)
            due = [
                entry for entry in self._keys.values() if entry.state is JobState.QUEUED and entry.due <= now
            ]
            for entry in sorted(due, key=lambda entry: (-entry.priority, entry.due, entry.id)):
                if len(leases) >= count:
                    break
                if tasks is not None and entry.task not in tasks:
                    continue
                if self._may_begin(entry.group, now, per_group, spacing):
                    self._begin(entry, worker, now, ends)
                    leases.append(Lease(entry.job(), entry.number))
        return leases

    def _take_back(self, now: datetime.datetime) -> None:
        """Queue what was leased for long enough, or let it fail."""
        for entry in list(self._keys.values()):
            if entry.lease_ends is None or entry.lease_ends > now:
                continue
            entry.state, entry.lease_ends, entry.lost = JobState.QUEUED, None, entry.lost + 1
            if entry.again is not None:
                entry.priority = max(entry.priority, entry.again_priority)
            if entry.leased >= entry.attempts:
                entry.error = died(entry.lost)
                self._settle(entry, JobState.FAILED, entry.due, now)

    def _may_begin(self, group: str, now: datetime.datetime, per_group: int | None, spacing: float) -> bool:
        if not group:
            return True
        if group in self._pauses and self._pauses[group] > now:
            return False
        begun = self._begun.get(group)
        if begun is not None and abs((now - begun).total_seconds()) < spacing:
            return False
        leased = [entry for entry in self._keys.values() if entry.state is JobState.LEASED]
        return per_group is None or sum(entry.group == group for entry in leased) < per_group

    def _begin(self, entry: _Entry, worker: str, now: datetime.datetime, ends: datetime.datetime) -> None:
        if entry.again is not None and entry.again <= now:  # it is this that was meant
            entry.arguments, entry.again = entry.again_arguments, None
        entry.state, entry.worker, entry.lease_ends = JobState.LEASED, worker, ends
        entry.leased, entry.number = entry.leased + 1, entry.number + 1
        self._begun[entry.group] = now

    def _valid(self, lease: Lease) -> _Entry | None:
        """The job of a lease, if it is the latest one and has not ended."""
        entry = self._all.get(lease.job.id)
        return entry if entry is not None and entry.number == lease.number else None

    def extend(self, leases: Sequence[Lease], seconds: float, now: datetime.datetime) -> list[Lease]:
        """As the contract."""
        ends = in_utc(now) + datetime.timedelta(seconds=seconds)
        with self._open():
            valid = [lease for lease in leases if self._valid(lease)]
            for lease in valid:
                entry = self._all[lease.job.id]
                entry.lost -= entry.state is JobState.QUEUED
                entry.state, entry.lease_ends = JobState.LEASED, ends
        return valid

    def end(self, endings: Sequence[Ending], now: datetime.datetime) -> list[bool]:
        """As the contract."""
        now = in_utc(now)
        checked = [
            (ending, ending.not_before and in_utc(ending.not_before), as_json(ending.result))
            for ending in endings
        ]
        if any(ending.state is JobState.LEASED for ending in endings):
            raise ValueError("a lease ends as done, failed or queued, not as leased")
        with self._open():
            return [self._end(ending, due, result, now) for ending, due, result in checked]

    def _end(
        self, ending: Ending, due: datetime.datetime | None, result: str, now: datetime.datetime
    ) -> bool:
        entry = self._valid(ending.lease)
        if entry is None:
            return False
        entry.lost -= entry.state is JobState.QUEUED
        state, entry.leased = ending.state, entry.leased - (not ending.counts)
        if state is JobState.QUEUED and ending.counts and entry.leased >= entry.attempts:
            state = JobState.FAILED
        if state is not JobState.QUEUED:
            entry.result = result
        if ending.error is not None:
            entry.error = ending.error.encode("utf-8", "backslashreplace").decode()
        self._settle(entry, state, due or (now if ending.counts else entry.due), now)
        return True

    def _settle(self, entry: _Entry, state: JobState, due: datetime.datetime, now: datetime.datetime) -> None:
        """Nobody has the job any more; ``due``: when to try it again, if ``state`` is ``queued``."""
        entry.number, entry.worker, entry.lease_ends = entry.number + 1, None, None
        if entry.again is not None:
            final = state is not JobState.QUEUED
            due = entry.again if final else min(due, entry.again)
            entry.priority = entry.again_priority if final else max(entry.priority, entry.again_priority)
            entry.arguments, entry.again, entry.leased, entry.lost = entry.again_arguments, None, 0, 0
            state = JobState.QUEUED
        entry.state = state
        if state is JobState.QUEUED:
            entry.due = due
        else:
            entry.ended = now
            del self._keys[entry.key]

    def pause(self, group: str, until: datetime.datetime) -> None:
        """As the contract."""
        until = in_utc(until)
        with self._open():
            if group:
                self._pauses[group] = max(until, self._pauses.get(group, until))

    def pauses(self, now: datetime.datetime) -> dict[str, datetime.datetime]:
        """As the contract."""
        now = in_utc(now)
        with self._open():
            return {group: until for group, until in self._pauses.items() if until > now}

    def job(self, id: int) -> Job | None:
        """As the contract."""
        return self.jobs([id]).get(id)

    def jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """As the contract."""
        asked = list(ids)
        with self._open():
            return {id: self._all[id].job() for id in asked if id in self._all}

    def open(self, key: str) -> Job | None:
        """As the contract."""
        with self._open():
            entry = self._keys.get(key)
            return None if entry is None else entry.job()

    def next_due(self) -> datetime.datetime | None:
        """As the contract."""
        with self._open():
            return min((entry.lease_ends or entry.due for entry in self._keys.values()), default=None)

    def latest(
        self, state: JobState | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[Job]:
        """As the contract."""
        with self._open():
            found = [
                entry.job()
                for entry in reversed(self._all.values())
                if state in (None, entry.state) and (before is None or entry.id < before)
            ]
        return found[: max(limit, 0)]

    def counts(self) -> dict[str, int]:
        """As the contract."""
        with self._open():
            states = [entry.state for entry in self._all.values()]
        return {state.value: states.count(state) for state in JobState}

    def prune(self, before: datetime.datetime) -> int:
        """As the contract."""
        before = in_utc(before)
        with self._open():
            gone = [id for id, entry in self._all.items() if entry.ended is not None and entry.ended < before]
            for id in gone:
                del self._all[id]
        return len(gone)

    def close(self) -> None:
        """As the contract."""
        with self._lock:
            self._closed = True
