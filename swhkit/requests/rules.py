"""What every store of requests has to work out in the same way: pure functions, for authors of stores."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

import msgspec

from swhkit.requests.saves import SaveStatus
from swhkit.requests.schedule import (
    LEAST_DELAY,
    Freshness,
    ListedOrigin,
    ListingStatus,
    Noted,
    Seen,
    State,
)


def check_decision(status: SaveStatus) -> None:
    """Raise ``ValueError`` for what decides nothing."""
    if status is SaveStatus.PENDING:
        raise ValueError("pending is no decision: a request is accepted or rejected")


def check_ending(status: ListingStatus, patience: int) -> None:
    """Raise ``ValueError`` for what cannot end a listing."""
    if status is ListingStatus.RUNNING:
        raise ValueError("a listing does not end by running: it is complete, partial or failed")
    if patience < 1:
        raise ValueError(f"a patience of {patience} listings is none: at least 1")


def plain_options(options: Mapping[str, object]) -> dict[str, object]:
    """Options as they come back from JSON. Raises ``ValueError`` for what is none."""
    try:
        plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(options))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"the options of a forge are no JSON: {error}") from error
    return plain


def last_told(seen: Iterable[Seen]) -> dict[str, Seen]:
    """What was told of each key last, in the order of these."""
    told: dict[str, Seen] = {}
    for one in seen:
        told.pop(one.key, None)
        told[one.key] = one
    return told


def owners(told: Mapping[str, Seen]) -> dict[str, str]:
    """The key that has each URL by what was told: the last that was told of."""
    return {one.url: key for key, one in told.items()}


def noted(told: Mapping[str, Seen], known: Mapping[str, ListedOrigin]) -> Noted:
    """What is new in what was told, and what was renamed."""
    return Noted(
        tuple(key for key in told if key not in known),
        tuple(
            (key, known[key].url) for key, one in told.items() if key in known and known[key].url != one.url
        ),
    )


def as_listed(
    told: Seen, known: ListedOrigin | None, forge: int, now: datetime.datetime, *, enabled: bool
) -> ListedOrigin:
    """What is kept of a repository that a listing told of."""
    return ListedOrigin(
        **{name: getattr(told, name) for name in Seen.__struct_fields__},
        forge=forge,
        first_seen=now if known is None else known.first_seen,
        last_seen=now,
        enabled=enabled,
        former=() if known is None else _formerly(known, told.url),
    )


def _formerly(known: ListedOrigin, url: str) -> tuple[str, ...]:
    if url == known.url:
        return known.former
    return (*(former for former in known.former if former not in (url, known.url)), known.url)


def overdue_at(row: Freshness) -> datetime.datetime | None:
    """The moment after which an origin is overdue; None if that is not asked of it."""
    if row.due is None or row.state is not State.OK:
        return None
    return row.due + datetime.timedelta(seconds=max(row.every or 0.0, LEAST_DELAY))
