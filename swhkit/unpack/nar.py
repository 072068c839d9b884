"""Nix archives (``nar``), read from a stream: the form is that of the Nix manual, "Nix Archive (NAR) format".

One form for one tree: names are in order, padding is zeros, and what is not so is refused, as Nix does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from swhkit.errors import InvalidInput
from swhkit.unpack.member import NAME_LIMIT, Member, MemberType, Meter, show
from swhkit.unpack.stream import Stream, counted

#: How every Nix archive begins: the length of its first word, and the word.
MAGIC = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0"


class _Words:
    """The strings of an archive: a length of eight bytes, the bytes, zeros up to a multiple of eight."""

    def __init__(self, stream: Stream, meter: Meter) -> None:
        self._stream, self._meter = stream, meter

    def length(self) -> int:
        """How many bytes follow."""
        self._meter.give(8)
        return int.from_bytes(self._stream.exactly(8), "little")

    def padding(self, length: int) -> None:
        """What fills up ``length`` bytes."""
        if self._stream.exactly(-length % 8).strip(b"\0"):
            raise self.damaged("padding that is not empty")

    def next(self) -> bytes:
        """The next string, if it is no longer than a name may be."""
        length = self.length()
        if length > NAME_LIMIT:
            raise self.damaged(f"a word of {length} bytes")
        self._meter.give(length)
        word = self._stream.exactly(length)
        self.padding(length)
        return word

    def expect(self, *words: bytes) -> None:
        """Read these strings."""
        for word in words:
            found = self.next()
            if found != word:
                raise self.damaged(f"{show(word)} was expected, {show(found)} came")

    def data(self, length: int) -> Iterator[bytes]:
        """The bytes of a string of any length, without what fills them up."""
        yield from counted(self._stream.pieces(length), self._meter)

    def damaged(self, what: str) -> InvalidInput:
        """The error to raise."""
        return self._meter.error(f"the Nix archive is damaged ({what})")


def read_nar(pieces: Iterator[bytes], meter: Meter) -> Iterator[Member]:
    """The members of a Nix archive of a directory. Raises ``InvalidInput`` for what is none, is damaged or exceeds
    the limits."""
    stream = Stream(pieces, meter)
    words = _Words(stream, meter)
    words.expect(b"nix-archive-1", b"(", b"type")
    if words.next() != b"directory":
        raise meter.error("is the Nix archive of a single file: it has no directory")
    #: Folders that are open: their path with a slash at its end, and the name that came last in them.
    stack = [(b"", b"")]
    while stack:
        folder, last = stack.pop()
        word = words.next()
        if word == b")":
            if stack:
                words.expect(b")")
            continue
        if word != b"entry":
            raise words.damaged(f"{show(word)} in a directory")
        words.expect(b"(", b"name")
        name = _name(words, last)
        stack.append((folder, name))
        words.expect(b"node", b"(", b"type")
        meter.member()
        if (yield from _node(words, folder + name, meter)):
            if len(stack) >= meter.limits.depth or len(folder) + len(name) >= NAME_LIMIT:
                raise meter.error(
                    f"has more than {meter.limits.depth} folders within folders: no more are read"
                )
            stack.append((folder + name + b"/", b""))
    stream.drain()


def _name(words: _Words, last: bytes) -> bytes:
    """The name of an entry, that comes after ``last``."""
    name = words.next()
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or name <= last:
        raise words.damaged(f"the name {show(name)}, or its place")
    return name


def _node(words: _Words, path: bytes, meter: Meter) -> Generator[Member, None, bool]:
    """The node at ``path``; returns whether it is a directory, whose entries follow."""
    type = words.next()
    if type == b"directory":
        yield Member(path, MemberType.DIRECTORY)
        return True
    if type == b"symlink":
        words.expect(b"target")
        yield Member(path, MemberType.SYMLINK, target=words.next())
        words.expect(b")")
    elif type == b"regular":
        yield from _file(words, path, meter)
    else:
        raise words.damaged(f"a node of type {show(type)}")
    words.expect(b")")
    return False


def _file(words: _Words, path: bytes, meter: Meter) -> Iterator[Member]:
    """A file, from behind its type to the end of its node."""
    word, executable = words.next(), False
    if word == b"executable":
        words.expect(b"")
        word, executable = words.next(), True
    if word == b")":
        yield Member(path, MemberType.FILE, executable)
        return
    if word != b"contents":
        raise words.damaged(f"{show(word)} in a file")
    length = words.length()
    meter.file(path, length)
    chunks = words.data(length)
    yield Member(path, MemberType.FILE, executable, length, b"", chunks)
    for _ in chunks:  # what the taker has left
        pass
    words.padding(length)
    words.expect(b")")
