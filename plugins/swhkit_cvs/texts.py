"""Texts of any size: small ones in memory, large ones in a scratch file that is mapped, so that memory stays bounded.

A delta (rcsfile(5), ``diff -n``) is applied by copying ranges of the older text; nothing is ever split into lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path

from swhkit.plugin import Bytes, ByteSource, File
from swhkit_cvs.rcs import Damaged, RcsFile, Span

#: Texts of more than this (bytes) rest on disk.
LARGE = 8 << 20
_CHUNK = 1 << 20
_COMMAND = re.compile(rb"([ad])([0-9]{1,15}) ([0-9]{1,15})\n?")


class Text:
    """A text: ``data`` is its bytes, or the map of ``path``, which lasts until ``close``."""

    __slots__ = ("data", "path")

    def __init__(self, data: bytes | mmap, path: Path | None = None) -> None:
        self.data, self.path = data, path

    def source(self) -> ByteSource:
        """The bytes as a content's source; a large text must stay open until they are read."""
        if isinstance(self.data, bytes):
            return Bytes(self.data)
        assert self.path is not None
        return File(self.path, len(self.data))

    def close(self) -> None:
        """Let go of the file of a large text."""
        if isinstance(self.data, mmap):
            self.data.close()
            assert self.path is not None
            self.path.unlink()


class Builder:
    """Puts a text together; what becomes large goes to ``path()``, a new file name in a scratch folder."""

    def __init__(self, path: Callable[[], Path]) -> None:
        self._new, self._held = path, bytearray()
        self._path: Path | None = None
        self.length = 0

    def write(self, data: bytes | bytearray | mmap, start: int, end: int) -> None:
        """Append a range of ``data``."""
        for first in range(start, end, _CHUNK):
            last = min(first + _CHUNK, end)
            self._held += data[first:last]
            self.length += last - first
            if len(self._held) > LARGE:
                self._spill()

    def append(self, data: bytes) -> None:
        """Append bytes."""
        self.write(data, 0, len(data))

    def finish(self) -> Text:
        """The text."""
        if self._path is None:
            return Text(bytes(self._held))
        self._spill()
        with self._path.open("rb") as file:
            return Text(mmap(file.fileno(), 0, access=ACCESS_READ), self._path)

    def _spill(self) -> None:
        if self._path is None:
            self._path = self._new()
        with self._path.open("ab") as file:
            file.write(self._held)
        self._held.clear()


class Texts:
    """Makes texts of one visit; large ones in files below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        folder.mkdir(exist_ok=True)

    def builder(self) -> Builder:
        """For a new text."""
        return Builder(self._path)

    def of(self, rcs: RcsFile, span: Span) -> Text:
        """The text that a string of an RCS file stands for."""
        if span.end - span.start <= LARGE:
            return Text(rcs.data[span.start : span.end].replace(b"@@", b"@"))
        builder, at = self.builder(), span.start
        while at < span.end:
            last = min(at + _CHUNK, span.end)
            if last < span.end and _odd(rcs.data, at, last):
                last += 1
            builder.append(rcs.data[at:last].replace(b"@@", b"@"))
            at = last
        return builder.finish()

    def patched(self, old: Text, script: Text) -> Text:
        """The text that a delta makes of ``old``. Raises ``Damaged``."""
        builder = self.builder()
        _patch(old.data, script.data, builder)
        return builder.finish()

    def _path(self) -> Path:
        self._count += 1
        return self._folder / f"text-{self._count}"


def _odd(data: bytes | mmap, start: int, end: int) -> bool:
    """Whether the range ends inside a pair of ``@``."""
    tail = data[start:end]
    return (len(tail) - len(tail.rstrip(b"@"))) % 2 == 1


def _patch(old: bytes | mmap, script: bytes | mmap, builder: Builder) -> None:
    at = line = 0  # of old: bytes and lines that are dealt with
    here = 0  # in the script
    while here < len(script):
        command = _COMMAND.match(script, here)
        if command is None:
            raise Damaged(f"a delta has {script[here : here + 40]!r} where a command should be")
        here = command.end()
        where, count = int(command[2]), int(command[3])
        keep = where - line - (command[1] == b"d")
        if keep < 0:
            raise Damaged(f"a delta goes back to line {where} from line {line}")
        start, at = at, _after(old, at, keep)
        builder.write(old, start, at)
        line += keep
        if command[1] == b"d":
            at, line = _after(old, at, count), line + count
        else:
            start, here = here, _after(script, here, count)
            builder.write(script, start, here)
    builder.write(old, at, len(old))


def _after(data: bytes | mmap, at: int, lines: int) -> int:
    """Where the line begins that comes ``lines`` after the one at ``at``. Raises ``Damaged`` if there are not as many."""
    while lines > 64:  # count in pieces, which C does
        size = min(_CHUNK, 32 * lines)
        count = data[at : at + size].count(b"\n")
        while count >= lines and size > 256:
            size //= 2
            count = data[at : at + size].count(b"\n")
        if count >= lines or at + size >= len(data):
            break
        at, lines = at + size, lines - count
    for left in range(lines, 0, -1):
        found = data.find(b"\n", at)
        if found < 0:
            if left == 1 and at < len(data):  # the last line may lack its newline
                return len(data)
            raise Damaged(f"a delta needs {left} more lines than there are")
        at = found + 1
    return at
