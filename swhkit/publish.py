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
from contextlib import suppress
from pathlib import Path

import msgspec

from swhkit import inventory, manifest, records
from swhkit.affected import tell_missing
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import Busy, Corrupt, SwhkitError
from swhkit.files import FileLock, locked, sweep, write_durably
from swhkit.interrupts import INTERRUPTS, let_go, uninterrupted
from swhkit.model import Gap, Snapshot, VisitStatus
from swhkit.stage import Sealed, Stage, checked, find_stage, read_checked, take_dead
from swhkit.storage import Added, Publication, Record
from swhkit.swhid import Kind, ObjectId
from swhkit.text import without_secrets

_BATCH = 10_000
_PUBLISHING = "publishing"
_COUNTED = "counted"
_LOCK = "publish.lock"
_LOG = logging.getLogger("swhkit.publish")
#: Troubles of this machine, not of the visit: what is sealed is published when they are over.
LATER = (OSError, Busy, MemoryError)
#: Why a visit failed whose process died before its stage was sealed.
INTERRUPTED = "the process that made this visit ended before the visit did; nothing of it was kept"


class Recovered(msgspec.Struct, frozen=True):
    """A visit that recovery has ended: ``full`` or ``partial`` (published) or ``failed`` (dropped)."""

    url: str
    number: int
    status: VisitStatus
    reason: str | None


def publish(
    archive: Archive,
    stage: Stage,
    sealed: Sealed,
    *,
    keep: tuple[type[BaseException], ...] = (),
    patience: float | None = None,
) -> dict[str, int]:
    """Publish a sealed stage and delete it. Returns what the archive lacked: kind in full words → count.

    Raises what the stores raise (``Collision``, ``OSError``), and what interrupts it. An error that is not among
    ``keep`` ends the visit as ``failed``; after one that is, the stage stays as it is, to be published later.
    """
    _, _, root = archive.writer()
    with locked(root / _LOCK, patience):
        _finish_interrupted(archive, root, stage.folder.name)
        if not stage.folder.exists():  # another process has just ended it in our stead
            stage.lock.release()
            return {}
        try:
            return _publish_alone(archive, stage, sealed)
        except keep:
            raise
        except BaseException as error:
            with uninterrupted():
                let_go(error)
                _break_off(archive, stage, error)
            raise


def _break_off(archive: Archive, stage: Stage, error: BaseException) -> bool:
    """End a visit whose publish has failed or was interrupted; the caller holds the lock. Whether it had not ended.

    What was adopted by then is held from now on, and is counted here: nobody else will. Where not even this can be
    written the stage stays, and recovery tries again.
    """
    _, catalog, root = archive.writer()
    if not stage.folder.exists():  # it was published: only its folder was still being deleted
        stage.trash()
        _unmark(root, stage)
        return False
    cause = f": {str(error) or type(error).__name__}" if isinstance(error, Exception) else ""
    reason = without_secrets(f"the visit broke off while it was published{cause}")
    try:
        new = _adopted(archive, stage)
        if any(new.values()):  # the next visit finds them held, and does not look at their persons again
            with suppress(Corrupt, FileNotFoundError):
                catalog.add(_facts(stage.folder / "log-persons"))
        failed = Publication(status=VisitStatus.FAILED, date=_now(), snapshot=None, reason=reason, new=new)
        was_open = catalog.publish(stage.owner.url, stage.owner.number, failed)
    except (OSError, SwhkitError) as second:
        level = logging.INFO if isinstance(error, OSError) else logging.WARNING  # the caller tells the same
        _LOG.log(level, "visit %d of %s cannot be ended yet: %s", stage.owner.number, stage.owner.url, second)
        stage.lock.release()
        return False
    stage.trash()
    _unmark(root, stage)
    return was_open


def _mark(root: Path, stage: Stage) -> None:
    """Name the stage that is being published; the caller holds the lock."""
    write_durably(root / _PUBLISHING, stage.folder.name.encode("ascii"))


def _unmark(root: Path, stage: Stage) -> None:
    with suppress(OSError, MemoryError):  # the visit has ended: a name that leads nowhere does no harm
        if (root / _PUBLISHING).read_bytes() == stage.folder.name.encode("ascii"):
            (root / _PUBLISHING).unlink()


def _forget_mark(root: Path) -> None:
    """Remove the name of a stage that is gone: its publisher died at the very end."""
    if not (root / _PUBLISHING).exists():
        return
    lock = FileLock(root / _LOCK)
    if lock.try_acquire():  # else somebody publishes, and names another
        with lock, suppress(FileNotFoundError):
            if find_stage(root, (root / _PUBLISHING).read_text("ascii")) is None:
                (root / _PUBLISHING).unlink()


