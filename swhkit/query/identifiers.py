"""Identifiers: which are held, whether a qualified one resolves, and the bytes that hash to one."""

from __future__ import annotations

from collections.abc import Iterable

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import Corrupt, NotHeld
from swhkit.hashes import git_digest, git_header
from swhkit.query.objects import BATCH, EMPTY
from swhkit.query.origins import origin
from swhkit.query.pieces import Pieces
from swhkit.query.snapshots import snapshot
from swhkit.swhid import Kind, ObjectId, QualifiedSwhid


def known(archive: Archive, ids: Iterable[ObjectId]) -> set[ObjectId]:
    """Those that are held; asked in batches. The empty directory always is."""
    held: set[ObjectId] = set()
    for batch in batched(ids, BATCH):
        missing = archive.missing(batch)
        held.update(id for id in batch if id not in missing or id == EMPTY)
    return held


def resolve(archive: Archive, swhid: QualifiedSwhid) -> None:
    """Check that the object, and what its qualifiers ``origin``, ``visit`` and ``anchor`` name, are held.

    Raises ``NotHeld`` in the words of the first that is not.
    """
    wanted = [id for id in (swhid.core, swhid.anchor, swhid.visit) if id is not None]
    held = known(archive, wanted)
    for id in wanted:
        if id not in held:
            raise not_held(id)
    if swhid.origin is not None:
        origin(archive, (swhid.origin,))


def body(archive: Archive, id: ObjectId, header: bool = False) -> tuple[int, Pieces]:
    """Length and bytes of an object's manifest body (of a content: its bytes). Raises ``NotHeld``.

    With ``header`` git's header comes first and counts: the SHA-1 of the whole is the id.
    """
    if id.kind is Kind.SNAPSHOT:
        data = manifest.encode_snapshot(snapshot(archive, id.digest))
        if git_digest("snapshot", data) != id.digest:
            raise Corrupt(f"{id} does not hash to its id; run `swhkit check`")
        length, pieces = len(data), iter((data,))
    elif id == EMPTY:
        length, pieces = 0, iter(())
    else:
        length, pieces = _held_length(archive, id), archive.stream(id)
    start = git_header(id.kind.git, length) if header else b""
    return len(start) + length, Pieces(pieces, start)


def raw_manifest(archive: Archive, id: ObjectId) -> tuple[int, Pieces]:
    """``body`` with git's header, under the name and the errors that the web API has for it."""
    try:
        return body(archive, id, header=True)
    except NotHeld:
        raise NotHeld(f"Object with id {id} not found.") from None


def not_held(id: ObjectId) -> NotHeld:
    """The error that says in the web API's words that ``id`` is not held."""
    texts = {
        Kind.CONTENT: f"Content with sha1_git checksum equals to {id.hex} not found!",
        Kind.DIRECTORY: f"Directory with sha1_git {id.hex} not found",
        Kind.REVISION: f"Revision with sha1_git {id.hex} not found.",
        Kind.RELEASE: f"Release with sha1_git {id.hex} not found.",
        Kind.SNAPSHOT: f"Snapshot with id {id.hex} not found!",
    }
    return NotHeld(texts.get(id.kind, f"Object with id {id} not found."))


def _held_length(archive: Archive, id: ObjectId) -> int:
    length = None if archive.missing((id,)) else archive.objects.sizes((id,)).get(id)
    if length is None:
        raise not_held(id)
    return length
