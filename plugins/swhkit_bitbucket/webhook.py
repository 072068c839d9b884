"""Deliveries of Bitbucket Cloud webhooks (https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/)."""

from __future__ import annotations

from swhkit.plugin import HmacProof, Pushed, PushWebhook, WebhookContext, text_at, value_at


class Bitbucket(PushWebhook):
    """``repo:push`` events. Their payload has the address of the repository's page; it is cloned from ``.git`` behind it."""

    label = "Bitbucket"
    agent = "Bitbucket-Webhooks/"
    event_header = "x-event-key"
    pushes = ("repo:push",)
    proof = HmacProof(("x-hub-signature",), prefix="sha256=")
    delivery_headers = ("x-request-uuid",)

    def pushed(self, context: WebhookContext, payload: object) -> Pushed:
        """The repository behind the page."""
        del context
        page = text_at(payload, "repository", "links", "html", "href")
        return Pushed(page and f"{page}.git", "git", bool(value_at(payload, "repository", "is_private")))
