"""Read many objects through one ``git cat-file``, and go on after those that cannot be read.

git dies at the first damaged object (with code 128, or by SIGSEGV on a damaged index). Then the object it died at is
tried alone, and the rest follows in batches that grow again: a hundred damaged objects cost a hundred children, not a
hundred times the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt
from swhkit.git import Git
from swhkit.swhid import ObjectId

T = TypeVar("T")
_GROWTH = 8


def each(
    git: Git, digests: Sequence[bytes], take: Callable[[ObjectId, int, Iterator[bytes]], T]
) -> Iterator[tuple[bytes, T | None]]:
    """``take(id, length, pieces)`` for each object, in the order given (no repeats); None for what cannot be read.

    ``take`` may raise ``Corrupt`` for bytes that do not hash to the id: that is "cannot be read" too.
    """
    start, step = 0, len(digests)
    while start < len(digests):
        part = digests[start : start + step]
        done = 0
        try:
            for digest, result in _run(git, part, take):
                done += 1
                yield digest, result
            step *= _GROWTH
        except ChildTimeout:
            raise
        except ChildFailed:
            if len(part) - done == 1 or step == 1:
                yield part[done], None
                done += 1
            step = 1
        start += done


def _run(
    git: Git, part: Sequence[bytes], take: Callable[[ObjectId, int, Iterator[bytes]], T]
) -> Iterator[tuple[bytes, T | None]]:
    waiting = iter(part)
    for id, length, pieces in git.read(part):
        for digest in waiting:
            if digest == id.digest:
                break
            yield digest, None
        try:
            result = take(id, length, pieces)
        except Corrupt:
            result = None
        yield id.digest, result
    for digest in waiting:
        yield digest, None
