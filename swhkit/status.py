"""How the archive keeps up: what is to be done, what people have asked for, how fresh origins are, how forges are listed."""

from __future__ import annotations

from itertools import takewhile

import msgspec

from swhkit.desk import Desk
from swhkit.jobs import JobState
from swhkit.queueing import visit_job
from swhkit.requests.forges import ForgeStatus
from swhkit.requests.saves import SaveStatus
from swhkit.requests.schedule import Freshness, KnownForge, Listing, State
from swhkit.visit import origin_of

#: The word for the state of an origin whose first visit has not ended.
UNKNOWN = "unknown"
#: More visit types than any origin has.
_TYPES = 100


class ForgeState(msgspec.Struct, frozen=True, kw_only=True):
    """A forge, its latest listing (None before the first), and how many origins it has: those visited (``enabled``), and
    those that are not any more."""

    forge: KnownForge
    listing: Listing | None
    enabled: int
    disabled: int


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """Counts: ``jobs`` by state, requests to save an origin and to add a forge by status, ``origins`` by state; and all
    forges by number."""

    jobs: dict[str, int]
    saves: dict[str, int]
    add_forge: dict[str, int]
    origins: dict[str, int]
    forges: list[ForgeState]


class OriginState(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh an origin is for one visit type. ``state`` is a word of ``State`` or ``UNKNOWN``; ``job`` is the state of
    the visit that is to be made or being made, None if there is none."""

    state: str
    row: Freshness
    job: str | None


def overall(desk: Desk | None) -> Overall:
    """All of it; without a desk, as of an archive that nobody has asked for anything."""
    if desk is None:
        return Overall(
            jobs=dict.fromkeys(map(str, JobState), 0),
            saves=dict.fromkeys(map(str, SaveStatus), 0),
            add_forge=dict.fromkeys(map(str, ForgeStatus), 0),
            origins=dict.fromkeys((*map(str, State), UNKNOWN), 0),
            forges=[],
        )
    return Overall(
        jobs={str(state): count for state, count in desk.jobs.counts().items()},
        saves=desk.requests.saves.count_statuses(),
        add_forge=desk.requests.forge_requests.count_statuses(),
        origins={str(state): count for state, count in desk.requests.schedule.count_states().items()},
        forges=[of_forge(desk, forge) for forge in desk.requests.schedule.forges()],
    )


def of_forge(desk: Desk, forge: KnownForge) -> ForgeState:
    """One forge."""
    schedule = desk.requests.schedule
    counts = schedule.count_listed(forge.id)
    listings = schedule.listings(forge.id, 1)
    return ForgeState(
        forge=forge,
        listing=listings[0] if listings else None,
        enabled=counts["enabled"],
        disabled=counts["disabled"],
    )


def of_origin(desk: Desk | None, url: str) -> list[OriginState]:
    """How fresh an origin is, a visit type each, by type; empty if nothing is known of it."""
    if desk is None:
        return []
    origin = origin_of(url)
    rows = desk.requests.schedule.origins(after=(origin, ""), limit=_TYPES)
    return [
        OriginState(state=str(row.state or UNKNOWN), row=row, job=_job(desk, row))
        for row in takewhile(lambda row: row.url == origin, rows)
    ]


def _job(desk: Desk, row: Freshness) -> str | None:
    job = desk.jobs.open(visit_job(row.url, row.visit_type).key)
    return None if job is None else str(job.state)
