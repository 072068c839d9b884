"""Settings of the forges Gitea, Forgejo and Gogs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import ForgeConfig


class GiteaConfig(ForgeConfig, frozen=True, forbid_unknown_fields=True):
    """Listing of a Gitea, Forgejo or Gogs."""

    owners: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Users and organisations; none lists all that is public."),
    ] = ()
