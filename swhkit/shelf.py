"""What one visit has brought as single objects: a pack in the making that can be read again at once.

Loaders build on what they have yielded (a tree on the one before, a delta on its base), and the archive does not have
it yet. Where each object lies is noted in a file, so the memory does not grow with the visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from swhkit.digestmap import DigestMap
from swhkit.model import ByteSource
from swhkit.pack import PackWriter
from swhkit.swhid import Kind, ObjectId

#: The number of an object that is not here because the archive has it; no object lies there in a pack.
_ELSEWHERE = 1


class Shelf:
    """Takes objects for the pack at ``path``, and notes of others that the archive holds them. Not thread-safe."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._places = path, DigestMap(scratch)
        self._writer: PackWriter | None = None

    def __len__(self) -> int:
        """Number of objects in the pack."""
        return len(self._writer) if self._writer is not None else 0

    def __contains__(self, id: ObjectId) -> bool:
        """Whether it was added, or noted as held."""
        return self._places.get(id.digest) is not None

    def add(self, kind: Kind, source: ByteSource) -> int:
        """Append an object that was not added before; returns the bytes it takes. Raises as ``PackWriter.add``."""
        if self._writer is None:
            self._writer = PackWriter(self._path)
        before = self._writer.bytes_written
        id = self._writer.add(kind, source)
        self._places.put(id.digest, before)
        return self._writer.bytes_written - before

    def note(self, id: ObjectId) -> None:
        """The archive holds this one: it need not be asked again."""
        self._places.put(id.digest, _ELSEWHERE)

    def find(self, id: ObjectId) -> tuple[int, Iterator[bytes]] | None:
        """Length and body, in pieces, of an object of the pack; None for any other. Take the pieces before ``finish``."""
        place = self._places.get(id.digest)
        if self._writer is None or place is None or place == _ELSEWHERE:
            return None
        kind, length, pieces = self._writer.look(place)
        return (length, pieces) if kind is id.kind else None

    def finish(self) -> Path | None:
        """Complete the pack and give it its name; None if there are no objects for it. Nothing can be found any more."""
        self._places.close()
        return self._writer.finish() if self._writer is not None and len(self._writer) else None

    def close(self) -> None:
        """Let go of files; a pack that was not finished is thrown away."""
        self._places.close()
        if self._writer is not None:
            with suppress(OSError):
                self._writer.abort()
