"""Questions to an archive: what is held, what it looks like, what leads where. Pure reads, without HTTP.

Every function takes the ``Archive`` first and answers with the structs of ``swhkit.model``. What is not held raises
``NotHeld`` whose text is the very reason the web API gives (some clients match on it): those texts live here alone.
A content counts as held iff its row is visible. ``Corrupt`` and ``Unreachable`` come through as the stores raise them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import msgspec

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.errors import Corrupt, InvalidInput, InvalidManifest, NotHeld, SwhkitError
from swhkit.hashes import HASH_LENGTHS, HashName, git_digest, git_header
from swhkit.model import (
    Branch,
    BranchType,
    ContentRow,
    Directory,
    Entry,
    Origin,
    Release,
    Revision,
    Snapshot,
    Visit,
)
from swhkit.storage import BranchPage
from swhkit.swhid import Kind, ObjectId, QualifiedSwhid

#: The directory without entries; every archive has it.
EMPTY_DIRECTORY = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
T = TypeVar("T")
Obj = TypeVar("Obj", Revision, Release)
_EMPTY = ObjectId(Kind.DIRECTORY, EMPTY_DIRECTORY)
#: Alias branches are followed so many times at most.
ALIAS_DEPTH = 100
#: Ids asked of a store at once.
BATCH = 1000


class Unreadable(SwhkitError):
    """An object is held, byte for byte, but no object of its kind can be read from the bytes."""


class Pieces:
    """The bytes of an object on their way out: an iterator to be closed when it is not read to its end.

    The first piece is read at once, so that what is missing or (if small) damaged raises before any answer.
    """

    def __init__(self, pieces: Iterator[bytes], header: bytes = b"") -> None:
        self._pieces = pieces
        self._ready = [piece for piece in (header, next(pieces, b"")) if piece]

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        return self._ready.pop(0) if self._ready else next(self._pieces)

    def close(self) -> None:
        """Let go of the store's file or child process."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class Listed(msgspec.Struct, frozen=True):
    """An entry of the directory ``parent``, with the row of its content if it has one (visible or absent)."""

    parent: bytes
    entry: Entry
    row: ContentRow | None = None


class SnapshotPage(msgspec.Struct, frozen=True):
    """A page of branches; ``ends`` has the branch at the end of the chain of each alias that leads somewhere."""

    page: BranchPage
    ends: Mapping[bytes, Branch]


class InRevision(msgspec.Struct, frozen=True):
    """What a path in a revision names: a listing (``dir``), a content (``file``), or a revision (``rev``, None if
    that revision is not held)."""

    type: str
    content: list[Listed] | ContentRow | tuple[bytes, Revision] | None


# --- contents ---------------------------------------------------------------------------------------------------


def content(archive: Archive, algorithm: HashName, digest: bytes) -> ContentRow:
    """The row of a content by any of its digests; a visible one first if several share it. Raises ``NotHeld``."""
    fits = len(digest) == HASH_LENGTHS[algorithm]
    rows = archive.catalog.find_contents(algorithm, (digest,)).get(digest, ()) if fits else ()
    if not rows:
        raise NotHeld(f"Content with {algorithm} checksum equals to {digest.hex()} not found!")
    return min(rows, key=lambda row: (row.status != "visible", row.sha1_git))


def content_bytes(archive: Archive, algorithm: HashName, digest: bytes) -> tuple[ContentRow, Pieces]:
    """The row of a content and its bytes in pieces (``ObjectReader.stream``). Raises ``NotHeld`` without any piece."""
    row = content(archive, algorithm, digest)
    unavailable = f"Bytes of content with {algorithm} checksum equals to {digest.hex()} are not available!"
    if row.status != "visible":
        raise NotHeld(unavailable)
    try:
        return row, Pieces(archive.stream(ObjectId(Kind.CONTENT, row.sha1_git)))
    except NotHeld:
        raise NotHeld(unavailable) from None


