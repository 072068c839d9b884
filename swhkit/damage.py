"""What is known to be damaged: the objects that the last full check, or ``reindex``, could not read.

The list stands in the stage's folder. It keeps a visit from vouching for what is damaged: an origin that nobody has
seen before may share a history with others, and then nothing of it is fetched, and git sees that all of it is there.
Where a visit relies on an object of the list it is made once more, and brings all of the origin.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from swhkit.archive import Archive
from swhkit.errors import Corrupt, NotHeld, TooLarge
from swhkit.files import write_durably
from swhkit.stage import checked, read_checked
from swhkit.storage import ObjectReader
from swhkit.swhid import GIT_KINDS, ObjectId

#: So many are remembered. With more, an archive is to be mended, not loaded into.
MOST = 10_000
_NAME = "damaged.json"
_DIGEST = re.compile(r"\b[0-9a-f]{40}\b")


def named_in(text: str) -> bytes | None:
    """The digest that a finding about an object of unknown kind names."""
    found = _DIGEST.search(text)
    return bytes.fromhex(found[0]) if found else None


def remember(archive: Archive, digests: Collection[bytes]) -> None:
    """Replace the list. Does nothing for a read-only archive, or where there is no room for it."""
    if archive.stage is None or not archive.writable:
        return
    with suppress(OSError):
        _write(archive.stage / _NAME, sorted(digests)[:MOST])


def known(archive: Archive) -> set[bytes]:
    """The digests on the list that still cannot be read; those that can are taken off it."""
    if archive.stage is None:
        return set()
    path = archive.stage / _NAME
    listed = list(_listed(path))
    damaged = {digest for digest in listed if _is_damaged(archive.objects, digest)}
    if len(damaged) < len(listed):
        with suppress(OSError):
            _write(path, sorted(damaged))
    return damaged


def _listed(path: Path) -> Iterator[bytes]:
    data = read_checked(path)
    if data is not None:
        yield from msgspec.json.decode(data, type=list[bytes])


def _write(path: Path, digests: list[bytes]) -> None:
    if digests:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, checked(msgspec.json.encode(digests)))
    else:
        path.unlink(missing_ok=True)


def _is_damaged(objects: ObjectReader, digest: bytes) -> bool:
    """Whether an object is there and cannot be read; its kind may be what is damaged. (What is lost is seen to be.)"""
    try:
        any(_is_sound(objects, ObjectId(kind, digest)) for kind in GIT_KINDS)
    except Corrupt:
        return True
    return False


def _is_sound(objects: ObjectReader, id: ObjectId) -> bool:
    try:
        return id in objects.read([id])
    except TooLarge:
        with suppress(NotHeld):
            for _ in objects.stream(id):
                pass
        return True
