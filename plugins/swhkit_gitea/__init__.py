"""Gitea, Forgejo and Gogs: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, WebhookConfig, hookimpl
from swhkit_gitea.settings import GiteaConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of Gitea, Forgejo and Gogs."""
    return [
        Provider("gitea", "Gitea", "swhkit_gitea.forge:GiteaForge", GiteaConfig),
        Provider("forgejo", "Forgejo", "swhkit_gitea.forge:GiteaForge", GiteaConfig),
        Provider("gogs", "Gogs", "swhkit_gitea.forge:GogsForge", GiteaConfig),
    ]


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
