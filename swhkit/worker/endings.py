"""What becomes of a job whose task has ended: pure decisions."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable

from swhkit.config import JobsSettings
from swhkit.jobs import Ending, JobState, Lease
from swhkit.tasks import Outcome, Verdict

#: Seconds that a server can keep us away at most, whatever its Retry-After says.
LONGEST_PAUSE = 86_400.0


def ending(
    lease: Lease,
    outcome: Outcome,
    settings: JobsSettings,
    now: datetime.datetime,
    chance: Callable[[], float] = random.random,
) -> Ending:
    """How a lease ends after an outcome; ``chance`` is between 0 and 1.

    Another try comes after ``retry`` seconds, twice that for each further one, ``longest_retry`` at most, all give or
    take a half; and never sooner than a server has asked for.
    """
    if outcome.verdict is Verdict.DONE:
        return Ending(lease=lease, state=JobState.DONE, result=outcome.result)
    if outcome.verdict is Verdict.HOPELESS:
        return Ending(lease=lease, state=JobState.FAILED, result=outcome.result, error=outcome.error)
    tried = min(max(lease.job.leased, 1), 64)  # beyond that any retry is longer than the longest
    wait = min(settings.longest_retry, settings.retry * 2.0 ** (tried - 1)) * (0.5 + chance())
    wait = max(wait, pause_of(outcome) or 0.0)
    return Ending(
        lease=lease,
        state=JobState.QUEUED,
        not_before=now + datetime.timedelta(seconds=wait),
        result=outcome.result,
        error=outcome.error,
    )


def given_back(lease: Lease, now: datetime.datetime) -> Ending:
    """The end of a lease whose worker has to end: as if it had never been."""
    return Ending(lease=lease, state=JobState.QUEUED, not_before=now, counts=False)


def pause_of(outcome: Outcome) -> float | None:
    """Seconds for which the server that a task has asked is to be left alone; None if it did not ask for that."""
    if outcome.retry_after is None or not outcome.retry_after > 0:
        return None
    return min(outcome.retry_after, LONGEST_PAUSE)
