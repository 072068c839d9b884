"""Webhooks: what forges tell when something was pushed, and the contract of the plugins that understand them.

``contract`` is the protocol; ``push`` makes a plugin of a few declarations, with ``proofs`` (does the sender know the
secret?) and ``payloads`` (JSON of strangers). ``swhkit.api.webhooks`` takes deliveries.
"""

from swhkit.webhook.contract import (
    NotJson,
    Pong,
    VisitRequest,
    Webhook,
    WebhookConfig,
    WebhookContext,
    WebhookRefused,
    secret_of,
)
from swhkit.webhook.payloads import decoded, text_at, value_at
from swhkit.webhook.proofs import AnyProof, HmacProof, Proof, StandardProof, TokenProof
from swhkit.webhook.push import Pushed, PushWebhook

__all__ = [
    "AnyProof",
    "HmacProof",
    "NotJson",
    "Pong",
    "Proof",
    "PushWebhook",
    "Pushed",
    "StandardProof",
    "TokenProof",
    "VisitRequest",
    "Webhook",
    "WebhookConfig",
    "WebhookContext",
    "WebhookRefused",
    "decoded",
    "secret_of",
    "text_at",
    "value_at",
]
