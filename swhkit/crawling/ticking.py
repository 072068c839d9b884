"""What has to be done about forges every so often, in whatever process looks after the schedule."""

from __future__ import annotations

import datetime
from weakref import WeakSet

from swhkit.crawling import asked, forges
from swhkit.desk import Desk

#: The desks whose configuration was entered into the schedule by this process.
_ENTERED: WeakSet[Desk] = WeakSet()


def tick(desk: Desk, now: datetime.datetime) -> None:
    """Enqueue listings that are due, and move requests to add a forge. Cheap when nothing is to be done.

    The first time in a process, the forges of the configuration are entered. Raises what the stores raise, and ``Busy``.
    """
    if desk not in _ENTERED:
        forges.enter_configured(desk, now)
        _ENTERED.add(desk)
    asked.move(desk, now)
    forges.enqueue_due(desk, now)
