"""What an origin looked like at some moment: the visit that counts, and the revision of one of its branches."""

from __future__ import annotations

import datetime

from swhkit.archive import Archive
from swhkit.errors import InvalidInput, NotHeld
from swhkit.model import GOOD, Visit
from swhkit.query.ends import revision_of
from swhkit.query.history import revision
from swhkit.query.snapshots import branch
from swhkit.swhid import ObjectId

_BATCH = 1_000


def visit_at(archive: Archive, url: str, moment: datetime.datetime | None) -> Visit | None:
    """The full or partial visit with a snapshot that began closest to ``moment``; of two equally close ones that with
    the higher number. Without a moment the one with the highest number. None if there is no such visit."""
    catalog = archive.catalog
    if moment is None:
        return catalog.latest_visit(url, require_snapshot=True, statuses=GOOD)
    closest: Visit | None = None
    before: int | None = None
    while found := catalog.visits(url, before, _BATCH):
        for visit in found:
            if visit.snapshot is None or visit.status not in GOOD:
                continue
            if closest is None or abs(visit.date - moment) < abs(closest.date - moment):
                closest = visit
        before = found[-1].number
    return closest


def revision_at(archive: Archive, number: int, name: bytes, moment: datetime.datetime | None) -> bytes:
    """The revision that a branch of the origin with a number led to, at the visit that ``visit_at`` finds.

    Aliases and releases are followed. Raises ``NotHeld`` where origin, visit, branch or revision is missing.
    """
    known = archive.catalog.origin_by_id(number)
    visit = None if known is None else visit_at(archive, known.url, moment)
    found = None if visit is None or visit.snapshot is None else branch(archive, visit.snapshot, name)
    kind = None if found is None else found.type.kind
    if found is None or kind is None:
        raise NotHeld(f"The origin {number} has no such branch at that time.")
    try:
        digest = revision_of(archive, ObjectId(kind, found.target)).digest
    except InvalidInput:
        raise NotHeld(f"The branch leads to a {kind.word} that has no revision.") from None
    revision(archive, digest)
    return digest
