"""The model as JSON objects: field names, order and texts as the public API has them.

Byte strings are UTF-8; where they are not, the bad bytes are written ``\\xNN`` (and backslashes doubled) and the object
gets ``decoding_failures`` with the names of the keys. Links are made by ``Links`` alone: a key whose resource nobody
serves is left out.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from swhkit.api.calls import Links
from swhkit.escapes import escaped, unescaped
from swhkit.hashes import HashName
from swhkit.manifest import origin_digest
from swhkit.model import (
    Branch,
    BranchType,
    ContentRow,
    Origin,
    Person,
    Release,
    Revision,
    Timestamp,
    Visit,
)
from swhkit.query import Listed, SnapshotPage
from swhkit.search import FoundOrigin
from swhkit.swhid import Kind, ObjectId, QualifiedSwhid

Json = dict[str, object]
Persons = Mapping[bytes, int]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_OFFSET = re.compile(rb"([+-]?)([0-9]{1,6})")


def untext(value: str) -> bytes:
    """The bytes that ``escaped`` may have shown as ``value``; ``value`` itself unless it can only be an escaped form."""
    data = unescaped(value)
    return value.encode("utf-8", "surrogateescape") if data is None else data


def _is_text(value: bytes | None) -> bool:
    if value is None or value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _failures(values: Mapping[str, bytes | None]) -> Json:
    """The key ``decoding_failures`` for the values that are not UTF-8, if there are any."""
    names = [name for name, value in values.items() if not _is_text(value)]
    return {"decoding_failures": names} if names else {}


def _optional(value: bytes | None) -> str | None:
    return None if value is None else escaped(value)


def _linked(**urls: str | None) -> Json:
    return {name: url for name, url in urls.items() if url is not None}


def date(value: Timestamp | None) -> str | None:
    """ISO 8601 with the author's offset; UTC where the offset is none, null where the year has not four digits."""
    if value is None:
        return None
    try:
        moment = _EPOCH + datetime.timedelta(seconds=value.seconds, microseconds=value.microseconds)
        return moment.astimezone(_zone(value.offset)).isoformat()
    except OverflowError:
        return None


@lru_cache
def _zone(offset: bytes) -> datetime.tzinfo:
    found = _OFFSET.fullmatch(offset)
    if found is None:
        return datetime.UTC
    digits = found[2]
    hours, minutes = (int(digits), 0) if len(digits) < 3 else (int(digits[:-2]), int(digits[-2:]))
    if hours > 23 or minutes > 59:
        return datetime.UTC
    delta = datetime.timedelta(hours=hours, minutes=minutes)
    return datetime.timezone(-delta if found[1] == b"-" else delta)


def checksums(row: ContentRow, blake: bool = True) -> dict[str, str]:
    """The digests of a content in hex."""
    digests = {"sha1": row.sha1.hex(), "sha1_git": row.sha1_git.hex(), "sha256": row.sha256.hex()}
    if blake:
        digests["blake2s256"] = row.blake2s256.hex()
    return digests


def content(links: Links, row: ContentRow, algorithm: HashName = "sha1") -> Json:
    """A content (web API, ``content/``); links by the digest that was asked for."""
    hashes = checksums(row)
    q = f"{algorithm}:{hashes[algorithm]}"
    return {
        "length": row.length,
        "status": row.status,
        "checksums": hashes,
        **_linked(
            data_url=links.to("content-raw", q=q),
            filetype_url=links.to("content-filetype", q=q),
            language_url=links.to("content-language", q=q),
            license_url=links.to("content-license", q=q),
        ),
        "swhid": str(ObjectId(Kind.CONTENT, row.sha1_git)),
    }


def target_url(links: Links, kind: Kind, digest: bytes) -> str | None:
    """The link to any object by its id."""
    if kind is Kind.CONTENT:
        return links.to("content", q=f"sha1_git:{digest.hex()}")
    return links.to(kind.word, id=digest.hex())


