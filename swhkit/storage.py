"""The contract of the stores, as prose. Protocols and their small value types; nothing here does anything.

An ``ObjectReader`` answers for immutable bytes by id; an ``ObjectStore`` also takes them. A ``CatalogReader`` answers
for what the archive knows (origins, visits, snapshots, digests of contents, metadata, external ids, persons); a
``Catalog`` also learns it. ``swhkit.testing`` holds the suites that every implementation must pass.

What holds for all methods of all stores:

* They are synchronous and may be called from any thread at any time.
* Batches may be empty, may repeat an id, and may be of any size; the answer has each id once. A batch given as an
  iterator is consumed once and never wholly kept when its size is not bounded by the caller.
* A read never blocks on a writer for longer than one of the writer's short transactions.
* What a writing method did is **durable on return** (it survives SIGKILL at once, and power loss) unless it says
  otherwise, and every writing method is idempotent: the same call again changes nothing.
* Bytes never leave a store under an id they do not hash to: that is ``Corrupt``.
* ``close`` may be called twice; any other call after it raises ``ValueError``.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from swhkit.hashes import Hashes, HashName
from swhkit.model import (
    Branch,
    BranchType,
    ByteSource,
    ContentRow,
    ExtId,
    ExtrinsicMetadata,
    Gap,
    ObjectMetadata,
    Origin,
    Pack,
    PersonRow,
    Snapshot,
    Visit,
    VisitStatus,
    VisitUpdate,
)
from swhkit.search import FoundOrigin as FoundOrigin
from swhkit.search import OriginPage as OriginPage
from swhkit.search import OriginQuery as OriginQuery
from swhkit.swhid import Kind, ObjectId

#: ``ObjectReader.read`` returns nothing larger than this whole (bytes).
READ_LIMIT = 64 << 20
#: A catalog transaction takes at most so many rows.
TRANSACTION_ROWS = 10_000

#: What a catalog counts.
COUNTERS = (
    "content",
    "directory",
    "origin",
    "origin_visit",
    "person",
    "release",
    "revision",
    "skipped_content",
    "snapshot",
)

#: What ``Catalog.add`` takes: facts that are true by themselves once the bytes are held.
Record = ContentRow | ObjectMetadata | ExtId | ExtrinsicMetadata | PersonRow


class AdoptReport(msgspec.Struct, frozen=True):
    """What ``adopt`` and ``add`` did: objects now held because of the call, and bytes added on disk (both estimates
    where a store cannot tell without a second look; never used for counters)."""

    objects: int
    bytes: int


class MaintainReport(msgspec.Struct, frozen=True):
    """What ``maintain`` did: objects before and after (always equal), size on disk in bytes, and one line of prose."""

    objects: int
    bytes_before: int
    bytes_after: int
    summary: str


class Finding(msgspec.Struct, frozen=True):
    """Something wrong in a store. ``next_step`` tells a person what to do."""

    problem: str
    next_step: str
    object: ObjectId | None = None
    file: str | None = None


class Scrubbed(msgspec.Struct, frozen=True):
    """One object that ``scrub`` has read and verified; ``hashes`` only for contents. ``position`` resumes after it."""

    id: ObjectId
    length: int
    position: str
    hashes: Hashes | None = None


class ObjectReader(Protocol):
    """Immutable bytes by id. Kinds are cnt, dir, rev and rel; an id of another kind is never held.

    An id whose digest is held under another kind counts as not held.
    """

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """The bodies (without git header) of those that are held; the others are left out.

        Raises ``Corrupt`` naming the object if its bytes do not hash to the id, ``TooLarge`` if one exceeds
        ``READ_LIMIT``, ``Unreachable`` if it cannot be told.
        """

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """The body in pieces of at most 1 MiB, in bounded memory whatever its size.

        Raises ``NotHeld`` before the first piece. The last piece is given only once everything has hashed to the
        id; else ``Corrupt`` is raised in its place, so that a taker who counts bytes never has a whole wrong body.
        """

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """Body lengths in bytes of those that are held."""

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those that are not held."""

    def scan(self, after: ObjectId | None = None, limit: int = 1000) -> list[ObjectId]:
        """Up to ``limit`` held ids in ascending order of digest, beginning after ``after`` (which need not be held).

        An empty list is the end. Objects that arrive during a scan may or may not be seen.
        """

    def close(self) -> None:
        """Release files and children."""


