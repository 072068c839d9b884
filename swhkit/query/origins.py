"""Origins and their visits; an origin is asked for by the spellings of its URL."""

from __future__ import annotations

from collections.abc import Sequence

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import Origin, Visit
from swhkit.query.ends import directory_of
from swhkit.query.snapshots import SnapshotPage, every_branch
from swhkit.search import OriginPage, OriginQuery
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
    """One visit. Raises ``NotHeld``, the same for an unknown origin and for one without such a visit."""
    for url in urls:
        # Numbers beyond 63 bits are no numbers of a visit, and no database takes them.
        found = archive.catalog.visit(url, number) if number < 1 << 63 else None
        if found is not None:
            return found
    known = next((url for url in urls if archive.catalog.origin(url) is not None), urls[0])
    raise NotHeld(f"Origin {known} or its visit with id {number} not found!")


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


def numbered_origin(archive: Archive, number: int) -> Origin:
    """The origin with a number. Raises ``NotHeld``."""
    found = archive.catalog.origin_by_id(number)
    if found is None:
        raise NotHeld(f"Origin {number} not found.")
    return found


def typed_origin(archive: Archive, visit_type: str, urls: Sequence[str]) -> Origin:
    """The first known origin among the spellings of a URL, if it has had a visit of that type. Raises ``NotHeld``."""
    for url in urls:
        found = archive.catalog.origin(url)
        if found is not None and visit_type in found.visit_types:
            return found
    raise NotHeld(f"Origin {urls[0]} not found.")


def numbered_visits(
    archive: Archive, number: int, before: int | None, limit: int
) -> tuple[Origin, list[Visit]]:
    """The origin with a number and its visits, newest first, numbers below ``before``. Raises ``NotHeld``."""
    found = numbered_origin(archive, number)
    return found, archive.catalog.visits(found.url, before, limit)


def numbered_visit(
    archive: Archive, number: int, visit_number: int
) -> tuple[Origin, Visit, SnapshotPage | None]:
    """The origin with a number, one of its visits, and all branches that this visit found. Raises ``NotHeld``."""
    known = archive.catalog.origin_by_id(number)
    found = None if known is None else archive.catalog.visit(known.url, visit_number)
    if known is None or found is None:
        raise NotHeld(f"Origin {number} or its visit with id {visit_number} not found!")
    return known, found, None if found.snapshot is None else every_branch(archive, found.snapshot)


def origins(archive: Archive, after: int, limit: int) -> tuple[list[Origin], int | None]:
    """Up to ``limit`` origins with numbers above ``after``, ascending, and the number of the one that comes next."""
    found = archive.catalog.origins(after, limit + 1)
    return found[:limit], found[limit].id if len(found) > limit else None


def search(archive: Archive, wanted: OriginQuery, after: int, offset: int, limit: int) -> OriginPage:
    """A page of the origins that fit (``CatalogReader.search_origins``). Raises ``InvalidInput``."""
    return archive.catalog.search_origins(wanted, after=after, offset=offset, limit=limit)
