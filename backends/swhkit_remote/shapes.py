"""The JSON of the web API as typed structs: what does not fit is refused while it is decoded.

Only what is used is declared; further keys are passed over. Older generations of the API lack some keys, so all that
can be done without has a default.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec

from swhkit.errors import Unreachable
from swhkit.model import ContentRow, Visit, VisitStatus
from swhkit.swhid import Kind

Hex20 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}$", max_length=40)]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
#: What databases take as a number.
Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


#: JSON's null, where a key is missing.
NOTHING = msgspec.Raw(b"null")
#: Metadata of more bytes is not looked into: every few of them may become an object in memory.
METADATA_LIMIT = 1 << 20


def metadata_of(raw: msgspec.Raw) -> dict[str, Any] | None:
    """Free-form metadata, None if there is none. Raises ``Unreachable`` if it is no object, or too large."""
    if memoryview(raw).nbytes > METADATA_LIMIT:
        raise Unreachable("metadata was told of that is larger than any is")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any] | None) or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreachable("metadata was told of that is no JSON object") from None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    decoding_failures: tuple[str, ...] = ()

    def failed(self, key: str) -> bool:
        """Whether the value of ``key`` is escaped because it is not UTF-8."""
        return key in self.decoding_failures


class Known(msgspec.Struct, frozen=True):
    """One answer of ``known/``."""

    known: bool


class Checksums(msgspec.Struct, frozen=True):
    """The digests of a content."""

    sha1: Hex20
    sha1_git: Hex20
    sha256: Hex32
    blake2s256: Hex32


class ContentJson(msgspec.Struct, frozen=True):
    """``content/``."""

    checksums: Checksums
    status: str = "visible"
    length: Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)] | None = None

    def row(self) -> ContentRow:
        """As the catalog keeps it: what is not visible is absent; an absent content of untold length has -1."""
        sums = self.checksums
        digests = [bytes.fromhex(d) for d in (sums.sha1_git, sums.sha1, sums.sha256, sums.blake2s256)]
        status = "visible" if self.status == "visible" and self.length is not None else "absent"
        return ContentRow(
            digests[0], digests[1], digests[2], digests[3], -1 if self.length is None else self.length, status
        )


class EntryJson(_Told, frozen=True, kw_only=True):
    """One entry of ``directory/``."""

    name: str
    type: Literal["file", "dir", "rev"]
    target: Hex20
    perms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]

    @property
    def digest(self) -> bytes:
        """What it points at."""
        return bytes.fromhex(self.target)


class PersonJson(_Told, frozen=True, kw_only=True):
    """An author, committer or tagger, with a number where persons have them; ``person/``."""

    fullname: str
    id: Number | None = None


class ParentJson(msgspec.Struct, frozen=True):
    """A parent of a revision."""

    id: Hex20


class RevisionJson(_Told, frozen=True, kw_only=True):
    """``revision/``."""

    id: Hex20
    directory: Hex20
    type: str = "git"
    message: str | None = None
    author: PersonJson | None = None
    committer: PersonJson | None = None
    date: str | None = None
    committer_date: str | None = None
    synthetic: bool = False
    metadata: msgspec.Raw = NOTHING
    extra_headers: tuple[tuple[str, str], ...] = ()
    parents: tuple[ParentJson, ...] = ()
    raw_manifest: str | None = None


class ReleaseJson(_Told, frozen=True, kw_only=True):
    """``release/``."""

    id: Hex20
    name: str
    target: Hex20 | None
    target_type: Literal["content", "directory", "revision", "release", "snapshot"]
    message: str | None = None
    author: PersonJson | None = None
    date: str | None = None
    synthetic: bool = False
    metadata: msgspec.Raw = NOTHING
    raw_manifest: str | None = None

    @property
    def kind(self) -> Kind:
        """What kind of object it names."""
        return Kind.from_word(self.target_type)


class BranchJson(msgspec.Struct, frozen=True):
    """A branch; an alias has a name as its target."""

    target: str
    target_type: Literal["content", "directory", "revision", "release", "snapshot", "alias"]


class SnapshotJson(msgspec.Struct, frozen=True):
    """A page of ``snapshot/``."""

    id: Hex20
    branches: dict[str, BranchJson | None]
    next_branch: str | None = None


class OriginJson(msgspec.Struct, frozen=True):
    """An origin; ``id`` and ``type`` only where origins have numbers."""

    url: str
    visit_types: tuple[str, ...] = ()
    id: Number | None = None
    type: str | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """The visit types, of either generation."""
        return self.visit_types or ((self.type,) if self.type else ())


class VisitJson(msgspec.Struct, frozen=True):
    """A visit."""

    origin: str
    visit: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    date: Moment
    type: str
    status: VisitStatus
    snapshot: Hex20 | None = None
    metadata: msgspec.Raw = NOTHING

    def visit_of(self, url: str) -> Visit | None:
        """The visit; None if it is one of another origin (the web API tries spellings of a URL)."""
        if self.origin != url:
            return None
        snapshot = None if self.snapshot is None else bytes.fromhex(self.snapshot)
        date = self.date.astimezone(datetime.UTC)
        return Visit(
            url, self.visit, self.type, date, self.status, snapshot, metadata=metadata_of(self.metadata)
        )


class FoundJson(OriginJson, frozen=True, kw_only=True):
    """What ``origin/search/`` tells of an origin; older generations tell less."""

    nb_visits: Number | None = None
    snapshot_id: Hex20 | None = None
    last_visit_date: Moment | None = None
    last_eventful_visit_date: Moment | None = None


class ExtIdJson(msgspec.Struct, frozen=True):
    """An external id; ``extid`` in hex where that was asked for."""

    extid: str
    extid_type: str
    target: str
    extid_version: int = 0


class AuthorityJson(msgspec.Struct, frozen=True):
    """Who has said something."""

    type: str
    url: str


class FetcherJson(msgspec.Struct, frozen=True):
    """What fetched it."""

    name: str
    version: str


class ExtrinsicJson(msgspec.Struct, frozen=True, kw_only=True):
    """A metadata record without its bytes."""

    discovery_date: Moment
    authority: AuthorityJson
    fetcher: FetcherJson
    format: str
    metadata_url: str
    target: str | None = None
    origin: str | None = None
    visit: int | None = None
    snapshot: str | None = None
    release: str | None = None
    revision: str | None = None
    path: str | None = None
    directory: str | None = None
