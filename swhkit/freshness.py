"""How fresh origins are: what is written down after each visit, and which visits are due."""

from __future__ import annotations

import datetime

from swhkit.desk import Desk


def visited(desk: Desk, url: str, visit_type: str, now: datetime.datetime) -> None:
    """A visit of an origin has ended: write down how fresh it is by now, and tell plugins if its state is another."""
    raise NotImplementedError


def tick(desk: Desk, now: datetime.datetime) -> None:
    """Enqueue visits that are due, and find origins that are overdue. Cheap when nothing is to be done."""
    raise NotImplementedError
