"""What became of a listing."""

from __future__ import annotations

import msgspec

from swhkit.requests.schedule import ListingStatus


class Crawled(msgspec.Struct, frozen=True, kw_only=True):
    """One listing of a forge, as it ended.

    ``forge`` and ``listing`` are their numbers. ``repositories``: how many the forge told of; of these ``new`` were not
    known, ``renamed`` had another URL before, ``refused`` had a URL that may not be visited (so they are not kept);
    ``lost``: how many origins are visited no more since listing after listing lacked them. ``scheduled``: visits that
    were enqueued. ``error``: why it is not complete, or what was refused, in one line; ``retry_after``: seconds after
    which the forge wants to be asked again, if it said so.
    """

    forge: int
    listing: int
    status: ListingStatus
    is_full: bool
    repositories: int = 0
    new: int = 0
    renamed: int = 0
    refused: int = 0
    lost: int = 0
    scheduled: int = 0
    error: str | None = None
    retry_after: float | None = None
