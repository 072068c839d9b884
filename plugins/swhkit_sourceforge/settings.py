"""Settings of the SourceForge forge and of its webhook."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import WebAddress, WebhookConfig


class SourceforgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Listing of SourceForge."""

    projects: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Short names of projects (engine, or engine/parts for one within another); none lists all that "
            "the sitemap has."
        ),
    ] = ()
    legacy: Annotated[
        str, msgspec.Meta(description="Where the pages of a project's CVS or Bazaar repository are.")
    ] = "http://{project}.{kind}.sourceforge.net"


class SourceforgeWebhookConfig(WebhookConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the SourceForge webhook."""

    rest: Annotated[
        WebAddress, msgspec.Meta(description="Where projects are asked for their repositories.")
    ] = "https://sourceforge.net/rest"
