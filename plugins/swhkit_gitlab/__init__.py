"""GitLab: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, WebhookConfig, hookimpl
from swhkit_gitlab.settings import GitlabConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of GitLab."""
    return [Provider("gitlab", "GitLab", "swhkit_gitlab.forge:GitlabForge", GitlabConfig)]


@hookimpl
def swhkit_webhooks() -> list[Provider]:
    """The webhooks of GitLab."""
    return [
        Provider(
            "gitlab",
            "pushes to repositories on GitLab instances",
            "swhkit_gitlab.webhook:GitLab",
            WebhookConfig,
        )
    ]