class ObjectStore(ObjectReader, Protocol):
    """An ``ObjectReader`` that takes objects. It never forgets one but by ``remove``."""

    def adopt(self, packs: Sequence[Pack]) -> AdoptReport:
        """Take all objects of packs whose idx our own git has made (so each object's id is verified).

        The files belong to the caller and stay; a store on the same file system links them. All packs are held
        on return, or none has to be (a second call completes a first that died). Repeated packs and objects that
        are held already are fine. Raises ``Collision`` if a different body is held under one of the ids,
        ``Corrupt`` if a pack and its idx do not agree, ``OSError`` on a full disk (nothing half-written stays).
        """

    def add(self, objects: Iterable[tuple[ObjectId, ByteSource]]) -> AdoptReport:
        """Take single objects; each body is hashed on the way in.

        Raises ``Corrupt`` (and takes none of the batch) if one does not hash to its id, ``Collision`` as
        ``adopt``. Many small calls must not become many files.
        """

    def remove(self, ids: Iterable[ObjectId]) -> None:
        """Forget objects; ids that are not held are ignored. Only for takedown and repair; never called by loads."""

    def maintain(self) -> MaintainReport:
        """Make reading quicker and the store smaller without dropping an object; readers and writers go on."""

    def verify(self) -> Iterator[Finding]:
        """The quick look: the containers' own checksums and structure, not every object."""

    def scrub(self, position: str | None = None) -> Iterator[Scrubbed | Finding]:
        """Read and hash every object in the store's quickest order, on all cores, beginning after ``position``.

        Objects held twice may come twice. A damaged object is a ``Finding`` (with object and file) and the scrub
        goes on after it. Bounded memory.
        """


@runtime_checkable
class GitDirectory(Protocol):
    """Optional power of an object store, found by ``isinstance``: a git directory whose ``objects`` hold everything.

    It lets a stage use git alternates, a fetch negotiate, and a clone be served. It has no refs and is never
    written to but through the store.
    """

    @property
    def git_dir(self) -> Path:
        """Absolute path of the bare git directory."""


@runtime_checkable
class Mendable(Protocol):
    """Optional power of an object store, found by ``isinstance``: one whose ids can be damaged while bytes are whole."""

    def mend(self) -> int:
        """Put bytes that are whole back under their own ids. Returns how many objects were kept under wrong ones."""


class BranchPage(msgspec.Struct, frozen=True):
    """Part of a snapshot in byte order of the names; ``next_branch`` is the first name of the next page, or None."""

    branches: dict[bytes, Branch | None]
    next_branch: bytes | None


