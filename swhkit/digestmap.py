"""A map from digests to numbers that comes to lie in a file: it grows with the disk, not with our memory.

For what one process notes while it works. The file has no name, so nothing is left of it however the process ends;
nothing here is durable, or meant for two threads.
"""

from __future__ import annotations

import errno
import os
import tempfile
from io import BufferedRandom
from pathlib import Path

_DIGEST, _SLOT = 20, 28
#: Slots looked at with one read, and how many there are at first.
_RUN, _FIRST = 8, 1 << 12
#: Entries in memory (some 150 bytes each).
_LATEST = 100_000
_EMPTY = bytes(_SLOT)


class DigestMap:
    """20-byte digest → number from 1 to 2**63 - 1: the latest in memory, all others in a nameless file of ``folder``.

    Open addressing with linear probing: digests are as good as random, so their first bytes say where to look. Raises
    ``OSError`` on a full disk; the map is then as it was before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._count, self._slots = folder, 0, _FIRST
        self._latest: dict[bytes, int] = {}
        self._file = _table(folder, self._slots)

    def get(self, digest: bytes) -> int | None:
        """The number of a digest, None if it has none."""
        number = self._latest.get(digest)
        return self._find(digest)[1] if number is None and self._count else number

    def put(self, digest: bytes, number: int) -> None:
        """Give a digest its number, whether it has one or not."""
        self._latest[digest] = number
        if len(self._latest) > _LATEST:
            for each, its in self._latest.items():
                self._keep(each, its)
            self._latest.clear()

    def _keep(self, digest: bytes, number: int) -> None:
        """Write an entry to the file."""
        if self._count * 2 >= self._slots:
            self._grow()
        slot, known = self._find(digest)
        _write(self._file, slot, digest + number.to_bytes(8, "big"))
        self._count += known is None

    def close(self) -> None:
        """Let go of the file, and with it of everything in it."""
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

    def _grow(self) -> None:
        """Twice the slots."""
        old, slots = self._file, self._slots
        self._file, self._slots = _table(self._folder, slots * 2), slots * 2
        try:
            for first in range(0, slots, 4096):
                block = os.pread(old.fileno(), _SLOT * 4096, first * _SLOT)
                for start in range(0, len(block), _SLOT):
                    if not block.startswith(_EMPTY, start):
                        entry = block[start : start + _SLOT]
                        _write(self._file, self._find(entry[:_DIGEST])[0], entry)
        except BaseException:
            self._file.close()
            self._file, self._slots = old, slots
            raise
        old.close()


def _write(file: BufferedRandom, slot: int, entry: bytes) -> None:
    if os.pwrite(file.fileno(), entry, slot * _SLOT) != _SLOT:  # a disk that is full takes what fits
        os.pwrite(file.fileno(), _EMPTY, slot * _SLOT)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _table(folder: Path, slots: int) -> BufferedRandom:
    """An empty table: a file of zeros that takes up room only where something is written."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the map)
    try:
        os.ftruncate(file.fileno(), slots * _SLOT)
    except BaseException:
        file.close()
        raise
    return file
