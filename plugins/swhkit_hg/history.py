"""The changesets of a repository in Mercurial's order, parents first, in files of the scratch folder.

What is asked often (parents, branch, what became of it) is a row; the texts are one after the other in a spool.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from swhkit.plugin import LimitExceeded
from swhkit_hg.changegroup import ELLIPSIS, Delta
from swhkit_hg.changeset import Changeset, parse
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.tables import NULL, NodeMap, Rows
from swhkit_hg.texts import Recent, Text, hunks, node_of, patched, sliced, text_at

#: Flags of a row: it closes its branch; its revision is held already; others have it as a parent; it cannot be had.
CLOSED, HELD, PARENT, LOST = 1, 2, 4, 8
_ROOM = 16 << 20
#: Bytes that the names of all branches may take in memory, and what each takes beside its letters.
NAMES_LIMIT, _PER_NAME = 32 << 20, 100


class Row(NamedTuple):
    """One changeset: node, numbers of its parents (-1: none), number of its branch, manifest, where its text is in
    the spool, flags, and the digest of its revision (zeros while there is none)."""

    node: bytes
    p1: int
    p2: int
    branch: int
    manifest: bytes
    offset: int
    length: int
    flags: int
    revision: bytes


class History:
    """All changesets that came. ``add`` each, in order; then ask."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._rows = Rows(scratch / "changesets", ">20siii20sQQB20s")
        self._numbers = NodeMap(scratch / "changesets.map", 4)
        self._spool = (scratch / "changesets.texts").open("w+b", buffering=1 << 20)
        self._size, self._recent = 0, Recent(_ROOM)
        self._branch_numbers: dict[bytes, int] = {}
        self._named = 0
        self.branches: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        return Row(*self._rows[number])

    def close(self) -> None:
        """Let go of the files."""
        self._spool.close()
        self._rows.close()
        self._numbers.close()

    def number(self, node: bytes) -> int | None:
        """The number of the changeset with this node; None if it has not come."""
        found = self._numbers.get(node)
        return None if found is None else int.from_bytes(found, "big")

    def add(self, delta: Delta) -> None:
        """Take the next changeset. Raises ``Broken``, ``Unsupported``."""
        if delta.flags & ELLIPSIS:
            raise Unsupported("it is a narrow or shallow clone: its changesets are not what their ids say")
        base = self._base(delta.base)
        text = patched(base, delta.data, hunks(base, delta.data, delta.start), self._scratch)
        if node_of(delta.p1, delta.p2, text) != delta.node:
            raise Broken(f"changeset {delta.node.hex()} is damaged")
        if self.number(delta.node) is not None:
            raise Broken(f"changeset {delta.node.hex()} comes twice")
        changeset = parse(text)
        p1, p2 = self._parent(delta.p1), self._parent(delta.p2)
        flags = CLOSED if changeset.closes else 0
        branch = self._branch(changeset.branch)
        number = self._rows.append(
            delta.node, p1, p2, branch, changeset.manifest, self._size, len(text), flags, NULL
        )
        self._numbers.put(delta.node, number.to_bytes(4, "big"))
        for piece in sliced(text, 0, len(text)):
            self._spool.write(piece)
        self._size += len(text)
        self._recent.put(delta.node, text)
        for parent in {p1, p2} - {-1}:
            self.flag(parent, PARENT)

    def changeset(self, number: int) -> Changeset:
        """What the changeset of that number says."""
        return parse(self._text(number))

    def flag(self, number: int, flag: int) -> None:
        """Set a flag of a row."""
        row = self[number]
        self._rows[number] = (*row[:7], row.flags | flag, row.revision)

    def settle(self, number: int, revision: bytes, flag: int = 0) -> None:
        """Note the revision that a changeset became."""
        row = self[number]
        self._rows[number] = (*row[:7], row.flags | flag, revision)

    def heads(self) -> Iterator[int]:
        """The changesets that no other has as a parent, in order."""
        return (number for number in range(len(self)) if not self[number].flags & PARENT)

    def branch_heads(self) -> dict[bytes, list[int]]:
        """For each branch those of its changesets that have no descendant on it, closed ones too."""
        followed = bytearray(len(self))
        found: dict[int, list[int]] = {}
        for number in reversed(range(len(self))):
            _, p1, p2, branch, *_ = self._rows[number]
            for parent in (p1, p2):
                if parent >= 0 and self._rows[parent][3] == branch:
                    followed[parent] = 1
            if not followed[number]:
                found.setdefault(branch, []).append(number)
        return {
            self.branches[branch]: list(self._without_ancestors(numbers)) for branch, numbers in found.items()
        }

    def _without_ancestors(self, numbers: list[int]) -> Iterable[int]:
        """Those of ``numbers`` (the highest first) that are no ancestors of others."""
        if len(numbers) < 2:
            return numbers
        left, lowest = set(numbers), numbers[-1]
        seen, queue = bytearray(len(self) - lowest), [-number for number in numbers]
        while queue:
            number = -heapq.heappop(queue)
            for parent in self._rows[number][1:3]:
                if parent >= lowest and not seen[parent - lowest]:
                    seen[parent - lowest] = 1
                    left.discard(parent)
                    heapq.heappush(queue, -parent)
        return left

    def _text(self, number: int) -> Text:
        row = self[number]
        self._spool.seek(row.offset)
        return text_at(self._spool, row.length, self._scratch)

    def _base(self, node: bytes) -> Text:
        if node == NULL:
            return b""
        text = self._recent.get(node)
        if text is not None:
            return text
        number = self.number(node)
        if number is None:
            raise Broken(f"it builds upon changeset {node.hex()}, which it does not have")
        text = self._text(number)
        self._spool.seek(0, 2)
        return text

    def _parent(self, node: bytes) -> int:
        if node == NULL:
            return -1
        number = self.number(node)
        if number is None:
            raise Broken(f"it builds upon changeset {node.hex()}, which it does not have")
        return number

    def _branch(self, name: bytes) -> int:
        number = self._branch_numbers.setdefault(name, len(self.branches))
        if number == len(self.branches):
            self.branches.append(name)
            self._named += len(name) + _PER_NAME
            if self._named > NAMES_LIMIT:
                raise LimitExceeded(f"the names of its branches have more than {NAMES_LIMIT} bytes together")
        return number
