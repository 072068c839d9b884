"""Texts of files: as the repository has them (deltas are against that form), and as an export gives them.

Small ones are bytes, large ones files in the scratch folder; so no text costs more than a few MiB of memory.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from swhkit.plugin import Bytes, File, LimitExceeded
from swhkit_svn.dump import PIECE, Damaged

#: Texts of more bytes than this are files.
IN_MEMORY = 4 << 20
#: The properties of a file that shape its export, as bits; eol styles are numbers of two bits.
EXECUTABLE, SPECIAL, EOL = 1, 2, 4 | 8
_EOLS = {b"LF": 4, b"native": 4, b"CRLF": 8, b"CR": 12}
_EOL_BYTES = {4: b"\n", 8: b"\r\n", 12: b"\r"}
#: What the text of a symbolic link begins with; no system has longer targets (PATH_MAX of Linux).
LINK, _MAX_TARGET = b"link ", 4095
REGULAR, RUNNABLE, SYMLINK = 0o100644, 0o100755, 0o120000

Text = Bytes | File
_NAMES = itertools.count()


class Digested(msgspec.Struct, frozen=True):
    """A text with its git blob id (20 bytes)."""

    text: Text
    digest: bytes


class _Md5(Protocol):
    def update(self, data: bytes, /) -> None: ...


def flags_of(flags: int, properties: dict[bytes, bytes | None], delta: bool) -> int:
    """The flags of a file after its properties are set; with ``delta`` those not named stay."""
    flags = flags if delta else 0
    for name, bit in ((b"svn:executable", EXECUTABLE), (b"svn:special", SPECIAL)):
        if name in properties:
            flags = flags & ~bit | (bit if properties[name] is not None else 0)
    if b"svn:eol-style" in properties:
        flags = flags & ~EOL | _EOLS.get(properties[b"svn:eol-style"] or b"", 0)
    return flags


class Workshop:
    """Makes texts, in files of the folder where they are large.

    ``limit``: bytes of the largest text there may be; ``budget``: of all of them (None: no limit).
    """

    def __init__(self, folder: Path, limit: int, budget: int | None = None) -> None:
        self._folder, self._limit, self._left = folder, limit, budget

    def _count(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise LimitExceeded(
                    "it has more bytes than one external may have (loaders.svn.external_size)"
                )

    def text(self, pieces: Iterable[bytes], md5: _Md5 | None = None) -> Text:
        """The text of these pieces; ``md5`` is updated with them. Raises ``LimitExceeded``."""
        held, size = [], 0
        pieces = iter(pieces)
        for piece in pieces:
            if md5 is not None:
                md5.update(piece)
            held.append(piece)
            size += len(piece)
            self._count(len(piece))
            if size > IN_MEMORY:
                return self._file(held, pieces, md5)
        return Bytes(held[0] if len(held) == 1 else b"".join(held))

    def _file(self, held: list[bytes], pieces: Iterator[bytes], md5: _Md5 | None) -> File:
        path, size = self._folder / f"text-{next(_NAMES)}", 0
        with path.open("xb") as file:
            for piece in held:
                size += file.write(piece)
            held.clear()
            for piece in pieces:
                if md5 is not None:
                    md5.update(piece)
                size += file.write(piece)
                self._count(len(piece))
                if size > self._limit:
                    raise LimitExceeded(
                        f"a file of the repository has more than {self._limit} bytes (limits.max_pack_size)"
                    )
        return File(path, size)

    def exported(self, text: Text, flags: int) -> tuple[Text, int]:
        """What an export makes of a repository's text, and the permissions it gives. The text itself if it stays.

        Raises ``Damaged`` for a symbolic link that no system can have.
        """
        perms = RUNNABLE if flags & EXECUTABLE else REGULAR
        if flags & SPECIAL:
            target = _link_target(text)
            return (text, perms) if target is None else (Bytes(target), SYMLINK)
        eol = _EOL_BYTES.get(flags & EOL)
        if eol is None:
            return text, perms
        if isinstance(text, Bytes):
            converted = _with_eol(text.data, eol)
            return (text if converted == text.data else Bytes(converted)), perms
        return self.text(_pieces_with_eol(text.chunks(), eol)), perms


def digested(text: Text) -> Digested:
    """The text with its digest."""
    digest = hashlib.sha1(b"blob %d\0" % text.length)
    for piece in text.chunks():
        digest.update(piece)
    return Digested(text, digest.digest())


def discard(text: Text) -> None:
    """Remove the file of a text that is no longer needed; nothing if it has none, or it was taken over."""
    if isinstance(text, File):
        text.path.unlink(missing_ok=True)


def _link_target(text: Text) -> bytes | None:
    """Where a special file leads; None if it is no symbolic link. Subversion reads its first line, as a C string."""
    begin = next(iter(text.chunks()), b"")[:PIECE]
    if not begin.startswith(LINK):
        return None
    target = begin[len(LINK) :].partition(b"\n")[0].partition(b"\0")[0]
    if not target:
        raise Damaged("a symbolic link has an empty target")
    if len(target) > _MAX_TARGET:
        raise Damaged(f"a symbolic link has a target of more than {_MAX_TARGET} bytes")
    return target


def _with_eol(data: bytes, eol: bytes) -> bytes:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data if eol == b"\n" else data.replace(b"\n", eol)


def _pieces_with_eol(pieces: Iterable[bytes], eol: bytes) -> Iterator[bytes]:
    """As ``_with_eol``; a CR at the end of a piece waits for the next one."""
    left = b""
    for piece in pieces:
        data = left + piece
        left = b"\r" if data.endswith(b"\r") else b""
        yield _with_eol(data[: len(data) - len(left)], eol)
    yield _with_eol(left, eol)
