"""Expands keywords (``$Id$``, ``$Log$`` …) in a text that is checked out, as a server of the time does.

What is expanded, and how, follows the manual of CVS ("Keyword substitution"; "The CVSROOT/config file"). Where versions
of CVS differ, it is what all of them do: ``$CVSHeader$`` is left alone (only versions from 1.12.2 know it), a comment
leader of any length is repeated for ``$Log$``, names are written as they are. ``$Mdocdate$`` is OpenBSD's, and Debian's.
Locks are not shown, since they are no part of a revision; nor is the name of a tag, since none is asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from mmap import mmap

import msgspec

from swhkit.plugin import LimitExceeded
from swhkit_cvs.texts import Text, Texts

#: By how much (bytes) keywords may make one text longer.
MOST_GROWTH = 64 << 20
#: A line with more than this (bytes) before its ``$Log$`` has no comment leader.
MOST_LEADER = 4096
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_ALL = (
    "Author", "Date", "Header", "Id", "Locker", "Log", "Mdocdate", "Name", "RCSfile", "Revision", "Source", "State",
)  # fmt: skip


class Shown(msgspec.Struct, frozen=True):
    """The revision that keywords tell of. ``path`` is that of the RCS file (with ``,v``), ``log`` its message."""

    path: bytes
    number: bytes
    date: int
    author: bytes
    state: bytes
    log: bytes


class Keywords:
    """The keywords of one repository: those that are expanded, as its ``CVSROOT/config`` has it."""

    def __init__(self, local: bytes | None = None, excluded: Iterable[bytes] = ()) -> None:
        kinds = {name.encode("ascii"): name for name in _ALL}
        if local is not None:
            kinds[local] = "Id"
        self._kinds = {name: kind for name, kind in kinds.items() if name not in set(excluded)}
        names = b"|".join(re.escape(name) for name in self._kinds)
        self._pattern = re.compile(rb"\$(" + names + rb")(?::[^$\n]*+)?(?=\$)") if names else None

    @classmethod
    def configured(cls, text: bytes) -> Keywords:
        """Those of a repository with this ``CVSROOT/config``.

        ``tag=NAME`` and ``LocalKeyword=NAME=Id`` make NAME a further ``$Id$`` (the last of them holds; ``CVSHeader``
        for ``Id`` is taken as ``Id``), ``KeywordExpand=eNAME,…`` leaves names out.
        """
        local: bytes | None = None
        excluded: list[bytes] = []
        for line in text.splitlines():
            key, _, value = (part.strip() for part in line.partition(b"="))
            if key == b"tag" and value and b"=" not in value:
                local = value
            elif key == b"LocalKeyword":
                name, _, kind = (part.strip() for part in value.partition(b"="))
                local = name if name and kind in (b"Id", b"CVSHeader") else local
            elif key == b"KeywordExpand" and value.startswith(b"e"):
                excluded += [name.strip() for name in value[1:].split(b",")]
        return cls(local, excluded)

    def expanded(self, text: Text, mode: bytes | None, shown: Shown, texts: Texts) -> Text:
        """``text`` as it is checked out; itself if nothing in it changes. ``mode``: of the file (``kv``, ``o`` …).

        Raises ``LimitExceeded`` if it becomes too long.
        """
        if mode in (b"o", b"b") or self._pattern is None or text.data.find(b"$") < 0:
            return text
        builder, at = texts.builder(), 0
        values: dict[bytes, bytes] = {}
        for match in self._pattern.finditer(text.data):
            if match.start() < at:  # its $ was the end of the one before
                continue
            builder.write(text.data, at, match.start())
            name = match[1]
            if name not in values:
                values[name] = _field(name, self._value(self._kinds[name], shown), mode)
            builder.append(values[name])
            at = match.end()
            if mode == b"v":
                at += 1
            elif self._kinds[name] == "Log" and mode != b"k":
                builder.append(b"$")
                at += 1
            if self._kinds[name] == "Log" and mode != b"k":
                builder.append(_log(_leader(text.data, match.start()), shown))
            if builder.length - at > MOST_GROWTH:
                raise LimitExceeded(f"keywords make it more than {MOST_GROWTH} bytes longer")
        if at == 0:
            return text
        builder.write(text.data, at, len(text.data))
        return builder.finish()

    def _value(self, kind: str, shown: Shown) -> bytes:
        file = shown.path.rpartition(b"/")[2]
        date = _date(shown.date)
        rest = b" %b %b %b %b" % (shown.number, date, shown.author, shown.state)
        values: Mapping[str, bytes] = {
            "Author": shown.author, "Date": date, "Header": shown.path + rest, "Id": file + rest, "Log": file,
            "Mdocdate": _mdocdate(shown.date), "RCSfile": file, "Revision": shown.number, "Source": shown.path,
            "State": shown.state,
        }  # fmt: skip
        return values.get(kind, b"")


def _field(name: bytes, value: bytes, mode: bytes | None) -> bytes:
    """A keyword in a text, up to its closing ``$`` (with ``v`` there is none). A mode that is none is taken as ``kv``."""
    if mode == b"k":
        return b"$" + name
    return value if mode == b"v" else b"$%b: %b " % (name, value)


def _leader(data: bytes | mmap, at: int) -> bytes:
    """What is before ``at`` in its line."""
    first = max(0, at - MOST_LEADER - 1)
    before = data[first:at]
    line = before[before.rfind(b"\n") + 1 :]
    return line if len(line) <= MOST_LEADER else b""


def _log(leader: bytes, shown: Shown) -> bytes:
    """What ``$Log$`` inserts behind itself; the rest of its line follows after the leader."""
    if len(leader) * shown.log.count(b"\n") > MOST_GROWTH:
        raise LimitExceeded(f"keywords make it more than {MOST_GROWTH} bytes longer")
    lines = shown.log.split(b"\n")
    if not lines[-1]:
        lines.pop()
    first = b"Revision %b  %b  %b" % (shown.number, _date(shown.date), shown.author)
    return b"".join([b"\n", *(leader + line + b"\n" for line in (first, *lines)), leader.rstrip()])


def _date(seconds: int) -> bytes:
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return b"%04d/%02d/%02d %02d:%02d:%02d" % (year, month, day, hour, minute, second)


def _mdocdate(seconds: int) -> bytes:
    year, month, day = time.gmtime(seconds)[:3]
    return f"{_MONTHS[month - 1]} {day} {year}".encode("ascii")
