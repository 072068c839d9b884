"""The jobs there are, as they are enqueued: the names of tasks, their arguments, and the keys that make two jobs one.

Whoever wants a visit or a listing makes its job here; what a task does stands in ``swhkit.tasks``.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from swhkit.jobs import ATTEMPTS, NewJob
from swhkit.requests.saves import Artifact

#: Names of tasks.
VISIT, LISTING = "visit", "listing"
#: Priorities: what a person waits for goes before what a forge told, and that before what is due.
ASKED, TOLD, DUE = 20, 10, 0


class VisitArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of ``visit``: ``visit_type`` is a word of the catalog; ``trusted``: a person at the shell (or in the
    configuration) named the URL; ``artifacts``: the archive files of a package (type ``tar``)."""

    url: str
    visit_type: str
    trusted: bool = False
    artifacts: tuple[Artifact, ...] = ()


class ListingArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of ``listing``: the number of the forge, and whether all of it is listed."""

    forge: int
    full: bool = True


def visit_job(
    url: str,
    visit_type: str,
    *,
    trusted: bool = False,
    artifacts: Sequence[Artifact] = (),
    not_before: datetime.datetime | None = None,
    priority: int = DUE,
    attempts: int = ATTEMPTS,
) -> NewJob:
    """The job that visits an origin; one is open for a URL and type at a time."""
    arguments = VisitArguments(url=url, visit_type=visit_type, trusted=trusted, artifacts=tuple(artifacts))
    return NewJob(
        task=VISIT,
        arguments=msgspec.to_builtins(arguments),
        key=f"{VISIT} {visit_type} {url}",
        group=host_of(url),
        not_before=not_before,
        priority=priority,
        attempts=attempts,
    )


def listing_job(
    forge: int,
    url: str,
    *,
    full: bool,
    not_before: datetime.datetime | None = None,
    priority: int = DUE,
    attempts: int = ATTEMPTS,
) -> NewJob:
    """The job that lists a forge, whose address is ``url``; one is open for a forge at a time."""
    return NewJob(
        task=LISTING,
        arguments=msgspec.to_builtins(ListingArguments(forge=forge, full=full)),
        key=f"{LISTING} {forge}",
        group=host_of(url),
        not_before=not_before,
        priority=priority,
        attempts=attempts,
    )


def host_of(url: str) -> str:
    """What is to be spared when ``url`` is asked: its host in lower case; empty for what is on this machine."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
