"""The data model: what loaders yield, what the archive keeps. Plain frozen structs; no behaviour, no I/O.

Names and fields follow the Software Heritage data model (ISO/IEC 18670). Ids are not fields: an object's id is a
function of its fields (``swhkit.manifest``), and bytes that the fields cannot reproduce are kept as
``raw_manifest``. msgspec does not validate in ``__init__``; what comes from outside goes through
``msgspec.convert`` or the parsers of ``swhkit.manifest``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from swhkit.hashes import Hashes
from swhkit.swhid import Kind, ObjectId

CHUNK = 1 << 16


class Bytes(msgspec.Struct, frozen=True):
    """A byte source in memory."""

    data: bytes

    @property
    def length(self) -> int:
        """Number of bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, at once."""
        yield self.data


class File(msgspec.Struct, frozen=True):
    """A byte source that is a file on disk; ``length`` is what it had when it was described."""

    path: Path
    length: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces. Raises ``OSError``; the taker checks the length."""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


class Chunks(msgspec.Struct, frozen=True):
    """A byte source that can be read once: ``source`` yields ``length`` bytes in all."""

    length: int
    source: Iterator[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces, once."""
        return self.source


#: Where the bytes of a content come from. All have ``length`` (bytes) and ``chunks()``.
ByteSource = Bytes | File | Chunks


class Person(msgspec.Struct, frozen=True, gc=False):
    """An author, committer or tagger. Only ``fullname`` is hashed; name and email are derived from it."""

    fullname: bytes
    name: bytes | None = None
    email: bytes | None = None


class Timestamp(msgspec.Struct, frozen=True, gc=False):
    """A moment with the offset as its raw bytes, so that ``-0000``, ``+051800`` and ``--700`` survive.

    ``seconds`` since 1970-01-01 UTC (negative before), ``microseconds`` 0..999999, ``offset`` e.g. ``b"+0200"``.
    """

    seconds: int
    microseconds: int
    offset: bytes


class Content(msgspec.Struct, frozen=True):
    """A file's bytes, as a loader yields them. All digests are computed by the core."""

    source: ByteSource


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a directory: ``type`` is ``file``, ``dir`` or ``rev``; ``perms`` is the mode as it stands."""

    name: bytes
    type: str
    target: bytes
    perms: int


class Directory(msgspec.Struct, frozen=True):
    """A tree. ``raw_manifest`` (header included) only where the entries do not hash to the id."""

    entries: tuple[Entry, ...]
    raw_manifest: bytes | None = None


class Revision(msgspec.Struct, frozen=True):
    """A commit. ``type`` and ``synthetic`` and ``metadata`` are not in the bytes (see ``ObjectMetadata``)."""

    message: bytes | None
    author: Person | None
    committer: Person | None
    date: Timestamp | None
    committer_date: Timestamp | None
    directory: bytes
    parents: tuple[bytes, ...] = ()
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    type: str = "git"
    synthetic: bool = False
    metadata: dict[str, Any] | None = None
    raw_manifest: bytes | None = None


class Release(msgspec.Struct, frozen=True):
    """An annotated tag. ``target`` is 20 bytes (None only for a release without target)."""

    name: bytes
    message: bytes | None
    target: bytes | None
    target_type: Kind
    author: Person | None = None
    date: Timestamp | None = None
    synthetic: bool = False
    metadata: dict[str, Any] | None = None
    raw_manifest: bytes | None = None


class BranchType(StrEnum):
    """What a branch points at; the value is the word of the snapshot manifest and of the web API."""

    CONTENT = "content"
    DIRECTORY = "directory"
    REVISION = "revision"
    RELEASE = "release"
    SNAPSHOT = "snapshot"
    ALIAS = "alias"

    @property
    def kind(self) -> Kind | None:
        """The kind of object, None for an alias."""
        return None if self is BranchType.ALIAS else Kind.from_word(self.value)


class Branch(msgspec.Struct, frozen=True, gc=False):
    """Where a branch points: ``target`` is a digest (20 bytes), or for an alias the name of another branch."""

    type: BranchType
    target: bytes


class Snapshot(msgspec.Struct, frozen=True):
    """All branches of an origin at one visit. A value of None is a dangling branch."""

    branches: Mapping[bytes, Branch | None]


class ContentRow(msgspec.Struct, frozen=True, gc=False, tag="content", tag_field="record", array_like=True):
    """What the catalog keeps of a content. ``status`` is ``visible`` (bytes held) or ``absent`` (``reason`` says why)."""

    sha1_git: bytes
    sha1: bytes
    sha256: bytes
    blake2s256: bytes
    length: int
    status: str = "visible"
    reason: str | None = None

    @classmethod
    def of(cls, hashes: Hashes, status: str = "visible", reason: str | None = None) -> ContentRow:
        """The row of digests just computed."""
        return cls(
            hashes.sha1_git, hashes.sha1, hashes.sha256, hashes.blake2s256, hashes.length, status, reason
        )


class Skipped(msgspec.Struct, frozen=True):
    """A content that exists at the origin and is left out on purpose; its digests are known, its bytes not kept."""

    hashes: Hashes
    reason: str


class ObjectMetadata(msgspec.Struct, frozen=True, tag="metadata", tag_field="record", array_like=True):
    """What is known of a revision or release beyond its bytes.

    ``revision_type`` (``hg``, ``svn`` …; None for releases), ``synthetic``, ``metadata`` (JSON object or None).
    Objects without such a row are plain git: type ``git``, not synthetic, no metadata.
    """

    kind: Kind
    digest: bytes
    revision_type: str | None = None
    synthetic: bool = False
    metadata: dict[str, Any] | None = None

    @property
    def id(self) -> ObjectId:
        """The object it is about."""
        return ObjectId(self.kind, self.digest)


class ExtId(msgspec.Struct, frozen=True, gc=False, tag="extid", tag_field="record", array_like=True):
    """An identifier of another system for a held object, e.g. type ``hg-nodeid`` version 1."""

    type: str
    version: int
    value: bytes
    kind: Kind
    digest: bytes

    @property
    def target(self) -> ObjectId:
        """The object it names."""
        return ObjectId(self.kind, self.digest)


class ExtrinsicMetadata(
    msgspec.Struct, frozen=True, tag="emd", tag_field="record", array_like=True, kw_only=True
):
    """Raw metadata about an object that comes from elsewhere (a forge, a registry).

    ``target`` and the context fields are SWHIDs as text (``path`` is bytes, ``visit`` an int, ``origin`` a URL);
    ``authority_type`` is ``deposit_client``, ``forge`` or ``registry``.
    """

    target: str
    discovery_date: datetime.datetime
    authority_type: str
    authority_url: str
    fetcher_name: str
    fetcher_version: str
    format: str
    metadata: bytes
    origin: str | None = None
    visit: int | None = None
    snapshot: str | None = None
    release: str | None = None
    revision: str | None = None
    path: bytes | None = None
    directory: str | None = None


class PersonRow(msgspec.Struct, frozen=True, gc=False, tag="person", tag_field="record", array_like=True):
    """A person seen in a revision or release; the catalog gives it a number."""

    fullname: bytes


class Gap(msgspec.Struct, frozen=True, gc=False, tag="gap", tag_field="record", array_like=True):
    """Something upstream itself lacks, so that the visit is ``partial``.

    Either an object (``kind``, ``digest``) that another refers to (``referrer``, 20 bytes, or None), or a branch
    (``branch``, its raw name) whose target could not be had.
    """

    reason: str
    kind: Kind | None = None
    digest: bytes | None = None
    referrer: bytes | None = None
    branch: bytes | None = None


class Pack(msgspec.Struct, frozen=True):
    """A git pack with the idx that our own git made for it; both lie on the file system of the stage."""

    path: Path
    idx: Path


class VisitStatus(StrEnum):
    """Where a visit stands. The last four are final."""

    CREATED = "created"
    ONGOING = "ongoing"
    FULL = "full"
    PARTIAL = "partial"
    FAILED = "failed"
    NOT_FOUND = "not_found"

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self not in (VisitStatus.CREATED, VisitStatus.ONGOING)


#: Statuses of visits that went well.
GOOD = (VisitStatus.FULL, VisitStatus.PARTIAL)


class LoadStatus(StrEnum):
    """What a visit changed."""

    EVENTFUL = "eventful"
    UNEVENTFUL = "uneventful"
    FAILED = "failed"


class Origin(msgspec.Struct, frozen=True):
    """An origin the archive knows. ``id`` counts from 1 in the order of first sight."""

    id: int
    url: str
    visit_types: tuple[str, ...] = ()


class Visit(msgspec.Struct, frozen=True):
    """One visit, with its latest status. ``number`` counts from 1 for each origin; ``date`` is when it began (UTC)."""

    origin: str
    number: int
    type: str
    date: datetime.datetime
    status: VisitStatus
    snapshot: bytes | None = None
    reason: str | None = None
    metadata: dict[str, Any] | None = None


class VisitUpdate(msgspec.Struct, frozen=True):
    """One line of a visit's history."""

    date: datetime.datetime
    status: VisitStatus
    snapshot: bytes | None = None
    reason: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What a loader may say of its visit instead of leaving it to the core; None means "you decide"."""

    status: VisitStatus | None = None
    load_status: LoadStatus | None = None
    reason: str | None = None


#: What a loader yields before its one ``Snapshot``.
Item = (
    Content
    | Directory
    | Revision
    | Release
    | Pack
    | Skipped
    | ExtId
    | ObjectMetadata
    | ExtrinsicMetadata
    | Gap
    | Snapshot
)