def held_sha1s(archive: Archive, digests: Iterable[bytes]) -> set[bytes]:
    """Those sha1s under which a visible content is held."""
    found: set[bytes] = set()
    for batch in _batches(digests):
        rows = archive.catalog.find_contents("sha1", batch)
        found.update(sha1 for sha1, same in rows.items() if any(row.status == "visible" for row in same))
    return found


# --- directories ------------------------------------------------------------------------------------------------


def directory(archive: Archive, digest: bytes) -> Directory:
    """A directory. Raises ``NotHeld``, ``Unreadable``."""
    obj = _read(archive, ObjectId(Kind.DIRECTORY, digest))
    if obj is None:
        raise NotHeld(f"Directory with sha1_git {digest.hex()} not found")
    assert isinstance(obj, Directory)
    return obj


def listing(archive: Archive, digest: bytes) -> list[Listed]:
    """The entries of a directory in its own order, each file with its row: one question to each store."""
    entries = directory(archive, digest).entries
    rows = archive.catalog.contents({entry.target for entry in entries if entry.type == "file"})
    return [
        Listed(digest, entry, rows.get(entry.target) if entry.type == "file" else None) for entry in entries
    ]


def entry(archive: Archive, root: bytes, path: bytes) -> Listed:
    """The entry at ``path`` (names joined by ``/``) below directory ``root``. Raises ``NotHeld``."""
    found = _walk(archive, root, path)
    if found is None:
        directory(archive, root)
        text = path.decode(errors="backslashreplace")
        raise NotHeld(f"Directory entry with path {text} from root directory {root.hex()} not found")
    return found


# --- revisions and releases -------------------------------------------------------------------------------------


def revision(archive: Archive, digest: bytes) -> Revision:
    """A revision with what the catalog adds to it. Raises ``NotHeld``, ``Unreadable``."""
    found = _revisions(archive, (digest,)).get(digest)
    if found is None:
        raise NotHeld(f"Revision with sha1_git {digest.hex()} not found.")
    return _enriched(archive, Kind.REVISION, {digest: found})[digest]


def revision_message(archive: Archive, digest: bytes) -> bytes:
    """The message of a revision. Raises ``NotHeld`` also when it is empty."""
    message = revision(archive, digest).message
    if not message:
        raise NotHeld(f"No message for revision with sha1_git {digest.hex()}.")
    return message


def log(archive: Archive, start: bytes, limit: int) -> list[tuple[bytes, Revision]]:
    """Up to ``limit`` revisions breadth-first from ``start``, each once; parents that are not held are left out.

    Raises ``NotHeld`` if ``start`` is not held.
    """
    found: dict[bytes, Revision] = {}
    level, seen = [start], {start}
    while level and len(found) < limit:
        parents: list[bytes] = []
        for batch in _batches(level, size=limit - len(found)):
            held = _revisions(archive, batch)
            for digest in batch:
                if digest in held and len(found) < limit:
                    found[digest] = held[digest]
                    fresh = [p for p in dict.fromkeys(held[digest].parents) if p not in seen]
                    seen.update(fresh)
                    parents.extend(fresh)
        level = parents
    if not found:
        raise NotHeld(f"Revision with sha1_git {start.hex()} not found.")
    return list(_enriched(archive, Kind.REVISION, found).items())


def in_revision(archive: Archive, digest: bytes, path: bytes) -> InRevision:
    """What ``path`` (empty: the root) names in the directory of a revision. Raises ``NotHeld``."""
    root = revision(archive, digest).directory
    if not path.strip(b"/"):
        return _listing_in(archive, digest, b".", root)
    found = _walk(archive, root, path)
    if found is None:
        raise _not_in_revision(digest, path)
    if found.entry.type == "dir":
        return _listing_in(archive, digest, path, found.entry.target)
    if found.entry.type == "file":
        if found.row is None:
            raise NotHeld(f"Content not found for revision {digest.hex()}")
        return InRevision("file", found.row)
    target = found.entry.target
    try:
        return InRevision("rev", (target, revision(archive, target)))
    except NotHeld:
        return InRevision("rev", None)


