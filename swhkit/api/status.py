"""``swhkit/status/``: how the archive keeps up. Not part of the public archive's API."""

from __future__ import annotations

from swhkit import query, status
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import ValidationError, clean
from swhkit.api.parameters import scheme_mended
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import (
    BOOLEAN,
    DATE,
    INTEGER,
    NATURAL,
    TEXT,
    array,
    choice,
    mapping,
    nullable,
    record,
)
from swhkit.api.shapes import moment
from swhkit.requests.schedule import ListingStatus, State, ToldBy


def overall(call: Call) -> Data:
    """How the archive keeps up: jobs, requests, how fresh origins are, forges. Of swhkit's own.

    Jobs and origins are counted by state, requests to save an origin and to add a forge by status. Each forge comes with
    its latest listing, null before the first; ``due`` is when it is listed next, ``every`` and ``visit_every`` are seconds.
    """
    return Data(overall_data(status.overall(call.desk)))


def origin(call: Call) -> Data:
    """How fresh an origin is, for each type of visits. Of swhkit's own.

    ``state`` is ``ok``, ``stale`` (a newer visit should have been made by now), ``gone`` (it was not there at the latest
    visit), ``failing`` (that visit failed), or ``unknown`` before the first visit has ended; ``since`` is when that began.
    ``visited`` is the date of the latest visit, ``succeeded`` that of the latest good one. ``due`` is when it is visited
    next without being asked, ``job`` the state of a visit that waits or is being made.
    """
    text = call.query.get("origin_url")
    if text is None:
        raise ValidationError("origin_url", "This field is required.")
    url = scheme_mended(clean(text))
    found = status.of_origin(call.desk, url)
    if not found:
        query.origin(call.archive, [url])  # raises what says that it is not known
    return Data([origin_data(one) for one in found])


def overall_data(found: status.Overall) -> dict[str, object]:
    """All of it as plain data."""
    return {
        "jobs": found.jobs,
        "save_requests": found.saves,
        "add_forge_requests": found.add_forge,
        "origins": found.origins,
        "forges": [forge_data(forge) for forge in found.forges],
    }


def forge_data(found: status.ForgeState) -> dict[str, object]:
    """A forge as plain data. Its options are nobody's business."""
    forge, listing = found.forge, found.listing
    return {
        "id": forge.id,
        "kind": forge.kind,
        "url": forge.url,
        "source": str(forge.source),
        "enabled": forge.enabled,
        "every": forge.every,
        "visit_every": forge.visit_every,
        "due": moment(forge.due),
        "last_listed": moment(forge.listed),
        "last_listed_in_full": moment(forge.full),
        "origins": {"enabled": found.enabled, "disabled": found.disabled},
        "latest_listing": None
        if listing is None
        else {
            "id": listing.id,
            "is_full": listing.is_full,
            "started": moment(listing.started),
            "ended": moment(listing.ended),
            "status": str(listing.status),
            "repositories": listing.repositories,
            "new": listing.new,
            "lost": listing.lost,
            "error": listing.error,
        },
    }


def origin_data(found: status.OriginState) -> dict[str, object]:
    """How fresh an origin is as plain data."""
    row = found.row
    return {
        "origin_url": row.url,
        "visit_type": row.visit_type,
        "state": found.state,
        "since": moment(row.since),
        "visited": moment(row.visited),
        "succeeded": moment(row.succeeded),
        "failures": row.failures,
        "reason": row.reason,
        "last_update": moment(row.last_update),
        "every": row.every,
        "due": moment(row.due),
        "forge": row.forge,
        "job": found.job,
    }


_CATEGORY = "Status"
_DATE = nullable(DATE)
_SECONDS = {"type": "number", "minimum": 0}
_COUNTS = mapping(NATURAL)
_LISTING = record(
    "A listing of a forge.",
    {
        "id": INTEGER,
        "is_full": BOOLEAN,
        "started": DATE,
        "ended": _DATE,
        "status": choice([str(word) for word in ListingStatus]),
        "repositories": NATURAL,
        "new": NATURAL,
        "lost": NATURAL,
        "error": nullable(TEXT),
    },
)
_FORGE = record(
    "A forge that is listed every so often.",
    {
        "id": INTEGER,
        "kind": TEXT,
        "url": TEXT,
        "source": choice([str(word) for word in ToldBy]),
        "enabled": BOOLEAN,
        "every": _SECONDS,
        "visit_every": nullable(_SECONDS),
        "due": _DATE,
        "last_listed": _DATE,
        "last_listed_in_full": _DATE,
        "origins": record("How many origins it has.", {"enabled": NATURAL, "disabled": NATURAL}),
        "latest_listing": nullable(_LISTING),
    },
)
_ORIGIN = record(
    "How fresh an origin is.",
    {
        "origin_url": TEXT,
        "visit_type": TEXT,
        "state": choice([*map(str, State), status.UNKNOWN]),
        "since": _DATE,
        "visited": _DATE,
        "succeeded": _DATE,
        "failures": NATURAL,
        "reason": nullable(TEXT),
        "last_update": _DATE,
        "every": nullable(_SECONDS),
        "due": _DATE,
        "forge": nullable(INTEGER),
        "job": nullable(choice(("queued", "leased"))),
    },
)
ROUTES = (
    Route(
        "swhkit-status",
        "swhkit/status/",
        overall,
        category=_CATEGORY,
        answer=record(
            "How the archive keeps up.",
            {
                "jobs": _COUNTS,
                "save_requests": _COUNTS,
                "add_forge_requests": _COUNTS,
                "origins": _COUNTS,
                "forges": array(_FORGE),
            },
        ),
        refusals=(),
    ),
    Route(
        "swhkit-status-origin",
        "swhkit/status/origin/",
        origin,
        category=_CATEGORY,
        query=(Parameter("origin_url", "the URL of the origin", required=True),),
        answer=array(_ORIGIN),
    ),
)
