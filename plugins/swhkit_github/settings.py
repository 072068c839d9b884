"""Settings of the GitHub forge."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import ForgeConfig


class GithubConfig(ForgeConfig, frozen=True, forbid_unknown_fields=True):
    """Listing of GitHub, or of a GitHub Enterprise Server."""

    owners: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Users and organisations; none lists all that is public."),
    ] = ()