def release(archive: Archive, digest: bytes) -> Release:
    """A release with what the catalog adds to it. Raises ``NotHeld``, ``Unreadable``."""
    obj = _read(archive, ObjectId(Kind.RELEASE, digest))
    if obj is None:
        raise NotHeld(f"Release with sha1_git {digest.hex()} not found.")
    assert isinstance(obj, Release)
    return _enriched(archive, Kind.RELEASE, {digest: obj})[digest]


def person_numbers(archive: Archive, objects: Iterable[Revision | Release]) -> dict[bytes, int]:
    """The numbers of all persons of a page of objects, by fullname: one question to the catalog."""
    persons: set[bytes] = set()
    for obj in objects:
        people = (obj.author, obj.committer) if isinstance(obj, Revision) else (obj.author,)
        persons.update(person.fullname for person in people if person is not None)
    return archive.catalog.persons(persons) if persons else {}


# --- snapshots --------------------------------------------------------------------------------------------------


def snapshot(archive: Archive, digest: bytes) -> Snapshot:
    """A whole snapshot. Raises ``NotHeld``."""
    found = archive.catalog.snapshot(digest)
    if found is None:
        raise NotHeld(f"Snapshot with id {digest.hex()} not found!")
    return found


def branches(
    archive: Archive,
    digest: bytes,
    first: bytes = b"",
    count: int = BATCH,
    types: Collection[BranchType] | None = None,
) -> SnapshotPage:
    """A page of a snapshot's branches, aliases followed even across pages. Raises ``NotHeld``."""
    page = archive.catalog.branches(digest, first, count, types)
    if page is None:
        raise NotHeld(f"Snapshot with id {digest.hex()} not found!")
    ends = {}
    for name, branch in page.branches.items():
        if branch is not None and branch.type is BranchType.ALIAS:
            end = _follow(archive, digest, branch, page.branches)
            if end is not None:
                ends[name] = end
    return SnapshotPage(page, ends)


def branch(archive: Archive, digest: bytes, name: bytes) -> Branch | None:
    """What a branch finally points at, aliases followed; None if it is absent, dangling, or leads in a circle."""
    found = archive.catalog.branch(digest, name)
    return None if found is None else _follow(archive, digest, found, {})


# --- origins and visits -----------------------------------------------------------------------------------------


def origin(archive: Archive, urls: Sequence[str]) -> Origin:
    """The first known origin among the spellings of one URL. Raises ``NotHeld`` naming the first."""
    for url in urls:
        found = archive.catalog.origin(url)
        if found is not None:
            return found
    raise NotHeld(f"Origin with url {urls[0]} not found!")


def visits(archive: Archive, urls: Sequence[str], before: int | None, limit: int) -> list[Visit]:
    """Visits of an origin, newest first, numbers below ``before``. Raises ``NotHeld`` for an unknown origin."""
    return archive.catalog.visits(origin(archive, urls).url, before, limit)


def visit(archive: Archive, urls: Sequence[str], number: int) -> Visit:
    """One visit. Raises ``NotHeld``."""
    for url in urls:
        # Numbers beyond 63 bits are no numbers of a visit, and no database takes them.
        found = archive.catalog.visit(url, number) if number < 1 << 63 else None
        if found is not None:
            return found
    raise NotHeld(f"Origin {urls[0]} or its visit with id {number} not found!")


def latest_visit(
    archive: Archive, urls: Sequence[str], visit_type: str | None = None, require_snapshot: bool = False
) -> Visit:
    """The latest visit of an origin of any status; one with a snapshot if that is required. Raises ``NotHeld``."""
    url = origin(archive, urls).url
    found = archive.catalog.latest_visit(url, visit_type=visit_type, require_snapshot=require_snapshot)
    if found is None:
        raise NotHeld(f"No visit for origin {url} found")
    return found


