"""A webhook plugin made of a few declarations: ``PushWebhook``, for forges that post JSON about one repository.

The checks, their order and their texts are those of the public archive
(https://archive.softwareheritage.org/api/1/ , "Request archival").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from swhkit.text import without_secrets
from swhkit.webhook.contract import Pong, VisitRequest, WebhookConfig, WebhookContext, WebhookRefused
from swhkit.webhook.payloads import decoded, text_at, value_at
from swhkit.webhook.proofs import Proof

JSON = "application/json"
#: Characters that an id of a delivery and the URL of a repository may have, and those of a content type that are repeated.
_LONGEST_ID, _LONGEST_URL, _SHOWN = 200, 4096, 200


class Pushed(msgspec.Struct, frozen=True):
    """The repository that a payload tells of; None for what it does not say."""

    url: str | None
    visit_type: str | None = "git"
    private: bool = False


class PushWebhook:
    """Subclass it and declare what the forge sends; override ``is_ours``, ``is_push`` or ``pushed`` where that does not
    say it. The factory of the provider is the class itself. Names of headers are in lower case.

    ``label``: the forge in messages. ``agent``: what ``User-Agent`` begins with (empty: anything). ``event_header`` has
    the name of the event: one of ``pushes``, or of ``pings``, which only test the connection. ``url_keys`` lead to the
    repository's URL in the payload, ``private_keys`` to what is true when not everybody may clone it. ``proof`` is how a
    delivery proves that its sender knows the secret (None: it cannot, so that with a secret none is taken).
    ``delivery_headers`` have the id of the delivery; the first that is there counts.
    """

    label: str
    agent: str = ""
    event_header: str = ""
    pushes: Collection[str] = ("push",)
    pings: Collection[str] = ()
    url_keys: tuple[str, ...] = ()
    private_keys: tuple[str, ...] = ("repository", "private")
    visit_type: str = "git"
    proof: Proof | None = None
    delivery_headers: tuple[str, ...] = ()

    def __init__(self, config: WebhookConfig) -> None:
        self.config = config

    def is_ours(self, headers: Mapping[str, str]) -> bool:
        """Whether a forge of this kind sends such headers."""
        has_event = not self.event_header or self.event_header in headers
        return has_event and headers.get("user-agent", "").startswith(self.agent)

    def is_push(self, event: str) -> bool:
        """Whether a visit may find something new after this event."""
        return event in self.pushes

    def pushed(self, context: WebhookContext, payload: object) -> Pushed:  # noqa: ARG002
        """What a payload tells of. It may be any JSON value. Raises ``WebhookRefused`` if need be, and nothing else."""
        url = text_at(payload, *self.url_keys)
        return Pushed(url, self.visit_type, bool(value_at(payload, *self.private_keys)))

    def delivery(self, headers: Mapping[str, str]) -> str | None:
        """The id of a delivery of this forge."""
        if not self.is_ours(headers):
            return None
        id = next((headers[name] for name in self.delivery_headers if headers.get(name)), None)
        return id if id is not None and len(id) <= _LONGEST_ID and id.isprintable() else None

    def signed(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether the delivery proves knowledge of ``secret``."""
        return self.proof is not None and self.proof.holds(headers, body, secret)

    def parse(
        self, context: WebhookContext, headers: Mapping[str, str], body: bytes
    ) -> list[VisitRequest] | Pong:
        """The one repository that something was pushed to. Raises ``WebhookRefused``."""
        if not self.is_ours(headers):
            raise WebhookRefused(
                f"POST request was not sent by a {self.label} webhook and has not been processed."
            )
        event = headers.get(self.event_header, "")
        if event in self.pings:
            return Pong()
        if not self.is_push(event):
            raise WebhookRefused(
                f"Event sent by {self.label} webhook is not a push one, request has not been processed."
            )
        self._check_type(headers.get("content-type", ""))
        return [self._judged(self.pushed(context, decoded(body)))]

    def _check_type(self, given: str) -> None:
        if given.partition(";")[0].strip().lower() != JSON:
            raise WebhookRefused(
                f"Invalid content type '{given[:_SHOWN]}' for the POST request sent by {self.label} webhook, "
                f"it should be '{JSON}'."
            )

    def _judged(self, pushed: Pushed) -> VisitRequest:
        if not pushed.url or len(pushed.url) > _LONGEST_URL:
            raise WebhookRefused(f"Repository URL could not be extracted from {self.label} webhook payload.")
        shown = without_secrets(pushed.url)
        if not pushed.visit_type:
            raise WebhookRefused(f"Visit type could not be determined for repository {shown}.")
        if pushed.private:
            raise WebhookRefused(
                f"Repository {shown} is private and cannot be cloned without authentication."
            )
        return VisitRequest(pushed.url, pushed.visit_type)
