"""Troubles that may last are told once in a while, not each time they are met."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
#: Seconds between two lines about the same trouble.
_EVERY = 300.0


class Seldom:
    """Runs what may fail for a while."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[str, float] = {}

    def passed(self, trouble: str, errors: tuple[type[Exception], ...], action: Callable[[], T]) -> T | None:
        """What ``action`` returns; None if it raises one of ``errors``, which are logged as ``trouble``, seldom."""
        try:
            result = action()
        except errors as error:
            now = time.monotonic()
            if trouble not in self._told or now > self._told[trouble] + _EVERY:
                self._told[trouble] = now
                self._log.warning("%s: %s", trouble, str(error) or type(error).__name__)
                self._log.debug("this is where it failed", exc_info=True)
            return None
        self._told.pop(trouble, None)
        return result
