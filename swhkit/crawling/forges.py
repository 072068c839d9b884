"""Which forges are listed, and when: those of the configuration are entered, those that are due get a job."""

from __future__ import annotations

import datetime

from swhkit import freshness
from swhkit.config import ForgeEntry
from swhkit.desk import Desk
from swhkit.jobs import NewJob
from swhkit.queueing import DUE, listing_job
from swhkit.requests.schedule import KnownForge, NewForge, ToldBy

#: Everything is listed again when that was last done so long ago (seconds), even where a shorter listing would do.
FULL_EVERY = 7 * 86_400.0


def enter_configured(desk: Desk, now: datetime.datetime) -> None:
    """Have the forges of the configuration listed, and those it no longer names not; nothing is ever deleted."""
    schedule = desk.requests.schedule
    known = {(forge.kind, forge.url): forge for forge in schedule.forges()}
    wanted = {(forge.kind, forge.url): forge for forge in map(_from_entry, desk.settings.forges)}
    for place, forge in wanted.items():
        if place not in known or not known[place].enabled or not _same(known[place], forge):
            schedule.set_forge(forge, now)
    for place, forge in known.items():
        if forge.source is ToldBy.CONFIG and forge.enabled and place not in wanted:
            schedule.enable_forge(forge.id, False)


def _from_entry(entry: ForgeEntry) -> NewForge:
    # Settings of the kind are not kept: they are read from the configuration whenever it is listed.
    keys = entry.keys
    return NewForge(
        kind=keys.kind,
        url=keys.url,
        source=ToldBy.CONFIG,
        every=keys.every,
        visit_every=keys.visit_every,
        trusted=True,
    )


def _same(known: KnownForge, forge: NewForge) -> bool:
    return all(getattr(known, name) == getattr(forge, name) for name in forge.__struct_fields__)


def enqueue_due(desk: Desk, now: datetime.datetime) -> None:
    """Enqueue the listings that are due, and say when they are due again."""
    if not _due(desk, now):
        return
    with freshness.held(desk.archive):  # or two processes would each have it listed
        forges = _due(desk, now)
        desk.jobs.enqueue([job_of(desk, forge, now) for forge in forges], now)
        for forge in forges:
            desk.requests.schedule.set_forge_due(forge.id, next_due(desk, forge, now))


def _due(desk: Desk, now: datetime.datetime) -> list[KnownForge]:
    forges = desk.requests.schedule.forges()
    return [forge for forge in forges if forge.enabled and forge.due is not None and forge.due <= now]


def job_of(desk: Desk, forge: KnownForge, now: datetime.datetime, priority: int = DUE) -> NewJob:
    """The job of a forge's next listing."""
    return listing_job(
        forge.id,
        forge.url,
        full=wants_full(forge, now),
        priority=priority,
        attempts=desk.settings.jobs.attempts,
    )


def next_due(desk: Desk, forge: KnownForge, now: datetime.datetime) -> datetime.datetime:
    """When a forge that is listed ``now`` is to be listed next."""
    return freshness.put_off(now, forge.every, desk.settings)


def wants_full(forge: KnownForge, now: datetime.datetime) -> bool:
    """Whether everything is to be listed, not only what has changed."""
    if forge.full is None or forge.listed is None:
        return True
    return now - forge.full >= datetime.timedelta(seconds=FULL_EVERY)
