"""What is known of an archive beside its objects: external ids that name what it became, and the original file's facts."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from swhkit.plugin import ExtId, ExtrinsicMetadata, Item, Kind, ObjectId, VisitContext
from swhkit_tarball.checksums import WEAK
from swhkit_tarball.source import Source, public

#: Raised when an archive would become something else than before: what older versions made of it is then not relied on.
_VERSION = 0
MANIFEST = "package-manifest-sha256"


def known_target(
    context: VisitContext, kind: Kind, sums: Mapping[str, bytes], layout: str = "standard"
) -> bytes | None:
    """The digest of the object that a file with these checksums is known to be, if all of it is held.

    Checksums that files can be made to share tell nothing; those that can tell must agree.
    """
    if context.anew:
        return None
    found: set[bytes] = set()
    for name, digest in sums.items():
        if name not in WEAK:
            found |= {
                extid.digest
                for extid in context.extids(_type(layout, name), [digest], _VERSION)
                if extid.kind is kind
            }
    if len(found) != 1:
        return None
    target = found.pop()
    return target if context.closed([ObjectId(kind, target)]) else None


def checksum_extids(
    kind: Kind, target: bytes, sums: Mapping[str, bytes], layout: str = "standard"
) -> Iterator[ExtId]:
    """The external ids by which a later visit knows that a file with these checksums is this object."""
    for name, digest in sums.items():
        yield ExtId(_type(layout, name), _VERSION, digest, kind, target)


def _type(layout: str, algorithm: str) -> str:
    return f"{'nar' if layout == 'nar' else 'checksum'}-{algorithm}"


def known_release(context: VisitContext, value: bytes) -> bytes | None:
    """The release that was made of an artifact with this manifest, if all of it is held."""
    if context.anew:
        return None
    releases = {
        extid.digest for extid in context.extids(MANIFEST, [value], _VERSION) if extid.kind is Kind.RELEASE
    }
    closed = context.closed(ObjectId(Kind.RELEASE, digest) for digest in releases)
    return min((id.digest for id in closed), default=None)


def release_extid(value: bytes, release: bytes) -> ExtId:
    """The external id of an artifact's release."""
    return ExtId(MANIFEST, _VERSION, value, Kind.RELEASE, release)


def about_original(
    context: VisitContext,
    source: Source,
    directory: bytes,
    release: bytes | None = None,
    filename: str | None = None,
) -> Iterator[Item]:
    """The facts of the archive file that a directory was unpacked from."""
    facts: dict[str, Any] = {
        "filename": _text(filename or source.name),
        "length": source.length,
        "checksums": {name: digest.hex() for name, digest in sorted(source.sums.items())},
        "url": source.url,
    }
    yield ExtrinsicMetadata(
        target=str(ObjectId(Kind.DIRECTORY, directory)),
        discovery_date=datetime.datetime.now(datetime.UTC),
        authority_type="registry",
        authority_url=_place(source.url),
        fetcher_name="swhkit",
        fetcher_version=version("swhkit"),
        format="original-artifacts-json",
        metadata=json.dumps([facts], sort_keys=True).encode("ascii"),
        origin=public(context.url),
        release=None if release is None else str(ObjectId(Kind.RELEASE, release)),
    )


def _place(url: str) -> str:
    """The server that a URL is at, as a URL; ``file://`` for this machine."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme else "file://"


def _text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
