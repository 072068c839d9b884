"""``ping/`` and ``stat/``."""

from __future__ import annotations

from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.routing import Route


def ping(call: Call) -> Data:
    """Whether anybody is there."""
    del call
    return Data("pong")


def counters(call: Call) -> Data:
    """How much the archive holds."""
    return Data(call.archive.catalog.counters())


ROUTES = (
    Route("ping", "ping/", ping),
    Route("stat-counters", "stat/counters/", counters),
)
