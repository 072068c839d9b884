"""The graph of a branch's revisions, in the order in which they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import BinaryIO

from swhkit.plugin import LimitExceeded

#: Revisions, and bytes of their ids, that a graph may have: they are held in memory.
_MOST, _MOST_BYTES = 400_000, 64 << 20
#: Bytes of a line with a revision and its parents.
_LINE = 1 << 20
#: How many revisions the archive is asked for at once.
_BATCH = 2000


class History:
    """Revisions by number: ``ids`` their ids, ``order`` the numbers of those that are there, parents before children.

    Ids that are named as a parent alone are ghosts: they have no revision and are nobody's parents here.
    """

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.order: list[int] = []
        self._numbers: dict[bytes, int] = {}
        self._parents: dict[int, tuple[int, ...]] = {}
        self._sources: dict[int, int] = {}
        self._bytes = 0

    def __contains__(self, id: bytes) -> bool:
        return self._numbers.get(id) in self._parents

    def read(self, lines: BinaryIO, source: int = 0) -> None:
        """Add the lines ``ID PARENT ...`` that ``source`` has given. Raises ``ValueError``, ``LimitExceeded``."""
        while line := lines.readline(_LINE):
            if len(line) == _LINE:
                raise ValueError("a line of the graph of revisions is too long")
            id, *parents = line.split() or [b""]
            if id and id not in self:
                self.add(id, parents, source)

    def add(self, id: bytes, parents: Iterable[bytes], source: int) -> None:
        """Add a revision that ``source`` has, or tell its parents anew. Raises ``LimitExceeded``."""
        number = self._number(id)
        self._parents[number] = tuple(map(self._number, parents))
        if source:
            self._sources[number] = source

    def source(self, id: bytes) -> int:
        """Who has the revision. Raises ``KeyError``."""
        return self._sources.get(self._numbers[id], 0)

    def ghosts(self) -> list[bytes]:
        """Ids that are named as parents, and nothing else is known of."""
        return [id for number, id in enumerate(self.ids) if number not in self._parents]

    def parents(self, id: bytes) -> list[bytes]:
        """The parents that are there. Raises ``KeyError``."""
        found = self._parents[self._numbers[id]]
        return [self.ids[number] for number in found if number in self._parents]

    def arrange(self, tip: bytes) -> None:
        """Make ``order``: all from ``tip``, branches one after the other. Raises ``ValueError`` if it goes in a circle."""
        states = bytearray(len(self.ids))  # 0 not met, 1 begun, 2 ended
        path, positions = [self._numbers[tip]], [0]  # revisions, and how many parents of each were looked at
        states[path[0]] = 1
        while path:
            parents = self._parents[path[-1]]
            if positions[-1] == len(parents):
                states[path[-1]] = 2
                self.order.append(path.pop())
                positions.pop()
                continue
            parent = parents[positions[-1]]
            positions[-1] += 1
            if states[parent] == 1:
                raise ValueError(f"revision {self.ids[parent]!r} is its own ancestor")
            if states[parent] == 0 and parent in self._parents:
                states[parent] = 1
                path.append(parent)
                positions.append(0)

    def new(
        self,
        wanted: Iterable[bytes],
        held: Callable[[list[bytes]], dict[bytes, bytes]],
        own: Container[bytes],
    ) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Which revisions the archive lacks, parents first, and the digests of those met that it has.

        ``held`` gives the digests that it has under ids; they count if they are in ``own``, which is asked for as few as
        can be: of what the archive has, no ancestors are looked at.
        """
        open = {self._numbers[id] for id in wanted}
        new: list[bytes] = []
        known: dict[bytes, bytes] = {}
        for first in range(len(self.order), 0, -_BATCH):
            if not open:
                break
            batch = self.order[max(0, first - _BATCH) : first]
            found = held([self.ids[number] for number in batch])
            for number in reversed(batch):
                if number not in open:
                    continue
                open.remove(number)
                id = self.ids[number]
                if id in found and found[id] in own:
                    known[id] = found[id]
                else:
                    new.append(id)
                    open.update(self._there(number))
        return new[::-1], known

    def _there(self, number: int) -> Iterator[int]:
        return (parent for parent in self._parents[number] if parent in self._parents)

    def _number(self, id: bytes) -> int:
        number = self._numbers.setdefault(id, len(self.ids))
        if number == len(self.ids):
            self.ids.append(id)
            self._bytes += len(id)
            if number >= _MOST or self._bytes > _MOST_BYTES:
                raise LimitExceeded(f"the branch has more than {_MOST} revisions")
        return number
