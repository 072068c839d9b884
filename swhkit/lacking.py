"""What a visit has to bring: which objects a loader may leave out because the archive holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from swhkit import manifest
from swhkit.affected import tell_missing
from swhkit.archive import Archive
from swhkit.errors import Corrupt, NotHeld
from swhkit.model import Snapshot, Visit, VisitStatus
from swhkit.swhid import GIT_KINDS, ObjectId


def to_bring(
    archive: Archive, before: Snapshot | None, previous: Visit | None
) -> Callable[[Iterable[ObjectId]], set[ObjectId]]:
    """What tells the objects that a visit has to bring, after ``previous`` with the snapshot ``before``.

    Where something below the last complete snapshot turned out to be lost or damaged, nothing counts as held: a good
    copy of each object comes. Incomplete snapshots cannot turn out so: what they have is read.
    """
    if before is None or previous is None:
        return partial(_lacking, archive)
    if previous.status is not VisitStatus.FULL:
        return partial(_unreadable, archive)
    tips = set(manifest.edges_of_snapshot(before))
    return partial(_lacking, archive) if archive.catalog.closed(tips) == tips else set


def _lacking(archive: Archive, ids: Iterable[ObjectId]) -> set[ObjectId]:
    """Those not held, and those of which it cannot be told."""
    parts = tell_missing(archive, list(ids))
    return {id for missing, unclear in parts for id in missing | unclear}


def _unreadable(archive: Archive, ids: Iterable[ObjectId]) -> set[ObjectId]:
    """Those not held, and those held damaged."""
    wanted = set(ids)
    lacking = _lacking(archive, wanted)
    for id in wanted - lacking:
        try:
            for _ in archive.stream(id) if id.kind in GIT_KINDS else ():
                pass
        except (Corrupt, NotHeld):
            lacking.add(id)
    return lacking
