"""What became of a request: told from the visits in the catalog and from its job, at the moment it is asked.

It follows the first visit of its origin and type that began at or after the request. As long as that visit failed but a
retry is waiting, the request has not failed. What a job says itself (its error, the visit that it ended with) counts
where the visits do not tell.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from swhkit.desk import Desk
from swhkit.jobs import Job, JobState
from swhkit.model import GOOD, Visit, VisitStatus
from swhkit.requests.saves import SaveRequest, SaveStatus
from swhkit.saving.employing import own_jobs, wanted_from
from swhkit.saving.rules import TYPES
from swhkit.visit import origin_of

#: After so long without a visit a request has failed.
PATIENCE = datetime.timedelta(days=30)
#: What the task of a request can be said to be.
NOT_CREATED, PENDING, SCHEDULED, RUNNING, SUCCEEDED, FAILED = (
    *("not created", "pending", "scheduled"),
    *("running", "succeeded", "failed"),
)
#: Visits read at once.
_PAGE = 100


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request stands: the word for its task, the visit that tells (``snapshot`` is its id), when a visit is to
    begin that has not, and what there is to say of a failure."""

    task_status: str
    visit_status: VisitStatus | None = None
    visit_date: datetime.datetime | None = None
    snapshot: bytes | None = None
    next_run: datetime.datetime | None = None
    note: str | None = None


def standing(desk: Desk, request: SaveRequest, now: datetime.datetime) -> Standing:
    """Where one request stands."""
    return standings(desk, [request], now)[0]


def standings(desk: Desk, requests: Sequence[SaveRequest], now: datetime.datetime) -> list[Standing]:
    """Where each of these requests stands; the visits of an origin are read once for all requests for it."""
    # Jobs first: a visit that comes between the two reads is then seen with the job that made it.
    jobs = own_jobs(desk, requests)
    read: dict[str, _Visits] = {}
    found = []
    for request, job in zip(requests, jobs, strict=True):
        origin = origin_of(request.url)
        visits = read.setdefault(origin, _Visits(desk, origin))
        found.append(_standing(visits, request, job, now))
    return found


def latest_since(
    desk: Desk, url: str, visit_type: str, since: datetime.datetime, statuses: Sequence[VisitStatus]
) -> Visit | None:
    """The latest visit of an origin, for a type in words of the catalog, that has one of these statuses, if it began at
    ``since`` or later."""
    found = desk.archive.catalog.latest_visit(origin_of(url), visit_type=visit_type, statuses=statuses)
    return found if found is not None and found.date >= since else None


class _Visits:
    """The visits of an origin, newest first, read as far back as somebody has asked."""

    def __init__(self, desk: Desk, origin: str) -> None:
        self._catalog, self._origin = desk.archive.catalog, origin
        self._read: list[Visit] = []
        self._all = False

    def first(self, visit_type: str, since: datetime.datetime) -> Visit | None:
        """The first visit of a type that began at ``since`` or later."""
        while not self._all and not (self._read and self._read[-1].date < since):
            before = self._read[-1].number if self._read else None
            page = self._catalog.visits(self._origin, before, _PAGE)
            self._read += page
            self._all = len(page) < _PAGE
        fitting = (one for one in reversed(self._read) if one.type == visit_type and one.date >= since)
        return next(fitting, None)

    def numbered(self, number: int) -> Visit | None:
        """One visit."""
        return self._catalog.visit(self._origin, number)


def _standing(visits: _Visits, request: SaveRequest, job: Job | None, now: datetime.datetime) -> Standing:
    if request.status is not SaveStatus.ACCEPTED:
        return Standing(task_status=NOT_CREATED)
    visit = visits.first(TYPES[request.visit_type], request.date)
    if visit is None or visit.status in (VisitStatus.FAILED, VisitStatus.NOT_FOUND):
        visit = _told(visits, visit, job) or visit
    if visit is not None:
        return _of_visit(visit, request, job)
    if job is not None and job.is_open:
        return Standing(task_status=_of_open(request, job), next_run=_next_run(request, job))
    if job is not None:
        return Standing(task_status=FAILED, note=job.error or "its job ended without a visit")
    if now - wanted_from(request) > PATIENCE:
        return Standing(task_status=FAILED, note=f"there was no visit within {PATIENCE.days} days")
    return Standing(task_status=PENDING, next_run=wanted_from(request))


def _told(visits: _Visits, first: Visit | None, job: Job | None) -> Visit | None:
    """The visit that a job says it ended with, if that is a later one than ``first``."""
    if job is None or job.is_open or not isinstance(job.result, dict):
        return None
    number = job.result.get("visit")
    if not isinstance(number, int) or (first is not None and number <= first.number):
        return None
    return visits.numbered(number)


def _of_visit(visit: Visit, request: SaveRequest, job: Job | None) -> Standing:
    next_run = None
    if visit.status in GOOD:
        task = SUCCEEDED
    elif not visit.status.final:
        task = RUNNING
    elif job is not None and job.is_open:
        # It is tried once more; a visit that failed is no longer the first try.
        task = _of_open(request, job, tried=True)
        next_run = _next_run(request, job)
    else:
        task = FAILED
    return Standing(
        task_status=task,
        visit_status=visit.status,
        visit_date=visit.date,
        snapshot=visit.snapshot,
        next_run=next_run,
        note=None if task in (SUCCEEDED, RUNNING) else visit.reason,
    )


def _of_open(request: SaveRequest, job: Job, *, tried: bool = False) -> str:
    if job.state is JobState.QUEUED:
        return SCHEDULED if tried or job.leased else PENDING
    return PENDING if _waits(request, job) else RUNNING


def _waits(request: SaveRequest, job: Job) -> bool:
    """Whether a job that is under way is so for others, and will be done again for this request."""
    return job.again is not None and wanted_from(request) >= job.again


def _next_run(request: SaveRequest, job: Job) -> datetime.datetime | None:
    if job.state is JobState.LEASED:
        return job.again if _waits(request, job) else None
    return request.not_before or job.not_before or job.created
