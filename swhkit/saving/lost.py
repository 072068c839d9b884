"""Requests whose job is not in the job store any more, though it cannot have been forgotten yet: the file was lost, or an
older copy put in its place. They get a new one, unless the origin was visited since."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence

from swhkit.desk import Desk
from swhkit.jobs import Job
from swhkit.model import VisitStatus
from swhkit.queueing import visit_job
from swhkit.requests.saves import BulkOrigin, BulkRequest, SaveRequest, SaveStatus
from swhkit.saving.employing import employ, employ_bulk, own_job, wanted_from
from swhkit.saving.rules import TYPES
from swhkit.visit import origin_of

#: A request may have waited for so long before it was accepted.
_REVIEW = datetime.timedelta(days=30)
_PAGE = 1000
_GOOD = (VisitStatus.FULL, VisitStatus.PARTIAL)


def restore_jobs(desk: Desk, now: datetime.datetime) -> int:
    """Make the lost jobs of accepted requests anew, single and bulk; returns how many there were.

    Of what was accepted more than ``jobs.keep`` ago nobody knows whether the job was lost: that is left as it is. Two at
    once make no job twice.
    """
    since = now - datetime.timedelta(seconds=desk.settings.jobs.keep)
    return _singles(desk, since, now) + sum(_bulk(desk, bulk, now) for bulk in _bulks(desk, since))


def _singles(desk: Desk, since: datetime.datetime, now: datetime.datetime) -> int:
    count, before = 0, None
    while page := desk.requests.saves.latest(SaveStatus.ACCEPTED, before=before, limit=_PAGE):
        jobs = _jobs(desk, page)
        for request in page:
            if wanted_from(request) > since and _is_lost(desk, request, jobs):
                employ(desk, request, now)
                count += 1
        if page[-1].date < since - _REVIEW:
            break
        before = page[-1].id
    return count


def _is_lost(desk: Desk, request: SaveRequest, jobs: Mapping[int, Job]) -> bool:
    if request.job is None or own_job(request, jobs) is not None:
        return False
    return not _is_visited(desk, request.url, TYPES[request.visit_type], wanted_from(request))


def _bulks(desk: Desk, since: datetime.datetime) -> Iterator[BulkRequest]:
    offset = 0
    while page := desk.requests.saves.bulks(offset=offset, limit=_PAGE):
        for bulk in page:
            if bulk.date <= since:
                return
            yield bulk
        offset += len(page)


def _bulk(desk: Desk, bulk: BulkRequest, now: datetime.datetime) -> int:
    count = offset = 0
    while page := desk.requests.saves.bulk_origins(bulk.id, offset=offset, limit=_PAGE):
        jobs = _jobs(desk, page)
        lost = [(bulk.id, one) for one in page if one.job is not None and not _is_kept(one, jobs)]
        lost = [one for one in lost if not _is_visited(desk, one[1].url, one[1].visit_type, bulk.date)]
        if lost:
            employ_bulk(desk, lost, now)
        count += len(lost)
        offset += len(page)
    return count


def _is_kept(one: BulkOrigin, jobs: Mapping[int, Job]) -> bool:
    job = None if one.job is None else jobs.get(one.job)
    return job is not None and job.key == visit_job(one.url, one.visit_type).key


def _jobs(desk: Desk, page: Sequence[SaveRequest] | Sequence[BulkOrigin]) -> dict[int, Job]:
    return desk.jobs.jobs(one.job for one in page if one.job is not None)


def _is_visited(desk: Desk, url: str, visit_type: str, since: datetime.datetime) -> bool:
    found = desk.archive.catalog.latest_visit(origin_of(url), visit_type=visit_type, statuses=_GOOD)
    return found is not None and found.date >= since
