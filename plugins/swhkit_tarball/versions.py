"""Versions in their loose order, and moments as releases keep them."""

from __future__ import annotations

import datetime
import re

from swhkit.plugin import Timestamp

_PART = re.compile(r"([0-9]+|[a-z]+|\.)")


def version_key(version: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """What versions sort by: ``1.10`` after ``1.9``.

    As Python's LooseVersion had it: runs of digits are numbers, runs of lower-case letters and whatever stands between
    are texts, dots only divide, and the shorter of two that begin alike comes first (so ``1.0b1`` is after ``1.0``). Where
    that had no answer, a number against a text, the number is the higher (``1.0.1`` after ``1.0b``). Equal ones (``1.0``,
    ``1.00``) are ordered as texts, so that the order is total.
    """
    parts = [part for part in _PART.split(version) if part and part != "."]
    key = tuple((1, int(part), "") if _is_number(part) else (0, 0, part) for part in parts)
    return key, version


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()


def parse_time(text: str) -> Timestamp:
    """The moment that an ISO 8601 text names, with its own offset (UTC where it names none).

    Raises ``ValueError``.
    """
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"time: expected a moment such as 2024-05-01T12:00:00+02:00, got {text!r}") from None
    offset = moment.utcoffset() or datetime.timedelta()
    if offset % datetime.timedelta(minutes=1):
        raise ValueError(f"time: the offset of {text!r} has seconds; expected hours and minutes")
    utc = moment.replace(tzinfo=None) - _EPOCH - offset
    minutes = offset // datetime.timedelta(minutes=1)
    sign = "-" if minutes < 0 else "+"
    written = f"{sign}{abs(minutes) // 60:02}{abs(minutes) % 60:02}".encode("ascii")
    return Timestamp(utc.days * 86400 + utc.seconds, utc.microseconds, written)


_EPOCH = datetime.datetime(1970, 1, 1)
