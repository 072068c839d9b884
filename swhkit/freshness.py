"""How fresh origins are: what is written down after each visit, which visits are due, which are overdue.

Every origin that is visited has a row, whoever had it visited. Its state follows from its latest visit that has ended and
from the clock; a change of it is told to plugins once, by whoever wrote it down. What is read and written back here is
so under one lock for all processes.
"""

from __future__ import annotations

import datetime
import logging
import random
from collections.abc import Iterable
from weakref import WeakKeyDictionary

import msgspec

from swhkit.archive import Archive
from swhkit.config import Configuration, Settings
from swhkit.desk import Desk
from swhkit.errors import SwhkitError
from swhkit.files import FileLock, locked
from swhkit.jobs import NewJob
from swhkit.model import Visit, VisitStatus
from swhkit.net import without_secret
from swhkit.queueing import DUE, visit_job
from swhkit.registry import Registry
from swhkit.requests import Requests
from swhkit.requests.schedule import LEAST_DELAY, Freshness, State
from swhkit.text import without_secrets
from swhkit.visit import origin_of

#: What each final status of a visit makes of its origin.
STATES = {
    VisitStatus.FULL: State.OK,
    VisitStatus.PARTIAL: State.OK,
    VisitStatus.NOT_FOUND: State.GONE,
    VisitStatus.FAILED: State.FAILING,
}
#: An origin whose visits are no good is visited less and less often, down to one in so many intervals.
LONGEST_BACKOFF = 8
#: Origins that are looked at in one go.
BATCH = 1000
#: Seconds to wait for the lock. It is held for one batch at a time.
_PATIENCE = 120.0
_LOG = logging.getLogger(__name__)
#: The origins (URL, type) that the configuration of a desk names; known once it was synchronised in this process.
_CONFIGURED: WeakKeyDictionary[Desk, frozenset[tuple[str, str]]] = WeakKeyDictionary()

#: An origin's state before and after a change.
_Change = tuple[Freshness, State | None]


def visited(desk: Desk, url: str, visit_type: str, now: datetime.datetime) -> None:
    """A visit of an origin has ended: write down how fresh it is by now, and tell plugins if its state is another.

    Does nothing for a visit that was noted already, and for an origin that was never visited to the end. Raises what
    the stores raise, and ``Busy``.
    """
    note(desk.archive, desk.requests, desk.configuration, url, visit_type, now)


def note(
    archive: Archive,
    requests: Requests,
    configuration: Configuration,
    url: str,
    visit_type: str,
    now: datetime.datetime,
) -> None:
    """``visited`` for those who have no job store."""
    origin, schedule = origin_of(url), requests.schedule
    with held(archive):
        latest = archive.catalog.latest_visit(origin, visit_type=visit_type, statuses=tuple(STATES))
        before = schedule.freshness(origin, visit_type) or Freshness(url=origin, visit_type=visit_type)
        if latest is None or latest.date == before.visited:
            return
        after = after_visit(before, latest, now, configuration.settings)
        schedule.set_freshness([after])
    _tell(configuration.registry, [(after, before.state)])


def after_visit(row: Freshness, visit: Visit, now: datetime.datetime, settings: Settings) -> Freshness:
    """What is known of an origin once ``visit`` (a final one) has ended."""
    state = STATES[visit.status]
    good = state is State.OK
    after = msgspec.structs.replace(
        row,
        state=state,
        since=row.since if state is row.state else now,
        visited=visit.date,
        succeeded=visit.date if good else row.succeeded,
        failures=0 if good else row.failures + 1,
        reason=None if visit.reason is None else without_secrets(visit.reason),
    )
    return msgspec.structs.replace(after, due=due_after(after, now, settings))


def due_after(row: Freshness, now: datetime.datetime, settings: Settings) -> datetime.datetime | None:
    """When an origin that is visited ``now`` is due again: after its interval, a longer one while its visits are no
    good, put off by up to ``schedule.jitter`` of it so that not all come at once. None if only somebody's asking brings a
    visit."""
    if row.every is None:
        return None
    # A job that fails is tried again soon: all its visits are one step. What is gone is not tried again.
    visits = settings.jobs.attempts if row.state is State.FAILING else 1
    steps = max(row.failures - 1, 0) // visits
    backoff = min(LONGEST_BACKOFF, 2 ** min(steps, 10))
    return put_off(now, row.every * backoff, settings)


def put_off(now: datetime.datetime, seconds: float, settings: Settings) -> datetime.datetime:
    """``seconds`` after ``now``, or later by up to ``schedule.jitter`` of them."""
    spread = 1 + settings.schedule.jitter * random.random()  # noqa: S311 (no secret)
    return now + datetime.timedelta(seconds=seconds * spread)


def held(archive: Archive) -> FileLock:
    """The lock under which rows of freshness, and what is due, are read and written back; for a ``with`` block."""
    _, _, root = archive.writer()
    return locked(root / "freshness.lock", _PATIENCE)


