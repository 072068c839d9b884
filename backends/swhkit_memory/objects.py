"""Objects in a dict. The plainest store that keeps the whole contract."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from swhkit.errors import Collision, Corrupt, InvalidInput, NotHeld, TooLarge
from swhkit.hashes import git_digest, hash_content
from swhkit.model import Bytes, ByteSource, Chunks, Pack
from swhkit.pack import pack_checksum_ok, walk
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.storage import READ_LIMIT, AdoptReport, Finding, MaintainReport, Scrubbed
from swhkit.swhid import GIT_KINDS, Kind, ObjectId

_PIECE = 1 << 20


class MemoryObjects:
    """An ``ObjectStore`` in memory; see ``swhkit.storage`` for what each method promises."""

    def __init__(self) -> None:
        self._bodies: dict[ObjectId, bytes] = {}
        self._order: list[bytes] | None = None
        self._kinds: dict[bytes, Kind] = {}
        self._lock, self._closed = threading.RLock(), False

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """As the contract."""
        found = {id: self._bodies[id] for id in set(ids) if self._held(id)}
        self._check_open()
        for id, body in found.items():
            if len(body) > READ_LIMIT:
                raise TooLarge(
                    f"{id} has {len(body)} bytes, more than the {READ_LIMIT} that are read whole: stream it"
                )
            _verify(id, body)
        return found

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """As the contract."""
        self._check_open()
        body = self._bodies.get(id)
        if body is None:
            raise NotHeld(f"{id} is not held")
        _verify(id, body)
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            yield bytes(view[start : start + _PIECE])

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """As the contract."""
        self._check_open()
        return {id: len(self._bodies[id]) for id in set(ids) if self._held(id)}

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As the contract."""
        self._check_open()
        return {id for id in ids if not self._held(id)}

    def scan(self, after: ObjectId | None = None, limit: int = 1000) -> list[ObjectId]:
        """As the contract."""
        with self._taking():
            if self._order is None:
                self._order = sorted(self._kinds)
            start = bisect_right(self._order, after.digest) if after else 0
            return [
                ObjectId(self._kinds[digest], digest) for digest in self._order[start : start + max(limit, 0)]
            ]

    def adopt(self, packs: Sequence[Pack]) -> AdoptReport:
        """As the contract."""
        self._check_open()
        total = AdoptReport(0, 0)
        for pack in packs:
            _check_agreement(pack)
            with scratch_folder("home") as home:
                objects = walk(pack, Runner(home))
                try:
                    report = self.add((id, Chunks(length, pieces)) for id, length, pieces in objects)
                finally:
                    if isinstance(objects, Generator):  # git ends before its folder goes
                        objects.close()
            total = AdoptReport(total.objects + report.objects, total.bytes + report.bytes)
        return total

    def add(self, objects: Iterable[tuple[ObjectId, ByteSource]]) -> AdoptReport:
        """As the contract."""
        self._check_open()
        batch: dict[ObjectId, bytes] = {}
        for id, source in objects:
            body = _body(id, source)
            if batch.setdefault(id, body) != body:
                raise _collision(id)
        with self._taking():
            for id, body in batch.items():
                if self._bodies.get(id, body) != body:
                    raise _collision(id)
            new = {id: body for id, body in batch.items() if id not in self._bodies}
            self._bodies.update(new)
            self._kinds.update({id.digest: id.kind for id in new})
            return AdoptReport(len(new), sum(map(len, new.values())))

    def remove(self, ids: Iterable[ObjectId]) -> None:
        """As the contract."""
        with self._taking():
            for id in ids:
                if self._bodies.pop(id, None) is not None:
                    del self._kinds[id.digest]

    def maintain(self) -> MaintainReport:
        """Nothing can be made smaller here."""
        with self._taking():
            size = sum(map(len, self._bodies.values()))
            return MaintainReport(len(self._bodies), size, size, "objects in memory need no maintenance")

    def verify(self) -> Iterator[Finding]:
        """There is no container to look at."""
        self._check_open()
        yield from ()

    def scrub(self, position: str | None = None) -> Iterator[Scrubbed | Finding]:
        """In order of digest; positions are hex digests."""
        after = None if position is None else ObjectId(Kind.CONTENT, bytes.fromhex(position))
        while page := self.scan(after):
            for id in page:
                body = self._bodies.get(id)
                if body is not None:
                    yield _scrubbed(id, body)
            after = page[-1]

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._bodies, self._kinds, self._order = {}, {}, None

    def _held(self, id: ObjectId) -> bool:
        return id in self._bodies

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the object store is closed")

    @contextmanager
    def _taking(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            count = len(self._bodies)
            yield
            if len(self._bodies) != count:
                self._order = None


def _verify(id: ObjectId, body: bytes) -> None:
    if git_digest(id.kind.git, body) != id.digest:
        raise Corrupt(f"the held bytes of {id} do not hash to it: run `swhkit check`")


def _collision(id: ObjectId) -> Collision:
    return Collision(f"another body arrived under {id}, which is held: nothing was stored")


def _body(id: ObjectId, source: ByteSource) -> bytes:
    """The bytes of a source. Raises ``Corrupt`` unless they hash to ``id``."""
    if id.kind not in GIT_KINDS:
        raise InvalidInput(f"{id} is no object that an object store holds")
    parts, length = [], 0
    for chunk in source.chunks():
        length += len(chunk)
        if length > source.length:
            break
        parts.append(bytes(chunk))
    body = source.data if isinstance(source, Bytes) else b"".join(parts)
    if length != source.length or git_digest(id.kind.git, body) != id.digest:
        raise Corrupt(f"the bytes that came for {id} do not hash to it: nothing was stored")
    return body


def _check_agreement(pack: Pack) -> None:
    """Raise ``Corrupt`` unless the idx says it was made for this very pack (gitformat-pack(5): its last but one SHA-1)."""
    sound = pack_checksum_ok(pack.path) and pack_checksum_ok(pack.idx)
    if not sound or pack.path.read_bytes()[-20:] != pack.idx.read_bytes()[-40:-20]:
        raise Corrupt(f"the pack {pack.path} and its idx do not agree: index it again")


def _scrubbed(id: ObjectId, body: bytes) -> Scrubbed | Finding:
    if git_digest(id.kind.git, body) != id.digest:
        next_step = "test the memory of this machine, then load the origins into a new archive"
        return Finding(f"the held bytes of {id} do not hash to it", next_step, id)
    return Scrubbed(id, len(body), id.hex, hash_content(body) if id.kind is Kind.CONTENT else None)
