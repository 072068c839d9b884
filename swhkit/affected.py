"""What damage means: which objects snapshots lack, and which origins an object belongs to.

Everything here goes on over damaged objects: what cannot be read is told apart from what is not held, and neither ends
the search for more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.closure import Read, Walk, held_bodies
from swhkit.errors import ChildFailed, Corrupt, NotHeld
from swhkit.git import Git
from swhkit.model import ContentRow, Gap, Snapshot, Visit, VisitStatus
from swhkit.process import Runner
from swhkit.storage import ObjectReader
from swhkit.swhid import Kind, ObjectId

#: As many visits of one snapshot are looked at.
MANY_VISITS = 100_000
_BATCH = 1_000
_REV_LIST = ("--objects", "--no-object-names", "--filter=object:type=blob", "--filter-provided-objects")


def heads_of(snapshot: Snapshot | None) -> set[ObjectId]:
    """What the branches of a snapshot name, other snapshots aside (they are looked at by themselves)."""
    edges = manifest.edges_of_snapshot(snapshot) if snapshot is not None else ()
    return {id for id in edges if id.kind is not Kind.SNAPSHOT}


def tell_missing(
    objects: ObjectReader | Archive, ids: Sequence[ObjectId]
) -> Iterator[tuple[set[ObjectId], set[ObjectId]]]:
    """Of each part of ``ids``: those that are not held, and those of which it cannot be told (they are damaged)."""
    try:
        yield objects.missing(ids), set()
    except Corrupt:
        if len(ids) == 1:
            yield set(), set(ids)
            return
        middle = len(ids) // 2
        yield from tell_missing(objects, ids[:middle])
        yield from tell_missing(objects, ids[middle:])


def tell_rows(archive: Archive, digests: Sequence[bytes]) -> tuple[dict[bytes, ContentRow], set[bytes]]:
    """The rows of those contents that have one, and the digests of those whose row is damaged."""
    try:
        return archive.catalog.contents(digests), set()
    except Corrupt:
        if len(digests) == 1:
            return {}, set(digests)
        middle = len(digests) // 2
        (left, bad), (right, worse) = (
            tell_rows(archive, part) for part in (digests[:middle], digests[middle:])
        )
        return left | right, bad | worse


def tolerant_read(archive: Archive) -> Read:
    """A reader for walks that gives nothing, instead of raising, for damaged objects."""

    def read(ids: Sequence[ObjectId]) -> Iterator[tuple[ObjectId, bytes]]:
        rest = dict.fromkeys(ids)
        try:
            for id, body in held_bodies(archive.objects, ids):
                del rest[id]
                yield id, body
        except Corrupt:
            for id in rest:
                with suppress(Corrupt, NotHeld):
                    yield from held_bodies(archive.objects, [id])

    return read


def lost_below(
    archive: Archive, snapshots: Sequence[bytes], scratch: Path, gaps: Sequence[Gap] = ()
) -> Iterator[ObjectId]:
    """What these (readable) snapshots need and the archive does not hold, or holds damaged.

    ``gaps`` are what upstream itself lacks. Contents that are skipped on purpose count as held. Several snapshots at
    once cost little more than one where they share their graph: git looks first, the walk only names what is wrong.
    """
    heads = set().union(*(heads_of(archive.catalog.snapshot(id)) for id in snapshots))
    if not heads or _git_finds_all(archive, heads, scratch, gaps):
        return
    excused = {gap.digest for gap in gaps}
    with Walk(scratch, tolerant_read(archive)) as walk:
        walk.run(sorted(heads))
        yield from (id for id, _ in walk.absent(limit=-1) if id.digest not in excused)
        for batch in batched(walk.contents(), _BATCH):
            rows, _ = tell_rows(archive, batch)
            yield from (ObjectId(Kind.CONTENT, d) for d in batch if d not in rows and d not in excused)


def gaps_below(archive: Archive, snapshot: bytes) -> list[Gap] | None:
    """The gaps that all visits of a snapshot had; None if no visit claims to have loaded it.

    A full visit had none; of partial ones, what one of them found held has to be held.
    """
    gaps: list[Gap] | None = None
    for visit in visits_of(archive, snapshot):
        if visit.status is VisitStatus.FULL:
            return []
        if visit.status is VisitStatus.PARTIAL:
            own = [gap for gap in archive.catalog.gaps(visit.origin, visit.number) if gap.digest is not None]
            digests = {gap.digest for gap in own}
            gaps = [gap for gap in (own if gaps is None else gaps) if gap.digest in digests]
    return gaps


def origins_of(archive: Archive, objects: Collection[ObjectId], scratch: Path) -> dict[ObjectId, list[str]]:
    """For each object the URLs of the origins one of whose snapshots reaches it.

    Known snapshots are walked one by one, but for those that could not add an origin. What lies only below damaged
    objects cannot be told through them: it may belong to each origin that has such a hole, and all those are given.
    Memory is bounded by the answer.
    """
    wanted = {id.digest: id for id in objects if id.kind is not Kind.SNAPSHOT}
    found: dict[ObjectId, set[str]] = {id: set() for id in objects}
    holed: set[str] = set()
    for snapshot in _snapshots(archive) if objects else ():
        urls = {visit.origin for visit in visits_of(archive, snapshot)}
        own = ObjectId(Kind.SNAPSHOT, snapshot)
        if own in found:
            found[own] |= urls
        if any(not urls <= found[id] for id in wanted.values()):
            reached, whole = _reached(archive, snapshot, wanted, scratch)
            for id in reached:
                found[id] |= urls
            holed |= set() if whole else urls
    return {id: sorted(urls or holed) for id, urls in found.items()}


def visits_of(archive: Archive, snapshot: bytes) -> list[Visit]:
    """The visits that ended in a snapshot; none where the catalog is too damaged to tell."""
    try:
        return archive.catalog.visits_of_snapshot(snapshot, limit=MANY_VISITS)
    except Corrupt:
        return []


def distrust(archive: Archive, urls: Collection[str]) -> int:
    """Forget that the tips of these origins are closed, so that their next visits fetch them whole.

    Their old snapshots count too. Returns of how many snapshots there were any. Does nothing for a read-only archive.
    """
    distrusted = 0
    if not archive.writable or not urls:
        return distrusted
    _, catalog, _ = archive.writer()
    for snapshot in _snapshots(archive):
        if any(visit.origin in urls for visit in visits_of(archive, snapshot)):
            try:
                tips = list(manifest.edges_of_snapshot(catalog.snapshot(snapshot) or Snapshot({})))
            except Corrupt:  # what it names cannot be told, and a visit does not believe it either
                continue
            if catalog.closed(tips):
                catalog.unclose(tips)
                distrusted += 1
    return distrusted


def _git_finds_all(archive: Archive, heads: set[ObjectId], scratch: Path, gaps: Sequence[Gap]) -> bool:
    """Whether ``git rev-list`` reaches everything and each content has a row; False leaves it to the walk."""
    if archive.git_dir is None or any(gap.kind is not Kind.REVISION for gap in gaps):
        return False
    git = _graph(archive.git_dir, scratch, gaps)
    try:
        with git.start("rev-list", *_REV_LIST, "--stdin") as child:
            child.stdin.write("".join(f"{id.hex}\n" for id in sorted(heads)).encode("ascii"))
            child.stdin.close()
            for batch in batched((bytes.fromhex(line[:40].decode("ascii")) for line in child.stdout), _BATCH):
                if len(tell_rows(archive, batch)[0]) < len(set(batch)):
                    return False
            child.wait()
    except (ChildFailed, BrokenPipeError):
        return False
    return True


def _graph(git_dir: Path, scratch: Path, gaps: Sequence[Gap]) -> Git:
    """git on the objects of the archive, told where history is cut: below commits whose parents upstream lacks."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    git = Git.init(Runner(home), scratch / "graph.git", alternates=(git_dir / "objects",))
    cut = {gap.referrer.hex() for gap in gaps if gap.referrer is not None}
    (scratch / "graph.git" / "shallow").write_text("".join(f"{hex}\n" for hex in sorted(cut)), "ascii")
    return git


def _snapshots(archive: Archive) -> Iterator[bytes]:
    last: bytes | None = None
    while page := archive.catalog.snapshots(last):
        yield from page
        last = page[-1]


def _reached(
    archive: Archive, snapshot: bytes, wanted: dict[bytes, ObjectId], scratch: Path
) -> tuple[set[ObjectId], bool]:
    """Those of ``wanted`` that a snapshot reaches, and whether nothing on the way was damaged or lost."""
    try:
        heads = heads_of(archive.catalog.snapshot(snapshot))
        excused = {gap.digest for gap in gaps_below(archive, snapshot) or ()}
    except Corrupt:
        return set(), False
    with Walk(scratch, tolerant_read(archive)) as walk:
        walk.run(sorted(heads))
        reached = {wanted[id.digest] for id in walk.reached() if id.digest in wanted}
        return reached, all(id.digest in excused for id, _ in walk.absent(limit=-1))
