"""Maintenance: few packs, a multi-pack-index, no object dropped.

Packs are kept in a geometric progression (each has at least twice the objects of all smaller ones together, as ``git
repack --geometric=2``), so each object is rewritten a logarithmic number of times. git's own command deletes what it
rolled up on trust in copies it has not looked at; here the checksums of all packs are verified first, and packs go
only when every id of theirs was found in what stays (``rewriting``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from swhkit.errors import Corrupt, SwhkitError
from swhkit.files import sync_file, sync_folder
from swhkit.git import Git
from swhkit.process import Runner
from swhkit.storage import MaintainReport
from swhkit.swhid import GIT_KINDS, ObjectId
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.gate import Gate
from swhkit_filesystem.reading import Reader
from swhkit_filesystem.rewriting import (
    drop_objects,
    merge_packs,
    require_sound,
    retire,
    unsound,
    write_midx,
)
from swhkit_filesystem.tables import Table, all_digests

#: More small packs than this are made one at the next write.
MANY_SMALL = 32
#: More packs than this are brought into progression at the next write: each costs descriptors and time.
MANY = 200
#: A pack up to this size (bytes) is small.
SMALL = 4 << 20
#: When more than this share of all objects is held twice, everything is rewritten.
_DUPLICATES = 0.1
#: Temporary files of a git that somebody ran by hand are removed after an hour (seconds).
STALE = 3_600

log = logging.getLogger("swhkit.objects")


def maintain(folder: Folder, gate: Gate, reader: Reader, runner: Runner) -> MaintainReport:
    """As ``ObjectStore.maintain``. A damaged pack goes when all that it has is held elsewhere or can still be read.

    Raises ``Corrupt``, and changes nothing, when something would be lost by that.
    """
    with folder.rewriting():
        before = _size(folder)
        _sweep(folder)
        healed = _heal(folder, runner)
        shelf = gate.look()
        shelf.require_whole("everything")
        if bad := unsound(shelf.tables):
            retire(folder, reader, shelf, bad)
            healed += [f"the damaged {table.name}" for table in bad]
            shelf = gate.look()
        tables = shelf.tables
        count = sum(1 for _ in all_digests(tables))
        rolled = rolled_up(tables, count)
        if rolled:
            names = {table.name for table in rolled}
            merge_packs(folder, reader, shelf, rolled, [table for table in tables if table.name not in names])
        now = gate.look()
        if len(now.tables) > 1 or folder.midx.exists():
            write_midx(folder, reader, now)
        packs = f"{len(tables)} packs became {len(now.tables)}" if rolled else f"{len(tables)} packs stay"
        summary = "; ".join([packs, *(f"{name} was made anew" for name in healed)])
        return MaintainReport(objects=count, bytes_before=before, bytes_after=_size(folder), summary=summary)


def rolled_up(tables: Sequence[Table], distinct: int) -> list[Table]:
    """The packs that one pack shall replace: none, or at least two (git's ``split_pack_geometry``)."""
    ordered = sorted(tables, key=len)
    counts = [len(table) for table in ordered]
    if sum(counts) > distinct * (1 + _DUPLICATES):
        return ordered
    split = len(counts) - 1
    while split > 0 and counts[split] >= 2 * counts[split - 1]:
        split -= 1
    split = split + 1 if split > 0 else 0
    total = sum(counts[:split])
    while 0 < split < len(counts) and counts[split] < 2 * total:
        total += counts[split]
        split += 1
    return ordered[:split]


def consolidate(folder: Folder, gate: Gate, reader: Reader) -> None:
    """Make one pack of many. Called after writes; does nothing while somebody else rewrites packs.

    What was written is durable already, so a failure here is a line in the log.
    """
    if not _too_many(gate.shelf().tables):
        return
    with folder.rewriting(wait=False) as ours:
        if not ours:
            return
        try:
            shelf = gate.look()
            if shelf.objects == folder.objects and (old := _too_many(shelf.tables)):
                require_sound(old)
                merge_packs(folder, reader, shelf, old, ())
        except SwhkitError as error:
            log.warning("small packs could not be made one: %s", error)


def remove(folder: Folder, gate: Gate, reader: Reader, ids: Iterable[ObjectId]) -> None:
    """As ``ObjectStore.remove``. An object that is damaged is removed whatever kind the id says it has."""
    wanted = {id for id in ids if id.kind in GIT_KINDS}
    if not wanted:
        return
    with folder.rewriting():
        shelf = gate.look()
        if shelf.objects != folder.objects:
            raise Corrupt(
                "an index in the object store is damaged: run `swhkit maintain` before anything is removed"
            )
        held = shelf.held({id.digest for id in wanted})
        headers = reader.readable_headers(shelf, held)
        drop = {id.digest for id in wanted if id.digest in held and headers.get(id.digest, id)[0] is id.kind}
        old = [table for table in shelf.tables if table.held(drop)]
        if old:
            drop_objects(folder, reader, shelf, old, drop)


def _too_many(tables: Sequence[Table]) -> list[Table]:
    """The packs that one shall replace, if there are too many."""
    small = [table for table in tables if table.pack.exists() and table.pack.stat().st_size <= SMALL]
    if len(small) > MANY_SMALL:
        return small
    return rolled_up(tables, sum(map(len, tables))) if len(tables) > MANY else []


def _heal(folder: Folder, runner: Runner) -> list[str]:
    """Make damaged or lost indexes anew from their packs; names those that were. Raises ``Corrupt`` if a pack is bad."""
    healed = []
    gate = Gate(folder, runner)
    for path in gate.unsound():
        if path.suffix == ".idx":
            _index_anew(folder, runner, path.with_suffix(".pack").name)
        else:  # derived from the others: git does without, and maintain writes it again
            path.unlink(missing_ok=True)
        healed.append(path.name)
    sync_folder(folder.packs)
    return healed


def _index_anew(folder: Folder, runner: Runner, name: str) -> None:
    pack = folder.packs / name
    if not pack.exists():
        raise Corrupt(f"{pack} is lost and its idx is damaged: restore both from a copy; nothing was changed")
    with folder.temporary("index") as scratch:
        (scratch / name).symlink_to(pack)
        try:
            made = Git(runner).index_pack(scratch / name)
        except Corrupt as error:
            step = "restore it from a copy; nothing was changed"
            raise Corrupt(f"{pack} is damaged and so is its idx: {step} ({error})") from error
        sync_file(made.idx)
        made.idx.replace(pack.with_suffix(".idx"))


def _sweep(folder: Folder) -> None:
    """Remove what a killed git has left among the packs."""
    folder.midx.with_name("multi-pack-index.lock").unlink(
        missing_ok=True
    )  # only taken under the lock we hold
    for path in strays(folder):
        if time.time() - path.stat().st_mtime > STALE:
            path.unlink(missing_ok=True)


def strays(folder: Folder) -> list[Path]:
    """Temporary files among the packs."""
    return sorted(path for path in folder.packs.iterdir() if path.name.startswith(("tmp_", ".tmp-")))


def _size(folder: Folder) -> int:
    return sum(path.stat().st_size for path in folder.packs.iterdir() if path.exists())
