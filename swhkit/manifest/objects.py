"""Objects of any kind: body, id, and back; each kind's own rules are in the modules beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from swhkit.errors import InvalidManifest
from swhkit.hashes import git_digest
from swhkit.manifest.directories import encode_directory, parse_directory
from swhkit.manifest.history import (
    encode_release,
    encode_revision,
    parse_release,
    parse_revision,
    revision_of,
)
from swhkit.manifest.snapshots import encode_snapshot
from swhkit.model import Directory, ObjectMetadata, Release, Revision, Snapshot
from swhkit.swhid import Kind, ObjectId

Manifested = Directory | Revision | Release | Snapshot

_KINDS: dict[type, Kind] = {
    Directory: Kind.DIRECTORY,
    Revision: Kind.REVISION,
    Release: Kind.RELEASE,
    Snapshot: Kind.SNAPSHOT,
}
_PARSERS: dict[Kind, Callable[[bytes], Directory | Revision | Release]] = {
    Kind.DIRECTORY: parse_directory,
    Kind.REVISION: parse_revision,
    Kind.RELEASE: parse_release,
}


def encode(obj: Manifested) -> bytes:
    """The body of an object, without header. Raises ``InvalidManifest`` if it has none (see ``encode_snapshot``)."""
    if isinstance(obj, Snapshot):
        return encode_snapshot(obj)
    if obj.raw_manifest is not None:
        header, _, body = obj.raw_manifest.partition(b"\0")
        if header != f"{_KINDS[type(obj)].git} {len(body)}".encode():
            raise InvalidManifest(f"a raw manifest begins with {header[:30]!r}, which is not its header")
        return body
    if isinstance(obj, Directory):
        return encode_directory(obj)
    return encode_revision(obj) if isinstance(obj, Revision) else encode_release(obj)


def object_id(obj: Manifested) -> ObjectId:
    """The id of an object. Raises ``InvalidManifest`` as ``encode`` does."""
    kind = _KINDS[type(obj)]
    if not isinstance(obj, Snapshot) and obj.raw_manifest is not None:
        return ObjectId(kind, hashlib.sha1(obj.raw_manifest).digest())
    return ObjectId(kind, git_digest(kind.git, encode(obj)))


def parse(id: ObjectId | Kind, body: bytes) -> Directory | Revision | Release:
    """The object that ``body`` holds, so that ``encode`` gives ``body`` again. The digest is not verified here.

    Raises ``InvalidManifest`` where git could not follow the object, and for kinds that are not dir, rev or rel.
    """
    kind = id.kind if isinstance(id, ObjectId) else id
    try:
        parser = _PARSERS[kind]
    except KeyError:
        raise InvalidManifest(
            f"{id}: a {kind.word} is not read as a directory, revision or release"
        ) from None
    try:
        return parser(body)
    except InvalidManifest as error:
        raise InvalidManifest(f"{id}: {error}") if isinstance(id, ObjectId) else error from None


def with_metadata(obj: Revision | Release, row: ObjectMetadata | None) -> Revision | Release:
    """``obj`` with what is known of it beyond its bytes; unchanged without a row.

    Revisions of other systems than git keep their extra headers in the order they were written.
    """
    if row is None:
        return obj
    if isinstance(obj, Release):
        return msgspec.structs.replace(obj, synthetic=row.synthetic, metadata=row.metadata)
    kind = row.revision_type or obj.type
    if kind != "git" and obj.raw_manifest is not None:
        obj = revision_of(encode(obj), git_order=False)
    return msgspec.structs.replace(obj, type=kind, synthetic=row.synthetic, metadata=row.metadata)
