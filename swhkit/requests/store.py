"""The contract of the request store: one place for who asks, what is asked, and what the archive does by itself."""

from __future__ import annotations

import datetime
from typing import Protocol

from swhkit.requests.forges import ForgeRequests
from swhkit.requests.saves import Saves
from swhkit.requests.schedule import Schedule
from swhkit.requests.tokens import Token


class Requests(Protocol):
    """What people ask for, in four roles: access tokens here, the others behind ``saves``, ``forge_requests`` and
    ``schedule``, which share the store and end with it.

    What ``swhkit.storage`` says of all stores holds for this one and for its roles: synchronous, from any thread, durable
    on return, idempotent unless a method says otherwise, ``ValueError`` after ``close``. Moments have a time zone
    (``ValueError`` for one without) and come back in UTC with their microseconds. ``swhkit.testing`` has a suite for each.
    """

    @property
    def saves(self) -> Saves:
        """Requests to save code."""

    @property
    def forge_requests(self) -> ForgeRequests:
        """Requests to add a forge."""

    @property
    def schedule(self) -> Schedule:
        """Forges, what they list, and how fresh origins are."""

    def add_token(self, token: Token, digest: bytes) -> bool:
        """Keep a token with the SHA-256 of its secret (32 bytes; anything else is a ``ValueError``).

        Changes nothing and returns False if the name is taken, be it by a revoked one, or the digest is.
        """

    def token(self, digest: bytes) -> Token | None:
        """The token whose secret has this SHA-256, revoked or not; None if there is none.

        How long it takes tells nothing about other digests: at most ``LOOKED_UP`` bytes are looked up, and the whole
        is compared in constant time.
        """

    def tokens(self) -> list[Token]:
        """All of them, oldest first, revoked ones included."""

    def use_token(self, name: str, at: datetime.datetime) -> None:
        """Note that a token is in use. ``last_used`` becomes the full hour of ``at``, unless it is later already;
        within the hour nothing is written. Unknown names are ignored."""

    def revoke_token(self, name: str, at: datetime.datetime) -> bool:
        """Take a token back for good; it keeps the moment of the first time. False if there is no such name."""

    def close(self) -> None:
        """Release files."""
