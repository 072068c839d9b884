"""Webhooks: what forges tell when something was pushed, and the contract of the plugins that understand them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from swhkit.errors import InvalidInput


class WebhookRefused(InvalidInput):
    """A delivery that is not processed; the text says why."""


class VisitRequest(msgspec.Struct, frozen=True):
    """An origin that a webhook asks to visit."""

    url: str
    visit_type: str


class Pong(msgspec.Struct, frozen=True):
    """The answer to a delivery that only tests the connection."""

    message: str = "pong"


class WebhookContext(msgspec.Struct, frozen=True):
    """What a webhook plugin may ask: ``get_json(url)`` is the JSON behind a public http(s) URL (raises ``Unavailable``)."""

    get_json: Callable[[str], Any]


class Webhook(Protocol):
    """Understands the deliveries of one kind of forge. Made once; called from any thread.

    Header names are in lower case. ``label`` is the forge's name in messages (``GitHub``).
    """

    @property
    def label(self) -> str:
        """The forge's name as messages have it."""

    def delivery(self, headers: Mapping[str, str]) -> str | None:
        """The id of a delivery, the same when it is delivered again; None if the forge gives none."""

    def signed(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether the delivery proves knowledge of ``secret``; compared in constant time. Nothing is parsed for it."""

    def parse(
        self, context: WebhookContext, headers: Mapping[str, str], body: bytes
    ) -> list[VisitRequest] | Pong:
        """What is to be visited. Raises ``WebhookRefused``, whatever the body is."""
