"""The one lock of a request store in memory, which all its roles pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
