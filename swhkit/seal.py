"""Seal a stage: after it, the visit needs nothing from the origin and nothing from memory.

Two rules keep the promise of the archive. *Held is not closed*: only tips whose graph was checked stand in for what is
below them (``swhkit.completeness``). *Held is not catalogued*: the contents to digest are those of the stage and all
that the heads reach, minus the rows the catalog has; so bytes that a crash left without a row get one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from swhkit import digests, inventory, manifest, records
from swhkit.archive import Archive
from swhkit.completeness import prove
from swhkit.hashes import Hasher
from swhkit.intake import TOO_LARGE, Intake
from swhkit.model import ContentRow, Pack
from swhkit.stage import Sealed, Stage, file_digest
from swhkit.swhid import ObjectId
from swhkit.verdict import Verdict

#: Told how far sealing is: phase, how many more are done.
Tell = Callable[[str, int], None]
#: Blobs from this size on are stored without delta when the visit's own pack is compressed (git's notation).
_BIG_FILE = "64m"


def seal(
    archive: Archive,
    stage: Stage,
    intake: Intake,
    verdict: Verdict,
    *,
    known_tips: Iterable[ObjectId] = (),
    damaged: Collection[bytes] = (),
    max_content_size: int | None = None,
    tell: Tell = lambda _phase, _more: None,
) -> Sealed:
    """Seal ``stage``, whose items are all in ``intake`` (finished).

    ``known_tips`` are closed tips the loader was told of: what it did not fetch lies below them. ``damaged`` objects
    are held and cannot be read. Raises ``Incomplete`` when the snapshot needs an object that is neither staged nor held
    nor excused, ``HeldDamaged`` when it needs a damaged one that was not staged.
    """
    stage.git()
    tell("checking", 0)
    adopted = stage.packs()
    if intake.own is not None:
        _take_own(stage, intake.own)
    over = Event()
    with ThreadPoolExecutor(1, "inventory") as pool:  # git lists what there is while git walks what is needed
        listing = pool.submit(inventory.take, archive, stage, over)
        try:
            prove(archive, stage, verdict.snapshot, intake.gaps, known_tips, damaged)
            listing.result()
        finally:  # an interrupted visit does not wait for the rest of ten million objects
            over.set()
    skipped = _skip_large(stage, adopted, max_content_size)
    if not skipped:
        _compress_own(stage, {pack.path.name for pack in adopted})
    inventory.add_unstaged(archive, stage, skipped)
    _digest(archive, stage, tell)
    sealed = Sealed(
        owner=stage.owner,
        status=verdict.status,
        reason=verdict.reason,
        date=datetime.datetime.now(datetime.UTC),
        snapshot=manifest.encode(verdict.snapshot),
        gaps=intake.gaps,
        closed=all(gap.digest is None for gap in intake.gaps),
        packs=[pack.path.stem for pack in stage.packs()],
        files={path.name: file_digest(path) for path in (*stage.logs(), stage.inventory)},
    )
    stage.write_marker(sealed)
    return sealed


# -- packs -------------------------------------------------------------------------------------------------------


def _take_own(stage: Stage, own: Pack) -> None:
    """Move the visit's own pack among the adopted ones, under the name git would give it."""
    with own.path.open("rb") as file:
        file.seek(-20, 2)
        named = own.path.with_name(f"pack-{file.read(20).hex()}.pack")
    own.path.rename(named)
    own.idx.rename(named.with_suffix(".idx"))
    stage.take_pack(Pack(named, named.with_suffix(".idx")))


def _compress_own(stage: Stage, adopted: set[str]) -> None:
    """Delta-compress what is not adopted, once: nobody does it later. Adopted packs keep their deltas."""
    for own in [pack for pack in stage.packs() if pack.path.name not in adopted]:
        line = f"{own.path.name}\n".encode("ascii")
        if _pack_objects(stage, [line], "--stdin-packs", "--no-reuse-object") != own.path.stem:
            _remove(own)


def _pack_objects(stage: Stage, lines: Iterable[bytes], *options: str) -> str | None:
    """Run ``git pack-objects`` into the stage; the new pack's name (``pack-HEX``), or None when nothing was to be packed."""
    # What is not a delta is compressed anew: the pack of single objects is hardly compressed at all.
    config = ("-c", f"core.bigFileThreshold={_BIG_FILE}", "-c", "pack.compression=1")
    prefix = stage.scratch / "pack"
    done = stage.git().run(
        *config, "pack-objects", "-q", "--delta-base-offset", *options, prefix, input=lines
    )
    name = f"pack-{done.stdout.decode('ascii').strip()}"
    made = stage.scratch / f"{name}.pack"
    if not made.exists():
        return None
    stage.take_pack(Pack(made, made.with_suffix(".idx")))
    return name


def _skip_large(stage: Stage, adopted: list[Pack], limit: int | None) -> set[bytes]:
    """Record adopted contents of ``limit`` bytes and more as skipped and rewrite the packs without them.

    Single contents are skipped above the limit, adopted ones at it: so does the public archive.
    """
    if limit is None or not adopted:
        return set()
    large = _take_from_wanted(stage, limit)
    if not large:
        return set()
    git = stage.git()
    with (stage.folder / "log-skipped").open("wb") as log:
        for id, length, chunks in git.read(large):
            hasher = Hasher(length, sha1_git=id.digest)
            for chunk in chunks:
                hasher.update(chunk)
            log.write(records.encode(ContentRow.of(hasher.finish(), "absent", TOO_LARGE)))
    kept = (f"{id.hex}\n".encode("ascii") for id, _ in git.list_objects() if id.digest not in large)
    name = _pack_objects(stage, kept)
    for pack in stage.packs():
        if pack.path.stem != name:
            _remove(pack)
    return large


def _take_from_wanted(stage: Stage, limit: int) -> set[bytes]:
    """Take the contents of ``limit`` bytes and more out of the list of those that get a row and stay."""
    large: set[bytes] = set()
    rest = stage.wanted.with_suffix(".rest")
    with stage.wanted.open("rb") as lines, rest.open("wb") as kept:
        for line in lines:
            if int(line[41:]) >= limit:
                large.add(bytes.fromhex(line[:40].decode("ascii")))
            else:
                kept.write(line)
    rest.rename(stage.wanted)
    return large


def _remove(pack: Pack) -> None:
    for path in (pack.idx, pack.path, pack.path.with_suffix(".rev")):
        path.unlink(missing_ok=True)


# -- digests -----------------------------------------------------------------------------------------------------


def _digest(archive: Archive, stage: Stage, tell: Tell) -> None:
    """Write a row for everything in ``wanted``."""
    tell("hashing", 0)
    held = (archive.git_dir / "objects",) if archive.git_dir else ()
    output = stage.folder / "log-contents"
    digests.digest(stage.git(held), stage.wanted, output, lambda more: tell("hashing", more))
    for path in (stage.wanted, *stage.folder.glob("reached*")):
        path.unlink()
