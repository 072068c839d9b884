"""SourceForge: what they host, and what they tell when it changes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import Provider, WebAddress, WebhookConfig, hookimpl


class SourceForgeConfig(WebhookConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the SourceForge webhook."""

    rest: Annotated[
        WebAddress, msgspec.Meta(description="Where projects are asked for their repositories.")
    ] = "https://sourceforge.net/rest"
from swhkit_sourceforge.settings import SourceforgeConfig


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
            SourceForgeConfig,
        )
    ]
