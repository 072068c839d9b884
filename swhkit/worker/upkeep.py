"""What is done beside jobs, every so often, by any worker, and by one at a time on a machine.

Each part is idempotent and cheap when nothing is to be done. One that fails is told once in a while, and keeps nobody from
doing the others.
"""

from __future__ import annotations

import datetime
import logging
import math
import time
from collections.abc import Callable

import msgspec

from swhkit import crawling, freshness, saving
from swhkit.desk import Desk
from swhkit.files import FileLock
from swhkit.publish import recover
from swhkit.worker.seldom import Seldom

_LOG = logging.getLogger("swhkit.worker")
_LOCK = "upkeep.lock"
#: Seconds to wait for others that publish.
_PATIENCE = 1.0


class Part(msgspec.Struct, frozen=True):
    """One thing that is done at most every so many seconds; ``name`` says what, for the log."""

    name: str
    every: float
    run: Callable[[Desk, datetime.datetime], object]


def end_dead_visits(desk: Desk, now: datetime.datetime) -> None:
    """End what processes that died have left, and write down how fresh those origins are by now."""
    for ended in recover(desk.archive, _PATIENCE):
        _LOG.warning("visit %d of %s had died; it is %s now", ended.number, ended.url, ended.status)
        if (visit := desk.archive.catalog.visit(ended.url, ended.number)) is not None:
            freshness.visited(desk, ended.url, visit.type, now)


def _forget(desk: Desk, now: datetime.datetime) -> None:
    """Forget what became of jobs, and answers to webhooks, when that is long ago."""
    before = now - datetime.timedelta(seconds=desk.settings.jobs.keep)
    desk.jobs.prune(before)
    desk.requests.saves.forget_answers(before)


DEAD = Part("end visits that have died", 60.0, end_dead_visits)
PARTS = (
    DEAD,
    Part("make the jobs of accepted requests", 1.0, saving.ensure_jobs),
    Part("make lost jobs of accepted requests anew", 86_400.0, saving.restore_jobs),
    Part("look after forges", 1.0, crawling.tick),
    Part("find what is due", 1.0, freshness.tick),
    Part("forget old jobs", 3600.0, _forget),
)


class Upkeep:
    """Runs the parts that are due. ``tick`` is for one thread; ``look_for_dead`` for any."""

    def __init__(self, desk: Desk, parts: tuple[Part, ...] = PARTS) -> None:
        self._desk, self._parts = desk, parts
        self._done: dict[str, float] = {}
        self._seldom = Seldom(_LOG)

    def look_for_dead(self) -> None:
        """Have the next ``tick`` look for visits that have died."""
        self._done.pop(DEAD.name, None)

    def tick(self, now: datetime.datetime) -> None:
        """Run what is due, unless another worker is at it. Never raises."""
        self._seldom.passed("upkeep cannot be done", (Exception,), lambda: self._tick(now))

    def _tick(self, now: datetime.datetime) -> None:
        lock = FileLock(self._desk.archive.writer()[2] / _LOCK)
        if not lock.try_acquire():
            return
        with lock:
            for part in self._parts:
                begun = time.monotonic()
                if begun >= self._done.get(part.name, -math.inf) + part.every:
                    self._done[part.name] = begun
                    self._run(part, now)

    def _run(self, part: Part, now: datetime.datetime) -> None:
        def run() -> None:
            part.run(self._desk, now)

        self._seldom.passed(f"cannot {part.name}", (Exception,), run)
