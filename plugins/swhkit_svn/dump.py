"""Reads the dump stream of Subversion (notes/dump-load-format.txt), versions 1 to 3, record by record.

Nothing the stream says is trusted: headers, properties and their lengths are bounded, and a text is handed out as a
``Body`` that is read in pieces. Whatever does not fit raises ``Damaged``, which says where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from swhkit_svn import DUMP_MAGIC

#: Bytes of one header line, number of headers of one record, bytes of one record's properties.
MAX_LINE, MAX_HEADERS, MAX_PROPERTIES = 1 << 16, 64, 32 << 20
#: How much of a body is read at once.
PIECE = 1 << 20
#: Subversion counts revisions in 32 bits.
MAX_REVISION = (1 << 31) - 1


class Damaged(Exception):
    """The stream is cut short or contradicts itself; the text says how. What came before it stands."""


class Body:
    """The text of a node, still in the stream: read it, or it is skipped."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream, self.length, self.left = stream, length, length

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at its end. Raises ``Damaged`` when the stream ends before."""
        wanted = min(size, self.left)
        pieces = []
        while wanted:
            piece = self._stream.read(min(wanted, PIECE))
            if not piece:
                raise Damaged(f"the stream ends {self.left} bytes before the end of a text")
            wanted -= len(piece)
            self.left -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self) -> None:
        """Read what is left."""
        while self.left:
            self.read(PIECE)


#: Properties as a record gives them: a value of None deletes (only with ``Prop-delta``).
Properties = dict[bytes, bytes | None]


class RevisionRecord(msgspec.Struct, frozen=True):
    """The begin of a revision, with its revision properties."""

    number: int
    properties: Properties


class NodeRecord(msgspec.Struct, frozen=True):
    """One change of one path.

    ``action`` is ``add``, ``change``, ``delete`` or ``replace``; ``kind`` ``file``, ``dir`` or None where it is not
    said. ``properties`` is None where they stay; else they are all there are, or (``properties_delta``) changes.
    ``body`` is None where the text stays; with ``text_delta`` it is svndiff. ``source``: revision and path of a copy.
    """

    path: bytes
    kind: str | None
    action: str
    source: tuple[int, bytes] | None
    properties: Properties | None
    properties_delta: bool
    body: Body | None
    text_delta: bool
    md5: bytes | None
    base_md5: bytes | None


class Dump:
    """A dump stream. ``uuid`` is known from the first revision record on (b"" where the dump has none: version 1)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.uuid = b""

    def records(self) -> Iterator[RevisionRecord | NodeRecord]:
        """The records in order. The body of a node is gone with the next record. Raises ``Damaged``."""
        first = self._headers()
        if first is None:
            raise Damaged("there is no dump: the stream is empty")
        self._check_version(first)
        while (headers := self._headers()) is not None:
            if b"Revision-number" in headers:
                yield self._revision(headers)
            elif b"Node-path" in headers:
                node, rest = self._node(headers)
                yield node
                if node.body is not None:
                    node.body.skip()
                rest.skip()
            elif b"UUID" in headers:
                self.uuid = headers[b"UUID"]
                if len(self.uuid) > 200:
                    raise Damaged("the UUID is longer than any")
            elif b"SVN-fs-dump-format-version" in headers:  # dumps may be concatenated
                self._check_version(headers)
            else:
                raise Damaged(f"a record begins with {next(iter(headers))[:60]!r}")

    def _check_version(self, headers: dict[bytes, bytes]) -> None:
        name = DUMP_MAGIC[:-2]
        if headers.get(name) not in (b"1", b"2", b"3"):
            found = headers.get(name, next(iter(headers)))
            raise Damaged(f"this is no dump of version 1 to 3: {found[:60]!r}")

    def _headers(self) -> dict[bytes, bytes] | None:
        """The headers of the next record; None at the end of the stream."""
        readline = self._stream.readline
        line = readline(MAX_LINE)
        while line == b"\n":
            line = readline(MAX_LINE)
        if not line:
            return None
        headers: dict[bytes, bytes] = {}
        while line != b"\n":
            name, colon, value = line.partition(b": ")
            if not colon or not line.endswith(b"\n"):
                if line.rstrip(b"\n").endswith(b":"):  # a header without a value
                    name, value = line.rstrip(b"\n")[:-1], b"\n"
                else:
                    what = "the stream ends" if len(line) < MAX_LINE else "a line is too long"
                    raise Damaged(f"{what} in a header: {line[:60]!r}")
            headers[name] = value[:-1]
            if len(headers) > MAX_HEADERS:
                raise Damaged("a record has too many headers")
            line = readline(MAX_LINE)
            if not line:
                raise Damaged("the stream ends in a record's headers")
        return headers

    def _revision(self, headers: dict[bytes, bytes]) -> RevisionRecord:
        number = _number(headers, b"Revision-number", MAX_REVISION)
        assert number is not None
        properties, rest = self._content(headers)
        rest.skip()
        return RevisionRecord(number, properties or {})

    def _node(self, headers: dict[bytes, bytes]) -> tuple[NodeRecord, Body]:
        get = headers.get
        action = get(b"Node-action", b"")
        kind = get(b"Node-kind")
        if action not in (b"add", b"change", b"delete", b"replace") or kind not in (None, b"file", b"dir"):
            raise Damaged(f"a node has the action {action[:20]!r} and the kind {(kind or b'')[:20]!r}")
        source = None
        from_path = get(b"Node-copyfrom-path")
        if from_path is not None:
            revision = _number(headers, b"Node-copyfrom-rev", MAX_REVISION)
            if revision is None:
                raise Damaged("a node is copied from no revision")
            source = (revision, clean_path(from_path))
        path = clean_path(headers[b"Node-path"])
        properties, rest = self._content(headers)
        length = _number(headers, b"Text-content-length", 1 << 62)
        body = None
        if length is not None:
            body = Body(self._stream, length)
            rest.left -= length
        node = NodeRecord(
            path,
            None if kind is None else kind.decode("ascii"),
            action.decode("ascii"),
            source,
            properties,
            get(b"Prop-delta") == b"true",
            body,
            get(b"Text-delta") == b"true",
            get(b"Text-content-md5"),
            get(b"Text-delta-base-md5"),
        )
        return node, rest

    def _content(self, headers: dict[bytes, bytes]) -> tuple[Properties | None, Body]:
        """The properties, and what follows them (the text included)."""
        size = _number(headers, b"Prop-content-length", MAX_PROPERTIES)
        text = _number(headers, b"Text-content-length", 1 << 62) or 0
        whole = _number(headers, b"Content-length", 1 << 62)
        if whole is None:
            whole = (size or 0) + text
        if (size or 0) + text > whole:
            raise Damaged("the lengths of a record do not add up")
        rest = Body(self._stream, whole)
        if size is None:
            return None, rest
        return parse_properties(rest.read(size)), rest


