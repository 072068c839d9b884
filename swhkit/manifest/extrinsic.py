"""Extrinsic metadata and origins: what is hashed for the ids of the kinds ``emd`` and ``ori``."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping

from swhkit.hashes import git_header
from swhkit.manifest.headers import join
from swhkit.model import ExtrinsicMetadata


def emd_manifest(record: ExtrinsicMetadata) -> bytes:
    """What is hashed for a metadata record, header included (as ``raw_manifest`` of other objects)."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = (record.discovery_date - epoch) // datetime.timedelta(seconds=1)
    fields: Mapping[str, str | bytes | int | None] = {
        "target": record.target,
        "discovery_date": seconds,
        "authority": f"{record.authority_type} {record.authority_url}",
        "fetcher": f"{record.fetcher_name} {record.fetcher_version}",
        "format": record.format,
        "origin": record.origin,
        "visit": record.visit,
        "snapshot": record.snapshot,
        "release": record.release,
        "revision": record.revision,
        "path": record.path,
        "directory": record.directory,
    }
    headers = [
        (name.encode(), value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape"))
        for name, value in fields.items()
        if value is not None
    ]
    body = join(headers, record.metadata)
    return git_header("raw_extrinsic_metadata", len(body)) + body


def emd_id(record: ExtrinsicMetadata) -> bytes:
    """The 20-byte digest of a metadata record (``swh:1:emd:``)."""
    return hashlib.sha1(emd_manifest(record)).digest()


def origin_digest(url: str) -> bytes:
    """The 20-byte digest of an origin (``swh:1:ori:``): the bare SHA-1 of its URL."""
    return hashlib.sha1(url.encode("utf-8", "surrogateescape")).digest()
