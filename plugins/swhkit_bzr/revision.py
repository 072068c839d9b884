"""Revisions as today's format keeps them (a bencoded list of pairs, its "format 10"), and what we make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swhkit.plugin import Person, Revision, Timestamp
from swhkit_bzr import bencode
from swhkit_bzr.record import Record, record_of

#: Seconds of dates that can be told as a year from 1 to 9999; what is outside becomes 0, as for git.
_FIRST, _LAST = -62135510961, 253402297199

#: Seconds from UTC that an offset may have: far more than there are in the world.
_FARTHEST = 1 << 40

#: The notation of repositories whose revisions are such lists.
NOTATION = b"10"


def parse(data: bytes) -> Record:
    """The revision that a list is. Raises ``ValueError``."""
    pairs = bencode.decode(data)
    if not isinstance(pairs, list):
        raise ValueError("a revision is no list")
    fields: dict[bytes, bencode.Value] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], bytes):
            raise ValueError("a revision has what is no pair")
        fields[pair[0]] = pair[1]
    try:
        return record_of(
            {
                "id": fields[b"revision-id"],
                "parents": fields[b"parent-ids"],
                "committer": fields[b"committer"],
                "timestamp": fields[b"timestamp"],
                "timezone": fields.get(b"timezone", 0),
                "message": fields[b"message"],
                "properties": fields[b"properties"],
            }
        )
    except KeyError as error:
        raise ValueError(f"a revision has no {error}") from None


def revision_of(record: Record, directory: bytes, parents: Sequence[bytes]) -> Revision:
    """The archive's revision: ``directory`` and ``parents`` (without ghosts) are digests. Raises ``ValueError``."""
    date = Timestamp(_seconds(record.timestamp), 0, _offset(record.timezone))
    headers = [(b"time_offset_seconds", b"%d" % record.timezone)]
    headers += [(b"bug", bug) for bug in _bugs(record.properties.get(b"bugs", b""))]
    return Revision(
        message=record.message,
        author=Person(_author(record)),
        committer=Person(record.committer),
        date=date,
        committer_date=date,
        directory=directory,
        parents=tuple(parents),
        extra_headers=tuple(headers),
        type="bzr",
    )


def _author(record: Record) -> bytes:
    """The first of the authors; ``author`` is how old versions noted the only one."""
    authors = record.properties.get(b"authors")
    if authors is not None:
        return authors.split(b"\n", 1)[0]
    return record.properties.get(b"author", record.committer)


def _seconds(timestamp: bytes) -> int:
    """Whole seconds, towards 0, of what today's format would keep: old ones have more than three decimals."""
    value = float(b"%.3f" % float(timestamp))
    return int(value) if _FIRST <= value <= _LAST else 0


def _offset(seconds: int) -> bytes:
    """Whole minutes as ``+HHMM``."""
    if abs(seconds) > _FARTHEST:
        raise ValueError("a revision is further from UTC than any clock")
    minutes = round(seconds / 60)
    return b"%c%02d%02d" % (b"-" if minutes < 0 else b"+", *divmod(abs(minutes), 60))


def _bugs(text: bytes) -> Iterator[bytes]:
    """``STATUS URL`` of each line ``URL STATUS``; what is not of this form says nothing."""
    for line in text.split(b"\n"):
        words = line.split()
        if len(words) == 2:
            yield b"%s %s" % (words[1], words[0])
