"""Bitbucket: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, WebhookConfig, hookimpl
from swhkit_bitbucket.settings import BitbucketConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of Bitbucket."""
    return [
        Provider("bitbucket", "Bitbucket Cloud", "swhkit_bitbucket.forge:BitbucketForge", BitbucketConfig)
    ]


@hookimpl
def swhkit_webhooks() -> list[Provider]:
    """The webhooks of Bitbucket."""
    return [
        Provider(
            "bitbucket",
            "pushes to repositories on Bitbucket",
            "swhkit_bitbucket.webhook:Bitbucket",
            WebhookConfig,
        )
    ]