def tick(desk: Desk, now: datetime.datetime) -> None:
    """Enqueue visits that are due, and find origins that are overdue. Cheap when nothing is to be done.

    The first time in a process, the origins of the configuration are entered. Each call does one batch of a thousand.
    """
    if desk not in _CONFIGURED:
        _CONFIGURED[desk] = frozenset(_enter_configured(desk, now))
    schedule = desk.requests.schedule
    changes: list[_Change] = []
    if schedule.overdue(now, 1):
        with held(desk.archive):
            changes += _turn_stale(desk, schedule.overdue(now, BATCH), now)
    _tell(desk.registry, changes)
    if not schedule.due(now, 1):
        return
    with held(desk.archive):
        changes = _enqueue(desk, schedule.due(now, BATCH), now)
    _tell(desk.registry, changes)


def _enqueue(desk: Desk, rows: Iterable[Freshness], now: datetime.datetime) -> list[_Change]:
    """Make the jobs of origins that are due, then push ``due`` on (a job that was made twice is one job)."""
    settings = desk.settings
    listing = {forge.id for forge in desk.requests.schedule.forges() if forge.enabled}
    jobs: list[NewJob] = []
    pushed: list[Freshness] = []
    changes: list[_Change] = []
    for row in rows:
        if not _is_wanted(desk, row, listing):
            pushed.append(msgspec.structs.replace(row, every=None, due=None))
            continue
        jobs.append(
            visit_job(
                row.url, row.visit_type, trusted=row.trusted, priority=DUE, attempts=settings.jobs.attempts
            )
        )
        after = msgspec.structs.replace(row, due=due_after(row, now, settings))
        if _is_late(row, now):
            after = msgspec.structs.replace(after, state=State.STALE, since=now)
            changes.append((after, row.state))
        pushed.append(after)
    desk.jobs.enqueue(jobs, now)
    desk.requests.schedule.set_freshness(pushed)
    return changes


def _is_wanted(desk: Desk, row: Freshness, listing: set[int]) -> bool:
    """Whether somebody still wants it visited: its forge, which is still listed, or the configuration."""
    if row.forge is not None:
        return row.forge in listing
    return (row.url, row.visit_type) in _CONFIGURED[desk]


def _is_late(row: Freshness, now: datetime.datetime) -> bool:
    """Whether the visit for which an origin was due an interval ago has not happened yet."""
    if row.state is not State.OK or row.every is None or row.visited is None:
        return False
    return now - row.visited > datetime.timedelta(seconds=row.every + max(row.every, LEAST_DELAY))


def _turn_stale(desk: Desk, rows: Iterable[Freshness], now: datetime.datetime) -> list[_Change]:
    changes: list[_Change] = [
        (msgspec.structs.replace(row, state=State.STALE, since=now), row.state) for row in rows
    ]
    desk.requests.schedule.set_freshness(row for row, _ in changes)
    return changes


def _tell(registry: Registry, changes: Iterable[_Change]) -> None:
    for row, before in changes:
        if row.state is not None and row.state is not before:
            registry.origin_state_changed(row.url, row.visit_type, before, row.state)


def _enter_configured(desk: Desk, now: datetime.datetime) -> list[tuple[str, str]]:
    """Enter the origins of the configuration; returns them. One that cannot be visited is logged and left out."""
    schedule = desk.requests.schedule
    entered: list[tuple[str, str]] = []
    with held(desk.archive):
        rows: list[Freshness] = []
        for origin in desk.settings.schedule.origins:
            try:
                url, visit_type = _judged(desk, origin.url, origin.type)
            except SwhkitError as error:
                _LOG.warning("schedule.origins: %s: %s", without_secret(origin.url), error)
                continue
            entered.append((url, visit_type))
            row = schedule.freshness(url, visit_type) or Freshness(url=url, visit_type=visit_type)
            after = msgspec.structs.replace(row, every=origin.every, trusted=True, forge=None)
            if row.due is None or row.every != origin.every:
                due = due_after(after, row.visited, desk.settings) if row.visited is not None else now
                after = msgspec.structs.replace(after, due=due)
            if after != row:
                rows.append(after)
        schedule.set_freshness(rows)
    return entered


def _judged(desk: Desk, url: str, visit_type: str | None) -> tuple[str, str]:
    """The origin and visit type of an entry. Raises ``InvalidUrl``, ``PluginError``."""
    target = desk.network(trusted=True).check(url, resolve=False)
    origin = origin_of(target.url)
    if origin != target.url:
        raise SwhkitError(
            "a URL with a user name or password is not kept, so it is not scheduled; remove them"
        )
    chosen = visit_type or desk.registry.visit_type(origin)
    if chosen is None:
        raise SwhkitError("its form does not tell the visit type; add type: to the entry")
    desk.registry.provider("loader", chosen)
    return origin, chosen