def _adopted(archive: Archive, stage: Stage) -> dict[Kind, int]:
    """How much of what a publish that broke off had counted as new is in the object store now."""
    if not (stage.folder / _COUNTED).exists():
        return {}
    try:
        counts = Counter({Kind(kind): count for kind, count in _count_new(archive, stage).items()})
        for batch in batched(inventory.entries(stage), _BATCH):
            counts.subtract(id.kind for missing, _ in tell_missing(archive.objects, batch) for id in missing)
    except (KeyError, ValueError):  # the stage's files are damaged: rather a counter that says too little
        return {}
    return dict(counts)


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
            _publish_alone(archive, stage, sealed)
    except Busy:
        raise
    except SwhkitError as error:
        _LOG.warning("visit %d of %s could not be recovered: %s", stage.owner.number, stage.owner.url, error)
        _break_off(archive, stage, error)


def _publish_alone(archive: Archive, stage: Stage, sealed: Sealed) -> dict[str, int]:
    """The steps of publishing; the caller holds the lock. A file names the stage while they last."""
    objects, catalog, root = archive.writer()
    snapshot = manifest.parse_snapshot(sealed.snapshot)
    _mark(root, stage)
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
    _unmark(root, stage)
    return _report(new, added, fresh_snapshot)


def recover(archive: Archive, patience: float | None = None) -> list[Recovered]:
    """End the visits of dead processes: publish sealed stages, drop the others and mark their visits ``failed``.

    Quick when there is nothing to do; called before each visit and by every program that opens an archive to write.
    A sealed stage that cannot be published now (a full disk) stays and is logged; the next recovery tries again. It
    stays, too, when recovery is interrupted.
    Who cannot wait for others that publish gives ``patience`` in seconds. Raises ``Busy`` after it.
    """
    _, catalog, root = archive.writer()
    orphans: list[tuple[str, int]] = []

    def find_orphans(known: set[tuple[str, int]]) -> None:
        unfinished = {(visit.origin, visit.number) for visit in catalog.unfinished_visits()}
        orphans.extend(sorted(unfinished - known))

    dead = take_dead(root, find_orphans, patience)
    try:
        ended = [ended for stage in dead if (ended := _end(archive, stage, patience)) is not None]
    finally:
        for stage in dead:
            stage.lock.release()
    for url, number in orphans:
        if catalog.update_visit(url, number, VisitStatus.FAILED, _now(), INTERRUPTED):
            ended.append(Recovered(url, number, VisitStatus.FAILED, INTERRUPTED))
    _forget_mark(root)
    sweep(root)
    return ended


def drop(archive: Archive, stage: Stage, status: VisitStatus, reason: str) -> bool:
    """End a visit without publishing anything: the status first, then the folder. Whether it had not ended before.

    A stage whose publish has begun is left to recovery: part of it is held by now.
    """
    if (stage.folder / _COUNTED).exists() and (stage.folder / "sealed").exists():
        stage.lock.release()
        return False
    _, catalog, _ = archive.writer()
    try:
        was_open = catalog.update_visit(stage.owner.url, stage.owner.number, status, _now(), reason)
    except (
        OSError
    ):  # a full disk: what the stage takes up may be just what is lacking; a visit without one is dead
        stage.trash()
        return catalog.update_visit(stage.owner.url, stage.owner.number, status, _now(), reason)
    stage.trash()
    return was_open


def _end(archive: Archive, stage: Stage, patience: float | None) -> Recovered | None:
    """What recovery does with one stage; None if its visit had ended already, or cannot be ended now."""
    url, number = stage.owner.url, stage.owner.number
    try:
        sealed = stage.read_marker()
        if sealed is None:
            was_open = drop(archive, stage, VisitStatus.FAILED, INTERRUPTED)
            return Recovered(url, number, VisitStatus.FAILED, INTERRUPTED) if was_open else None
        publish(archive, stage, sealed, keep=(*LATER, *INTERRUPTS), patience=patience)
        return Recovered(url, number, sealed.status, sealed.reason)
    except LATER as error:
        told = str(error) or type(error).__name__
        _LOG.warning("visit %d of %s is sealed but cannot be published yet (%s)", number, url, told)
        return None
    except SwhkitError as error:
        with locked(archive.writer()[2] / _LOCK):
            _break_off(archive, stage, error)
        ended = archive.catalog.visit(url, number)
        return None if ended is None else Recovered(url, number, ended.status, ended.reason)


def _count_new(archive: Archive, stage: Stage) -> dict[str, int]:
    """Directories, revisions and releases that the archive lacks, counted once and remembered through a crash."""
    path = stage.folder / _COUNTED
    if (known := read_checked(path)) is not None:
        return msgspec.json.decode(known, type=dict[str, int])
    counts: Counter[str] = Counter()
    if _is_empty(archive):  # it lacks everything: nothing has to be looked up
        counts.update({kind.value: count for kind, count in inventory.counts(stage).items()})
    else:
        for batch in batched(inventory.entries(stage), _BATCH):
            for missing, _ in tell_missing(
                archive.objects, batch
            ):  # the held damaged were counted when they came
                counts.update(id.kind.value for id in missing)
    write_durably(path, checked(msgspec.json.encode(counts)))
    return dict(counts)


def _is_empty(archive: Archive) -> bool:
    """Whether the object store has nothing at all; a damaged one has something."""
    try:
        return not archive.objects.scan(limit=1)
    except Corrupt:
        return False


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