def _number(headers: dict[bytes, bytes], name: bytes, most: int) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 19 or (number := int(value)) > most:
        raise Damaged(f"{name.decode('ascii')} is {value[:30]!r}")
    return number


def clean_path(path: bytes) -> bytes:
    """A path without slashes around it. Raises ``Damaged`` for one that no repository has."""
    path = path.strip(b"/")
    if path:
        parts = path.split(b"/")
        if b"" in parts or b"." in parts or b".." in parts or b"\0" in path or len(parts) > 1000:
            raise Damaged(f"a path is {path[:100]!r}")
    return path


def parse_properties(block: bytes) -> Properties:
    """The properties of a block: ``K``/``V`` pairs, ``D`` (deleted), ``PROPS-END``. Raises ``Damaged``."""
    found: Properties = {}
    position = 0
    while True:
        end = block.find(b"\n", position)
        line = block[position:end] if end >= 0 else b""
        if line == b"PROPS-END":
            return found
        if line[:2] not in (b"K ", b"D "):
            raise Damaged(f"a property begins with {block[position : position + 20]!r}")
        name, after = _counted(block, line[2:], end + 1)
        if line.startswith(b"D "):
            found[name], position = None, after
            continue
        end = block.find(b"\n", after)
        if block[after : after + 2] != b"V ":
            raise Damaged(f"the property {name[:60]!r} has no value")
        found[name], position = _counted(block, block[after + 2 : end], end + 1)


def _counted(block: bytes, size: bytes, begin: int) -> tuple[bytes, int]:
    """The bytes of a counted string, and where what follows its newline begins."""
    if not size.isdigit() or len(size) > 10:
        raise Damaged(f"a property has the length {size[:20]!r}")
    end = begin + int(size)
    if block[end : end + 1] != b"\n":
        raise Damaged("a property is longer than the block it is in")
    return block[begin:end], end + 1
