"""Deliveries of GitHub webhooks (https://docs.github.com/en/webhooks/webhook-events-and-payloads)."""

from __future__ import annotations

from swhkit.plugin import HmacProof, PushWebhook


class GitHub(PushWebhook):
    """``push`` events. Of the two signatures that are sent only the one with SHA-256 counts."""

    label = "GitHub"
    agent = "GitHub-Hookshot/"
    event_header = "x-github-event"
    pings = ("ping",)
    url_keys = ("repository", "html_url")
    proof = HmacProof(("x-hub-signature-256",), prefix="sha256=")
    delivery_headers = ("x-github-delivery",)
