"""Gitea, Forgejo and Gogs: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, WebhookConfig, hookimpl


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of Gitea, Forgejo and Gogs."""
    return []


@hookimpl
def swhkit_webhooks() -> list[Provider]:
    """The webhooks of Gitea, Forgejo and Gogs."""
    return [
        Provider(
            name,
            f"pushes to repositories on {label} instances",
            f"swhkit_gitea.webhook:{label}",
            WebhookConfig,
        )
        for name, label in (("gitea", "Gitea"), ("forgejo", "Forgejo"), ("gogs", "Gogs"))
    ]
