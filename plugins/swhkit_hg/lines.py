"""What a delta changes in a manifest, line by line, without looking at the rest.

A line of a manifest is ``PATH NUL HEX[FLAG]`` and a newline; the lines are in the order of their paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from swhkit_hg.errors import Broken
from swhkit_hg.texts import Hunks, Text


class Region(NamedTuple):
    """Whole lines of the base, and the whole lines that are there in the text instead."""

    first: int
    behind: int
    new_first: int
    new_behind: int


class Change(NamedTuple):
    """A path, and the rest of its line (``HEX[FLAG]``) before and after; None where it is not there."""

    path: bytes
    before: bytes | None
    after: bytes | None


def regions(base: Text, text: Text, found: Hunks) -> Iterator[Region]:
    """The hunks, widened to whole lines; those that meet are one."""
    last: Region | None = None
    shift = 0
    for first, behind, at, to in found:
        begin = base.rfind(b"\n", 0, first) + 1
        new_begin = begin + shift
        shift += (to - at) - (behind - first)
        end = behind
        if not (_is_line(base, behind) and _is_line(text, behind + shift)):
            end = base.find(b"\n", behind) + 1 or len(base)
        if last is not None and begin <= last.behind:
            begin, new_begin, end = last.first, last.new_first, max(end, last.behind)
        elif last is not None:
            yield last
        last = Region(begin, end, new_begin, end + shift)
    if last is not None:
        yield last


def _is_line(text: Text, at: int) -> bool:
    """Whether a line begins at ``at``."""
    return at == 0 or text[at - 1 : at] == b"\n"


def changes(base: Text, text: Text, region: Region) -> Iterator[Change]:
    """What differs in a region, in order of paths. Raises ``Broken`` for lines that are none, or not in order."""
    old = _lines(base, region.first, region.behind)
    new = _in_order(text, region.new_first, region.new_behind)
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before[0] < after[0]):
            assert before is not None
            yield Change(before[0], before[1], None)
            before = next(old, None)
        elif before is None or after[0] < before[0]:
            yield Change(after[0], None, after[1])
            after = next(new, None)
        else:
            if before[1] != after[1]:
                yield Change(after[0], before[1], after[1])
            before, after = next(old, None), next(new, None)


def _in_order(text: Text, first: int, behind: int) -> Iterator[tuple[bytes, bytes]]:
    """The lines there, which must be in order, also with the lines around them: then so is the whole text."""
    previous = b""
    if first:
        previous = next(_lines(text, text.rfind(b"\n", 0, first - 1) + 1, first))[0]
    for path, rest in _lines(text, first, behind):
        if path <= previous:
            raise Broken("the lines of a manifest are not in order")
        yield path, rest
        previous = path
    if behind < len(text) and next(_lines(text, behind, len(text)))[0] <= previous:
        raise Broken("the lines of a manifest are not in order")


def _lines(text: Text, first: int, behind: int) -> Iterator[tuple[bytes, bytes]]:
    """Path and rest of each line."""
    while first < behind:
        end = text.find(b"\n", first, behind)
        if end < 0:
            raise Broken("the last line of a manifest does not end")
        path, nul, rest = text[first:end].partition(b"\0")
        if not nul or not path or len(rest) < 40:
            raise Broken("a manifest has a line that is none")
        yield path, rest
        first = end + 1
