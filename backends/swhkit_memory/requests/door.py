"""What the roles of a request store in memory share: one lock, and parts of what they have."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


class Door:
    """One caller at a time is inside; nobody after it was shut."""

    def __init__(self) -> None:
        self._lock, self._shut = threading.Lock(), False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Be inside for this block. Raises ``ValueError`` after ``shut``."""
        with self._lock:
            if self._shut:
                raise ValueError("the request store is closed")
            yield

    def shut(self) -> None:
        """Let nobody in any more; may be called twice."""
        with self._lock:
            self._shut = True


def count_each(words: type[StrEnum], found: Iterable[StrEnum]) -> dict[str, int]:
    """How many of ``found`` are each of these words; all of them are there."""
    counts = Counter(map(str, found))
    return {str(word): counts[str(word)] for word in words}


def part(items: Iterable[T], limit: int, offset: int = 0) -> list[T]:
    """Up to ``limit`` of these from the ``offset``-th on: below 0 is 0, and there are no more than fit in memory."""
    start = min(max(offset, 0), sys.maxsize)
    return list(islice(items, start, min(start + max(limit, 0), sys.maxsize)))
