"""``/health`` and ``/metrics``: for those who run the server. Neither belongs to the public API."""

from __future__ import annotations

import logging
from collections.abc import Callable

from swhkit.api.answers import Data, Document
from swhkit.api.calls import Call
from swhkit.api.errors import clean
from swhkit.api.metrics import MEDIA_TYPE
from swhkit.api.routing import Route
from swhkit.query.objects import EMPTY

#: What a user must be permitted to read the metrics from a network that may not.
READ_METRICS = "swhkit.metrics"
_log = logging.getLogger(__name__)


def health(call: Call) -> Data:
    """Whether the server can answer: its stores do, and it was not told to end.

    200 with ``{"status": "ok", …}``, else 503 with ``failing`` or ``draining``; ``stores`` tells which store fails.
    """
    stores = {
        "objects": _state("objects", lambda: call.archive.objects.missing((EMPTY,))),
        "catalog": _state("catalog", lambda: call.archive.catalog.origins(0, 1)),
    }
    status = "ok" if set(stores.values()) == {"ok"} else "failing"
    if call.metrics is not None and call.metrics.draining:
        status = "draining"
    headers = {"Cache-Control": "no-store"}
    return Data({"status": status, "stores": stores}, headers=headers, status=200 if status == "ok" else 503)


def _state(name: str, ask: Callable[[], object]) -> str:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, that store does not answer
        _log.error("health: %s: %s", name, clean(str(error)))
        # Addresses and paths are for the log; who may ask here is anybody.
        return type(error).__name__
    return "ok"


def metrics(call: Call) -> Document:
    """What the server counts of itself, in the text format of Prometheus (0.0.4).

    Open to the networks that the configuration names (``server.metrics_networks``), and to tokens of staff.
    """
    text = b"" if call.metrics is None else call.metrics.text()
    return Document(text, MEDIA_TYPE, {"Cache-Control": "no-store"})


ROUTES = (
    Route("health", "health", health, root="/", scope=None, refusals=(503,)),
    Route(
        "metrics", "metrics", metrics, binary=True, root="/", scope=None, refusals=(401, 403),
        permission=READ_METRICS, media_type=MEDIA_TYPE,
    ),
)  # fmt: skip
