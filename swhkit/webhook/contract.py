"""The contract of webhook plugins: what they are given, and what they say of a delivery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

import msgspec

from swhkit.errors import InvalidInput
from swhkit.units import Secret


class WebhookRefused(InvalidInput):
    """A delivery that is not processed; the text says why."""


class NotJson(WebhookRefused):
    """A delivery whose body is not the JSON that it is said to be."""


class WebhookConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration type of webhooks; those with further keys extend it."""

    secret: Annotated[
        Secret | None,
        msgspec.Meta(
            description="What the forge was told to sign with; null takes deliveries without proof."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.secret is not None and not self.secret:
            raise ValueError(
                "an empty secret proves nothing; write one, or null to take deliveries without proof"
            )


def secret_of(config: msgspec.Struct) -> str | None:
    """The secret in the settings of a webhook; None if it takes deliveries without proof."""
    return config.secret if isinstance(config, WebhookConfig) else None


class VisitRequest(msgspec.Struct, frozen=True):
    """An origin that a webhook asks to visit."""

    url: str
    visit_type: str


class Pong(msgspec.Struct, frozen=True):
    """The answer to a delivery that only tests the connection."""

    message: str = "pong"


class WebhookContext(msgspec.Struct, frozen=True):
    """What a webhook plugin may ask: ``get_json(url)`` is the JSON behind a public http(s) URL, of bounded size and time
    (raises ``Unavailable``; ``Busy``, which is not the plugin's to catch, if too many are asked for at once)."""

    get_json: Callable[[str], Any]


class Webhook(Protocol):
    """Understands the deliveries of one kind of forge. Made once; called from any thread.

    Header names are in lower case; a header that was sent twice has both values with ``, `` between, and bytes that are
    not UTF-8 are lone surrogates. ``label`` is the forge's name in messages (``GitHub``).
    """

    @property
    def label(self) -> str:
        """The forge's name as messages have it."""

    def delivery(self, headers: Mapping[str, str]) -> str | None:
        """The id of a delivery, the same when it is delivered again; None if the forge gives none, or if these are not
        the headers of this forge."""

    def signed(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether the delivery proves knowledge of ``secret``; compared in constant time. Nothing is parsed for it."""

    def parse(
        self, context: WebhookContext, headers: Mapping[str, str], body: bytes
    ) -> list[VisitRequest] | Pong:
        """What is to be visited. Raises ``WebhookRefused``, whatever the body is."""
