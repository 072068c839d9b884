"""What a forge says about a repository, kept byte for byte as extrinsic metadata of its origin.

Only what differs from the latest that is kept: a forge says the same at each listing.
"""

from __future__ import annotations

import datetime

import swhkit
from swhkit.manifest import origin_digest
from swhkit.model import ExtrinsicMetadata
from swhkit.plugin import Repository
from swhkit.storage import CatalogReader
from swhkit.swhid import Kind, ObjectId

#: Longer descriptions (bytes) are not kept.
LONGEST = 1 << 20
#: How far back the latest record is looked for first, then next (days): records come with their bytes, so few are read.
_WINDOWS = (3, 40, 400)
_BATCH = 50


def said(forge: str, origin: str, repository: Repository, now: datetime.datetime) -> ExtrinsicMetadata | None:
    """The record of what the forge at that URL says; None if it says nothing, or too much."""
    content = repository.metadata
    if not content or len(content) > LONGEST or not repository.metadata_format:
        return None
    return ExtrinsicMetadata(
        target=str(ObjectId(Kind.ORIGIN, origin_digest(origin))),
        discovery_date=now.replace(microsecond=0),
        authority_type="forge",
        authority_url=forge,
        fetcher_name="swhkit",
        fetcher_version=swhkit.__version__,
        format=repository.metadata_format,
        metadata=content,
    )


def is_new(catalog: CatalogReader, record: ExtrinsicMetadata) -> bool:
    """Whether it differs from the latest record of its authority about its target."""
    latest = _latest(catalog, record)
    return latest is None or (latest.format, latest.metadata) != (record.format, record.metadata)


def _latest(catalog: CatalogReader, record: ExtrinsicMetadata) -> ExtrinsicMetadata | None:
    starts = [record.discovery_date - datetime.timedelta(days=days) for days in _WINDOWS]
    for start in (*starts, None):
        if (found := _last_after(catalog, record, start)) is not None:
            return found
    return None


def _last_after(
    catalog: CatalogReader, record: ExtrinsicMetadata, after: datetime.datetime | None
) -> ExtrinsicMetadata | None:
    authority = (record.authority_type, record.authority_url)
    last, id = None, None
    while True:
        batch = catalog.extrinsic_metadata(record.target, authority, after=after, before_id=id, limit=_BATCH)
        if batch:
            id, last = batch[-1]
            after = last.discovery_date
        if len(batch) < _BATCH:
            return last
