"""Full texts of revisions, made of deltas, in bounded memory.

A text is ``bytes`` up to ``BIG``; a larger one is a file without a name, mapped. A delta is a series of hunks
``start end length data`` that replace ``start:end`` of the base (``hg help internals.bdiff``).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from swhkit_hg.errors import Broken

#: From this many bytes on a text is not held in memory.
BIG = 8 << 20
Text = bytes | mmap.mmap
#: What a delta replaces in its base (from, to), and where in the delta is what it puts there (from, to).
Hunk = tuple[int, int, int, int]
Hunks = Iterable[Hunk]
#: Bytes of a delta whose hunks are not held.
_LONG = 1 << 20
_HUNK = struct.Struct(">III")
_PIECE = 1 << 20


def text_from(pieces: Iterable[bytes | memoryview], scratch: Path) -> Text:
    """A large text of these pieces, in a file of the folder ``scratch`` that vanishes with it."""
    with tempfile.TemporaryFile(dir=scratch) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if os.fstat(file.fileno()).st_size else b""


def text_at(file: BinaryIO, length: int, scratch: Path) -> Text:
    """The next ``length`` bytes of a file of ours."""
    if length <= BIG:
        return file.read(length)
    return text_from((file.read(min(_PIECE, length - at)) for at in range(0, length, _PIECE)), scratch)


def text_of(pieces: Iterable[bytes], scratch: Path) -> Text:
    """The text of these pieces, however large it turns out to be."""
    head, size, rest = [], 0, iter(pieces)
    for piece in rest:
        head.append(piece)
        size += len(piece)
        if size > BIG:
            return text_from(chain(head, rest), scratch)
    return b"".join(head)


def hunks(base: Text, delta: Text, start: int) -> Hunks:
    """The hunks of the delta that begins at ``start``. Raises ``Broken`` where they are not in order, or out of range.

    Of a long delta, which may have a hunk in every twelve bytes, they are not held but read whenever they are asked
    for.
    """
    if len(delta) - start > _LONG:
        return _Hunks(base, delta, start)
    return list(_hunks(base, delta, start))


class _Hunks:
    """The hunks of a long delta."""

    def __init__(self, base: Text, delta: Text, start: int) -> None:
        self._arguments = base, delta, start

    def __iter__(self) -> Iterator[Hunk]:
        return _hunks(*self._arguments)


def _hunks(base: Text, delta: Text, start: int) -> Iterator[Hunk]:
    at, end, last, most = start, len(delta), 0, len(base)
    unpack = _HUNK.unpack_from
    while at < end:
        if at + 12 > end:
            raise Broken("a delta is cut short")
        first, behind, length = unpack(delta, at)
        at += 12
        if not last <= first <= behind <= most or at + length > end:
            raise Broken("a delta does not fit the text it is for")
        yield first, behind, at, at + length
        at += length
        last = behind


def patched(base: Text, delta: Text, found: Hunks, scratch: Path) -> Text:
    """The text that the hunks make of ``base``."""
    size = len(base) + sum((to - at) - (behind - first) for first, behind, at, to in found)
    if size > BIG:
        return text_from(_parts(base, delta, found), scratch)
    parts, last = [], 0
    for first, behind, at, to in found:
        if first > last:
            parts.append(base[last:first])
        if to > at:
            parts.append(delta[at:to])
        last = behind
    parts.append(base[last:])
    return b"".join(parts)


def _parts(base: Text, delta: Text, found: Hunks) -> Iterator[bytes]:
    last = 0
    for first, behind, at, to in found:
        yield from sliced(base, last, first)
        yield from sliced(delta, at, to)
        last = behind
    yield from sliced(base, last, len(base))


def sliced(text: Text, first: int, behind: int) -> Iterator[bytes]:
    """``text[first:behind]`` in pieces."""
    for at in range(first, behind, _PIECE):
        yield text[at : min(behind, at + _PIECE)]


def node_of(p1: bytes, p2: bytes, text: Text) -> bytes:
    """The node of a revision: SHA-1 of the parents, the lesser first, and the text."""
    digest = hashlib.sha1(p1 + p2 if p1 < p2 else p2 + p1)
    digest.update(text)
    return digest.digest()


class Recent:
    """The texts used last, as many as fit into ``room`` bytes (large ones count little: they are not in memory)."""

    def __init__(self, room: int) -> None:
        self._room, self._used = room, 0
        self._texts: OrderedDict[bytes, Text] = OrderedDict()

    def get(self, node: bytes) -> Text | None:
        """The text of ``node`` if it is still known."""
        text = self._texts.get(node)
        if text is not None:
            self._texts.move_to_end(node)
        return text

    def put(self, node: bytes, text: Text) -> None:
        """Remember a text."""
        if node in self._texts:
            return
        self._texts[node] = text
        self._used += _cost(text)
        while self._used > self._room and len(self._texts) > 1:
            _, gone = self._texts.popitem(last=False)
            self._used -= _cost(gone)

    def clear(self) -> None:
        """Forget all."""
        self._texts.clear()
        self._used = 0


def _cost(text: Text) -> int:
    """Bytes of memory; of a mapped text a share of the room, for few of them may be open at a time."""
    return len(text) + 200 if isinstance(text, bytes) else 1 << 20
