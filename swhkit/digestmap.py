"""A map from digests to numbers that comes to lie in a file: it grows with the disk, not with our memory.

For what one process notes while it works. The file has no name, so nothing is left of it however the process ends;
nothing here is durable, or meant for two threads.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_DIGEST, _SLOT = 20, 28
#: Slots looked at with one read, and how many there are at first.
_RUN, _FIRST = 8, 1 << 12
_EMPTY = bytes(_SLOT)
#: Entries in memory (some 150 bytes each).
_LATEST = 100_000


class DigestMap:
    """20-byte digest → number from 1 to 2**63 - 1: the latest in memory, all others in a nameless file of ``folder``.

    Raises ``OSError`` on a full disk; the map is then as it was before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latest: dict[bytes, int] = {}
        self._table: _Table | None = None

    def get(self, digest: bytes) -> int | None:
        """The number of a digest, None if it has none."""
        number = self._latest.get(digest)
        return self._table.get(digest) if number is None and self._table is not None else number

    def put(self, digest: bytes, number: int) -> None:
        """Give a digest its number, whether it has one or not."""
        self._latest[digest] = number
        if len(self._latest) > _LATEST:
            self._spill()

    def close(self) -> None:
        """Let go of the file, and with it of everything in it."""
        if self._table is not None:
            self._table.close()

    def _spill(self) -> None:
        """All that is in memory goes to the file."""
        if self._table is None:
            self._table = _Table(self._folder, _FIRST)
        for digest, number in self._latest.items():
            if self._table.is_crowded:
                larger = self._table.grown(self._folder)
                self._table.close()
                self._table = larger
            self._table.put(digest, number)
        self._latest.clear()


class _Table:
    """Open addressing with linear probing: digests are as good as random, so their first bytes say where to look."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the table)
        self._slots, self._count = slots, 0
        try:
            os.ftruncate(self._file.fileno(), slots * _SLOT)  # zeros, which take up no room
        except BaseException:
            self._file.close()
            raise

    @property
    def is_crowded(self) -> bool:
        """Whether half of the slots are taken."""
        return self._count * 2 >= self._slots

    def get(self, digest: bytes) -> int | None:
        """The number of a digest, None if it has none."""
        return self._find(digest)[1]

    def put(self, digest: bytes, number: int) -> None:
        """Write an entry, in place of the one that is there."""
        slot, known = self._find(digest)
        entry = digest + number.to_bytes(8, "big")
        if (
            os.pwrite(self._file.fileno(), entry, slot * _SLOT) != _SLOT
        ):  # a disk that is full takes what fits
            os.pwrite(self._file.fileno(), _EMPTY, slot * _SLOT)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._count += known is None

    def grown(self, folder: Path) -> _Table:
        """A table of twice the slots with the same entries."""
        larger = _Table(folder, self._slots * 2)
        try:
            for first in range(0, self._slots, 4096):
                block = os.pread(self._file.fileno(), _SLOT * 4096, first * _SLOT)
                for start in range(0, len(block), _SLOT):
                    if not block.startswith(_EMPTY, start):
                        middle, end = start + _DIGEST, start + _SLOT
                        larger.put(block[start:middle], int.from_bytes(block[middle:end], "big"))
        except BaseException:
            larger.close()
            raise
        return larger

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _find(self, digest: bytes) -> tuple[int, int | None]:
        """The slot of a digest (the empty one where it would be, if it is not there), and its number."""
        handle, slots = self._file.fileno(), self._slots
        slot = int.from_bytes(digest[:6], "big") % slots
        while True:
            run = os.pread(handle, _SLOT * _RUN, slot * _SLOT)
            for start in range(0, len(run), _SLOT):
                if run.startswith(digest, start) and (
                    number := int.from_bytes(run[start + _DIGEST : start + _SLOT], "big")
                ):
                    return slot, number
                if run.startswith(_EMPTY, start):
                    return slot, None
                slot += 1
            slot %= slots
