"""Conditional and partial requests (RFC 9110, 13 and 14): what a client has already, and which part it wants."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,100})-([0-9]{0,100})[ \t]*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')
#: Longer headers than this ask for nothing that anybody needs.
_LONGEST = 8192


class Conditions(msgspec.Struct, frozen=True):
    """The headers ``If-None-Match``, ``Range`` and ``If-Range`` of a request; None where they are absent."""

    none_match: str | None = None
    range: str | None = None
    if_range: str | None = None


#: Those of most requests.
NO_CONDITIONS = Conditions()


class Unsatisfiable(Exception):
    """A range that begins behind the end."""


def conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions among a request's headers."""
    found = [headers.get(name) for name in ("If-None-Match", "Range", "If-Range")]
    return NO_CONDITIONS if found == [None, None, None] else Conditions(*found)


def unchanged(asked: Conditions, etag: str | None) -> bool:
    """Whether the client has the representation ``etag`` (quotes included); weak tags are as good as strong ones here."""
    listed = asked.none_match
    if listed is None or etag is None or len(listed) > _LONGEST:
        return False
    return listed.strip() == "*" or etag in _TAG.findall(listed)


def byte_range(asked: Conditions, length: int, etag: str | None) -> tuple[int, int] | None:
    """First and last byte to be sent of ``length``; None for all of them.

    What is malformed, of another unit or of several parts is answered with the whole, as RFC 9110, 14.2 allows. Raises
    ``Unsatisfiable``.
    """
    if asked.range is None or (asked.if_range is not None and asked.if_range.strip() != etag):
        return None
    found = _RANGE.fullmatch(asked.range.strip())
    if found is None or found[0].rstrip().endswith("=-"):
        return None
    if not found[1]:
        return _suffix(int(found[2]), length)
    first, last = int(found[1]), int(found[2] or length)
    if found[2] and last < first:
        return None
    if first >= length:
        raise Unsatisfiable
    return first, min(last, length - 1)


def _suffix(count: int, length: int) -> tuple[int, int] | None:
    if count == 0:
        raise Unsatisfiable
    # The last bytes of nothing are all of it, and no Content-Range can say so.
    return (max(length - count, 0), length - 1) if length else None
