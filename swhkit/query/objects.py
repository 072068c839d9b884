"""Read directories, revisions and releases by id, for the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.errors import InvalidManifest, SwhkitError
from swhkit.model import Directory, Release, Revision
from swhkit.swhid import Kind, ObjectId

Obj = TypeVar("Obj", Revision, Release)
#: The directory without entries; every archive has it.
EMPTY_DIRECTORY = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
EMPTY = ObjectId(Kind.DIRECTORY, EMPTY_DIRECTORY)
#: Ids asked of a store at once.
BATCH = 1000


class Unreadable(SwhkitError):
    """An object is held, byte for byte, but no object of its kind can be read from the bytes."""


def read(archive: Archive, id: ObjectId) -> Directory | Revision | Release | None:
    """The object as its bytes give it; None if it is not held. Raises ``Unreadable``."""
    if id == EMPTY:
        return Directory(())
    data = archive.read((id,)).get(id)
    return None if data is None else _parse(id, data)


def read_revisions(archive: Archive, digests: Iterable[bytes]) -> dict[bytes, Revision]:
    """Those revisions that are held, as their bytes give them. Raises ``Unreadable``."""
    bodies = archive.read(ObjectId(Kind.REVISION, digest) for digest in digests)
    return {id.digest: cast(Revision, _parse(id, data)) for id, data in bodies.items()}


def enriched(archive: Archive, kind: Kind, objects: Mapping[bytes, Obj]) -> dict[bytes, Obj]:
    """The objects with what the catalog adds to them: one question for all."""
    rows = archive.catalog.metadata(ObjectId(kind, digest) for digest in objects)
    return {
        digest: cast(Obj, manifest.with_metadata(obj, rows.get(ObjectId(kind, digest))))
        for digest, obj in objects.items()
    }


def _parse(id: ObjectId, data: bytes) -> Directory | Revision | Release:
    try:
        return manifest.parse(id, data)
    except InvalidManifest as error:
        raise Unreadable(f"{id} is held, but cannot be read: {error}; its raw bytes can be had") from error
