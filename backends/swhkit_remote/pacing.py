"""The other side's rate limits, kept by all threads of the process together.

Limits are told by ``X-RateLimit-Remaining`` and ``X-RateLimit-Reset`` with every answer, by ``Retry-After`` or in words
with a refusal. Requests of one scope (the web API limits some endpoints by themselves) wait for each other's limits.
"""

from __future__ import annotations

import datetime
import re
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Protocol
from weakref import WeakValueDictionary

from swhkit.errors import Unreachable

#: Seconds to wait after a refusal that does not say for how long.
UNTOLD = 5.0
#: A moment further away than this is not believed to be meant (seconds).
_FAR = 400 * 86400.0
_WORDS = re.compile(r"available in ([0-9]{1,9}) second")


class Headers(Protocol):
    """The headers of an answer."""

    def get(self, name: str, /) -> str | None:
        """The value of a header in any case; None if it is not there."""


class Pacer:
    """When the next request of each scope may go. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def delay(self, scope: str, patience: float, who: str) -> float:
        """Seconds until a request of ``scope`` may go.

        Raises ``Unreachable`` if these are more than ``patience``; the text says when to ask again.
        """
        with self._lock:
            delay = self._until.get(scope, 0.0) - time.monotonic()
        if delay <= 0:
            return 0.0
        if delay > patience:
            moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=delay)
            raise Unreachable(
                f"{who} takes no more requests for now: ask again in {delay:.0f} seconds, "
                f"at {moment:%Y-%m-%d %H:%M:%S} UTC; a token has higher limits"
            )
        return delay

    def learn(self, scope: str, status: int, headers: Headers, text: str = "") -> None:
        """Take note of the limits an answer tells; ``text`` is the body of a refusal."""
        delay = refused(headers, text) if status == 429 else exhausted(headers)
        if delay is None or delay <= 0:
            return
        with self._lock:
            self._until[scope] = max(self._until.get(scope, 0.0), time.monotonic() + delay)


def exhausted(headers: Headers) -> float | None:
    """Seconds until the window's end, if no request is left in it."""
    return _reset(headers) if _number(headers.get("X-RateLimit-Remaining")) == 0 else None


def refused(headers: Headers, text: str) -> float:
    """Seconds to wait after a 429 (or 503)."""
    after = retry_after(headers)
    if after is None:
        after = _reset(headers)
    if after is None:
        words = _WORDS.search(text)
        after = float(words[1]) if words else UNTOLD
    return max(after, 1.0)


def retry_after(headers: Headers) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or a date (RFC 9110, section 10.2.3); None without it."""
    text = headers.get("Retry-After")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    moment = _date(text)
    return None if moment is None else _plausible(moment - (_date(headers.get("Date")) or time.time()))


def _reset(headers: Headers) -> float | None:
    reset = _number(headers.get("X-RateLimit-Reset"))
    # By the other side's own clock where it tells it.
    return None if reset is None else _plausible(reset - (_date(headers.get("Date")) or time.time()))


def _plausible(delay: float) -> float:
    return min(max(delay, 0.0), _FAR)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"[0-9]{1,12}", text.strip()) else None


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


_shared: WeakValueDictionary[tuple[str, str | None], Pacer] = WeakValueDictionary()
_shared_lock = threading.Lock()


def shared(url: str, token: str | None) -> Pacer:
    """The one pacer of this process for an archive and a token: both stores count in the same limits."""
    with _shared_lock:
        pacer = _shared.get((url, token))
        if pacer is None:
            pacer = _shared[url, token] = Pacer()
        return pacer
