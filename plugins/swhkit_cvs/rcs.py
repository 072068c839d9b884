"""Reads RCS files (``,v``) as rcsfile(5) and the files of thirty years have them: where everything is, in one pass.

Only facts are taken out: of each revision its number, date, author, state, commit id, which one is next, and where in
the file its log message and its text (or delta) lie. The cost is linear and the memory small, whatever the file says.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from mmap import mmap

import msgspec

from swhkit.plugin import LimitExceeded, Unavailable

#: Revisions that one file may have: each takes some 400 bytes of memory while the file is read.
MOST_REVISIONS = 200_000
#: The longest log message (bytes).
MOST_LOG = 16 << 20
#: The most that numbers, authors, states and commit ids of one file may have (bytes): they are kept while it is read.
_MOST_FACTS = 64 << 20
#: What an RCS file is read from.
Data = bytes | mmap

_SPACE = re.compile(rb"[\s\x00\x08]*+")
_WORD = re.compile(rb"[^\s\x00\x08;@]{1,4096}")
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)*+")
_PLAIN = re.compile(rb"[^;@]*+")
_STRING = re.compile(rb"[^@]*+(?:@@[^@]*+)*+@")


class Damaged(Unavailable):
    """An RCS file that cannot be read as one."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Where a string lies: the bytes between its ``@``, in which each ``@`` is doubled."""

    start: int
    end: int


class Delta(msgspec.Struct, gc=False):
    """One revision. ``date``: seconds since 1970; ``next``: empty at the end; ``log`` and ``text``: None if missing."""

    number: bytes
    date: int = 0
    author: bytes = b""
    state: bytes = b""
    branches: tuple[bytes, ...] = ()  # the vendor's, of which there is one
    next: bytes = b""
    commitid: bytes | None = None
    log: Span | None = None
    text: Span | None = None


class RcsFile(msgspec.Struct):
    """What an RCS file says. ``head`` is empty where there is no revision; ``expand`` is the keyword mode, if any."""

    data: Data
    head: bytes
    expand: bytes | None
    deltas: dict[bytes, Delta]

    def string(self, span: Span, most: int = MOST_LOG) -> bytes:
        """The bytes a string stands for. Raises ``LimitExceeded`` if they are more than ``most``."""
        if span.end - span.start > most:
            raise LimitExceeded(f"a text of {span.end - span.start} bytes, where {most} are read at most")
        return self.data[span.start : span.end].replace(b"@@", b"@")


def parse(data: Data) -> RcsFile:
    """Read an RCS file. Raises ``Damaged`` (its text does not name the file), ``LimitExceeded``."""
    reader = _Reader(data)
    head, expand, word = _admin(reader)
    deltas: dict[bytes, Delta] = {}
    size = 0
    while word != b"desc":
        if len(deltas) >= MOST_REVISIONS:
            raise LimitExceeded(f"more than {MOST_REVISIONS} revisions in one file")
        delta, word = _delta(reader, word)
        deltas[delta.number] = delta
        size += sum(
            map(
                len,
                (delta.number, delta.author, delta.state, delta.next, delta.commitid or b"", *delta.branches),
            )
        )
        if size > _MOST_FACTS:
            raise LimitExceeded(f"more than {_MOST_FACTS} bytes of facts of revisions in one file")
    reader.string()
    for number in reader.words_to_end():
        log, text = _delta_text(reader, number)
        if number in deltas:
            deltas[number].log, deltas[number].text = log, text
    return RcsFile(data, head, expand, deltas)


def _admin(reader: _Reader) -> tuple[bytes, bytes | None, bytes]:
    """Head, keyword mode, and the word after: the number of the first delta, or ``desc``."""
    head, expand = b"", None
    if (word := reader.word()) != b"head":
        raise reader.damage("this is no RCS file: it should begin with 'head'")
    while word != b"desc" and not _NUMBER.fullmatch(word):
        if word == b"head":
            head = b"".join(reader.phrase()[:1])
        elif word == b"expand":
            expand = b"".join(reader.phrase()[:1])
        else:
            reader.skip_phrase()
        word = reader.word()
    return head, expand, word


