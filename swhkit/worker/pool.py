"""The loop of a worker: lease what is due, have it done in as many processes as there are slots, and say what became of it.

A job is done in a process of its own, watched by a thread of its own; the stores are asked by the main thread alone. What
cannot be told to the job store now is told later, and until then the job stays ours.
"""

from __future__ import annotations

import datetime
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable

from swhkit.desk import Desk
from swhkit.errors import Busy
from swhkit.jobs import Ending, Job, JobState, Lease
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.tasks import Outcome, Verdict
from swhkit.text import without_secrets
from swhkit.worker.endings import ending, given_back, pause_of
from swhkit.worker.seldom import Seldom
from swhkit.worker.upkeep import Upkeep
from swhkit.worker.work import Work, runner_in

_LOG = logging.getLogger("swhkit.worker")
#: Seconds between two looks at the queue; and after a look that found nothing for us although something was due.
_POLL, _BLOCKED = 0.25, 0.75
#: Seconds between two rounds of what is done beside jobs.
_TICK = 1.0
#: Seconds that processes have to end a visit in order, and that the rest of an end may take.
GRACE, _LAST = 8.0, 5.0
#: What the stores raise where it may be over soon.
_PASSING = (OSError, Busy)


class Slot:
    """A job under way."""

    def __init__(self, lease: Lease, work: Work) -> None:
        self.lease, self.work, self.began = lease, work, time.monotonic()
        self.lost = False