def origin_head(archive: Archive, urls: Sequence[str]) -> ObjectId:
    """The directory of ``HEAD`` in the latest snapshot of an origin. Raises ``NotHeld``."""
    latest = latest_visit(archive, urls, require_snapshot=True)
    assert latest.snapshot is not None
    return directory_of(archive, ObjectId(Kind.SNAPSHOT, latest.snapshot))


def directory_of(archive: Archive, id: ObjectId) -> ObjectId:
    """Follow a snapshot (its ``HEAD``), a release or a revision to the directory it stands for.

    Raises ``NotHeld`` where something on the way is not held, ``InvalidInput`` where there is no directory.
    """
    return _followed(archive, id, Kind.DIRECTORY)


def revision_of(archive: Archive, id: ObjectId) -> ObjectId:
    """Follow a snapshot (its ``HEAD``) or a release to the revision it stands for; errors as ``directory_of``."""
    return _followed(archive, id, Kind.REVISION)


# --- identifiers ------------------------------------------------------------------------------------------------


def known(archive: Archive, ids: Iterable[ObjectId]) -> set[ObjectId]:
    """Those that are held; asked in batches. The empty directory always is."""
    held: set[ObjectId] = set()
    for batch in _batches(ids):
        missing = archive.missing(batch)
        held.update(id for id in batch if id not in missing or id == _EMPTY)
    return held


def resolve(archive: Archive, swhid: QualifiedSwhid) -> None:
    """Check that the object, and what its qualifiers ``origin``, ``visit`` and ``anchor`` name, are held.

    Raises ``NotHeld`` in the words of the first that is not.
    """
    wanted = [id for id in (swhid.core, swhid.anchor, swhid.visit) if id is not None]
    held = known(archive, wanted)
    for id in wanted:
        if id not in held:
            raise not_held(id)
    if swhid.origin is not None:
        origin(archive, (swhid.origin,))


def body(archive: Archive, id: ObjectId, header: bool = False) -> tuple[int, Pieces]:
    """Length and bytes of an object's manifest body (of a content: its bytes). Raises ``NotHeld``.

    With ``header`` git's header comes first and counts: the SHA-1 of the whole is the id.
    """
    if id.kind is Kind.SNAPSHOT:
        data = manifest.encode_snapshot(snapshot(archive, id.digest))
        if git_digest("snapshot", data) != id.digest:
            raise Corrupt(f"{id} does not hash to its id; run `swhkit check`")
        length, pieces = len(data), iter((data,))
    elif id == _EMPTY:
        length, pieces = 0, iter(())
    else:
        length, pieces = _held_length(archive, id), archive.stream(id)
    start = git_header(id.kind.git, length) if header else b""
    return len(start) + length, Pieces(pieces, start)


def raw_manifest(archive: Archive, id: ObjectId) -> tuple[int, Pieces]:
    """``body`` with git's header, under the name and the errors that the web API has for it."""
    try:
        return body(archive, id, header=True)
    except NotHeld:
        raise NotHeld(f"Object with id {id} not found.") from None


def not_held(id: ObjectId) -> NotHeld:
    """The error that says in the web API's words that ``id`` is not held."""
    texts = {
        Kind.CONTENT: f"Content with sha1_git checksum equals to {id.hex} not found!",
        Kind.DIRECTORY: f"Directory with sha1_git {id.hex} not found",
        Kind.REVISION: f"Revision with sha1_git {id.hex} not found.",
        Kind.RELEASE: f"Release with sha1_git {id.hex} not found.",
        Kind.SNAPSHOT: f"Snapshot with id {id.hex} not found!",
    }
    return NotHeld(texts.get(id.kind, f"Object with id {id} not found."))


# --- how it is done ---------------------------------------------------------------------------------------------


def _batches(items: Iterable[T], size: int = BATCH) -> Iterator[tuple[T, ...]]:
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


def _held_length(archive: Archive, id: ObjectId) -> int:
    length = None if archive.missing((id,)) else archive.objects.sizes((id,)).get(id)
    if length is None:
        raise not_held(id)
    return length


