"""From requests to jobs. A request is written down first, its job second, which job it is third: whoever dies in between
leaves a request without a job, which ``ensure_jobs`` makes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from swhkit.desk import Desk
from swhkit.jobs import Job, NewJob
from swhkit.queueing import ASKED, TOLD, visit_job
from swhkit.requests.saves import BulkOrigin, SaveRequest
from swhkit.saving.rules import TYPES

_SINGLES, _MANY = 1000, 10_000


def wanted_from(request: SaveRequest) -> datetime.datetime:
    """The moment from which on the visit of an accepted request may begin."""
    return request.not_before or request.decided or request.date


def job_of(desk: Desk, request: SaveRequest) -> NewJob:
    """The visit that an accepted request asks for."""
    return visit_job(
        request.url,
        TYPES[request.visit_type],
        trusted=request.trusted,
        artifacts=request.artifacts,
        # Not None: a job that is under way notes then for whom it will be done again.
        not_before=wanted_from(request),
        priority=TOLD if request.webhook else ASKED,
        attempts=desk.settings.jobs.attempts,
    )


def own_jobs(desk: Desk, requests: Sequence[SaveRequest | BulkOrigin]) -> list[Job | None]:
    """The jobs of these. None for one that has none (any more), or under whose number another is: numbers begin anew where
    the job store was lost."""
    jobs = desk.jobs.jobs(one.job for one in requests if one.job is not None)
    found = (None if one.job is None else jobs.get(one.job) for one in requests)
    pairs = zip(found, requests, strict=True)
    return [job if job is not None and job.key == _key(one) else None for job, one in pairs]


def _key(one: SaveRequest | BulkOrigin) -> str:
    """The key of the visit that a request asks for; those of bulk requests have their types in words of the catalog."""
    return visit_job(one.url, one.visit_type if isinstance(one, BulkOrigin) else TYPES[one.visit_type]).key


def employ(desk: Desk, request: SaveRequest, now: datetime.datetime) -> SaveRequest:
    """Enqueue the job of an accepted request, or have the open one done for it, and note which it is."""
    (job,) = desk.jobs.enqueue([job_of(desk, request)], now)
    desk.requests.saves.set_jobs([(request.id, job.id)])
    return msgspec.structs.replace(request, job=job.id)


def ensure_jobs(desk: Desk, now: datetime.datetime) -> int:
    """Make the jobs of all accepted requests that lack one, single and bulk; returns how many requests there were.

    Workers call it now and then. Two at once make no job twice.
    """
    return _singles(desk, now) + _bulk(desk, now)


def _singles(desk: Desk, now: datetime.datetime) -> int:
    count = 0
    while found := desk.requests.saves.jobless(_SINGLES):
        jobs = desk.jobs.enqueue([job_of(desk, request) for request in found], now)
        pairs = [(request.id, job.id) for request, job in zip(found, jobs, strict=True)]
        desk.requests.saves.set_jobs(pairs)
        count += len(found)
        if len(found) < _SINGLES:
            break
    return count


def _bulk(desk: Desk, now: datetime.datetime) -> int:
    count = 0
    while found := desk.requests.saves.jobless_bulk(_MANY):
        employ_bulk(desk, found, now)
        count += len(found)
        if len(found) < _MANY:
            break
    return count


def employ_bulk(desk: Desk, origins: list[tuple[str, BulkOrigin]], now: datetime.datetime) -> None:
    """Enqueue the jobs of origins of bulk requests, each with the id of its request, and note which they are.

    They come after what somebody asked for one by one, so that nobody waits for ten thousand.
    """
    attempts = desk.settings.jobs.attempts
    made = [
        visit_job(one.url, one.visit_type, not_before=now, priority=TOLD, attempts=attempts)
        for _, one in origins
    ]
    jobs = desk.jobs.enqueue(made, now)
    desk.requests.saves.set_bulk_jobs(
        (id, one.url, one.visit_type, job.id) for (id, one), job in zip(origins, jobs, strict=True)
    )
