"""Prove that the graph below a visit's heads is complete, and list the contents in it that have no row yet.

Where the object store is a git directory, ``git rev-list`` walks (0.9 s for 277,000 objects). Elsewhere, and where git
finds a hole, ``swhkit.closure`` does: it names what is missing, and excuses what is recorded, gaps of the origin and
contents that are skipped on purpose. (``--missing=print`` would be quicker then, but together with ``--filter`` git
2.39 passes over missing trees in silence.) Both stop at closed tips.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import BinaryIO

from swhkit import manifest, records
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.closure import Walk, edges_in, held_bodies
from swhkit.errors import ChildFailed, ChildTimeout, Corrupt, HeldDamaged, Incomplete
from swhkit.git import Git
from swhkit.model import ContentRow, Gap, Snapshot
from swhkit.stage import Stage
from swhkit.swhid import Kind, ObjectId

_BATCH = 5_000
_CONTENTS = ("--filter=object:type=blob", "--filter-provided-objects")


def prove(
    archive: Archive,
    stage: Stage,
    snapshot: Snapshot,
    gaps: list[Gap],
    known_tips: Iterable[ObjectId],
    damaged: Collection[bytes] = (),
) -> None:
    """Write the sha1_git of every content below ``snapshot`` that has no visible row to ``stage.reached``.

    ``known_tips`` are closed tips the loader was told of, ``damaged`` objects that are held and cannot be read. Raises
    ``Incomplete`` naming the first object that is neither staged nor held nor excused, ``HeldDamaged`` naming one that
    is held damaged and not staged.
    """
    heads = _heads(archive, snapshot)
    closed = archive.catalog.closed(heads)
    open_heads = [head for head in heads if head not in closed]
    relied = {digest for digest, kind, _ in stage.git().check(damaged) if kind is None} if damaged else set()
    with stage.reached.open("wb") as output:
        if not open_heads:
            return
        if archive.git_dir is not None:
            _graft(stage, gaps)
            tips = closed | set(known_tips)
            if _with_git(archive, stage, open_heads, tips, output):
                if relied:
                    _refuse(relied.intersection(_list_all(archive, stage, open_heads, tips)))
                return
            output.seek(0)
            output.truncate()
        _check_kinds(stage, open_heads)
        try:
            absent = _by_walking(archive, stage, open_heads, output, relied)
        except Corrupt as error:
            raise HeldDamaged(f"the snapshot needs what is held damaged: {error}") from error
    _excuse(archive, stage, absent, gaps)


def _refuse(damaged: Collection[bytes]) -> None:
    if damaged:
        raise HeldDamaged(
            f"the snapshot needs object {min(damaged).hex()}, which is held damaged and was not sent"
        )


def _heads(archive: Archive, snapshot: Snapshot) -> list[ObjectId]:
    heads = list(dict.fromkeys(manifest.edges_of_snapshot(snapshot)))
    if absent := archive.missing(head for head in heads if head.kind is Kind.SNAPSHOT):
        raise Incomplete(f"the snapshot names {min(absent)}, which the archive does not hold")
    return [head for head in heads if head.kind is not Kind.SNAPSHOT]


def _with_git(
    archive: Archive, stage: Stage, heads: list[ObjectId], closed: set[ObjectId], reached: BinaryIO
) -> bool:
    """Whether git reaches everything below ``heads``; what it lists is then complete."""
    assert archive.git_dir is not None
    git = _all_objects(archive, stage)
    if any(
        kind is not head.kind
        for head, (_, kind, _) in zip(heads, git.check(h.digest for h in heads), strict=True)
    ):
        return False
    try:
        _write_rowless(archive, _rev_list(git, _CONTENTS, heads, closed), reached)
    except ChildTimeout:
        raise
    except ChildFailed:
        return False
    return True


def _list_all(
    archive: Archive, stage: Stage, heads: list[ObjectId], closed: set[ObjectId]
) -> Iterator[bytes]:
    """Everything below ``heads`` and not below a closed tip."""
    return _rev_list(_all_objects(archive, stage), (), heads, closed)


def _all_objects(archive: Archive, stage: Stage) -> Git:
    """git on stage and archive."""
    assert archive.git_dir is not None
    return stage.git((archive.git_dir / "objects",))


def _rev_list(
    git: Git, filters: Sequence[str], heads: list[ObjectId], closed: set[ObjectId]
) -> Iterator[bytes]:
    """The digests that git lists. Raises ``ChildFailed`` where it finds a hole."""
    tips = sorted(tip.hex for tip in closed if tip.kind in (Kind.REVISION, Kind.RELEASE))
    lines = [*(head.hex for head in heads), *(f"^{hex}" for hex in tips)]
    with git.start("rev-list", "--objects", "--no-object-names", *filters, "--stdin") as child:
        child.stdin.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        child.stdin.close()
        yield from (bytes.fromhex(line[:40].decode("ascii")) for line in child.stdout)
        child.wait()


def _check_kinds(stage: Stage, heads: list[ObjectId]) -> None:
    """Raise ``Incomplete`` for a branch that names an object of another kind."""
    for head, (_, kind, _) in zip(heads, stage.git().check(head.digest for head in heads), strict=True):
        if kind is not None and kind is not head.kind:
            raise Incomplete(f"a branch names {head}, but that object is a {kind.word}")


def _graft(stage: Stage, gaps: list[Gap]) -> None:
    """Tell git where history is cut: commits whose parents upstream does not have."""
    cut = {gap.referrer.hex() for gap in gaps if gap.kind is Kind.REVISION and gap.referrer is not None}
    if cut:
        (stage.git_dir / "shallow").write_text("".join(f"{hex}\n" for hex in sorted(cut)), "ascii")


def _write_rowless(archive: Archive, contents: Iterable[bytes], reached: BinaryIO) -> None:
    for batch in batched(contents, _BATCH):
        rowless = archive.catalog.missing_contents(batch)
        reached.writelines(b"%s\n" % digest.hex().encode() for digest in batch if digest in rowless)


def _by_walking(
    archive: Archive, stage: Stage, heads: list[ObjectId], reached: BinaryIO, relied: set[bytes]
) -> set[bytes]:
    git = stage.git()

    def read(ids: Sequence[ObjectId]) -> Iterator[tuple[ObjectId, bytes]]:
        rest = dict.fromkeys(ids)
        for id, _, pieces in ask([id.digest for id in ids]):
            if id in rest:
                del rest[id]
                yield id, edges_in(id.kind, pieces)
        yield from held_bodies(archive.objects, list(rest))

    with git.asking() as ask, Walk(stage.scratch, read, archive.catalog.closed) as walk:
        walk.run(heads)
        if relied:
            _refuse(relied.intersection(id.digest for id in walk.reached()))
        absent = {id.digest for id, _ in walk.absent()}
        for batch in batched(walk.contents(), _BATCH):
            rowless = archive.catalog.missing_contents(batch)
            staged = {digest for digest, kind, _ in git.check(rowless) if kind is Kind.CONTENT}
            unheld = archive.objects.missing(ObjectId(Kind.CONTENT, digest) for digest in rowless - staged)
            nowhere = {id.digest for id in unheld}
            absent |= nowhere
            present = [digest for digest in batch if digest in rowless and digest not in nowhere]
            reached.writelines(b"%s\n" % digest.hex().encode() for digest in present)
    return absent


def _excuse(archive: Archive, stage: Stage, absent: set[bytes], gaps: list[Gap]) -> None:
    """Raise unless every absent object is a recorded gap or a content that is skipped on purpose."""
    unexplained = absent - {gap.digest for gap in gaps}
    unexplained -= {d for d, row in archive.catalog.contents(unexplained).items() if row.status == "absent"}
    if unexplained:
        unexplained -= set(_skipped_by_loader(stage))
    if unexplained:
        one = min(unexplained).hex()
        raise Incomplete(
            f"the snapshot needs object {one}, which the origin did not send and the archive lacks"
        )


def _skipped_by_loader(stage: Stage) -> Iterator[bytes]:
    for log in stage.logs():
        with log.open("rb") as file:
            for record in records.read(file):
                if isinstance(record, ContentRow) and record.status == "absent":
                    yield record.sha1_git
