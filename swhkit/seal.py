"""Seal a stage: after it, the visit needs nothing from the origin and nothing from memory.

Two rules keep the promise of the archive. *Held is not closed*: only tips whose graph was checked stand in for what is
below them (``swhkit.completeness``). *Held is not catalogued*: the contents to digest are those of the stage and all
that the heads reach, minus the rows the catalog has; so bytes that a crash left without a row get one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from swhkit import digests, manifest, records
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.completeness import prove
from swhkit.hashes import Hasher, hash_chunks
from swhkit.intake import TOO_LARGE, Intake
from swhkit.model import ContentRow, LoadStatus, Pack, PersonRow, Snapshot, VisitStatus
from swhkit.stage import Sealed, Stage, file_digest
from swhkit.swhid import Kind, ObjectId

#: Told how far sealing is: phase, how many more are done.
Tell = Callable[[str, int], None]
_BATCH = 5_000
_SUBTRACT = 1_000_000
_REMEMBERED_PERSONS = 500_000
#: Blobs from this size on are stored without delta when the visit's own pack is compressed (git's notation).
_BIG_FILE = "64m"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How the visit ends if it can be sealed."""

    snapshot: Snapshot
    status: VisitStatus
    load_status: LoadStatus
    reason: str | None


def seal(
    archive: Archive,
    stage: Stage,
    intake: Intake,
    verdict: Verdict,
    *,
    known_tips: Iterable[ObjectId] = (),
    max_content_size: int | None = None,
    tell: Tell = lambda _phase, _more: None,
) -> Sealed:
    """Seal ``stage``, whose items are all in ``intake`` (finished).

    ``known_tips`` are closed tips the loader was told of: what it did not fetch lies below them. Raises
    ``Incomplete`` when the snapshot needs an object that is neither staged nor held nor excused.
    """
    stage.git()
    tell("checking", 0)
    reached = stage.folder / "reached"
    adopted = stage.packs()
    if intake.own is not None:
        _take_own(stage, intake.own)
    prove(archive, stage, verdict.snapshot, intake.gaps, known_tips, reached)
    skipped = _skip_large(stage, adopted, max_content_size)
    if not skipped:
        _compress_own(stage, {pack.path.name for pack in adopted})
    _digest(archive, stage, reached, skipped, tell)
    sealed = Sealed(
        status=verdict.status,
        load_status=verdict.load_status,
        reason=verdict.reason,
        date=datetime.datetime.now(datetime.UTC),
        snapshot=manifest.encode(verdict.snapshot),
        gaps=intake.gaps,
        closed=all(gap.digest is None for gap in intake.gaps),
        packs=[pack.path.stem for pack in stage.packs()],
        logs={log.name: file_digest(log) for log in stage.logs()},
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
        if _pack_objects(stage, [line], "--stdin-packs", "--no-reuse-delta") != own.path.stem:
            _remove(own)


def _pack_objects(stage: Stage, lines: Iterable[bytes], *options: str) -> str | None:
    """Run ``git pack-objects`` into the stage; the new pack's name (``pack-HEX``), or None when nothing was to be packed."""
    config = ("-c", f"core.bigFileThreshold={_BIG_FILE}")
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
    git = stage.git()
    large = [id.digest for id, size in git.list_objects() if id.kind is Kind.CONTENT and size >= limit]
    if not large:
        return set()
    with (stage.folder / "log-skipped").open("wb") as log:
        for id, length, chunks in git.read(large):
            hasher = Hasher(length, sha1_git=id.digest)
            for chunk in chunks:
                hasher.update(chunk)
            log.write(records.encode(ContentRow.of(hasher.finish(), "absent", TOO_LARGE)))
    skipped = set(large)
    name = _pack_objects(
        stage, (f"{id.hex}\n".encode("ascii") for id, _ in git.list_objects() if id.digest not in skipped)
    )
    for pack in stage.packs():
        if pack.path.stem != name:
            _remove(pack)
    return skipped


def _remove(pack: Pack) -> None:
    for path in (pack.idx, pack.path, pack.path.with_suffix(".rev")):
        path.unlink(missing_ok=True)


# -- digests -----------------------------------------------------------------------------------------------------


def _digest(archive: Archive, stage: Stage, reached: Path, skipped: set[bytes], tell: Tell) -> None:
    """Write a row for every content of the stage or below the heads that has none, and list the persons."""
    wanted, people = stage.folder / "wanted", stage.folder / "people"
    _list_stage(archive, stage, wanted, people)
    _list_persons(stage, people)
    _add_unstaged(archive, stage, reached, wanted, skipped)
    tell("hashing", 0)
    held = (archive.git_dir / "objects",) if archive.git_dir else ()
    digests.digest(stage.git(held), wanted, stage.folder / "log-contents", lambda more: tell("hashing", more))
    for path in (wanted, people, reached):
        path.unlink()


def _list_stage(archive: Archive, stage: Stage, wanted: Path, people: Path) -> None:
    """One pass over the stage in pack order: contents without a row ("HEX SIZE" lines), revisions and releases."""
    with wanted.open("wb") as contents, people.open("wb") as history:
        for batch in batched(stage.git().list_objects(), _BATCH):
            sizes = {id.digest: size for id, size in batch if id.kind is Kind.CONTENT}
            rowless = archive.catalog.missing_contents(sizes)
            contents.writelines(
                b"%s %d\n" % (d.hex().encode(), size) for d, size in sizes.items() if d in rowless
            )
            history.writelines(id.digest for id, _ in batch if id.kind in (Kind.REVISION, Kind.RELEASE))


def _list_persons(stage: Stage, people: Path) -> None:
    seen: set[bytes] = set()
    with people.open("rb") as ids, (stage.folder / "log-persons").open("wb") as log:
        for id, _, chunks in stage.git().read(iter(lambda: ids.read(20), b"")):
            for fullname in manifest.fullnames(id.kind, b"".join(chunks)):
                if fullname not in seen:
                    seen.add(fullname)
                    log.write(records.encode(PersonRow(fullname)))
            if len(seen) > _REMEMBERED_PERSONS:  # the catalog knows repeats; this only keeps the log short
                seen.clear()


def _add_unstaged(archive: Archive, stage: Stage, reached: Path, wanted: Path, skipped: set[bytes]) -> None:
    """Contents that are reached and held, but have no row: what a crash between bytes and rows leaves."""
    ids = (ObjectId(Kind.CONTENT, digest) for digest in _subtract(reached, wanted) if digest not in skipped)
    for batch in batched(ids, _BATCH):
        if archive.git_dir is not None:
            with wanted.open("ab") as lines:
                lines.writelines(
                    b"%s %d\n" % (id.hex.encode(), n) for id, n in archive.objects.sizes(batch).items()
                )
        else:
            with (stage.folder / "log-held").open("ab") as log:
                records.write(log, _held_rows(archive, batch))


def _held_rows(archive: Archive, batch: list[ObjectId]) -> Iterator[ContentRow]:
    for id, size in archive.objects.sizes(batch).items():
        yield ContentRow.of(hash_chunks(size, archive.objects.stream(id)))


def _subtract(reached: Path, wanted: Path) -> Iterator[bytes]:
    """Digests in ``reached`` that are not in ``wanted``; at most a million of the latter in memory at a time."""
    left = reached
    with wanted.open("rb") as lines:
        while chunk := {line[:40] for line in islice(lines, _SUBTRACT)}:
            rest = left.with_name("reached.rest")
            with left.open("rb") as source, (target := rest.with_suffix(".tmp")).open("wb") as kept:
                kept.writelines(line for line in source if line[:40] not in chunk)
            target.rename(rest)
            left = rest
    with left.open("rb") as source:
        yield from (bytes.fromhex(line[:40].decode("ascii")) for line in source)
