"""Raw extrinsic metadata: what others say about objects and origins."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import ExtrinsicMetadata
from swhkit.query.origins import origin
from swhkit.swhid import Kind, ObjectId

#: Records read at once: each comes with its bytes, which may be many.
_BATCH = 50

#: A place in the list of records about one target: date of discovery and id of a record. No id: behind all of the date.
Position = tuple[datetime.datetime, bytes | None]


class Said(msgspec.Struct, frozen=True):
    """A page of records about one target: the ``url`` of the target if it is an origin the archive knows, records
    with their ids and without their bytes, and whether there are ``more``."""

    url: str | None
    records: list[tuple[bytes, ExtrinsicMetadata]]
    more: bool


def extrinsic_metadata(
    archive: Archive, target: ObjectId, authority: tuple[str, str], after: Position | None, limit: int
) -> Said:
    """Up to ``limit`` records of one authority behind a position, by (date, id)."""
    records: list[tuple[bytes, ExtrinsicMetadata]] = []
    while len(records) <= limit:
        wanted = min(_BATCH, limit + 1 - len(records))
        date, id = (None, None) if after is None else after
        batch = archive.catalog.extrinsic_metadata(
            str(target), authority, after=date, before_id=id, limit=wanted
        )
        records += [(id, msgspec.structs.replace(record, metadata=b"")) for id, record in batch]
        if len(batch) < wanted:
            break
        after = (batch[-1][1].discovery_date, batch[-1][0])
    found = archive.catalog.origin_by_digest(target.digest) if target.kind is Kind.ORIGIN else None
    return Said(None if found is None else found.url, records[:limit], len(records) > limit)


def extrinsic_bytes(archive: Archive, id: bytes) -> bytes:
    """The metadata itself. Raises ``NotHeld``."""
    found = archive.catalog.extrinsic_metadata_by_id(id)
    if found is None:
        raise NotHeld("Metadata not found. Use /raw-extrinsic-metadata/swhid/ to access metadata.")
    return found.metadata


def authorities(archive: Archive, target: ObjectId) -> list[tuple[str, str]]:
    """Type and URL of those who have said something about ``target``, in alphabetical order."""
    return sorted(archive.catalog.authorities(str(target)))


def known_url(archive: Archive, urls: Sequence[str]) -> str:
    """The first known origin among the spellings of one URL; the first spelling if none is known."""
    try:
        return origin(archive, urls).url
    except NotHeld:
        return urls[0]
