"""Revisions and releases: themselves, the log, a path in a revision, the people they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import NotHeld
from swhkit.model import ContentRow, Release, Revision
from swhkit.query.directories import Listed, listing, walk
from swhkit.query.objects import enriched, read, read_revisions
from swhkit.swhid import Kind, ObjectId


class InRevision(msgspec.Struct, frozen=True):
    """What a path in a revision names: a listing (``dir``), a content (``file``), or a revision (``rev``, None if
    that revision is not held)."""

    type: str
    content: list[Listed] | ContentRow | tuple[bytes, Revision] | None


def revision(archive: Archive, digest: bytes) -> Revision:
    """A revision with what the catalog adds to it. Raises ``NotHeld``, ``Unreadable``."""
    found = read_revisions(archive, (digest,)).get(digest)
    if found is None:
        raise NotHeld(f"Revision with sha1_git {digest.hex()} not found.")
    return enriched(archive, Kind.REVISION, {digest: found})[digest]


def revision_message(archive: Archive, digest: bytes) -> bytes:
    """The message of a revision. Raises ``NotHeld`` also when it is empty."""
    message = revision(archive, digest).message
    if not message:
        raise NotHeld(f"No message for revision with sha1_git {digest.hex()}.")
    return message


def log(archive: Archive, start: bytes, limit: int) -> list[tuple[bytes, Revision]]:
    """Up to ``limit`` revisions breadth-first from ``start``, each once; parents that are not held are left out.

    Raises ``NotHeld`` if ``start`` is not held.
    """
    found: dict[bytes, Revision] = {}
    level, seen = [start], {start}
    while level and len(found) < limit:
        parents: list[bytes] = []
        for batch in batched(level, limit - len(found)):
            held = read_revisions(archive, batch)
            for digest in batch:
                if digest in held and len(found) < limit:
                    found[digest] = held[digest]
                    fresh = [p for p in dict.fromkeys(held[digest].parents) if p not in seen]
                    seen.update(fresh)
                    parents.extend(fresh)
        level = parents
    if not found:
        raise NotHeld(f"Revision with sha1_git {start.hex()} not found.")
    return list(enriched(archive, Kind.REVISION, found).items())


def revisions(archive: Archive, digests: Sequence[bytes]) -> list[tuple[bytes, Revision]]:
    """Revisions in the order they are asked for. Raises ``NotHeld`` naming the first that is not held."""
    held = enriched(archive, Kind.REVISION, read_revisions(archive, digests))
    for digest in digests:
        if digest not in held:
            raise NotHeld(f"Revision with sha1_git {digest.hex()} not found.")
    return [(digest, held[digest]) for digest in digests]


def in_revision(archive: Archive, digest: bytes, path: bytes) -> InRevision:
    """What ``path`` (empty: the root) names in the directory of a revision. Raises ``NotHeld``."""
    root = revision(archive, digest).directory
    if not path.strip(b"/"):
        return _listing_in(archive, digest, b".", root)
    found = walk(archive, root, path)
    if found is None:
        raise _not_in_revision(digest, path)
    if found.entry.type == "dir":
        return _listing_in(archive, digest, path, found.entry.target)
    if found.entry.type == "file":
        if found.row is None:
            raise NotHeld(f"Content not found for revision {digest.hex()}")
        return InRevision("file", found.row)
    target = found.entry.target
    try:
        return InRevision("rev", (target, revision(archive, target)))
    except NotHeld:
        return InRevision("rev", None)


def release(archive: Archive, digest: bytes) -> Release:
    """A release with what the catalog adds to it. Raises ``NotHeld``, ``Unreadable``."""
    obj = read(archive, ObjectId(Kind.RELEASE, digest))
    if obj is None:
        raise NotHeld(f"Release with sha1_git {digest.hex()} not found.")
    assert isinstance(obj, Release)
    return enriched(archive, Kind.RELEASE, {digest: obj})[digest]


def person_numbers(archive: Archive, objects: Iterable[Revision | Release]) -> dict[bytes, int]:
    """The numbers of all persons of a page of objects, by fullname: one question to the catalog."""
    persons: set[bytes] = set()
    for obj in objects:
        people = (obj.author, obj.committer) if isinstance(obj, Revision) else (obj.author,)
        persons.update(person.fullname for person in people if person is not None)
    return archive.catalog.persons(persons) if persons else {}


def _listing_in(archive: Archive, revision: bytes, path: bytes, directory: bytes) -> InRevision:
    try:
        return InRevision("dir", listing(archive, directory))
    except NotHeld:
        raise _not_in_revision(revision, path) from None


def _not_in_revision(revision: bytes, path: bytes) -> NotHeld:
    text = path.decode(errors="backslashreplace")
    return NotHeld(f"Directory or File '{text}' pointed to by revision {revision.hex()} not found")
