"""The CVS client/server protocol as a stream: requests out, responses in (cvsclient, "The CVS client/server protocol").

Nothing a server says is believed: lines, sizes and sums are bounded, and a response that is not known ends the talk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from swhkit.plugin import LimitExceeded, NotFound, Unavailable
from swhkit_cvs.texts import Builder, Text

#: The longest line (bytes): a line of a log message may be long.
MOST_LINE = 16 << 20
_PIECE = 1 << 16
#: What we understand; a server may use no other. (Not MT: text is to come plain.)
RESPONSES = (
    b"ok error Valid-requests Checked-in New-entry Updated Created Update-existing Merged Mode Mod-time Checksum"
    b" Removed Remove-entry Set-static-directory Clear-static-directory Set-sticky Clear-sticky Template"
    b" Clear-template Module-expansion Notified Wrapper-rcsOption M Mbinary E F"
)
#: How many lines follow those that are passed over.
_FOLLOWED = {
    b"Checked-in": 2, b"New-entry": 2, b"Removed": 1, b"Remove-entry": 1, b"Set-static-directory": 1,
    b"Clear-static-directory": 1, b"Set-sticky": 2, b"Clear-sticky": 1, b"Clear-template": 1, b"Notified": 1,
    b"Valid-requests": 0, b"Mode": 0, b"Mod-time": 0, b"Checksum": 0, b"Module-expansion": 0, b"Wrapper-rcsOption": 0,
    b"F": 0,
}  # fmt: skip
_FILES = (b"Updated", b"Created", b"Update-existing", b"Merged")
_MISSING = (b"cannot find module", b"no such directory", b"nothing known about")


class Sent(msgspec.Struct, frozen=True):
    """A file that a server has sent: its path there, the number of its revision, and its text, to be closed."""

    path: bytes
    number: bytes
    text: Text


class Wire:
    """A conversation over two streams, in which requests may be sent ahead of their answers.

    ``most``: bytes that may be received in all. ``url`` is for errors.
    """

    def __init__(self, reader: BinaryIO, writer: BinaryIO, url: str, most: int) -> None:
        self._reader, self._writer, self._url = reader, writer, url
        self._left = self._most = most
        #: What the server has said beside its answers, but for what it says of each folder: at most a hundred lines.
        self.complaints: list[bytes] = []

    def send(self, *lines: bytes) -> None:
        """Send lines. Raises ``Unavailable``."""
        try:
            self._writer.write(b"".join(line + b"\n" for line in lines))
            self._writer.flush()
        except OSError as error:
            raise self._lost(error) from error

    def line(self, *, or_end: bool = False) -> bytes:
        """The next line; with ``or_end`` nothing, if the server has hung up. Raises ``Unavailable``, ``LimitExceeded``."""
        try:
            line = self._reader.readline(MOST_LINE)
        except OSError as error:
            raise self._lost(error) from error
        self._count(len(line))
        if or_end and not line:
            return line
        if not line.endswith(b"\n"):
            what = "has a line without end" if len(line) >= MOST_LINE else "ends in its middle"
            raise Unavailable(f"{self._url}: the answer of the server {what}")
        return line[:-1]

    def messages(self) -> Iterator[bytes]:
        """The lines of text that answer one request. Raises ``NotFound`` and ``Unavailable`` with the server's words."""
        for kind, text in self._answer():
            if kind == b"M":
                yield text
            elif kind in _FILES:
                raise Unavailable(f"{self._url}: the server sends files where it was asked for text")

    def file(self, builder: Callable[[], Builder]) -> Sent:
        """The file that answers one request. Raises as ``messages``, also if there is none, or more than one."""
        sent: list[Sent] = []
        for kind, _ in self._answer():
            if kind in _FILES:
                sent.append(self._file(builder()))
                if len(sent) > 1:
                    break
        if len(sent) != 1:
            for one in sent:
                one.text.close()
            raise Unavailable(f"{self._url}: the server was asked for one file, and has sent {len(sent)}")
        return sent[0]

    def _answer(self) -> Iterator[tuple[bytes, bytes]]:
        """The responses to one request, up to its end; those with a file are to be read on by the caller."""
        said: list[bytes] = []
        while True:
            kind, _, text = self.line().partition(b" ")
            if kind == b"ok":
                return
            if kind == b"error":
                raise self._refused(text.partition(b" ")[2], said)
            if kind == b"E":
                said = [*said[-20:], text[:500]]
                if any(word in text for word in _MISSING):
                    raise self._refused(text, said)
                if b": Logging " not in text and len(self.complaints) < 100:
                    self.complaints.append(text[:500])
            elif kind in (b"M", *_FILES):
                yield kind, text
            elif kind in (b"Template", b"Mbinary"):
                if kind == b"Template":
                    self.line()
                self._pieces(self._size(), lambda _: None)
            elif kind in _FOLLOWED:
                for _ in range(_FOLLOWED[kind]):
                    self.line()
            else:
                raise Unavailable(
                    f"{self._url}: the server answers {kind[:40]!r}, which is no response it may give"
                )

    def _file(self, builder: Builder) -> Sent:
        path, entry, _ = self.line(), self.line().split(b"/"), self.line()
        self._pieces(self._size(), builder.append)
        return Sent(path, entry[2] if len(entry) > 2 else b"", builder.finish())

    def _size(self) -> int:
        text = self.line()
        if not text.isdigit() or len(text) > 18:
            raise Unavailable(f"{self._url}: the server gives {text[:40]!r} as the size of a file")
        return int(text)

    def _pieces(self, size: int, take: Callable[[bytes], None]) -> None:
        while size:
            try:
                piece = self._reader.read(min(size, _PIECE))
            except OSError as error:
                raise self._lost(error) from error
            if not piece:
                raise Unavailable(f"{self._url}: the answer of the server ends in the middle of a file")
            self._count(len(piece))
            take(piece)
            size -= len(piece)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise LimitExceeded(f"{self._url}: more than {self._most} bytes came (loaders.cvs.max_transfer)")

    def _refused(self, text: bytes, said: list[bytes]) -> NotFound | Unavailable:
        words = text or b"; ".join(said[-2:]) or b"(it does not say why)"
        shown = "".join(c if c.isprintable() else "?" for c in words[:500].decode("utf-8", "replace"))
        kind = NotFound if any(word in text for word in _MISSING) else Unavailable
        return kind(f"{self._url}: the server says: {shown}")

    def _lost(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._url}: the connection is lost ({error.strerror or error})")
