"""``ping/`` and ``stat/``."""

from __future__ import annotations

from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.routing import Route
from swhkit.api.schemas import choice, ref


def ping(call: Call) -> Data:
    """Whether anybody is there.

    The answer always is the word ``pong``.
    """
    del call
    return Data("pong")


def counters(call: Call) -> Data:
    """How many objects of each kind the archive holds."""
    return Data(call.archive.catalog.counters())


ROUTES = (
    Route("ping", "ping/", ping, category="Miscellaneous", answer=choice(("pong",)), refusals=()),
    Route(
        "stat-counters",
        "stat/counters/",
        counters,
        category="Statistics",
        answer=ref("Counters"),
        refusals=(),
    ),
)
