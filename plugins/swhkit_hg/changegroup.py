"""Changegroups: changesets, then manifests, then file after file, each as deltas (``hg help internals.changegroups``).

They are read as they stream by, in this order and once. A chunk that is too large for memory is kept in a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.stream import Source, exactly, integer, pieces
from swhkit_hg.tables import NULL
from swhkit_hg.texts import BIG, Text, text_from

#: node, p1, p2, (base,) link, (flags)
_HEADERS = {
    "01": struct.Struct(">20s20s20s20s"),
    "02": struct.Struct(">20s20s20s20s20s"),
    "03": struct.Struct(">20s20s20s20s20sH"),
}
#: No file name is longer.
_NAME = 1 << 20

#: Flags of a revision: its text was taken away; its hash is not that of its text; its text is kept elsewhere.
CENSORED, ELLIPSIS, EXTERNAL = 1 << 15, 1 << 14, 1 << 13


class Delta(NamedTuple):
    """One revision: its node, its parents, the node its delta applies to, the changeset that brought it, its flags.

    The delta itself is in ``data`` from ``start`` on (``swhkit_hg.texts.patched``).
    """

    node: bytes
    p1: bytes
    p2: bytes
    base: bytes
    link: bytes
    flags: int
    data: Text
    start: int


class Changegroup:
    """One changegroup of ``version``; ``scratch`` is where large chunks go."""

    def __init__(self, source: Source, version: str, scratch: Path) -> None:
        self._source, self._version = source, version
        self._header = _HEADERS[version]
        self._scratch = scratch

    def group(self) -> Iterator[Delta]:
        """The deltas of the next group: that of the changesets, then that of the manifests."""
        header, first, previous = self._header, self._header.size, NULL
        explicit, flagged = self._version != "01", self._version == "03"
        while (length := integer(self._source)) != 0:
            if length < 4 + first:
                raise Broken(f"a chunk of {length} bytes is too short for a revision")
            data = self._chunk(length - 4)
            fields = header.unpack_from(data)
            node, p1, p2 = fields[:3]
            if explicit:
                base, link = fields[3:5]
            else:
                base, link = p1 if previous is NULL else previous, fields[3]
            yield Delta(node, p1, p2, base, link, fields[5] if flagged else 0, data, first)
            previous = node

    def files(self) -> Iterator[bytes]:
        """The names of the files; the group of each is to be read before the next name is asked for."""
        if self._version == "03" and self._name() is not None:
            raise Unsupported("it has manifests in parts (tree manifests)")
        while (name := self._name()) is not None:
            yield name

    def _name(self) -> bytes | None:
        length = integer(self._source)
        if length == 0:
            return None
        if not 4 < length <= _NAME:
            raise Broken(f"a chunk of {length} bytes cannot be a file name")
        return exactly(self._source, length - 4)

    def _chunk(self, length: int) -> Text:
        if length <= BIG:
            return exactly(self._source, length)
        return text_from(pieces(self._source, length), self._scratch)
