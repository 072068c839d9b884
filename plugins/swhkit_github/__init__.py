"""GitHub: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, WebhookConfig, hookimpl
from swhkit_github.settings import GithubConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of GitHub."""
    return [
        Provider(
            "github", "GitHub, and GitHub Enterprise Server", "swhkit_github.forge:GithubForge", GithubConfig
        )
    ]


@hookimpl
def swhkit_webhooks() -> list[Provider]:
    """The webhooks of GitHub."""
    return [
        Provider("github", "pushes to repositories on GitHub", "swhkit_github.webhook:GitHub", WebhookConfig)
    ]
