"""Origins and their visits; an origin is asked for by the spellings of its URL."""

from __future__ import annotations

from collections.abc import Sequence

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import Origin, Visit
from swhkit.query.ends import directory_of
from swhkit.swhid import Kind, ObjectId


def origin(archive: Archive, urls: Sequence[str]) -> Origin:
    """The first known origin among the spellings of one URL. Raises ``NotHeld`` naming the first."""
    for url in urls:
        found = archive.catalog.origin(url)
        if found is not None:
            return found
    raise NotHeld(f"Origin with url {urls[0]} not found!")


def visits(archive: Archive, urls: Sequence[str], before: int | None, limit: int) -> list[Visit]:
    """Visits of an origin, newest first, numbers below ``before``. Raises ``NotHeld`` for an unknown origin."""
    return archive.catalog.visits(origin(archive, urls).url, before, limit)


def visit(archive: Archive, urls: Sequence[str], number: int) -> Visit:
    """One visit. Raises ``NotHeld``."""
    for url in urls:
        # Numbers beyond 63 bits are no numbers of a visit, and no database takes them.
        found = archive.catalog.visit(url, number) if number < 1 << 63 else None
        if found is not None:
            return found
    raise NotHeld(f"Origin {urls[0]} or its visit with id {number} not found!")


def latest_visit(
    archive: Archive, urls: Sequence[str], visit_type: str | None = None, require_snapshot: bool = False
) -> Visit:
    """The latest visit of an origin of any status; one with a snapshot if that is required. Raises ``NotHeld``."""
    url = origin(archive, urls).url
    found = archive.catalog.latest_visit(url, visit_type=visit_type, require_snapshot=require_snapshot)
    if found is None:
        raise NotHeld(f"No visit for origin {url} found")
    return found


def origin_head(archive: Archive, urls: Sequence[str]) -> ObjectId:
    """The directory of ``HEAD`` in the latest snapshot of an origin. Raises ``NotHeld``."""
    latest = latest_visit(archive, urls, require_snapshot=True)
    assert latest.snapshot is not None
    return directory_of(archive, ObjectId(Kind.SNAPSHOT, latest.snapshot))
