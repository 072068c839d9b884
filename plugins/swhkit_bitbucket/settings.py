"""Settings of the Bitbucket forge."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import ForgeConfig


class BitbucketConfig(ForgeConfig, frozen=True, forbid_unknown_fields=True):
    """Listing of Bitbucket Cloud. ``token`` is an access token, or else USER:PASSWORD."""

    workspaces: Annotated[
        tuple[str, ...], msgspec.Meta(description="Workspaces; none lists all that is public.")
    ] = ()