_ENTRY_KINDS = {"file": Kind.CONTENT, "dir": Kind.DIRECTORY, "rev": Kind.REVISION}


def entry(links: Links, listed: Listed, path: bytes | None = None) -> Json:
    """An entry of a directory; ``name`` is ``path`` where one was asked for."""
    item, row = listed.entry, listed.row
    name = item.name if path is None else path
    made: Json = {
        "dir_id": listed.parent.hex(),
        "type": item.type,
        "target": item.target.hex(),
        "name": escaped(name),
        "perms": item.perms,
        "length": None if row is None else row.length,
    }
    # A directory has many: what they have in part is put in where it is needed.
    url = target_url(links, _ENTRY_KINDS[item.type], item.target)
    if url is not None:
        made["target_url"] = url
    if row is not None:
        made["status"] = row.status
        made["checksums"] = checksums(row, blake=False)
    if not _is_text(name):
        made["decoding_failures"] = ["name"]
    return made


def person(value: Person | None, persons: Persons) -> Json | None:
    """An author, committer or tagger, with its number if it has one."""
    if value is None:
        return None
    number = persons.get(value.fullname)
    return {
        **({} if number is None else {"id": number}),
        "fullname": escaped(value.fullname),
        "name": _optional(value.name),
        "email": _optional(value.email),
        **_failures({"fullname": value.fullname, "name": value.name, "email": value.email}),
    }


def numbered_person(value: Person, id: int) -> Json:
    """A person by number (web API, ``person/``)."""
    return {"id": id, **(person(value, {}) or {})}


def _person_url(links: Links, value: Person | None, persons: Persons) -> str | None:
    number = None if value is None else persons.get(value.fullname)
    return None if number is None else links.to("person", id=number)


def revision(links: Links, digest: bytes, value: Revision, persons: Persons) -> Json:
    """A revision (web API, ``revision/``)."""
    id = digest.hex()
    bad_header = next((part for pair in value.extra_headers for part in pair if not _is_text(part)), None)
    failures = _failures(
        {"message": value.message, "extra_headers": bad_header, "raw_manifest": value.raw_manifest}
    )
    return {
        "id": id,
        "type": value.type,
        "message": _optional(value.message),
        "author": person(value.author, persons),
        "committer": person(value.committer, persons),
        "date": date(value.date),
        "committer_date": date(value.committer_date),
        "directory": value.directory.hex(),
        "synthetic": value.synthetic,
        "metadata": value.metadata or {},
        "extra_headers": [[escaped(key), escaped(data)] for key, data in value.extra_headers],
        "parents": [{"id": p.hex(), **_linked(url=links.to("revision", id=p.hex()))} for p in value.parents],
        "merge": len(value.parents) > 1,
        **_linked(
            author_url=_person_url(links, value.author, persons),
            committer_url=_person_url(links, value.committer, persons),
            url=links.to("revision", id=id),
            history_url=links.to("revision-log", id=id),
            directory_url=links.to("directory", id=value.directory.hex()),
            message_url=None if _is_text(value.message) else links.to("revision-raw", id=id),
        ),
        **failures,
        **({} if value.raw_manifest is None else {"raw_manifest": escaped(value.raw_manifest)}),
    }


def release(links: Links, digest: bytes, value: Release, persons: Persons) -> Json:
    """A release (web API, ``release/``)."""
    target = value.target
    values = {"name": value.name, "message": value.message, "raw_manifest": value.raw_manifest}
    return {
        "id": digest.hex(),
        "name": escaped(value.name),
        "message": _optional(value.message),
        "target": None if target is None else target.hex(),
        "target_type": value.target_type.word,
        **_linked(
            target_url=None if target is None else target_url(links, value.target_type, target),
            author_url=_person_url(links, value.author, persons),
        ),
        "author": person(value.author, persons),
        "date": date(value.date),
        "synthetic": value.synthetic,
        **({"metadata": value.metadata} if value.metadata else {}),
        **_failures(values),
        **({} if value.raw_manifest is None else {"raw_manifest": escaped(value.raw_manifest)}),
    }


