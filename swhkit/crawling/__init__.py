"""Crawling: forges are listed, what they list is visited, and requests to add a forge live their life."""

from __future__ import annotations

import datetime

from swhkit.crawling.results import Crawled
from swhkit.desk import Desk
from swhkit.plugin import Progress
from swhkit.visit import no_progress


def crawl(
    desk: Desk,
    forge_id: int,
    full: bool | None,
    now: datetime.datetime,
    *,
    progress: Progress = no_progress,
    deadline: float | None = None,
) -> Crawled:
    """List a forge once, and have what it lists visited. ``full`` None: decided by when all of it was last listed.

    ``deadline`` (of ``time.monotonic()``) ends the listing as ``partial``. Never raises for what the forge does: that is
    in the answer. Raises ``NotHeld`` for a forge that is not known.
    """
    raise NotImplementedError


def tick(desk: Desk, now: datetime.datetime) -> None:
    """Enqueue listings that are due, and move requests to add a forge. Cheap when nothing is to be done."""
    raise NotImplementedError


__all__ = ["Crawled", "crawl", "tick"]