def _parse(id: ObjectId, data: bytes) -> Directory | Revision | Release:
    try:
        return manifest.parse(id, data)
    except InvalidManifest as error:
        raise Unreadable(f"{id} is held, but cannot be read: {error}; its raw bytes can be had") from error


def _read(archive: Archive, id: ObjectId) -> Directory | Revision | Release | None:
    if id == _EMPTY:
        return Directory(())
    data = archive.read((id,)).get(id)
    return None if data is None else _parse(id, data)


def _revisions(archive: Archive, digests: Iterable[bytes]) -> dict[bytes, Revision]:
    bodies = archive.read(ObjectId(Kind.REVISION, digest) for digest in digests)
    return {id.digest: cast(Revision, _parse(id, data)) for id, data in bodies.items()}


def _enriched(archive: Archive, kind: Kind, objects: Mapping[bytes, Obj]) -> dict[bytes, Obj]:
    rows = archive.catalog.metadata(ObjectId(kind, digest) for digest in objects)
    return {
        digest: cast(Obj, manifest.with_metadata(obj, rows.get(ObjectId(kind, digest))))
        for digest, obj in objects.items()
    }


def _walk(archive: Archive, root: bytes, path: bytes) -> Listed | None:
    parent, found = root, None
    for name in path.strip(b"/").split(b"/"):
        if found is not None:
            if found.type != "dir":
                return None
            parent = found.target
        obj = _read(archive, ObjectId(Kind.DIRECTORY, parent))
        if obj is None:
            return None
        found = next((entry for entry in cast(Directory, obj).entries if entry.name == name), None)
        if found is None:
            return None
    assert found is not None
    row = archive.content(found.target) if found.type == "file" else None
    return Listed(parent, found, row)


def _listing_in(archive: Archive, revision: bytes, path: bytes, directory: bytes) -> InRevision:
    try:
        return InRevision("dir", listing(archive, directory))
    except NotHeld:
        raise _not_in_revision(revision, path) from None


def _not_in_revision(revision: bytes, path: bytes) -> NotHeld:
    text = path.decode(errors="backslashreplace")
    return NotHeld(f"Directory or File '{text}' pointed to by revision {revision.hex()} not found")


def _follow(
    archive: Archive, snapshot: bytes, start: Branch, near: Mapping[bytes, Branch | None]
) -> Branch | None:
    found: Branch | None = start
    for _ in range(ALIAS_DEPTH):
        if found is None or found.type is not BranchType.ALIAS:
            return found
        name = found.target
        found = near[name] if name in near else archive.catalog.branch(snapshot, name)
    return None


def _followed(archive: Archive, start: ObjectId, goal: Kind) -> ObjectId:
    id = start
    for _ in range(ALIAS_DEPTH):
        if id.kind is goal:
            return id
        if id.kind in (Kind.CONTENT, Kind.DIRECTORY):
            raise InvalidInput(f"{start} has no {goal.word}: it leads to the {id.kind.word} {id}")
        id = _next(archive, id)
    raise InvalidInput(f"{start} has no {goal.word}: its releases are nested too deeply to be followed")


def _next(archive: Archive, id: ObjectId) -> ObjectId:
    if id.kind is Kind.REVISION:
        return ObjectId(Kind.DIRECTORY, revision(archive, id.digest).directory)
    if id.kind is Kind.RELEASE:
        target = release(archive, id.digest)
        if target.target is None:
            raise NotHeld(f"Release with sha1_git {id.hex} has no target.")
        return ObjectId(target.target_type, target.target)
    return _head_of(archive, id)


def _head_of(archive: Archive, id: ObjectId) -> ObjectId:
    head = branch(archive, id.digest, b"HEAD")
    if head is None:
        snapshot(archive, id.digest)
        raise NotHeld(f"Snapshot with id {id.hex} has no branch HEAD that leads to an object.")
    kind = head.type.kind
    assert kind is not None
    return ObjectId(kind, head.target)
