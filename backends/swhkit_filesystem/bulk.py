"""Read many objects through one ``git cat-file``, and go on after those that cannot be read.

git dies at the first damaged object (with code 128, or by SIGSEGV on a damaged index). Then those that are ``hopeless``
are left out, all of them at once, and a second child reads the rest. Should it die, too, the object it died at is tried
alone, and the rest follows in batches that grow again. So thousands of damaged objects cost two children, as a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from typing import TypeVar

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt
from swhkit.git import Git
from swhkit.swhid import ObjectId

T = TypeVar("T")
_GROWTH = 8


def each(
    git: Git,
    digests: Sequence[bytes],
    take: Callable[[ObjectId, int, Iterator[bytes]], T],
    hopeless: Callable[[bytes], bool] = lambda _: False,
) -> Iterator[tuple[bytes, T | None]]:
    """``take(id, length, pieces)`` for each object, in the order given (no repeats); None for what cannot be read.

    ``take`` may raise ``Corrupt`` for bytes that do not hash to the id: that is "cannot be read" too. ``hopeless`` tells
    what git need not try.
    """
    start, step = 0, len(digests)
    left_out: set[bytes] | None = None
    while start < len(digests):
        part = digests[start : start + step]
        done = 0
        try:
            for digest, result in _run(git, part, take, left_out or set()):
                done += 1
                yield digest, result
            step *= _GROWTH
        except ChildTimeout:
            raise
        except ChildFailed:
            if left_out is None:
                left_out = {digest for digest in digests[start + done :] if hopeless(digest)}
            else:
                while part[done] in left_out:  # at its end, these had not been passed yet
                    yield part[done], None
                    done += 1
                if len(part) - done == 1 or step == 1:
                    yield part[done], None
                    done += 1
                step = 1
        start += done


def _run(
    git: Git,
    part: Sequence[bytes],
    take: Callable[[ObjectId, int, Iterator[bytes]], T],
    left_out: Set[bytes],
) -> Iterator[tuple[bytes, T | None]]:
    waiting = iter(part)
    asked = [digest for digest in part if digest not in left_out]
    for id, length, pieces in git.read(asked) if asked else ():
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
