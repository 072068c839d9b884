"""Requests to add a forge: what people propose, what moderators decide, and the history of each.

The statuses, and which may follow which, are those of the public archive's add-forge-now.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec


class ForgeStatus(StrEnum):
    """Where a request to add a forge stands."""

    PENDING = "PENDING"
    WAITING_FOR_FEEDBACK = "WAITING_FOR_FEEDBACK"
    FEEDBACK_TO_HANDLE = "FEEDBACK_TO_HANDLE"
    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"
    FIRST_LISTING_DONE = "FIRST_LISTING_DONE"
    FIRST_ORIGIN_LOADED = "FIRST_ORIGIN_LOADED"
    REJECTED = "REJECTED"
    SUSPENDED = "SUSPENDED"
    UNSUCCESSFUL = "UNSUCCESSFUL"


class ActorRole(StrEnum):
    """In which role somebody added a line to a request's history."""

    MODERATOR = "MODERATOR"
    SUBMITTER = "SUBMITTER"
    FORGE_ADMIN = "FORGE_ADMIN"
    EMAIL = "EMAIL"


_S = ForgeStatus
#: Which statuses may follow which.
TRANSITIONS: Mapping[ForgeStatus, frozenset[ForgeStatus]] = MappingProxyType(
    {
        _S.PENDING: frozenset({_S.WAITING_FOR_FEEDBACK, _S.REJECTED, _S.SUSPENDED}),
        _S.WAITING_FOR_FEEDBACK: frozenset(
            {_S.FEEDBACK_TO_HANDLE, _S.ACCEPTED, _S.REJECTED, _S.SUSPENDED, _S.UNSUCCESSFUL}
        ),
        _S.FEEDBACK_TO_HANDLE: frozenset(
            {_S.WAITING_FOR_FEEDBACK, _S.ACCEPTED, _S.REJECTED, _S.SUSPENDED, _S.UNSUCCESSFUL}
        ),
        _S.ACCEPTED: frozenset({_S.SCHEDULED, _S.REJECTED, _S.UNSUCCESSFUL}),
        _S.SCHEDULED: frozenset({_S.FIRST_LISTING_DONE, _S.FIRST_ORIGIN_LOADED}),
        _S.FIRST_LISTING_DONE: frozenset({_S.FIRST_ORIGIN_LOADED}),
        _S.SUSPENDED: frozenset({_S.PENDING}),
        _S.UNSUCCESSFUL: frozenset({_S.ACCEPTED}),
        _S.FIRST_ORIGIN_LOADED: frozenset(),
        _S.REJECTED: frozenset(),
    }
)


class NewForgeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A forge that somebody wants to be archived: its kind (``gitea``), the URL of the instance, whom to ask there, and
    who proposes it."""

    forge_type: str
    forge_url: str
    contact_name: str
    contact_email: str
    contact_comment: str = ""
    submitter: str
    submitter_email: str
    forward_username: bool = False
    date: datetime.datetime


class ForgeRequest(NewForgeRequest, frozen=True, kw_only=True):
    """A request as it is kept. ``modified`` is the date of the latest line of its history, ``moderator`` the actor of the
    latest one by a ``MODERATOR``."""

    id: int
    status: ForgeStatus = ForgeStatus.PENDING
    moderator: str | None = None
    modified: datetime.datetime


class ForgeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a request's history; ``status`` is None for a mere remark."""

    id: int
    date: datetime.datetime
    actor: str
    role: ActorRole
    text: str = ""
    status: ForgeStatus | None = None


class ForgeRequests(Protocol):
    """Requests to add a forge. What ``Requests`` says of all its methods holds here."""

    def add(self, request: NewForgeRequest) -> ForgeRequest | int:
        """Write a request down, with a line of history (``PENDING``, ``SUBMITTER``, by the submitter, without text). If
        there is one with the same ``forge_url``, whatever became of it, nothing is changed and its number is returned."""

    def get(self, id: int) -> ForgeRequest | None:
        """One request."""

    def latest(self, *, submitter: str | None = None, offset: int = 0, limit: int = 10) -> list[ForgeRequest]:
        """Requests, those of one submitter if it is given, newest (the highest number) first."""

    def count(self, submitter: str | None = None) -> int:
        """How many of them there are."""

    def with_status(self, status: ForgeStatus) -> list[ForgeRequest]:
        """All requests of a status, oldest first."""

    def count_statuses(self) -> dict[str, int]:
        """How many requests are in each status; all of these words are there."""

    def history(self, id: int) -> list[ForgeEvent]:
        """The lines of a request, oldest first; empty for an unknown one."""

    def update(
        self,
        id: int,
        *,
        expected: ForgeStatus | None,
        status: ForgeStatus | None,
        actor: str,
        role: ActorRole,
        text: str,
        date: datetime.datetime,
    ) -> ForgeRequest | None:
        """Add a line of history and, with ``status``, move the request there, in one transaction.

        Nothing happens, and None is returned, if the request is unknown, is not in ``expected`` (None: any) at that
        moment, or must not be moved so (``TRANSITIONS``): of two who move it at once, one loses. Without ``status`` the
        line is a mere remark; two equal remarks are two lines.
        """
