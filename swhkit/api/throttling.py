"""How many requests a client may make: fixed windows that begin with the first request that is counted in them.

Anonymous clients are counted by address (IPv6: by /64, of which one subscriber has at least one), users by name and
with ten times the rates. A scope may have a rate of its own for a method. All here runs on the event loop alone, costs
a look-up in a dict, and keeps a bounded number of windows: those unused for longest are forgotten.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import msgspec

from swhkit.api.calls import User
from swhkit.api.clients import Client, Networks
from swhkit.api.errors import ApiError
from swhkit.units import rate_of

#: The scope of everything that names none, and of answers that are not counted.
DEFAULT = "swh_api"
#: What clients are told that are not limited.
UNLIMITED = 1_000_000
#: How many times as many requests a user may make.
FOR_USERS = 10
#: The permission that lifts all limits.
EXEMPTED = "swh.web.api.throttling_exempted"
#: Scopes of which a permission lifts the limits.
LIFTED = {"swh_save_origin": "swh.web.api.save_origin"}
#: Windows that are remembered, about 250 bytes each.
WINDOWS = 100_000
_HOUR = 3600
#: Methods that may have a rate of their own. HEAD is counted as what it is of.
_METHODS = {"GET": "get", "HEAD": "get", "POST": "post"}


class Throttled(ApiError):
    """Too many requests; the reason says when there may be more."""

    status, name = 429, "Throttled"

    def __init__(self, seconds: int) -> None:
        unit = "second" if seconds == 1 else "seconds"
        super().__init__(f"Request was throttled. Expected available in {seconds} {unit}.")


class Verdict(msgspec.Struct, frozen=True):
    """The state of a client's window: what the ``X-RateLimit`` headers say, and for how many seconds the client has to
    wait (None: not at all)."""

    limit: int
    remaining: int
    reset: int
    wait: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """``reset`` is in Unix seconds."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class _Window(msgspec.Struct):
    ends: float
    reset: int
    used: int


class Limits:
    """Counts requests. ``rates`` maps scopes, and ``SCOPE_method`` in lower case, to ``120/h``; ``factor`` multiplies
    them all, None or 0 is no limits; clients of the ``exempt`` networks have none.

    ``clock`` gives seconds that never jump, ``now`` Unix seconds.
    """

    def __init__(
        self,
        rates: Mapping[str, str],
        factor: float | None,
        exempt: Sequence[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        windows: int = WINDOWS,
    ) -> None:
        self._rates = {name: rate_of(text) for name, text in rates.items()}
        self._factor, self._exempt = factor or 0, Networks(exempt)
        self._clock, self._now, self._most = clock, now, windows
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def count(self, client: Client, user: User | None, scope: str | None, method: str = "GET") -> Verdict:
        """Count a request in its scope and say where the client stands. A scope of None counts nothing."""
        if not self._factor or self._is_exempt(client, user, scope):
            return self._unlimited()
        name, limit, seconds = self._rate(scope, method, user)
        key = (name, f"user {user.name}" if user is not None else _subscriber(client.address))
        now = self._clock()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = _Window(now + seconds, math.ceil(self._now() + seconds), 0)
            if scope is not None:
                self._windows[key] = window
        if scope is None:
            return Verdict(limit, max(limit - window.used, 0), window.reset)
        self._windows.move_to_end(key)
        if len(self._windows) > self._most:
            self._windows.popitem(last=False)
        if window.used >= limit:
            return Verdict(limit, 0, window.reset, math.ceil(window.ends - now))
        window.used += 1
        return Verdict(limit, limit - window.used, window.reset)

    def _is_exempt(self, client: Client, user: User | None, scope: str | None) -> bool:
        lifted = LIFTED.get(scope or "")
        if user is not None and (user.may(EXEMPTED) or (lifted is not None and user.may(lifted))):
            return True
        return not client.hidden and client.address in self._exempt

    def _rate(self, scope: str | None, method: str, user: User | None) -> tuple[str, int, int]:
        """The name under which is counted, how many may be made, in how many seconds."""
        name = scope if scope in self._rates else DEFAULT
        special = f"{name}_{_METHODS.get(method, '')}"
        if special in self._rates:
            name = special
        count, seconds = self._rates[name]
        times = self._factor * (FOR_USERS if user is not None else 1)
        # Never as many as those have who are not limited, by which clients tell them.
        return name, min(max(int(count * times), 1), UNLIMITED - 1), seconds

    def _unlimited(self) -> Verdict:
        return _of_hour(int(self._now()) // _HOUR)


@lru_cache(maxsize=2)
def _of_hour(hour: int) -> Verdict:
    # Their window ends with the hour of the clock after this one. Clients that pace themselves spread what remains over
    # the time to the end: the last seconds before an end would have them count in microseconds.
    return Verdict(UNLIMITED, UNLIMITED, (hour + 2) * _HOUR)


@lru_cache(maxsize=4096)
def _subscriber(address: str) -> str:
    """The address under which a client is counted."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return f"{found.packed[:8].hex()}/64" if isinstance(found, IPv6Address) else address
