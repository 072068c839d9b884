"""Reads what ``cvs rlog`` prints: the files of a module and their revisions, as they come.

Its form is made for people: a log message may look like the beginning of a revision, or like the end of a file. So a
revision begins only where there is a number that was not yet seen and a line of facts, as long as there are fewer than
the file is said to have; and a file ends only where it has all of them, and another file or nothing comes.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator

import msgspec

from swhkit.plugin import LimitExceeded, Unavailable
from swhkit_cvs.rcs import MOST_LOG, MOST_REVISIONS, Delta

#: The most bytes that all log messages of one file may have.
_MOST_LOGS = 4 * MOST_LOG
#: The longest line that can tell facts of a revision (bytes); numbers are no longer than those of RCS files.
_MOST_FACTS = 4096
_BETWEEN = b"-" * 28
_END = b"=" * 77
_FILE = b"RCS file: "
_NUMBER = re.compile(rb"revision ([0-9]+(?:\.[0-9]+)*+)(?:\tlocked by: [^;]*;)?\s*")
_FACTS = re.compile(
    rb"date: (?!0000)(\d{4})[-/](\d\d)[-/](\d\d) (\d\d):(\d\d):(\d\d)(?: \+0000)?;\s+author: ([^;]*);\s+state: ([^;]*);(.*)"
)
_COMMITID = re.compile(rb"commitid: ([^;]*);")
_BRANCHES = re.compile(rb"branches:(?:\s+[0-9.]+;)+\s*")
_TOTAL = re.compile(rb"total revisions: \d+;\tselected revisions: (\d{1,9})\s*")


class FileLog(msgspec.Struct):
    """One file: ``path`` is that of its RCS file on the server, ``logs`` has the messages by revision."""

    path: bytes
    deltas: list[Delta]
    logs: dict[bytes, bytes]


def parse(lines: Iterable[bytes], url: str) -> Iterator[FileLog]:
    """The files that ``lines`` tell of. Raises ``Unavailable`` for what is no such log, ``LimitExceeded``."""
    ahead = _Ahead(iter(lines))
    while (line := ahead.next()) is not None:
        if line.startswith(_FILE):
            yield _file(ahead, line.removeprefix(_FILE), url)
        elif line:
            raise Unavailable(f"{url}: the server's log has {line[:80]!r} where a file should begin")


class _Ahead:
    """Lines, of which some can be looked at before they are taken; None after the last."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._seen: list[bytes | None] = []

    def peek(self, index: int = 0) -> bytes | None:
        """The line that comes after ``index`` others."""
        while len(self._seen) <= index:
            self._seen.append(next(self._lines, None))
        return self._seen[index]

    def next(self) -> bytes | None:
        """Take the next line."""
        return self._seen.pop(0) if self._seen else next(self._lines, None)


def _file(ahead: _Ahead, path: bytes, url: str) -> FileLog:
    where = f"{url}: the server's log of {path[-200:].decode('utf-8', 'backslashreplace')!r}"
    total = _total(ahead, where)
    found = FileLog(path, [], {})
    size = 0
    while (line := ahead.next()) is not None:
        if line == _END and len(found.deltas) == total and _ends(ahead):
            return found
        delta = _delta(ahead, found.logs) if line == _BETWEEN and len(found.deltas) < total else None
        if delta is not None:
            found.deltas.append(delta)
            size += len(delta.number) + len(delta.author) + len(delta.state) + len(delta.commitid or b"")
            found.logs[delta.number] = b""
            held: list[bytes] = []
            while not _stops(ahead, found.logs, total):
                text = ahead.next()
                if text is None:
                    raise Unavailable(f"{where} ends in its middle")
                held.append(text)
                size += len(text) + 1
                if size > _MOST_LOGS:
                    raise LimitExceeded(f"{where} has more than {_MOST_LOGS} bytes of messages")
            found.logs[delta.number] = b"".join(text + b"\n" for text in held)
    raise Unavailable(f"{where} ends in its middle")


def _total(ahead: _Ahead, where: str) -> int:
    """Read on to the number of revisions the file is said to have, and return it."""
    while (line := ahead.next()) is not None:
        if match := _TOTAL.fullmatch(line):
            if int(match[1]) > MOST_REVISIONS:
                raise LimitExceeded(
                    f"{where} has {int(match[1])} revisions; {MOST_REVISIONS} are read at most"
                )
            return int(match[1])
    raise Unavailable(f"{where} ends in its middle")


def _stops(ahead: _Ahead, seen: dict[bytes, bytes], total: int) -> bool:
    """Whether a message ends here: before a revision, or before the end of the file."""
    line = ahead.peek()
    if line == _BETWEEN and len(seen) < total:
        match = _fact(_NUMBER, ahead.peek(1))
        return match is not None and match[1] not in seen and _fact(_FACTS, ahead.peek(2)) is not None
    return line == _END and len(seen) == total and _ends(ahead, 1)


def _ends(ahead: _Ahead, after: int = 0) -> bool:
    """Whether the next file begins, or everything ends, behind ``after`` lines."""
    line = ahead.peek(after)
    return line is None or (line == b"" and (ahead.peek(after + 1) or b"").startswith(_FILE))


def _fact(pattern: re.Pattern[bytes], line: bytes | None) -> re.Match[bytes] | None:
    """The match of a line that is no longer than such a one may be: longer numbers are not even read."""
    return pattern.fullmatch(line) if line is not None and len(line) <= _MOST_FACTS else None


def _delta(ahead: _Ahead, seen: dict[bytes, bytes]) -> Delta | None:
    """Take the lines that begin a revision, if they do."""
    number = _fact(_NUMBER, ahead.peek())
    facts = _fact(_FACTS, ahead.peek(1))
    if number is None or facts is None or number[1] in seen:
        return None
    ahead.next()
    ahead.next()
    if _BRANCHES.fullmatch(ahead.peek() or b""):
        ahead.next()
    year, month, day, hour, minute, second = (int(facts[index]) for index in range(1, 7))
    if not 1 <= month <= 12:
        return None
    date = calendar.timegm((year, month, day, hour, minute, second))
    commitid = _COMMITID.search(facts[9])
    return Delta(number[1], date, facts[7], facts[8], commitid=commitid[1] if commitid else None)
