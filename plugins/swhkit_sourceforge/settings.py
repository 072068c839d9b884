"""Settings of the SourceForge forge."""

from __future__ import annotations

from typing import Annotated

import msgspec


class SourceforgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Listing of SourceForge."""

    projects: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Short names of projects; none lists all that the sitemap has."),
    ] = ()
