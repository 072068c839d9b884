"""What webhook plugins may ask the web, bounded in every way: who posts a delivery decides when it is asked.

Look-ups are made under the policy for what strangers name, once, and few at a time, so that slow answers hold up only few
of the threads that answer requests.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from swhkit.errors import Busy, InvalidUrl, Unavailable, VisitError
from swhkit.http import Patience, fetch
from swhkit.net import Network
from swhkit.webhook.contract import NotJson, WebhookContext
from swhkit.webhook.payloads import decoded

#: Bytes and seconds that an answer may take; look-ups under way at a time.
SIZE, SECONDS, AT_ONCE = 1 << 20, 10.0, 2
_places = threading.BoundedSemaphore(AT_ONCE)
_LOG = logging.getLogger(__name__)


def asking(network: Network) -> WebhookContext:
    """The context of a webhook that may ask what ``network`` allows."""
    return WebhookContext(partial(_get_json, network))


def _get_json(network: Network, url: str) -> object:
    if not _places.acquire(blocking=False):
        raise Busy("Too many deliveries are being looked up at the same time; deliver this one again later.")
    try:
        with fetch(
            network,
            url,
            headers={"Accept": "application/json"},
            deadline=time.monotonic() + SECONDS,
            patience=Patience(1),
        ) as answer:
            answer.check()
            return decoded(answer.whole(SIZE, "what a webhook may ask for"))
    except (InvalidUrl, NotJson, VisitError) as error:
        _LOG.warning("a webhook could not look something up: %s", error)
        raise Unavailable(f"{url}: {error}") from error
    finally:
        _places.release()
