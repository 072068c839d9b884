"""Who asks: access tokens in ``Authorization: Bearer …``, and what their bearers may do.

A header that is not understood, and a token that nobody has (or has any more), is 403, whatever is asked for. A token
that was found good is believed for ``BELIEVED`` seconds, so that a client's requests cost one look-up now and then; one
that is revoked works no longer than that. Secrets are kept and compared as digests, and told to no log.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType

from swhkit.api.calls import User
from swhkit.api.errors import ApiError, clean
from swhkit.errors import SwhkitError
from swhkit.requests import Requests, digest_of, hour_of

#: Seconds for which a token is believed without being looked up again.
BELIEVED = 5.0
#: Tokens that are remembered so.
REMEMBERED = 4096
#: Permissions that staff has only if they are given.
_NOT_BY_RANK = ("swh.web.api.graph", "swh.web.api.save_bulk")
_UNKNOWN = "The access token is not valid: it is unknown, or it was revoked."
_log = logging.getLogger(__name__)


class AuthenticationFailed(ApiError):
    """Somebody claims to be a user, and is not."""

    status, name = 403, "AuthenticationFailed"


class Unauthorized(ApiError):
    """It takes a user to do this."""

    status, name = 401, "UnauthorizedExc"
    # RFC 9110, 15.5.2: the header is not optional.
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """This user may not do this."""

    status, name = 403, "ForbiddenExc"


def digest_in(headers: Sequence[str]) -> bytes | None:
    """The SHA-256 of the token in the ``Authorization`` headers of a request; None if there is no such header.

    Raises ``AuthenticationFailed``.
    """
    if not headers:
        return None
    scheme, space, secret = headers[0].strip().partition(" ")
    if len(headers) > 1 or not space:
        raise AuthenticationFailed("Invalid HTTP authorization header format")
    if scheme.lower() != "bearer":
        # What stands here may be a secret that somebody has put in the wrong place: no more than a scheme's length.
        shown = scheme if len(scheme) <= 20 else f"{scheme[:20]}…"
        raise AuthenticationFailed(f"Invalid or unsupported HTTP authorization type ({clean(shown)}).")
    return digest_of(secret.strip())


def check_permission(user: User | None, permission: str | None) -> None:
    """Raise ``Unauthorized`` or ``Forbidden`` unless ``user`` may do what takes ``permission`` (None: nothing)."""
    if permission is None:
        return
    if user is None:
        raise Unauthorized("This API endpoint requires authentication.")
    if not user.may(permission, staff=permission not in _NOT_BY_RANK):
        raise Forbidden("This API endpoint requires a special user permission.")


class Tokens:
    """Finds users by the digests of their tokens.

    ``opener`` gives the request store, or None as long as there is none: it is asked again at each look-up, so that
    the first token works while the server runs. ``later`` has work done that nobody waits for.
    """

    def __init__(
        self,
        opener: Callable[[], Requests | None],
        later: Callable[[Callable[[], object]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener, self._later, self._clock, self._lock = opener, later, clock, threading.Lock()
        self._store: Requests | None = None
        self._believed: OrderedDict[bytes, tuple[User, float]] = OrderedDict()

    def remembered(self, digest: bytes) -> User | None:
        """On the event loop: the user of a token that was found good a moment ago. Never waits."""
        user, until = self._believed.get(digest, (None, 0.0))
        return user if until > self._clock() else None

    def find(self, digest: bytes) -> User:
        """In a thread: look a token up. Raises ``AuthenticationFailed``, and what the store raises."""
        until = (
            self._clock() + BELIEVED
        )  # from before the look-up: what is revoked meanwhile gets no more time
        store = self._opened()
        token = None if store is None else store.token(digest)
        if store is None or token is None or token.revoked is not None:
            raise AuthenticationFailed(_UNKNOWN)
        user = User(token.user, token.email, token.permissions)
        with self._lock:
            self._believed[digest] = (user, until)
            self._believed.move_to_end(digest)
            if len(self._believed) > REMEMBERED:
                self._believed.popitem(last=False)
        now = datetime.datetime.now(datetime.UTC)
        if token.last_used is None or token.last_used < hour_of(now):
            self._later(partial(_note_use, store, token.name, now))
        return user

    def close(self) -> None:
        """Let go of the store. Who comes later is not known."""
        with self._lock:
            store, self._store, self._opener = self._store, None, lambda: None
            self._believed.clear()
        if store is not None:
            store.close()

    def _opened(self) -> Requests | None:
        with self._lock:
            if self._store is None:
                self._store = self._opener()
            return self._store


def _note_use(store: Requests, name: str, at: datetime.datetime) -> None:
    """Write down that a token was used. A store that cannot be written to (a full or read-only disk) keeps nobody out."""
    try:
        store.use_token(name, at)
    except (OSError, SwhkitError, ValueError) as error:
        _log.info("the use of the token %s could not be written down: %s", name, error)
