"""Requests whose job is not in the job store any more, though it cannot have been forgotten yet: the file was lost, or an
older copy put in its place. They get a new one, unless the origin was visited since."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import TypeVar

from swhkit.desk import Desk
from swhkit.model import GOOD
from swhkit.requests.saves import BulkOrigin, BulkRequest, SaveRequest, SaveStatus
from swhkit.saving.employing import employ, employ_bulk, own_jobs, wanted_from
from swhkit.saving.rules import TYPES
from swhkit.saving.standing import latest_since

R = TypeVar("R", SaveRequest, BulkOrigin)
#: A request may have waited for so long before it was accepted.
_REVIEW = datetime.timedelta(days=30)
_PAGE = 1000


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
        for request in _jobless(desk, page):
            wanted = wanted_from(request)
            visit_type = TYPES[request.visit_type]
            if wanted > since and latest_since(desk, request.url, visit_type, wanted, GOOD) is None:
                employ(desk, request, now)
                count += 1
        if page[-1].date < since - _REVIEW:
            break
        before = page[-1].id
    return count


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
        lost = [
            (bulk.id, one)
            for one in _jobless(desk, page)
            if latest_since(desk, one.url, one.visit_type, bulk.date, GOOD) is None
        ]
        if lost:
            employ_bulk(desk, lost, now)
        count += len(lost)
        offset += len(page)
    return count


def _jobless(desk: Desk, page: Sequence[R]) -> list[R]:
    """Those whose job was made and is not there any more."""
    pairs = zip(page, own_jobs(desk, page), strict=True)
    return [one for one, job in pairs if one.job is not None and job is None]
