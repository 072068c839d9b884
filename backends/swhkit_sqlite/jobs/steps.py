"""What happens to a job, as changes to its row."""

from __future__ import annotations

from collections.abc import Mapping

from swhkit.jobs import Ending, JobState, Lease, NewJob, as_json, died
from swhkit_sqlite.catalog.tables import plain, to_microseconds
from swhkit_sqlite.jobs.schema import Row

QUEUED, LEASED = str(JobState.QUEUED), str(JobState.LEASED)


def new_row(job: NewJob, now: int) -> Row:
    """A job that has no number yet."""
    return Row(
        id=0,
        task=job.task,
        arguments=as_json(dict(job.arguments)),
        key=job.key,
        group_name=job.group,
        due=now if job.not_before is None else to_microseconds(job.not_before),
        priority=job.priority,
        attempts=job.attempts,
        created=now,
        state=QUEUED,
    )


def enqueue_once_more(row: Row, new: Row) -> None:
    """An open job is asked for anew. Whoever has it, or lost it but may still speak, may have seen too little."""
    if row.worker is not None:
        if row.again is None or row.again_priority is None:
            row.again, row.again_priority = new.due, new.priority
        row.again, row.again_priority = min(row.again, new.due), max(row.again_priority, new.priority)
        row.again_arguments = new.arguments
    if row.state == QUEUED:
        row.due, row.priority, row.arguments = (
            min(row.due, new.due),
            max(row.priority, new.priority),
            new.arguments,
        )


def begin(row: Row, worker: str, now: int, ends: int) -> None:
    """It is leased."""
    if row.again is not None and row.again <= now:  # it is this that was meant
        row.arguments = row.again_arguments or row.arguments
        row.again = row.again_arguments = row.again_priority = None
    row.state, row.worker, row.lease_ends = LEASED, plain(worker), ends
    row.leased, row.lease_number = row.leased + 1, row.lease_number + 1


def lose(row: Row, now: int) -> None:
    """Its lease ran out."""
    row.state, row.lease_ends, row.lost = QUEUED, None, row.lost + 1
    if row.again_priority is not None:
        row.priority = max(row.priority, row.again_priority)
    if row.leased >= row.attempts:
        row.error = died(row.lost)
        _settle(row, str(JobState.FAILED), row.due, now)


def is_valid(lease: Lease, rows: Mapping[int, Row]) -> bool:
    """Whether it is the latest lease of its job, and has not ended."""
    row = rows.get(lease.job.id)
    return row is not None and row.lease_number == lease.number


def end(row: Row, ending: Ending, due: int | None, result: str | None, now: int) -> None:
    """Its lease ends, which was valid; ``due``: the ending's ``not_before``."""
    row.lost -= row.state == QUEUED
    row.leased -= not ending.counts
    state = ending.state
    if state is JobState.QUEUED and ending.counts and row.leased >= row.attempts:
        state = JobState.FAILED
    if state is not JobState.QUEUED:
        row.result = result
    if ending.error is not None:
        row.error = plain(ending.error)
    if due is None:
        due = now if ending.counts else row.due
    _settle(row, str(state), due, now)


def _settle(row: Row, state: str, due: int, now: int) -> None:
    """Nobody has the job any more; ``due``: when to try it again, if ``state`` is ``queued``."""
    row.lease_number, row.worker, row.lease_ends = row.lease_number + 1, None, None
    if row.again is not None and row.again_priority is not None:
        if state == QUEUED:
            due, row.priority = min(due, row.again), max(row.priority, row.again_priority)
        else:
            due, row.priority = row.again, row.again_priority
        row.arguments = row.again_arguments or row.arguments
        row.again = row.again_arguments = row.again_priority = None
        state, row.leased, row.lost = QUEUED, 0, 0
    row.state = state
    if state == QUEUED:
        row.due = due
    else:
        row.ended = now
