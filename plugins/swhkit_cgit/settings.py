"""Settings of the forges cgit and gitweb."""

from __future__ import annotations

from typing import Annotated

import msgspec


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Listing of a cgit or gitweb."""

    clone_url: Annotated[
        str | None,
        msgspec.Meta(
            description="What repositories are cloned from, such as https://git.example.org/{path}; null takes "
            "what the page of each says."
        ),
    ] = None
