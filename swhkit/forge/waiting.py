"""How long a forge wants to be left alone, as its answers say.

``Retry-After`` is RFC 9110's. ``X-RateLimit-Remaining`` and ``-Reset`` are GitHub's (Reset is in Unix seconds); GitLab has
them without ``X-``, as the IETF's draft has, where Reset is in seconds from now. Which of the two it is, the size tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from swhkit.http.answer import retry_seconds

#: Seconds to wait where a forge says that it was asked too often, and not when to come back (GitHub: at least a minute).
USUAL = 60.0
#: No forge is believed that it has to be left alone for longer: it will be asked, and may say so again.
LONGEST = 86_400.0
#: A number of seconds that is larger is a moment.
_MOMENT = 1_000_000_000


def refused_for(status: int, headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """Seconds to wait after an answer that says "too often"; None if it does not say so.

    Header names are in lower case; ``now`` is the Unix time.
    """
    asked = retry_seconds(headers.get("retry-after", ""))
    if status == 429 or (status == 403 and (asked is not None or b"rate limit" in body[:4096].lower())):
        return _bounded(asked if asked is not None else until_reset(headers, now) or USUAL)
    if status == 403:
        return until_reset(headers, now)
    return _bounded(asked) if status == 503 and asked is not None else None


def until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until there may be another request, where an answer says that none is left; else None."""
    for prefix in ("x-ratelimit-", "ratelimit-"):
        if _number(headers.get(f"{prefix}remaining")) == 0:
            reset = _number(headers.get(f"{prefix}reset"))
            if reset is None:
                return USUAL
            return _bounded(reset - now if reset >= _MOMENT else reset)
    return None


def _bounded(seconds: float) -> float:
    return min(max(1.0, seconds), LONGEST)


def _number(text: str | None) -> int | None:
    text = "" if text is None else text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
