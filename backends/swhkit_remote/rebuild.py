"""Objects from what the web API tells of them in JSON, where their bytes themselves are not given out.

JSON loses things: how an odd time zone was written, in which order a malformed tree stood, which of two byte strings a
text with backslashes was. So every function here gives *candidates*, the likeliest first; the one that hashes to the
id is the object, and if none does, the object cannot be rebuilt.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product

from swhkit.errors import InvalidManifest
from swhkit.hashes import git_digest
from swhkit.manifest import encode, person_of
from swhkit.model import Person, Release, Revision, Timestamp
from swhkit.swhid import Kind
from swhkit_remote.escapes import readings
from swhkit_remote.shapes import EntryJson, PersonJson, ReleaseJson, RevisionJson

#: So many candidates are tried for a revision or release, and for a directory, which may be large.
CANDIDATES, CANDIDATES_OF_TREE = 1024, 16
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)

Header = tuple[bytes, bytes]


def first_match(kind: Kind, digest: bytes, bodies: Iterable[bytes]) -> bytes | None:
    """The first of ``bodies`` that hashes to the id."""
    return next((body for body in bodies if git_digest(kind.git, body) == digest), None)


def directories(entries: Sequence[EntryJson]) -> Iterator[bytes]:
    """Bodies that a listing may come from: in git's order or as listed; modes of folders without or with a zero first."""
    names = [readings(entry.name, entry.failed("name")) for entry in entries]
    for chosen in islice(product(*names), CANDIDATES_OF_TREE):
        listed = list(zip(chosen, entries, strict=True))
        in_order = sorted(listed, key=lambda pair: pair[0] + b"/" if pair[1].type == "dir" else pair[0])
        for rows in (in_order, listed) if in_order != listed else (listed,):
            yield _tree(rows, b"%o")
            yield _tree(rows, b"%06o")


def _tree(rows: Iterable[tuple[bytes, EntryJson]], mode: bytes) -> bytes:
    return b"".join([mode % entry.perms + b" " + name + b"\0" + entry.digest for name, entry in rows])


def revisions(told: RevisionJson) -> Iterator[bytes]:
    """Bodies that a revision may come from."""
    parents = tuple(bytes.fromhex(parent.id) for parent in told.parents)

    def made(
        message: bytes | None,
        author: Person | None,
        committer: Person | None,
        date: Timestamp | None,
        committer_date: Timestamp | None,
        headers: tuple[Header, ...],
    ) -> Revision:
        return Revision(
            message, author, committer, date, committer_date, bytes.fromhex(told.directory), parents, headers
        )

    choices = product(
        _messages(told.message, told.failed("message")),
        _persons(told.author),
        _persons(told.committer),
        _dates(told.date),
        _dates(told.committer_date),
        list(islice(product(*map(_headers, told.extra_headers)), CANDIDATES)),
    )
    yield from _raw(told.raw_manifest, told.failed("raw_manifest"))
    yield from _encoded(made(*chosen) for chosen in islice(choices, CANDIDATES))


def releases(told: ReleaseJson) -> Iterator[bytes]:
    """Bodies that a release may come from."""
    target = None if told.target is None else bytes.fromhex(told.target)
    choices = product(
        readings(told.name, told.failed("name")),
        _messages(told.message, told.failed("message")),
        _persons(told.author),
        _dates(told.date),
    )
    yield from _raw(told.raw_manifest, told.failed("raw_manifest"))
    yield from _encoded(
        Release(name, message, target, told.kind, author, date)
        for name, message, author, date in islice(choices, CANDIDATES)
    )


def _encoded(objects: Iterable[Revision | Release]) -> Iterator[bytes]:
    for made in objects:
        try:
            yield encode(made)
        except InvalidManifest:
            return


def _raw(text: str | None, failed: bool) -> Iterator[bytes]:
    """Bodies of a raw manifest, which has git's header."""
    for raw in () if text is None else readings(text, failed):
        yield raw.partition(b"\0")[2]


def _headers(pair: tuple[str, str]) -> list[Header]:
    return [(key, value) for key in readings(pair[0]) for value in readings(pair[1])]


def _messages(text: str | None, failed: bool) -> list[bytes | None]:
    # A missing message and an empty one look alike where JSON was made without care.
    if not text:
        return [b"", None] if text == "" else [None, b""]
    return list(readings(text, failed))


def _persons(told: PersonJson | None) -> list[Person | None]:
    if told is None:
        return [None]
    return [person_of(fullname) for fullname in readings(told.fullname, told.failed("fullname"))]


def _dates(text: str | None) -> list[Timestamp | None]:
    """The moments a date may stand for: what differs is how the time zone was written."""
    try:
        moment = None if text is None else datetime.datetime.fromisoformat(text)
    except ValueError:
        return []
    offset = None if moment is None else moment.utcoffset()
    if moment is None or offset is None:
        return [None]
    since = moment - _EPOCH
    seconds, micros = since // _SECOND, since % _SECOND // datetime.timedelta(microseconds=1)
    return [Timestamp(seconds, micros, zone) for zone in _zones(offset)]


def _zones(offset: datetime.timedelta) -> list[bytes]:
    minutes = offset // datetime.timedelta(minutes=1)
    sign, (hours, rest) = b"-" if minutes < 0 else b"+", divmod(abs(minutes), 60)
    zones = [b"%s%02d%02d" % (sign, hours, rest)]
    if not minutes:
        zones.append(b"-0000")
    if hours < 10:
        zones.append(b"%s%d%02d" % (sign, hours, rest))
    return zones
