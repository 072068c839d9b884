"""The text of one changeset, taken apart; and the revision it becomes.

The format is that of Mercurial's changelog: manifest, user, ``TIME OFFSET[ EXTRA]``, the files, an empty line, the
description. Mercurial writes UTF-8; what is not UTF-8 (other programs have written changesets too) it takes for
Latin-1, and so does the public archive, whose ids are to be met.
"""

from __future__ import annotations

import re

import msgspec

from swhkit.plugin import Person, Revision, Timestamp
from swhkit_hg.errors import Broken
from swhkit_hg.texts import Text

_ESCAPED = re.compile(rb"\\([\\nr0])")
_PLAIN = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"0": b"\0"}
#: What lies outside cannot be told as a date (year 1 to 9999), and is kept as 1970.
_FIRST, _LAST = -62135510961, 253402297199
_DEFAULT = b"default"


class Changeset(msgspec.Struct, frozen=True, gc=False):
    """What a changeset says; ``extras`` are unescaped, first the branch and then as they are stored (by name)."""

    manifest: bytes
    user: bytes
    seconds: int
    offset: int
    extras: tuple[tuple[bytes, bytes], ...]
    description: bytes

    @property
    def branch(self) -> bytes:
        """The named branch it is on."""
        return in_utf8(dict(self.extras).get(b"branch", _DEFAULT))

    @property
    def closes(self) -> bool:
        """Whether it closes its branch."""
        return bool(dict(self.extras).get(b"close"))


def parse(text: Text) -> Changeset:
    """The changeset of a text. Raises ``Broken`` where there is no manifest, user and date."""
    first = text.find(b"\n")
    second = text.find(b"\n", first + 1)
    third = text.find(b"\n", second + 1)
    if min(first, second, third) < 0 or first < 40:
        raise Broken("a changeset has no manifest, user and date")
    gap = third if text[third + 1 : third + 2] == b"\n" else text.find(b"\n\n", third)
    if gap < 0:
        raise Broken("a changeset has no description")
    try:
        manifest = bytes.fromhex(text[:40].decode("ascii"))
        time, _, rest = text[second + 1 : third].partition(b" ")
        offset, _, extra = rest.partition(b" ")
        seconds = _whole(time)
    except (ValueError, OverflowError):
        raise Broken("a changeset has a manifest or a date that cannot be read") from None
    return Changeset(
        manifest,
        in_utf8(text[first + 1 : second]),
        seconds,
        _offset(offset),
        _extras(extra),
        in_utf8(text[gap + 2 :]),
    )


def revision(changeset: Changeset, directory: bytes, parents: tuple[bytes, ...]) -> Revision:
    """The revision of a changeset, with the digests of its directory and of its parents' revisions."""
    person = Person(changeset.user)
    date = Timestamp(changeset.seconds, 0, b"+0000")
    offset = str(changeset.offset).encode("ascii")
    extras = tuple(_header(name, value) for name, value in changeset.extras if _is_told(name, value))
    return Revision(
        message=changeset.description,
        author=person,
        committer=person,
        date=date,
        committer_date=date,
        directory=directory,
        parents=parents,
        extra_headers=((b"time_offset_seconds", offset), *extras),
        type="hg",
    )


def in_utf8(text: bytes) -> bytes:
    """``text`` as it is if it is UTF-8, else taken for Latin-1."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1").encode("utf-8")
    return text


def _is_told(name: bytes, value: bytes) -> bool:
    return name != b"branch" or value != _DEFAULT


def _header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """An extra as a header: the one that is a node in binary is written in hexadecimal."""
    return (name, value.hex().encode("ascii")) if name == b"transplant_source" else (name, value)


def _whole(time: bytes) -> int:
    """Whole seconds of a time that may have a fraction."""
    seconds = int(time) if time.lstrip(b"-").isdigit() else int(float(time))
    return seconds if _FIRST <= seconds <= _LAST else 0


def _offset(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _extras(text: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """``KEY:VALUE`` with NUL between; backslash, newline, carriage return and NUL within are escaped."""
    found = {b"branch": _DEFAULT}
    for item in text.split(b"\0"):
        name, colon, value = _ESCAPED.sub(lambda match: _PLAIN[match[1]], item).partition(b":")
        if colon:
            found[name] = value
    return tuple(found.items())
