"""Settings of the GitLab forge."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.plugin import ForgeConfig


class GitlabConfig(ForgeConfig, frozen=True, forbid_unknown_fields=True):
    """Listing of a GitLab."""

    groups: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Groups, with their subgroups: full paths, such as gitlab-org/api."),
    ] = ()
    users: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Users. Without groups and users, all that is public is listed."),
    ] = ()