def _delta(reader: _Reader, number: bytes) -> tuple[Delta, bytes]:
    """The facts of one revision, and the word after."""
    delta = Delta(number)
    word = reader.word()
    while word != b"desc" and not _NUMBER.fullmatch(word):
        match word:
            case b"date":
                delta.date = _date(reader)
            case b"author":
                delta.author = b"".join(reader.phrase()[:1])
            case b"state":
                delta.state = b"".join(reader.phrase()[:1])
            case b"branches":
                delta.branches = tuple(word for word in reader.phrase() if word.startswith(b"1.1.1."))[:1]
            case b"next":
                delta.next = b"".join(reader.phrase()[:1])
            case b"commitid":
                delta.commitid = b"".join(reader.phrase()[:1]) or None
            case _:
                reader.skip_phrase()
        word = reader.word()
    return delta, word


def _date(reader: _Reader) -> int:
    """``YY.MM.DD.hh.mm.ss`` or ``YYYY.…``, in UTC; years before 1900 count from there (some wrote 100 for 2000)."""
    text = b"".join(reader.phrase()[:1])
    parts = [int(part) for part in text.split(b".") if part.isdigit() and len(part) <= 4]
    if len(parts) != 6 or text.count(b".") != 5 or not 1 <= parts[1] <= 12 or max(parts[2:]) > 99:
        raise reader.damage(f"{text[:40]!r} is no date")
    year = parts[0] + 1900 if parts[0] < 1900 else parts[0]
    return calendar.timegm((year, *parts[1:]))


def _delta_text(reader: _Reader, number: bytes) -> tuple[Span, Span]:
    """Where log and text of one revision lie."""
    if not _NUMBER.fullmatch(number):
        raise reader.damage(f"the number of a revision should be here, not {number[:40]!r}")
    found: dict[bytes, Span] = {}
    while b"text" not in found:
        word = reader.word()
        if word in (b"log", b"text"):
            found[word] = reader.string()
        else:
            reader.skip_phrase()
    if b"log" not in found:
        raise reader.damage(f"revision {number.decode()} has no log message")
    return found[b"log"], found[b"text"]


class _Reader:
    """Words and strings of an RCS file, one after the other."""

    def __init__(self, data: Data) -> None:
        self._data, self._at = data, 0

    def word(self) -> bytes:
        """The next word."""
        self._skip_space()
        match = _WORD.match(self._data, self._at)
        if match is None:
            raise self.damage("a word is missing")
        self._at = match.end()
        return match[0]

    def words_to_end(self) -> Iterator[bytes]:
        """The next word each time, until the file ends."""
        self._skip_space()
        while self._at < len(self._data):
            yield self.word()
            self._skip_space()

    def phrase(self) -> list[bytes]:
        """The words and strings up to the next semicolon, which is read."""
        found: list[bytes] = []
        size = 0
        while True:
            self._skip_space()
            sign = self._data[self._at : self._at + 1]
            if sign == b";":
                self._at += 1
                return found
            if len(found) >= MOST_REVISIONS or size > _MOST_FACTS:
                raise self.damage(f"a list of more than {MOST_REVISIONS} words")
            if sign == b"@":
                span = self.string()
                found.append(self._data[span.start : min(span.end, span.start + 4096)])
            else:
                found.append(self.word())
            size += len(found[-1])

    def skip_phrase(self) -> None:
        """Go behind the next semicolon that is not in a string."""
        while True:
            match = _PLAIN.match(self._data, self._at)
            self._at = match.end() if match else self._at
            sign = self._data[self._at : self._at + 1]
            if sign != b"@":
                break
            self.string()
        if not sign:
            raise self.damage("a semicolon is missing")
        self._at += 1

    def string(self) -> Span:
        """The next string."""
        self._skip_space()
        start = self._at + 1
        match = _STRING.match(self._data, start) if self._data[self._at : start] == b"@" else None
        if match is None:
            raise self.damage("a string is missing, or has no end")
        self._at = match.end()
        return Span(start, self._at - 1)

    def damage(self, text: str) -> Damaged:
        """The error that says what is wrong where the reader is."""
        end = " (the end of the file)" if self._at >= len(self._data) else ""
        return Damaged(f"{text}, at byte {self._at}{end}")

    def _skip_space(self) -> None:
        match = _SPACE.match(self._data, self._at)
        self._at = match.end() if match else self._at
