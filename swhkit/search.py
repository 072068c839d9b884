"""What a search for origins means, for every catalog: the question, the answer, and which URLs fit.

Words are compared case-folded (``str.casefold``), so that catalogs agree about every script. Regular expressions are
RE2's (https://github.com/google/re2/wiki/Syntax): time linear in the URL, no look-around, no back-references.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from swhkit.errors import InvalidInput
from swhkit.model import Origin

#: The longest regular expression, in characters.
REGEXP_MAX = 1_000
#: The largest program that an expression may become, in RE2's instructions: what a step costs at worst.
_PROGRAM_MAX = 1_500
_MEMORY = 1 << 20
#: A search that has to look at each URL ends after so many of them, or seconds, and says where it goes on.
LOOKS = 200_000
LOOKING_SECONDS = 0.5
_BETWEEN_CLOCKS = 64


class OriginQuery(msgspec.Struct, frozen=True):
    """Which origins are searched for; all conditions must hold, and without any all origins fit.

    ``words``: each occurs in the URL, in any order and any case; empty ones count for nothing. ``regexp``: it matches
    somewhere in the URL, in any case. ``visit_type``: the origin has had a visit of this type. ``with_visit``: it has a
    visit that ended with a snapshot. ``with_content``: the snapshot of the latest such visit has a branch.
    """

    words: tuple[str, ...] = ()
    regexp: str | None = None
    visit_type: str | None = None
    with_visit: bool = False
    with_content: bool = False


class FoundOrigin(msgspec.Struct, frozen=True):
    """An origin and what is known of its visits.

    ``visits``: how many it has had, of any status. ``snapshot``: that of its latest visit which has one.
    ``last_visit``: when its latest visit began, whatever its status. ``last_eventful_visit``: when the visit began that
    first saw the present snapshot, as long as it has not changed since. Moments are UTC.
    """

    origin: Origin
    visits: int = 0
    snapshot: bytes | None = None
    last_visit: datetime.datetime | None = None
    last_eventful_visit: datetime.datetime | None = None


class OriginPage(msgspec.Struct, frozen=True):
    """Part of what a search finds, by ascending id of the origin.

    ``total``: how many origins fit in all, None where counting them would take too long. ``next``: the id to go on
    after; None when there is nothing more. A page may have fewer origins than were asked for, even none, and still a
    ``next``: then the search took its time and is to be continued, with what is left of its ``offset``.
    """

    origins: list[FoundOrigin]
    total: int | None
    next: int | None = None
    offset: int = 0


class Fits:
    """Whether a URL has the words and matches the expression of a query."""

    def __init__(self, query: OriginQuery) -> None:
        """Raises ``InvalidInput`` for an expression that is none, or too long, or too complex."""
        #: The distinct words as they are compared, longest first.
        self.words = sorted({folded(word) for word in query.words if word}, key=len, reverse=True)
        self._expression = None if query.regexp is None else _compiled(query.regexp)

    def __call__(self, url: str) -> bool:
        """Whether it fits."""
        if self.words:
            text = folded(url)
            if not all(word in text for word in self.words):
                return False
        if self._expression is None:
            return True
        return self._expression.search(url.encode("utf-8", "surrogatepass")) is not None


def folded(text: str) -> str:
    """``text`` as it is compared."""
    return text.casefold()


class Looked(msgspec.Struct, frozen=True):
    """What ``look`` saw: the ids that fit, where to go on (None: it saw the end), and what is left of the offset."""

    ids: list[int]
    next: int | None
    offset: int


def look(
    rows: Callable[[int], Sequence[tuple[int, str]]],
    fits: Callable[[str], bool],
    after: int,
    offset: int,
    limit: int,
    looks: int = LOOKS,
) -> Looked:
    """Look at URLs one by one: skip ``offset`` that fit, take ``limit``, stop after ``looks`` or ``LOOKING_SECONDS``.

    ``rows(after)`` gives some (id, URL) with ids above ``after``, ascending; nothing is the end.
    """
    end, seen = time.monotonic() + LOOKING_SECONDS, 0
    found: list[int] = []
    while batch := rows(after):
        for id, url in batch:
            if seen >= looks or (seen % _BETWEEN_CLOCKS == 0 and seen and time.monotonic() > end):
                return Looked(found, after, offset)
            seen += 1
            if fits(url):
                if offset > 0:
                    offset -= 1
                elif len(found) == limit:
                    return Looked(found, after, 0)
                else:
                    found.append(id)
            after = id
    return Looked(found, None, 0)


def _compiled(pattern: str) -> Any:
    if len(pattern) > REGEXP_MAX:
        raise InvalidInput(
            f"The regular expression has {len(pattern)} characters: at most {REGEXP_MAX} are taken."
        )
    import re2  # here, because only searches need it

    options = re2.Options()
    options.case_sensitive, options.never_capture = False, True
    options.log_errors, options.max_mem = False, _MEMORY
    try:
        compiled = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise InvalidInput("The regular expression is not valid: it is not UTF-8.") from None
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidInput(f"The regular expression is not valid: {text}.") from None
    if compiled.programsize > _PROGRAM_MAX:
        raise InvalidInput("The regular expression is too complex: repeat less in it.")
    return compiled
