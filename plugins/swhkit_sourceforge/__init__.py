"""SourceForge: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, hookimpl
from swhkit_sourceforge.settings import SourceforgeConfig, SourceforgeWebhookConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of SourceForge."""
    return [
        Provider("sourceforge", "SourceForge", "swhkit_sourceforge.forge:SourceforgeForge", SourceforgeConfig)
    ]


@hookimpl
def swhkit_webhooks() -> list[Provider]:
    """The webhooks of SourceForge."""
    return [
        Provider(
            "sourceforge",
            "pushes to repositories on SourceForge",
            "swhkit_sourceforge.webhook:SourceForge",
            SourceforgeWebhookConfig,
        )
    ]
