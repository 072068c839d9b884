"""Persons and moments: the lines ``author``, ``committer`` and ``tagger``, both ways.

A line is read as tolerantly as git reads it; what the fields cannot give back is left to the raw manifest.
"""

from __future__ import annotations

import re

from swhkit.model import Person, Timestamp

#: The seconds a timestamp may have (years 1 to 9999); beyond it the fields say 0 and the raw manifest is kept.
SECONDS_MIN, SECONDS_MAX = -62135510961, 253402297199

#: What may follow a person, as it is written by everybody who follows the rules …
_DATE = re.compile(rb" (-?[0-9]{1,20})(?:\.([0-9]{1,6}))? ([+-]{1,2}[0-9]+)\Z")
#: … and what is still understood after a ``>``.
_LOOSE_DATE = re.compile(rb"\s*([+-]?[0-9]+)(?:\.([0-9]{1,6}))?\s* ([+-]{1,2}[0-9]+)\Z")


def person_of(fullname: bytes) -> Person:
    """The person of a fullname: name before the first ``<``, email from there to the last ``>``; empty is None."""
    before, bracket, after = fullname.partition(b"<")
    name = before.strip() if bracket else fullname
    email, closing, _ = after.rpartition(b">")
    return Person(fullname, name or None, (email if closing else after) or None)


def parse_person(line: bytes) -> tuple[Person, Timestamp | None]:
    """Person and moment of a line, as ``split_date`` cuts it."""
    fullname, date = split_date(line)
    return person_of(fullname), date


def split_date(line: bytes) -> tuple[bytes, Timestamp | None]:
    """Fullname and moment of an author, committer or tagger line.

    What follows the last ``> `` may be written in odd ways (``+15``, ``015``, doubled blanks); without it only a
    regular moment is seen. What cannot be read as a moment after ``> `` is left out: the raw manifest has it.
    """
    closing = line.rfind(b"> ")
    if closing >= 0 and (match := _LOOSE_DATE.match(line, closing + 2)):
        return line[: closing + 1], _timestamp(match)
    tail = max(len(line) - 80, 0)
    if match := _DATE.search(line, tail):
        return line[: match.start()], _timestamp(match)
    return (line if closing < 0 else line[: closing + 1]), None


def _timestamp(match: re.Match[bytes]) -> Timestamp:
    digits, fraction, offset = match[1], match[2] or b"", match[3]
    seconds = int(digits) if len(digits) <= 40 else SECONDS_MAX + 1
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        return Timestamp(0, 0, offset)
    return Timestamp(seconds, int(fraction.ljust(6, b"0")), offset)


def encode_person(person: Person, date: Timestamp | None) -> bytes:
    """The line of a person and a moment; a fraction of a second is written as short as it can be."""
    if date is None:
        return person.fullname
    fraction = b".%06d" % date.microseconds if date.microseconds else b""
    return b"%s %d%s %s" % (person.fullname, date.seconds, fraction.rstrip(b"0"), date.offset)
