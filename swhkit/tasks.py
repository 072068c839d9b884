"""The tasks there are: what a job's name and arguments do. They know archive and desk, and nothing of a queue.

Each is a plain function of typed arguments that does its work once and returns a result, a small struct of plain values.
``perform`` is for whoever has them as a job has them: it also says whether the work is done, or worth another try.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec

from swhkit import assemble, crawling, freshness
from swhkit import visit as visits
from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.model import GOOD, LoadStatus, VisitStatus
from swhkit.plugin import Progress
from swhkit.queueing import LISTING, VISIT, ListingArguments, VisitArguments
from swhkit.requests.schedule import ListingStatus
from swhkit.visit import no_progress

#: The visit type that is given a list of archives, and the setting of its loader that takes it.
_PACKAGES, _ARTIFACTS = "tar", "artifacts"
#: The part of its time (jobs.time) after which a listing ends by itself, as ``partial``; at its end it is killed.
_MOST = 0.95

A = TypeVar("A")
R = TypeVar("R")


class Verdict(StrEnum):
    """What to do about a task that has ended: nothing (``done``), do it once more later (``again``), or nothing because
    that would not help (``hopeless``)."""

    DONE = "done"
    AGAIN = "again"
    HOPELESS = "hopeless"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended. ``result``: plain JSON values, None if it came to none; ``error``: why it is not ``done``, in one
    line; ``retry_after``: seconds before which the server it has asked does not want to be asked again."""

    verdict: Verdict
    result: Any = None
    error: str | None = None
    retry_after: float | None = None


class Visited(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``visit``; the fields are those of ``visit.Report``."""

    origin: str
    visit: int
    visit_type: str
    status: VisitStatus
    load_status: LoadStatus
    snapshot: str | None = None
    error: str | None = None
    retry_after: float | None = None


def visit(desk: Desk, arguments: VisitArguments, progress: Progress = no_progress) -> Visited:
    """Visit an origin once, tell plugins, and write down how fresh it is by now.

    Raises ``InvalidInput`` for what is never visited, and what ``visit.run`` raises.
    """
    network = desk.network(trusted=arguments.trusted)
    url = network.check(arguments.url, resolve=False).url
    loader = assemble.make_loader(desk.configuration, arguments.visit_type, _options(arguments))
    report = visits.run(
        desk.archive,
        loader,
        url,
        arguments.visit_type,
        network=network,
        limits=desk.settings.limits,
        progress=progress,
    )
    ended = desk.archive.catalog.visit(report.origin, report.visit)
    if ended is not None and ended.status.final:
        desk.registry.visit_finished(ended, report)
        freshness.visited(desk, report.origin, report.visit_type, datetime.datetime.now(datetime.UTC))
    return msgspec.convert(report, Visited, from_attributes=True)


def _options(arguments: VisitArguments) -> dict[str, str]:
    """The loader's settings that stand in the arguments."""
    if not arguments.artifacts:
        return {}
    if arguments.visit_type != _PACKAGES:
        raise InvalidInput(f"lists of archives are for visit type {_PACKAGES}, not {arguments.visit_type}")
    return {_ARTIFACTS: msgspec.json.encode(arguments.artifacts).decode("utf-8")}


def listing(desk: Desk, arguments: ListingArguments, progress: Progress = no_progress) -> crawling.Crawled:
    """List a forge once. Raises ``NotHeld`` for one that is not known."""
    now = datetime.datetime.now(datetime.UTC)
    deadline = time.monotonic() + desk.settings.jobs.time * _MOST
    return crawling.crawl(desk, arguments.forge, arguments.full, now, progress=progress, deadline=deadline)


class Task(msgspec.Struct, Generic[A, R], frozen=True):
    """One kind of task: what it takes, what does it, and how its result is judged."""

    arguments: type[A]
    run: Callable[[Desk, A, Progress], R]
    judge: Callable[[R], Verdict]


def _judge_visit(result: Visited) -> Verdict:
    """A failed visit may go well another time, and so may one that could not be published yet."""
    if result.status in GOOD:
        return Verdict.DONE
    return Verdict.HOPELESS if result.status is VisitStatus.NOT_FOUND else Verdict.AGAIN


def _judge_listing(result: crawling.Crawled) -> Verdict:
    return Verdict.AGAIN if result.status is ListingStatus.FAILED else Verdict.DONE


#: Every task by its name.
TASKS: Mapping[str, Task[Any, Any]] = MappingProxyType(
    {
        VISIT: Task(VisitArguments, visit, _judge_visit),
        LISTING: Task(ListingArguments, listing, _judge_listing),
    }
)


def perform(desk: Desk, name: str, arguments: object, progress: Progress = no_progress) -> Outcome:
    """Do a task whose arguments are plain values. What can never be done (an unknown task, arguments that are none, a
    refused URL) is ``hopeless``; raises what goes wrong with this machine or this archive."""
    task = TASKS.get(name)
    if task is None:
        return Outcome(
            verdict=Verdict.HOPELESS, error=f"there is no task {name!r}; known: {', '.join(TASKS)}"
        )
    try:
        result = task.run(desk, msgspec.convert(arguments, task.arguments), progress)
    except msgspec.ValidationError as error:
        return Outcome(verdict=Verdict.HOPELESS, error=f"the arguments of {name} are wrong: {error}")
    except (InvalidInput, NotHeld) as error:
        return Outcome(verdict=Verdict.HOPELESS, error=str(error))
    verdict = task.judge(result)
    return Outcome(
        verdict=verdict,
        result=msgspec.to_builtins(result),
        error=None if verdict is Verdict.DONE else result.error or f"the {name} failed",
        retry_after=result.retry_after,
    )