class Added(msgspec.Struct, frozen=True):
    """Rows that ``Catalog.add`` had not known before."""

    content: int = 0
    skipped_content: int = 0
    person: int = 0
    other: int = 0


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What the last, short transaction of a visit writes. See ``Catalog.publish``.

    ``closed``: tips whose whole graph was checked to be held (never from a visit with gaps). ``new``: objects of
    kind dir, rev and rel that the object store lacked before this visit's packs, a kind: it moves the counters.
    ``gaps`` makes the snapshot of this visit one with recorded holes.
    """

    status: VisitStatus
    date: datetime.datetime
    snapshot: Snapshot | None = None
    reason: str | None = None
    gaps: Sequence[Gap] = ()
    closed: Collection[ObjectId] = ()
    new: Mapping[Kind, int] = {}


class CatalogReader(Protocol):
    """What the archive knows. Digests are bytes; a snapshot's id is the 20-byte digest."""

    def contents(self, sha1_gits: Iterable[bytes]) -> dict[bytes, ContentRow]:
        """The rows of those that have one, visible or absent."""

    def missing_contents(self, sha1_gits: Iterable[bytes]) -> set[bytes]:
        """Those without a **visible** row: not held, whatever the object store has."""

    def find_contents(self, algorithm: HashName, digests: Iterable[bytes]) -> dict[bytes, list[ContentRow]]:
        """Rows by any digest. Several contents may share a sha1: all are given. Unknown digests are left out."""

    def scan_contents(self, after: bytes | None = None, limit: int = 1000) -> list[ContentRow]:
        """Rows in an order of the store's own that is stable while rows are only added; resume with the last
        row's sha1_git. An empty list is the end."""

    def snapshot(self, id: bytes) -> Snapshot | None:
        """The whole snapshot, or None."""

    def branches(
        self,
        id: bytes,
        first: bytes = b"",
        count: int = 1000,
        types: Collection[BranchType] | None = None,
    ) -> BranchPage | None:
        """Up to ``count`` (≥ 1) branches with names ≥ ``first``, of the given target types only (dangling ones only
        when ``types`` is None). None if the snapshot is not known."""

    def branch(self, id: bytes, name: bytes) -> Branch | None:
        """One branch; None if it is dangling, absent, or the snapshot unknown."""

    def missing_snapshots(self, ids: Iterable[bytes]) -> set[bytes]:
        """Those that are not known."""

    def snapshots(self, after: bytes | None = None, limit: int = 1000) -> list[bytes]:
        """Known snapshot ids in ascending order after ``after``."""

    def gaps(self, url: str, number: int) -> list[Gap]:
        """The recorded gaps of a visit; empty for unknown ones."""

    def origin(self, url: str) -> Origin | None:
        """By exact URL."""

    def origin_by_id(self, id: int) -> Origin | None:
        """By number."""

    def origin_by_digest(self, digest: bytes) -> Origin | None:
        """By the sha1 of the URL (the ``swh:1:ori:`` digest)."""

    def origins(self, after: int = 0, limit: int = 1000) -> list[Origin]:
        """Origins with ``id`` above ``after``, ascending."""

    def search_origins(
        self, query: OriginQuery, *, after: int = 0, offset: int = 0, limit: int = 70
    ) -> OriginPage:
        """Origins that fit (``swhkit.search`` says what that means) with ``id`` above ``after``, ascending, without the
        first ``offset`` of those, at most ``limit``.

        Pages joined by ``next`` have each origin once that fitted all the time, whatever is added meanwhile. ``total``
        counts all that fit, from the first origin on. Raises ``InvalidInput`` for a regular expression that is none, or
        too long or complex; no other text in a query is an error.
        """

    def visit(self, url: str, number: int) -> Visit | None:
        """One visit with its latest status."""

    def visits(self, url: str, before: int | None = None, limit: int = 10) -> list[Visit]:
        """Newest first, numbers below ``before``."""

    def latest_visit(
        self,
        url: str,
        *,
        visit_type: str | None = None,
        require_snapshot: bool = False,
        statuses: Collection[VisitStatus] | None = None,
    ) -> Visit | None:
        """The visit with the highest number that fits. With ``require_snapshot``, status and snapshot are those of
        its latest status that has one."""

    def unfinished_visits(self) -> list[Visit]:
        """All visits whose latest status is not final."""

    def history(self, url: str, number: int) -> list[VisitUpdate]:
        """All statuses of a visit, oldest first."""

    def visits_of_snapshot(self, id: bytes, limit: int = 100) -> list[Visit]:
        """Visits that ended in this snapshot."""

    def closed(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those recorded as closed: their whole graph was checked to be held."""

    def likely_tips(self, url: str, limit: int) -> list[ObjectId]:
        """Closed tips that a new origin at ``url`` may share history with: first those of origins whose URL ends in
        the same name (``.git`` and slashes aside, case folded), then the latest of any origin."""

    def metadata(self, ids: Iterable[ObjectId]) -> dict[ObjectId, ObjectMetadata]:
        """Rows of those that have one."""

    def extids(self, type: str, values: Iterable[bytes], version: int | None = None) -> list[ExtId]:
        """External ids by value; all versions when ``version`` is None."""

    def extids_of(
        self, targets: Iterable[ObjectId], type: str | None = None, version: int | None = None
    ) -> list[ExtId]:
        """External ids by the object they name."""

    def extrinsic_metadata(
        self,
        target: str,
        authority: tuple[str, str] | None = None,
        *,
        after: datetime.datetime | None = None,
        before_id: bytes | None = None,
        limit: int = 100,
    ) -> list[tuple[bytes, ExtrinsicMetadata]]:
        """Records about ``target`` (a SWHID text) by (discovery date, id), each with its 20-byte id; those discovered
        after ``after``, resuming behind ``(after, before_id)`` when both are given."""

    def extrinsic_metadata_by_id(self, id: bytes) -> ExtrinsicMetadata | None:
        """One record by its 20-byte id."""

    def authorities(self, target: str) -> list[tuple[str, str]]:
        """The (type, url) of authorities that have said something about ``target``."""

    def persons(self, fullnames: Iterable[bytes]) -> dict[bytes, int]:
        """The numbers of those known."""

    def person(self, id: int) -> bytes | None:
        """The fullname of a number."""

    def counters(self) -> dict[str, int]:
        """A number for each of ``COUNTERS``."""

    def close(self) -> None:
        """Release connections."""


class Catalog(CatalogReader, Protocol):
    """A ``CatalogReader`` that learns."""

    def open_visit(self, url: str, visit_type: str, date: datetime.datetime) -> Visit:
        """A new visit in status ``created``, its origin made if it is new. Not idempotent: each call is a visit."""

    def update_visit(
        self, url: str, number: int, status: VisitStatus, date: datetime.datetime, reason: str | None = None
    ) -> bool:
        """Append a status without a snapshot. Does nothing and returns False when the latest status is final.

        Raises ``NotHeld`` for an unknown visit.
        """

    def add(self, records: Iterable[Record]) -> Added:
        """Learn facts whose bytes are held already, in transactions of at most ``TRANSACTION_ROWS`` rows.

        A visible content row replaces an absent one of the same digests, never the other way round; other known
        rows stay as they are. Rows of an interrupted call stay: each is true by itself.
        """

    def publish(self, url: str, number: int, publication: Publication) -> bool:
        """End a visit in one transaction: snapshot, gaps, closed tips, counters, final status.

        Returns False and changes nothing when the visit's latest status is final already (a redo). Raises
        ``NotHeld`` for an unknown visit.
        """

    def remove_contents(self, sha1_gits: Iterable[bytes]) -> int:
        """Forget content rows (their bytes turned out not to be held); returns how many there were."""

    def unclose(self, ids: Iterable[ObjectId]) -> None:
        """Forget that these tips are closed (something below them turned out to be missing)."""

    def set_counters(self, values: Mapping[str, int]) -> None:
        """Correct counters that ``reindex`` has recounted."""

    def maintain(self) -> str:
        """Checkpoint, analyse, shrink; returns one line of prose."""

    def verify(self) -> Iterator[Finding]:
        """The quick look: the structure of what the store is kept in."""

    def scrub(self) -> Iterator[Finding]:
        """The long look: ``verify``, and every row compared with what tells that it is as it was stored."""

    def mend(self) -> int:
        """Forget damaged rows that ``reindex`` and the next visits make anew (contents, closed tips), and make anew
        what only helps to find rows. Returns how many rows were forgotten."""