def branch(links: Links, value: Branch | None, end: Branch | None) -> Json | None:
    """A branch; ``end`` is where the chain of an alias ends (None: nowhere). A dangling branch is null."""
    if value is None:
        return None
    alias = value.type is BranchType.ALIAS
    final = end if alias else value
    kind = None if final is None else final.type.kind
    url = None if final is None or kind is None else target_url(links, kind, final.target)
    return {
        "target": escaped(value.target) if alias else value.target.hex(),
        "target_type": value.type.value,
        **_linked(target_url=url),
    }


def branches(links: Links, value: SnapshotPage) -> Json:
    """A page of branches by name."""
    return {
        escaped(name): branch(links, target, value.ends.get(name))
        for name, target in value.page.branches.items()
    }


def snapshot(links: Links, digest: bytes, value: SnapshotPage) -> Json:
    """A page of a snapshot (web API, ``snapshot/``)."""
    return {
        "id": digest.hex(),
        "branches": branches(links, value),
        "next_branch": _optional(value.page.next_branch),
    }


def origin(links: Links, value: Origin) -> Json:
    """An origin (web API, ``origin/…/get/``)."""
    swhid = f"swh:1:ori:{origin_digest(value.url).hex()}"
    return {
        "url": value.url,
        "visit_types": list(value.visit_types),
        **_linked(
            origin_visits_url=links.to("origin-visits", url=value.url),
            metadata_authorities_url=links.to("raw-extrinsic-metadata-authorities", target=swhid),
        ),
    }


def found_origin(links: Links, value: FoundOrigin) -> Json:
    """An origin that a search found (web API, ``origin/search/``)."""
    known = origin(links, value.origin)
    urls = {name: known.pop(name) for name in list(known) if name.endswith("_url")}
    return {
        **known,
        "has_visits": value.visits > 0,
        "nb_visits": value.visits,
        "snapshot_id": None if value.snapshot is None else value.snapshot.hex(),
        "last_visit_date": moment(value.last_visit),
        "last_eventful_visit_date": moment(value.last_eventful_visit),
        **urls,
    }


def moment(value: datetime.datetime | None) -> str | None:
    """A moment as the web API shows it; None stays None."""
    return None if value is None else value.astimezone(datetime.UTC).isoformat()


def visit(links: Links, value: Visit, *, listed: bool = False) -> Json:
    """A visit; in a list it links to itself, else to its origin."""
    snapshot = None if value.snapshot is None else value.snapshot.hex()
    if listed:
        urls = _linked(origin_visit_url=links.to("origin-visit", url=value.origin, visit=value.number))
    else:
        urls = _linked(origin_url=links.to("origin", url=value.origin))
    return {
        "origin": value.origin,
        "visit": value.number,
        "date": moment(value.date),
        "type": value.type,
        "status": value.status.value,
        "snapshot": snapshot,
        "snapshot_url": None if snapshot is None else links.to("snapshot", id=snapshot),
        "metadata": value.metadata or {},
        **urls,
    }


def resolved(swhid: QualifiedSwhid, browse_url: str | None) -> Json:
    """What a SWHID names (web API, ``resolve/``). ``browse_url`` is null where no pages are served."""
    return {
        "namespace": "swh",
        "scheme_version": 1,
        "object_type": swhid.core.kind.word,
        "object_id": swhid.core.hex,
        "metadata": swhid.qualifiers(),
        "browse_url": browse_url,
    }


def revisions(links: Links, found: Sequence[tuple[bytes, Revision]], persons: Persons) -> list[Json]:
    """A page of revisions."""
    return [revision(links, digest, value, persons) for digest, value in found]
