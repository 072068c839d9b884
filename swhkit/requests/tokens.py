"""Access tokens: who asks, and what they may do.

A store never sees a secret, only its SHA-256: a secret is 256 random bits, so that nobody guesses one, however quick the
hash is; a slow one (as for passwords, which people choose) would only slow down each request.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets

import msgspec

#: Every permission a token can have, under the name the public archive gives it, and what it is for.
PERMISSIONS = {
    "staff": "all that follows, but for the graph and for bulk requests; no limits",
    "swh.ambassador": "requests to save code need no review, and may be for archive files",
    "swh.web.add_forge_now.moderator": "decides on requests to add a forge",
    "swh.web.api.graph": "may ask the graph",
    "swh.web.api.provenance": "may ask where contents come from",
    "swh.web.api.save_bulk": "may ask to save many origins at once",
    "swh.web.api.save_origin": "requests to save code need no review and are not limited",
    "swh.web.api.throttling_exempted": "no limits",
    "swhkit.metrics": "may read /metrics from anywhere",
}
#: What every secret begins with, so that programs which look for lost secrets know one.
PREFIX = "swhkit_"
#: Random bytes of a secret.
STRENGTH = 32
#: First bytes of a digest by which a store may look it up; the rest is compared in constant time.
LOOKED_UP = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, without its secret: its ``name`` among the tokens, whose it is, and what its bearer may do.

    Moments have a time zone. ``last_used`` is coarse: the hour. A token that was ``revoked`` is kept, so that its name
    is never that of another one. Raises ``ValueError`` for a name, user or e-mail address that is none, and for
    permissions that are not in ``PERMISSIONS``.
    """

    name: str
    user: str
    email: str
    permissions: frozenset[str] = frozenset()
    created: datetime.datetime
    last_used: datetime.datetime | None = None
    revoked: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name for a token: up to 100 letters, digits, '.', '_' and '-', such as ci-2"
            )
        if not 0 < len(self.user) <= 200 or not self.user.isprintable() or self.user != self.user.strip():
            raise ValueError(f"{self.user!r} is no name of a user: up to 200 characters that can be printed")
        if len(self.email) > 254 or not self.email.isprintable() or not _EMAIL.fullmatch(self.email):
            raise ValueError(f"{self.email!r} is no e-mail address, such as ada@example.org")
        if unknown := sorted(self.permissions - PERMISSIONS.keys()):
            raise ValueError(
                f"there is no permission {', '.join(map(repr, unknown))}; known: {', '.join(PERMISSIONS)}"
            )


def new_secret() -> str:
    """A secret that nobody has had: ``PREFIX`` and 256 random bits. Fit for a header and a shell."""
    return PREFIX + secrets.token_urlsafe(STRENGTH)


def digest_of(secret: str) -> bytes:
    """What is kept of a secret: its SHA-256 (32 bytes)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def hour_of(at: datetime.datetime) -> datetime.datetime:
    """The full hour of a moment, in UTC. Raises ``ValueError`` for a moment without time zone."""
    if at.tzinfo is None:
        raise ValueError(f"the moment {at} has no time zone")
    return at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
