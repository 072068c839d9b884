"""Many origins in one request: all of them are taken, or none; and what became of each."""

from __future__ import annotations

import datetime
import uuid

import msgspec

from swhkit.desk import Desk
from swhkit.errors import InvalidInput
from swhkit.jobs import Job
from swhkit.model import GOOD, VisitStatus
from swhkit.requests.saves import BulkOrigin, BulkRequest, SaveStatus
from swhkit.saving.asking import BLOCKED
from swhkit.saving.employing import employ_bulk, own_jobs
from swhkit.saving.prefixes import Prefixes
from swhkit.saving.rules import checked_url
from swhkit.saving.standing import latest_since

#: The visit types that can be asked for; words of the catalog.
BULK_TYPES = ("bzr", "cvs", "hg", "git", "svn", "tarball-directory")
_NONE = "No origins data were provided in POST request body."
_NO_LIST = "Origins data must be a list of dict."
_SOME = "Some origins data could not be validated."
_MALFORMED = "Provided origin data are malformed, please check provided values."
_ENDED = (*GOOD, VisitStatus.FAILED, VisitStatus.NOT_FOUND)


class RejectedOrigin(msgspec.Struct, frozen=True):
    """One entry of a list that is refused, as it was sent, and why."""

    origin: dict[object, object]
    reason: str


class BulkRefused(InvalidInput):
    """A list of which nothing is taken. ``rejected`` are its bad entries, by URL."""

    def __init__(self, reason: str, rejected: tuple[RejectedOrigin, ...] = ()) -> None:
        super().__init__(reason)
        self.rejected = rejected


class BulkRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one origin: when its visit was scheduled, and its latest visit that began after the request and has
    ended. ``snapshot`` is an id."""

    origin: BulkOrigin
    scheduled: datetime.datetime | None = None
    visited: datetime.datetime | None = None
    successful: bool | None = None
    snapshot: bytes | None = None


def submit(desk: Desk, origins: object, *, user: str, now: datetime.datetime) -> BulkRequest:
    """Take a list of ``{"origin_url": …, "visit_type": …}``; of repeated ones the first counts.

    Origins that begin with a rejected prefix are written down as rejected, all others are accepted and get their jobs in
    one batch. Raises ``BulkRefused``.
    """
    if not origins and not isinstance(origins, bool | int | float):
        raise BulkRefused(_NONE)
    if not isinstance(origins, list) or not all(isinstance(one, dict) for one in origins):
        raise BulkRefused(_NO_LIST)
    taken = _checked(desk, origins)
    prefixes = Prefixes.of(desk)
    decided = [
        BulkOrigin(url=url, visit_type=type, status=SaveStatus.REJECTED, reason=BLOCKED)
        if prefixes.decision(url) is SaveStatus.REJECTED
        else BulkOrigin(url=url, visit_type=type)
        for url, type in taken
    ]
    request = BulkRequest(id=str(uuid.uuid4()), date=now, user=user)
    desk.requests.saves.add_bulk(request, decided)
    accepted = [(request.id, one) for one in decided if one.status is SaveStatus.ACCEPTED]
    if accepted:
        employ_bulk(desk, accepted, now)
    return request


def _checked(desk: Desk, origins: list[dict[object, object]]) -> list[tuple[str, str]]:
    """URL and type of each, once. Raises ``BulkRefused`` if there is a bad one."""
    network = desk.network(trusted=False)
    taken: dict[tuple[str, str], None] = {}
    rejected: list[RejectedOrigin] = []
    for origin in origins:
        url, visit_type = origin.get("origin_url"), origin.get("visit_type")
        try:
            if not isinstance(url, str) or not isinstance(visit_type, str) or not url or not visit_type:
                raise InvalidInput(_MALFORMED)
            kept = checked_url(network, url)
            if visit_type not in BULK_TYPES:
                raise InvalidInput(f"Visit type '{visit_type}' is not supported.")
        except InvalidInput as error:
            rejected.append(RejectedOrigin(origin, str(error)))
            continue
        taken[kept, visit_type] = None
    if rejected:
        rejected.sort(key=lambda one: str(one.origin.get("origin_url")))
        raise BulkRefused(_SOME, tuple(rejected))
    return list(taken)


def rows(desk: Desk, request: BulkRequest, *, offset: int, limit: int) -> list[BulkRow]:
    """What became of the origins of a request, by URL; visits from before it are not regarded."""
    origins = desk.requests.saves.bulk_origins(request.id, offset=offset, limit=limit)
    pairs = zip(origins, own_jobs(desk, origins), strict=True)
    return [_row(desk, request, one, job) for one, job in pairs]


def _row(desk: Desk, request: BulkRequest, one: BulkOrigin, job: Job | None) -> BulkRow:
    visit = latest_since(desk, one.url, one.visit_type, request.date, _ENDED)
    # What is remembered of a job ends some day; it was made when the request was.
    made = request.date if job is None else max(job.created, request.date)
    return BulkRow(
        origin=one,
        scheduled=None if one.job is None else made,
        visited=None if visit is None else visit.date,
        successful=None if visit is None else visit.status in GOOD,
        snapshot=None if visit is None else visit.snapshot,
    )
