"""Waiting for what another process or thread will do soon, without guessing how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def soon(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """True as soon as ``condition`` holds; False if it still doesn't after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
