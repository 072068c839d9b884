"""Deliveries of Gitea, Forgejo and Gogs (https://docs.gitea.com/usage/webhooks, https://forgejo.org/docs/latest/user/webhooks/,
https://gogs.io/docs/features/webhook). All three send the same payload; the younger ones also send the elders' headers."""

from __future__ import annotations

from swhkit.plugin import HmacProof, PushWebhook


class _Push(PushWebhook):
    url_keys = ("repository", "clone_url")


class Gitea(_Push):
    """``push`` events."""

    label = "Gitea"
    event_header = "x-gitea-event"
    proof = HmacProof(("x-gitea-signature",))
    delivery_headers = ("x-gitea-delivery",)


class Forgejo(_Push):
    """``push`` events. The signature came under Gitea's name at first, and still does beside Forgejo's own."""

    label = "Forgejo"
    event_header = "x-forgejo-event"
    proof = HmacProof(("x-forgejo-signature", "x-gitea-signature"))
    delivery_headers = ("x-forgejo-delivery", "x-gitea-delivery")


class Gogs(_Push):
    """``push`` events."""

    label = "Gogs"
    event_header = "x-gogs-event"
    proof = HmacProof(("x-gogs-signature",))
    delivery_headers = ("x-gogs-delivery",)
