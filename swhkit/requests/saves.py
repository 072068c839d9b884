"""Requests to save code: single ones (by people and by webhooks of forges), and many at once.

What is kept is what was asked and what was decided. What became of a request (its visit, its snapshot) is not kept here:
it follows from the visits in the catalog and from the job, so that it can never say something else than they do.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class SaveStatus(StrEnum):
    """What was decided on a request."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Artifact(msgspec.Struct, frozen=True):
    """One archive file of a package: its URL and the version it is."""

    url: str
    version: str


class NewSave(msgspec.Struct, frozen=True, kw_only=True):
    """A request to save an origin that is to be written down.

    ``visit_type`` is the word of the web API (``tarball``, ``archives``, ``git`` …). ``not_before`` is when the visit
    may begin, None at once. ``user`` is who asked, if that is known. ``webhook`` is the forge whose webhook asked
    (``github``), else empty.
    ``trusted``: a person typed it at the shell, so that the network policy's ``cli`` holds for it.
    """

    url: str
    visit_type: str
    date: datetime.datetime
    status: SaveStatus
    not_before: datetime.datetime | None = None
    user: str | None = None
    webhook: str = ""
    note: str = ""
    artifacts: Sequence[Artifact] = ()
    trusted: bool = False


class SaveRequest(NewSave, frozen=True, kw_only=True):
    """A request as it is kept. ``id`` ascends with time. ``job`` is the job that was made for it, None before.
    ``decided`` and ``decided_by``: when and by whom a pending one was accepted or rejected; None for one that was
    written down as accepted or rejected."""

    id: int
    job: int | None = None
    decided: datetime.datetime | None = None
    decided_by: str | None = None


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """Origins whose URL begins with ``prefix`` are accepted, or else rejected, without review."""

    prefix: str
    accepted: bool
    date: datetime.datetime
    user: str | None = None


class BulkOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """One origin of a bulk request, and what was decided on it. ``visit_type`` is a word of the catalog."""

    url: str
    visit_type: str
    status: SaveStatus = SaveStatus.ACCEPTED
    reason: str | None = None
    job: int | None = None


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to save many origins: ``id`` is the text of a UUID, ``user`` who asked."""

    id: str
    date: datetime.datetime
    user: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that a delivery of a webhook got: to be given again when the same delivery comes again."""

    webhook: str
    delivery: str
    date: datetime.datetime
    status: int
    body: bytes


class Saves(Protocol):
    """Requests to save, prefixes and deliveries. What ``Requests`` says of all its methods holds here."""

    def add(self, request: NewSave) -> SaveRequest:
        """Write a request down. Not idempotent: each call is a request."""

    def get(self, id: int) -> SaveRequest | None:
        """One request."""

    def of(self, url: str, visit_type: str | None = None, limit: int = 100) -> list[SaveRequest]:
        """The latest requests for an origin (of all types when ``visit_type`` is None), newest first."""

    def latest(
        self,
        status: SaveStatus | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> list[SaveRequest]:
        """Requests with numbers below ``before``, newest first; of one status, if it is given."""

    def decide(
        self,
        id: int,
        status: SaveStatus,
        *,
        date: datetime.datetime,
        user: str | None,
        note: str = "",
    ) -> bool:
        """Accept or reject a pending request; a ``note`` that is not empty replaces its own.

        False, and nothing is changed, if it is not pending (any more) or unknown: of two who decide at once, one does.
        ``pending`` is no decision: ``ValueError``.
        """

    def jobless(self, limit: int = 1000) -> list[SaveRequest]:
        """Accepted requests that have no job yet, oldest first: who accepted them may have died before making it."""

    def set_jobs(self, jobs: Iterable[tuple[int, int]]) -> None:
        """Note the jobs (request, job) that were made; unknown requests are ignored. A later job replaces an earlier one."""

    def set_prefix(self, prefix: Prefix) -> None:
        """Accept or reject what begins so from now on; an earlier word on the same prefix is replaced."""

    def remove_prefix(self, prefix: str) -> bool:
        """Forget a prefix; False if it was not known."""

    def prefixes(self) -> list[Prefix]:
        """All of them in alphabetical order (of code points)."""

    def add_bulk(self, request: BulkRequest, origins: Collection[BulkOrigin]) -> None:
        """Write a request with all its origins down, in one transaction. ``ValueError`` for a known id, of which nothing
        is changed; of origins with the same URL and type the first counts. There may be none."""

    def bulk(self, id: str) -> BulkRequest | None:
        """One bulk request."""

    def bulks(self, user: str | None = None, *, offset: int = 0, limit: int = 1000) -> list[BulkRequest]:
        """Bulk requests of a user (None: of all), the one that was written down last first."""

    def count_bulks(self, user: str | None = None) -> int:
        """How many of them there are."""

    def bulk_origins(self, id: str, *, offset: int = 0, limit: int = 1000) -> list[BulkOrigin]:
        """The origins of a bulk request by URL, then type (by code points); none for an unknown request."""

    def count_bulk_origins(self, id: str) -> int:
        """How many of them there are; 0 for an unknown request."""

    def jobless_bulk(self, limit: int = 10_000) -> list[tuple[str, BulkOrigin]]:
        """Accepted origins of bulk requests that have no job yet, each with the id of its request: oldest request first,
        then by URL and type."""

    def set_bulk_jobs(self, jobs: Iterable[tuple[str, str, str, int]]) -> None:
        """Note the jobs (request, URL, type, job) that were made, in one transaction a call; unknown ones are ignored.
        A later job replaces an earlier one."""

    def answered(self, webhook: str, delivery: str) -> Answered | None:
        """The first answer to a delivery, if it was noted."""

    def note_answer(self, answer: Answered) -> Answered:
        """Keep the answer to a delivery unless one is kept already; returns the one that is kept, the first."""

    def forget_answers(self, before: datetime.datetime) -> int:
        """Forget answers given before a moment; returns how many there were. One given at that moment stays."""
