"""What a loader yields, on its way into the stage: the checked door for single objects.

Each object is encoded and hashed here; its id is never taken from a loader. What the archive holds, or the visit has
brought already, is left out in batches; the rest is appended to one pack of the stage's own. Facts go to the record
log as they come, so memory stays bounded however long the visit is. What came can be read again until ``finish``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from swhkit import manifest, records
from swhkit.archive import Archive
from swhkit.errors import Corrupt, LimitExceeded, TooLarge
from swhkit.git import Git
from swhkit.hashes import Hashes, git_digest, hash_chunks
from swhkit.model import (
    Bytes,
    ByteSource,
    Chunks,
    Content,
    ContentRow,
    Directory,
    ExtId,
    ExtrinsicMetadata,
    Gap,
    Item,
    ObjectMetadata,
    Pack,
    Release,
    Revision,
    Skipped,
    Snapshot,
)
from swhkit.shelf import Shelf
from swhkit.stage import Stage
from swhkit.storage import READ_LIMIT
from swhkit.swhid import Kind, ObjectId

#: Reason of contents above the limit, in the words of the public archive.
TOO_LARGE = "Content too large"
_BATCH_OBJECTS = 1_000
_BATCH_BYTES = 16 << 20


class Intake:
    """Takes the items of one visit. ``finish`` before sealing; ``close`` always."""

    def __init__(
        self,
        archive: Archive,
        stage: Stage,
        missing: Callable[[list[ObjectId]], set[ObjectId]],
        max_content_size: int | None,
        max_pack_size: int,
    ) -> None:
        self._archive, self._stage, self._missing = archive, stage, missing
        self._max_content, self._max_pack = max_content_size, max_pack_size
        self._pending: dict[ObjectId, bytes] = {}
        self._pending_bytes = 0
        self._shelf = Shelf(stage.folder / "pack-own.pack", stage.scratch)
        self._log: BinaryIO | None = None
        self._packed = 0
        self.gaps: list[Gap] = []
        self.snapshot: Snapshot | None = None
        self.own: Pack | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing but gaps and a snapshot has come."""
        return not (len(self._shelf) or self._log or self._pending or self._packed)

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """Bodies of those that came one by one, or that the archive holds; the others are left out.

        Raises ``TooLarge`` and ``Corrupt`` as ``Archive.read`` does.
        """
        found, others = {}, []
        for id in ids:
            came = self._find(id)
            if came is None:
                others.append(id)
            elif came[0] > READ_LIMIT:
                raise TooLarge(f"{id} has {came[0]} bytes, more than are read at once: take it as a stream")
            else:
                found[id] = b"".join(came[1])
        return found | self._archive.read(others) if others else found

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """The body of one of those in pieces. Raises ``NotHeld`` and ``Corrupt`` as ``Archive.stream`` does."""
        came = self._find(id)
        return came[1] if came is not None else self._archive.stream(id)

    def _find(self, id: ObjectId) -> tuple[int, Iterator[bytes]] | None:
        """Length and body of what came one by one."""
        body = self._pending.get(id)
        return (len(body), iter((body,))) if body is not None else self._shelf.find(id)

    def take(self, item: Item) -> None:
        """Take one item. Raises ``Corrupt`` when an item contradicts itself, ``LimitExceeded`` beyond the limits."""
        if self.snapshot is not None:
            raise Corrupt(
                f"the loader yielded a {type(item).__name__} after its snapshot, which has to come last"
            )
        match item:
            case Content(source=source):
                self._take_content(source)
            case Directory():
                self._hold_encoded(Kind.DIRECTORY, item)
            case Revision() | Release():
                self._take_history(item)
            case Pack():
                self._take_pack(item)
            case Skipped(hashes=hashes, reason=reason):
                self._record(ContentRow.of(hashes, "absent", reason))
            case ExtId() | ObjectMetadata() | ExtrinsicMetadata():
                self._record(item)
            case Gap():
                self.gaps.append(item)
            case Snapshot():
                self.snapshot = item

    def finish(self, git: Callable[[], Git]) -> None:
        """All items are in: write what is pending, end the log, index the visit's own pack."""
        self._flush()
        if self._log is not None:
            self._log.close()
        if (pack := self._shelf.finish()) is not None:
            self.own = git().index_pack(pack)

    def close(self) -> None:
        """Let go of files; what was not finished is lost with the stage."""
        self._shelf.close()
        if self._log is not None:
            with suppress(OSError):
                self._log.close()

    def _take_content(self, source: ByteSource) -> None:
        if self._max_content is not None and source.length > self._max_content:
            self._record(ContentRow.of(_hashes(source), "absent", TOO_LARGE))
        elif source.length <= _BATCH_BYTES // 4:
            data = b"".join(source.chunks())
            if len(data) != source.length:
                raise Corrupt(f"a content of {source.length} bytes was announced, {len(data)} came")
            self._hold(ObjectId(Kind.CONTENT, git_digest("blob", data)), data)
        else:
            self._take_large(source)

    def _take_large(self, source: ByteSource) -> None:
        if not isinstance(source, Chunks):
            id = ObjectId(Kind.CONTENT, _hashes(source).sha1_git)
            if id in self._shelf or not self._missing([id]):
                return
        self._append(Kind.CONTENT, source)

    def _take_history(self, item: Revision | Release) -> None:
        id = self._hold_encoded(Kind.REVISION if isinstance(item, Revision) else Kind.RELEASE, item)
        kind = item.type if isinstance(item, Revision) else None
        if item.synthetic or item.metadata is not None or kind not in (None, "git"):
            self._record(ObjectMetadata(id.kind, id.digest, kind, item.synthetic, item.metadata))

    def _take_pack(self, pack: Pack) -> None:
        self._count(pack.path.stat().st_size)
        self._stage.take_pack(pack)

    def _hold_encoded(self, kind: Kind, item: Directory | Revision | Release) -> ObjectId:
        body = manifest.encode(item)
        id = ObjectId(kind, git_digest(kind.git, body))
        self._hold(id, body)
        return id

    def _hold(self, id: ObjectId, body: bytes) -> None:
        if id in self._pending or id in self._shelf:
            return
        self._pending[id] = body
        self._pending_bytes += len(body)
        if len(self._pending) >= _BATCH_OBJECTS or self._pending_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending, self._pending_bytes = self._pending, {}, 0
        if not pending:
            return
        missing = self._missing(list(pending))
        for id, body in pending.items():
            if id in missing:
                self._append(id.kind, Bytes(body))
            else:
                self._shelf.note(id)

    def _append(self, kind: Kind, source: ByteSource) -> None:
        self._count(self._shelf.add(kind, source))

    def _count(self, size: int) -> None:
        self._packed += size
        if self._packed > self._max_pack:
            raise LimitExceeded(
                f"the visit has brought {self._packed} bytes of packs, more than limits.max_pack_size ({self._max_pack})"
            )

    def _record(self, record: records.AnyRecord) -> None:
        if self._log is None:
            self._log = open_log(self._stage.folder)
        self._log.write(records.encode(record))


def open_log(folder: Path) -> BinaryIO:
    """The record file for what the loader says; the caller closes it."""
    return (folder / "log-loader").open("wb")


def _hashes(source: ByteSource) -> Hashes:
    try:
        return hash_chunks(source.length, source.chunks())
    except ValueError as error:
        raise Corrupt(f"a content changed while it was read: {error}") from None