class Worker:
    """Works on the jobs of a desk, ``slots`` at a time. ``tell`` gets a line for each lease that has ended.

    ``run`` is called once, in the main thread; ``stop`` and ``kill`` may be called by handlers of signals.
    """

    def __init__(self, desk: Desk, slots: int, tell: Callable[[str], None]) -> None:
        self._desk, self._count, self._tell = desk, slots, tell
        self._settings = desk.settings.jobs
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._slots: list[Slot] = []
        self._ended: queue.SimpleQueue[tuple[Slot, Outcome] | None] = queue.SimpleQueue()
        self._endings: list[Ending] = []
        self._stopping = threading.Event()
        self._killing = False
        self._stopped_at: float | None = None
        self._extended = self._leased = self._look_again = time.monotonic()
        self._upkeep = Upkeep(desk)
        self._seldom = Seldom(_LOG)

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no more jobs, have those under way end, give them back, and return from ``run``."""
        self._stopping.set()
        self._ended.put(None)

    def kill(self) -> None:
        """As ``stop``, but whatever is under way is killed."""
        self._killing = True
        self.stop()

    def run(self, once: bool = False) -> None:
        """Work until ``stop`` is called; with ``once`` also until nothing is due.

        Raises what is wrong with the stores for good, such as ``Corrupt``.
        """
        beside = None if once else self._start_upkeep()
        with scratch_folder("worker") as folder:
            runner = runner_in(folder)
            try:
                while not self._finished():
                    idle = self._step(runner)
                    if once and idle and self._nothing_more(runner):
                        break
                    self._collect()
            finally:
                self._stopping.set()
                for slot in self._slots:
                    slot.work.kill()
                if beside is not None:
                    beside.join(_LAST)

    def _step(self, runner: Runner) -> bool:
        """One round; whether nothing is under way after it."""
        self._extend()
        if self.stopping:
            self._end_all()
        else:
            self._take(runner)
        self._say()
        return not self._slots

    def _finished(self) -> bool:
        if self._stopped_at is None:
            return False
        late = time.monotonic() > self._stopped_at + GRACE + _LAST
        return not self._slots and (not self._endings or late)

    def _nothing_more(self, runner: Runner) -> bool:
        """Whether nothing is due now, nor will be as soon as the hosts that were asked may be asked again."""
        if self.stopping or self._endings:
            return False
        self._upkeep.tick(_now())
        self._look_again = 0.0
        self._take(runner)
        return not self._slots and time.monotonic() > self._leased + self._settings.host_delay

    # -- leases ----------------------------------------------------------------------------------------------------

    def _take(self, runner: Runner) -> None:
        """Lease what the free slots can do, and begin it."""
        free = self._count - len(self._slots)
        if free <= 0 or time.monotonic() < self._look_again:
            return
        leases = self._seldom.passed("no jobs can be taken", _PASSING, lambda: self._lease(free)) or []
        for lease in leases:
            slot = Slot(lease, Work(lease.job, self._desk.configuration, runner))
            self._slots.append(slot)
            self._leased = time.monotonic()
            threading.Thread(target=self._do, args=(slot,), name=f"job {lease.job.id}", daemon=True).start()

    def _lease(self, free: int) -> list[Lease]:
        now = _now()
        due = self._desk.jobs.next_due()
        if due is None or due > now:
            return []
        settings = self._settings
        leases = self._desk.jobs.lease(
            self._name,
            settings.lease,
            now,
            count=free,
            per_group=settings.per_host,
            spacing=settings.host_delay,
        )
        if not leases:  # of what is due nothing may begin: a host is paused, or asked by others
            self._look_again = time.monotonic() + _BLOCKED
        return leases

    def _do(self, slot: Slot) -> None:
        self._ended.put((slot, slot.work.run()))

    def _extend(self) -> None:
        """Keep what is ours; what has become another's is ended here."""
        if time.monotonic() < self._extended + self._settings.lease / 3:
            return
        self._extended = time.monotonic()
        ours = [slot.lease for slot in self._slots if not slot.lost]
        ours += [ending.lease for ending in self._endings]
        if not ours:
            return
        valid = self._seldom.passed(
            "leases cannot be extended",
            _PASSING,
            lambda: self._desk.jobs.extend(ours, self._settings.lease, _now()),
        )
        if valid is None:
            return
        kept = {(lease.job.id, lease.number) for lease in valid}
        for slot in self._slots:
            if not slot.lost and (slot.lease.job.id, slot.lease.number) not in kept:
                _LOG.warning("job %d was taken by another worker: it is ended here", slot.lease.job.id)
                slot.lost = True
                slot.work.end()

    # -- endings ---------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Wait a little, or until something has ended, and settle what has."""
        wait: float | None = _POLL
        while True:
            try:
                found = self._ended.get(wait is not None, wait)
            except queue.Empty:
                return
            wait = None
            if found is not None:
                self._settle(*found)

    def _settle(self, slot: Slot, outcome: Outcome) -> None:
        self._slots.remove(slot)
        self._look_again = 0.0
        now = _now()
        job = slot.lease.job
        if slot.lost:  # what becomes of it is the other's to say
            return
        if self.stopping and outcome.verdict is Verdict.AGAIN:
            made = given_back(slot.lease, now)
        else:
            made = ending(slot.lease, outcome, self._settings, now)
            if (seconds := pause_of(outcome)) is not None and job.group:
                until = now + datetime.timedelta(seconds=seconds)
                self._seldom.passed(
                    f"{job.group} cannot be paused", _PASSING, lambda: self._desk.jobs.pause(job.group, until)
                )
        self._endings.append(made)
        if outcome.verdict is Verdict.AGAIN:  # it may have died in the middle of a visit
            self._upkeep.look_for_dead()
        self._tell(line_of(job, made, outcome, now, time.monotonic() - slot.began))

    def _say(self) -> None:
        """Tell the job store what has ended."""
        if not self._endings:
            return
        said = self._seldom.passed(
            "what became of jobs cannot be written",
            _PASSING,
            lambda: self._desk.jobs.end(self._endings, _now()),
        )
        if said is not None:
            self._endings = []

    def _end_all(self) -> None:
        """Have all that is under way end: in order at first, by force when it takes too long."""
        first = self._stopped_at is None
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        late = time.monotonic() > self._stopped_at + GRACE
        for slot in self._slots:
            if late or self._killing:
                slot.work.kill()
            elif first:
                slot.work.end()

    # -- beside ----------------------------------------------------------------------------------------------------

    def _start_upkeep(self) -> threading.Thread:
        thread = threading.Thread(target=self._look_after, name="upkeep", daemon=True)
        thread.start()
        return thread

    def _look_after(self) -> None:
        while not self.stopping:
            self._upkeep.tick(_now())
            self._stopping.wait(_TICK)


def line_of(job: Job, made: Ending, outcome: Outcome, now: datetime.datetime, seconds: float) -> str:
    """One line for a person: what became of a lease."""
    name = without_secrets(job.key)
    if made.state is JobState.QUEUED and not made.counts:
        return f"given back: {name}"
    if made.state is JobState.QUEUED and made.not_before is not None and job.leased < job.attempts:
        wait = (made.not_before - now).total_seconds()
        return f"again in {wait:.0f} s: {name}: {outcome.error} ({seconds:.1f} s)"
    if made.state is not JobState.DONE:
        return f"failed: {name}: {outcome.error} ({seconds:.1f} s)"
    result = outcome.result if isinstance(outcome.result, dict) else {}
    parts = [str(result[key]) for key in ("status", "load_status", "snapshot", "error") if result.get(key)]
    return f"done: {name}: {', '.join(parts)} ({seconds:.1f} s)"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
