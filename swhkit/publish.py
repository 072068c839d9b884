"""Publish sealed stages, and recover what dead processes left.

Publishing adopts the packs, adds the rows (each true by itself, for the bytes are held by then), and ends in one short
transaction. It may be interrupted anywhere and done again, to the same end. One publish runs at a time in an archive:
that makes the counters exact. Recovery adds; it never removes anything but unsealed stages.
"""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from swhkit import inventory, manifest, records
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import SwhkitError
from swhkit.files import locked, write_durably
from swhkit.model import Gap, Snapshot, VisitStatus
from swhkit.stage import Sealed, Stage, find_stage, take_dead
from swhkit.storage import Added, Publication, Record
from swhkit.swhid import Kind, ObjectId

_BATCH = 10_000
_PUBLISHING = "publishing"
_LOG = logging.getLogger("swhkit.publish")
#: Why a visit failed whose process died before its stage was sealed.
INTERRUPTED = "the process that made this visit ended before the visit did; nothing of it was kept"


class Recovered(msgspec.Struct, frozen=True):
    """A visit that recovery has ended: ``full`` or ``partial`` (published) or ``failed`` (dropped)."""

    url: str
    number: int
    status: VisitStatus
    reason: str | None


def publish(archive: Archive, stage: Stage, sealed: Sealed) -> dict[str, int]:
    """Publish a sealed stage and delete it. Returns what the archive lacked: kind in full words → count.

    Raises what the stores raise (``Collision``, ``OSError``); the stage then stays as it is.
    """
    _, _, root = archive.writer()
    with locked(root / "publish.lock"):
        _finish_interrupted(archive, root, stage.folder.name)
        if not stage.folder.exists():  # another process has just ended it in our stead
            stage.lock.release()
            return {}
        return _publish_alone(archive, stage, sealed, root / _PUBLISHING)


def _finish_interrupted(archive: Archive, root: Path, own: str) -> None:
    """End the stage whose publisher died in the middle before anything else is published.

    What it had counted as new stays true only as long as nobody publishes in between.
    """
    try:
        name = (root / _PUBLISHING).read_text("ascii")
    except FileNotFoundError:
        return
    stage = find_stage(root, name)
    if name == own or stage is None:
        return
    try:
        sealed = stage.read_marker()
        if sealed is not None:
            _publish_alone(archive, stage, sealed, root / _PUBLISHING)
    except SwhkitError as error:
        _LOG.warning("visit %d of %s could not be recovered: %s", stage.owner.number, stage.owner.url, error)
        (root / _PUBLISHING).unlink(missing_ok=True)


def _publish_alone(archive: Archive, stage: Stage, sealed: Sealed, marker: Path) -> dict[str, int]:
    """The steps of publishing; the caller holds the lock. ``marker`` names the stage while they last."""
    objects, catalog, _ = archive.writer()
    snapshot = manifest.parse_snapshot(sealed.snapshot)
    write_durably(marker, stage.folder.name.encode("ascii"))
    new = _count_new(archive, stage)
    fresh_snapshot = bool(catalog.missing_snapshots([manifest.object_id(snapshot).digest]))
    if packs := stage.packs():
        objects.adopt(packs)
    added = catalog.add(_logged(stage, sealed))
    catalog.publish(
        stage.owner.url,
        stage.owner.number,
        Publication(
            status=sealed.status,
            date=_now(),
            snapshot=snapshot,
            reason=sealed.reason,
            gaps=sealed.gaps,
            closed=_tips(snapshot) if sealed.closed else (),
            new={Kind(kind): count for kind, count in new.items()},
        ),
    )
    stage.trash()
    marker.unlink(missing_ok=True)
    return _report(new, added, fresh_snapshot)


def recover(archive: Archive) -> list[Recovered]:
    """End the visits of dead processes: publish sealed stages, drop the others and mark their visits ``failed``.

    Quick when there is nothing to do; called before each visit and by every program that opens an archive to write.
    A sealed stage that cannot be published now (a full disk) stays and is logged; the next recovery tries again.
    """
    _, catalog, root = archive.writer()
    orphans: list[tuple[str, int]] = []

    def find_orphans(known: set[tuple[str, int]]) -> None:
        unfinished = {(visit.origin, visit.number) for visit in catalog.unfinished_visits()}
        orphans.extend(sorted(unfinished - known))

    dead = take_dead(root, find_orphans)
    ended = [ended for stage in dead if (ended := _end(archive, stage)) is not None]
    for url, number in orphans:
        if catalog.update_visit(url, number, VisitStatus.FAILED, _now(), INTERRUPTED):
            ended.append(Recovered(url, number, VisitStatus.FAILED, INTERRUPTED))
    return ended


def drop(archive: Archive, stage: Stage, status: VisitStatus, reason: str) -> None:
    """End a visit without publishing anything: the status first, then the folder."""
    _, catalog, _ = archive.writer()
    catalog.update_visit(stage.owner.url, stage.owner.number, status, _now(), reason)
    stage.trash()


def _end(archive: Archive, stage: Stage) -> Recovered | None:
    url, number = stage.owner.url, stage.owner.number
    try:
        sealed = stage.read_marker()
        if sealed is None:
            drop(archive, stage, VisitStatus.FAILED, INTERRUPTED)
            return Recovered(url, number, VisitStatus.FAILED, INTERRUPTED)
        publish(archive, stage, sealed)
        return Recovered(url, number, sealed.status, sealed.reason)
    except SwhkitError as error:
        reason = f"the visit could not be recovered: {error}"
        drop(archive, stage, VisitStatus.FAILED, reason)
        return Recovered(url, number, VisitStatus.FAILED, reason)
    except OSError as error:
        _LOG.warning("visit %d of %s is sealed but cannot be published yet (%s)", number, url, error)
        stage.lock.release()
        return None


def _count_new(archive: Archive, stage: Stage) -> dict[str, int]:
    """Directories, revisions and releases that the archive lacks, counted once and remembered through a crash."""
    path = stage.folder / "counted"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    counts: Counter[str] = Counter()
    for batch in batched(inventory.entries(stage), _BATCH):
        counts.update(id.kind.value for id in archive.objects.missing(batch))
    write_durably(path, msgspec.json.encode(counts))
    return dict(counts)


def _logged(stage: Stage, sealed: Sealed) -> Iterator[Record]:
    for name in sealed.files:
        if name.startswith("log-"):
            yield from _facts(stage.folder / name)


def _facts(path: Path) -> Iterator[Record]:
    with path.open("rb", buffering=1 << 18) as file:
        for record in records.read(file):
            if not isinstance(record, Gap):
                yield record


def _tips(snapshot: Snapshot) -> set[ObjectId]:
    return set(manifest.edges_of_snapshot(snapshot))


def _report(new: dict[str, int], added: Added, fresh_snapshot: bool) -> dict[str, int]:
    return {
        "content": added.content,
        "skipped_content": added.skipped_content,
        "directory": new.get("dir", 0),
        "revision": new.get("rev", 0),
        "release": new.get("rel", 0),
        "snapshot": int(fresh_snapshot),
    }


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
