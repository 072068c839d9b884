"""Make anew what can be derived from the objects: content rows, persons, counters, and which tips are closed.

For an archive whose catalog lost rows, or has wrong ones, or whose object store lost objects. Origins and visits cannot
be derived: a catalog without them comes from a copy. Rows whose bytes are not held are removed, and tips whose graph is
not whole are no longer trusted as closed, so that the next visits of their origins fetch again what is lost. What is
damaged is remembered (``damage``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from swhkit import damage, manifest
from swhkit.affected import distrust, lost_below, origins_of, tell_missing, tell_rows, tolerant_read
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import Corrupt
from swhkit.files import locked
from swhkit.model import ContentRow, PersonRow
from swhkit.storage import COUNTERS, CatalogReader, Finding, Mendable
from swhkit.swhid import Kind, ObjectId

_BATCH = 1_000
_TOGETHER = 20
_TIPS = 10_000
#: Visits are opened while others are counted: so often it is counted again.
_RECOUNTS = 5
#: Told how far it is: phase, how many more are done.
Tell = Callable[[str, int], None]


class Reindexed(msgspec.Struct, frozen=True):
    """What ``reindex`` changed.

    Content rows added, corrected (they had other digests, or said that the bytes are not held) and removed (their
    bytes are not held), persons added, damaged objects passed over, snapshots whose tips are no longer trusted
    (something below them is lost), and the counters as they are now.
    """

    added: int
    corrected: int
    removed: int
    persons: int
    damaged: int
    distrusted: int
    counters: dict[str, int]


def reindex(archive: Archive, scratch: Path, tell: Tell = lambda _phase, _more: None) -> Reindexed:
    """Rebuild the derived rows. Visits may go on meanwhile; none is published while it is counted.

    ``scratch`` is an existing folder to work in. Raises ``InvalidInput`` for a read-only archive.
    """
    work = _Reindex(archive, scratch, tell)
    try:
        work.make_rows()
    except Corrupt:  # an index of the catalog, perhaps
        work.mend()
        work.make_rows()
    work.mend()
    if work.damaged and isinstance(archive.objects, Mendable) and archive.objects.mend():
        work.make_rows()
    distrusted = work.distrust_damaged()
    removed = work.remove_unheld()
    distrusted += work.distrust_tips()
    work.recount()
    return Reindexed(
        added=work.added,
        corrected=work.corrected,
        removed=removed,
        persons=work.persons,
        damaged=work.damaged,
        distrusted=distrusted,
        counters=work.catalog.counters(),
    )


def counted(archive: Archive) -> dict[str, int]:
    """What the counters should say, by a scan of the stores. Raises ``Corrupt`` where that cannot be told."""
    catalog = archive.catalog
    counts: Counter[str] = Counter()
    last: ObjectId | None = None
    while page := archive.objects.scan(last, 10_000):
        counts.update(id.kind.word for id in page if id.kind is not Kind.CONTENT)
        last = page[-1]
    after: bytes | None = None
    while rows := catalog.scan_contents(after, 10_000):
        counts.update("content" if row.status == "visible" else "skipped_content" for row in rows)
        after = rows[-1].sha1_git
    for snapshots in _snapshots(catalog):
        counts["snapshot"] += len(snapshots)
    number = 0
    while origins := catalog.origins(number):
        counts["origin"] += len(origins)
        counts["origin_visit"] += sum(
            visit.number for o in origins for visit in catalog.visits(o.url, limit=1)
        )
        number = origins[-1].id
    counts["person"] = _persons(catalog)
    return {name: counts[name] for name in COUNTERS}


class _Reindex:
    """One run; the numbers are how far it is."""

    def __init__(self, archive: Archive, scratch: Path, tell: Tell) -> None:
        self.objects, self.catalog, self.root = archive.writer()
        self.archive, self.scratch, self.tell = archive, scratch, tell
        self.read = tolerant_read(archive)
        self.unread: set[bytes] = set()
        self.added = self.corrected = self.removed = self.persons = self.damaged = 0

    def make_rows(self) -> None:
        """Read every object: a row for each content, the persons of each revision and release."""
        self.damaged = 0
        self.unread.clear()
        for batch in batched(self._scrubbed(), _BATCH):
            self._make_contents([row for row in batch if isinstance(row, ContentRow)])
            self._make_persons([id for id in batch if isinstance(id, ObjectId)])
            self.tell("reading", len(batch))

    def mend(self) -> None:
        """Forget damaged rows that are still there: their contents are not held, or what they said is unknown."""
        self.removed += self.catalog.mend()

    def remove_unheld(self) -> int:
        """Remove visible rows without bytes; returns how many. What is damaged is not gone: its row stays."""
        removed = self.removed
        after: bytes | None = None
        while rows := self.catalog.scan_contents(after, _BATCH):
            visible = [ObjectId(Kind.CONTENT, row.sha1_git) for row in rows if row.status == "visible"]
            gone = {id.digest for missing, _ in tell_missing(self.objects, visible) for id in missing}
            removed += self.catalog.remove_contents(gone) if gone else 0
            after = next((row.sha1_git for row in reversed(rows) if row.sha1_git not in gone), after)
            self.tell("comparing", len(rows))
        return removed

    def distrust_tips(self) -> int:
        """Forget that tips are closed below which something is not held; returns of how many snapshots."""
        distrusted = 0
        for page in _snapshots(self.catalog):
            for batch in batched(page, _TOGETHER):
                readable = [id for id in batch if self._readable(id)]
                broken = [id for id in readable if self._broken([id])] if self._broken(readable) else []
                for id in broken:
                    snapshot = self.catalog.snapshot(id)
                    self.catalog.unclose(manifest.edges_of_snapshot(snapshot) if snapshot else ())
                if len(readable) < len(batch):
                    self._distrust_all()
                distrusted += len(broken) + len(batch) - len(readable)
                self.tell("walking", len(batch))
        return distrusted

    def distrust_damaged(self) -> int:
        """Remember what is damaged; the origins that have it are no longer trusted. Returns of how many snapshots."""
        damage.remember(self.archive, self.unread)
        ids = [ObjectId(Kind.CONTENT, digest) for digest in sorted(self.unread)]  # whatever their kinds are
        with suppress(Corrupt):
            found = origins_of(self.archive, ids, self.scratch)
            return distrust(self.archive, set().union(*found.values()))
        return 0

    def recount(self) -> None:
        """Set the counters to what is there, unless damage keeps that from being told."""
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / "publish.lock"):
            for _ in range(_RECOUNTS):
                try:
                    there = counted(self.archive)
                except Corrupt:
                    return
                if there == self._claimed():
                    return
                self.catalog.set_counters(there)

    def _claimed(self) -> dict[str, int] | None:
        try:
            return self.catalog.counters()
        except Corrupt:
            return None

    def _scrubbed(self) -> Iterator[ContentRow | ObjectId]:
        for item in self.objects.scrub():
            if isinstance(item, Finding):
                self.damaged += 1
                if digest := item.object.digest if item.object else damage.named_in(item.problem):
                    self.unread.add(digest)
            elif item.hashes is not None:
                yield ContentRow.of(item.hashes)
            elif item.id.kind in (Kind.REVISION, Kind.RELEASE):
                yield item.id

    def _make_contents(self, rows: list[ContentRow]) -> None:
        known, damaged = tell_rows(self.archive, [row.sha1_git for row in rows]) if rows else ({}, set())
        wrong = {row.sha1_git for row in rows if known.get(row.sha1_git, row) != row}
        if wrong:
            self.catalog.remove_contents(wrong)
        self.corrected += len(wrong) + len(damaged)
        self.added += self.catalog.add(rows).content - len(wrong)

    def _make_persons(self, ids: list[ObjectId]) -> None:
        names = {name for id, body in self.read(ids) for name in manifest.fullnames(id.kind, body)}
        self.persons += self.catalog.add(PersonRow(name) for name in sorted(names)).person

    def _readable(self, snapshot: bytes) -> bool:
        try:
            return self.catalog.snapshot(snapshot) is not None
        except Corrupt:
            return False

    def _broken(self, snapshots: Sequence[bytes]) -> bool:
        """Whether something is lost below snapshots that have closed tips (others were never said to be whole)."""
        trusted = []
        for id in snapshots:
            snapshot = self.catalog.snapshot(id)
            if snapshot is not None and self.catalog.closed(manifest.edges_of_snapshot(snapshot)):
                trusted.append(id)
        return any(True for _ in lost_below(self.archive, trusted, self.scratch))

    def _distrust_all(self) -> None:
        """Forget all closed tips: which of them a damaged snapshot has cannot be told."""
        while tips := self.catalog.likely_tips("", _TIPS):
            self.catalog.unclose(tips)


def _snapshots(catalog: CatalogReader) -> Iterator[list[bytes]]:
    last: bytes | None = None
    while page := catalog.snapshots(last):
        yield page
        last = page[-1]


def _persons(catalog: CatalogReader) -> int:
    """How many persons there are: they are numbered from 1 on without a gap."""
    low, high = 0, 1
    while catalog.person(high) is not None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if catalog.person(middle) is not None else (low, middle)
    return low
