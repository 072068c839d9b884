"""Contents: their rows and bytes, by any of their digests."""

from __future__ import annotations

from collections.abc import Iterable

from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import NotHeld
from swhkit.hashes import HASH_LENGTHS, HashName
from swhkit.model import ContentRow
from swhkit.query.objects import BATCH
from swhkit.query.pieces import Pieces
from swhkit.swhid import Kind, ObjectId


def content(archive: Archive, algorithm: HashName, digest: bytes) -> ContentRow:
    """The row of a content by any of its digests; a visible one first if several share it. Raises ``NotHeld``."""
    fits = len(digest) == HASH_LENGTHS[algorithm]
    rows = archive.catalog.find_contents(algorithm, (digest,)).get(digest, ()) if fits else ()
    if not rows:
        raise NotHeld(f"Content with {algorithm} checksum equals to {digest.hex()} not found!")
    return min(rows, key=lambda row: (row.status != "visible", row.sha1_git))


def content_bytes(archive: Archive, algorithm: HashName, digest: bytes) -> tuple[ContentRow, Pieces]:
    """The row of a content and its bytes in pieces (``ObjectReader.stream``). Raises ``NotHeld`` without any piece."""
    row = content(archive, algorithm, digest)
    unavailable = f"Bytes of content with {algorithm} checksum equals to {digest.hex()} are not available!"
    if row.status != "visible":
        raise NotHeld(unavailable)
    try:
        return row, Pieces(archive.stream(ObjectId(Kind.CONTENT, row.sha1_git)))
    except NotHeld:
        raise NotHeld(unavailable) from None


def held_sha1s(archive: Archive, digests: Iterable[bytes]) -> set[bytes]:
    """Those sha1s under which a visible content is held."""
    found: set[bytes] = set()
    for batch in batched(digests, BATCH):
        rows = archive.catalog.find_contents("sha1", batch)
        found.update(sha1 for sha1, same in rows.items() if any(row.status == "visible" for row in same))
    return found
