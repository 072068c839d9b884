"""Single objects: each batch becomes one pack, and many small packs become one.

A body that comes under a held id is hashed and compared with the held one, and not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from swhkit.errors import Collision, Corrupt, InvalidInput, NotHeld
from swhkit.git import Git
from swhkit.hashes import git_header
from swhkit.model import ByteSource, Chunks
from swhkit.pack import PackWriter
from swhkit.process import Runner
from swhkit.storage import AdoptReport
from swhkit.swhid import GIT_KINDS, ObjectId
from swhkit_filesystem.adopting import link_pair
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.reading import Reader
from swhkit_filesystem.tables import Table


def add(
    folder: Folder, reader: Reader, runner: Runner, objects: Iterable[tuple[ObjectId, ByteSource]]
) -> AdoptReport:
    """Take single objects, as ``ObjectStore.add``."""
    with folder.temporary("add") as scratch:
        writer = PackWriter(scratch / "new.pack")
        try:
            written = _write(reader, writer, objects)
            if not written:
                return AdoptReport(objects=0, bytes=0)
            writer.finish()
        finally:
            writer.abort()
        pack = Git(runner).index_pack(writer.path)
        table = Table(pack.path, pack.idx)
        if set(table.digests()) != written:
            raise Corrupt(
                "the pack of the new objects does not have their ids: nothing was stored; try again"
            )
        pack.path.chmod(0o444)
        size = link_pair(folder, pack.path, pack.idx, scratch)
    return AdoptReport(objects=len(written), bytes=size)


def _write(reader: Reader, writer: PackWriter, objects: Iterable[tuple[ObjectId, ByteSource]]) -> set[bytes]:
    """Write what is not held; returns the digests written. Raises ``Corrupt``, ``Collision``."""
    written: dict[bytes, bytes] = {}
    for id, source in objects:
        if id.kind not in GIT_KINDS:
            raise InvalidInput(f"{id} is no object of an object store: those are cnt, dir, rev and rel")
        fingerprint = hashlib.sha256()
        teed = Chunks(source.length, _tee(source.chunks(), fingerprint.update))
        if id.digest in written:
            known: bytes | None = written[id.digest]
            got = _hash(id, teed)
        elif (known := _held_fingerprint(reader, id)) is not None:
            got = _hash(id, teed)
        else:
            try:
                got = writer.add(id.kind, teed)
            except Corrupt as error:
                raise Corrupt(f"what came as {id} is refused: {error}") from error
            written[id.digest] = fingerprint.digest()
        if got != id:
            raise Corrupt(f"the bytes that came as {id} hash to {got}: nothing was stored")
        if known is not None and known != fingerprint.digest():
            raise Collision(f"another body came under the held id {id}: nothing was stored")
    return set(written)


def _held_fingerprint(reader: Reader, id: ObjectId) -> bytes | None:
    """The SHA-256 of the held body; None if it is not held, or is damaged (then the one that comes is welcome)."""
    if not reader.seems_held(id.digest):
        return None
    fingerprint = hashlib.sha256()
    try:
        for piece in reader.stream(id):
            fingerprint.update(piece)
    except (Corrupt, NotHeld):
        return None
    return fingerprint.digest()


def _hash(id: ObjectId, source: Chunks) -> ObjectId:
    """The id of a body that is not written. Raises ``Corrupt`` if its length is not what was announced."""
    digest, seen = hashlib.sha1(git_header(id.kind.git, source.length)), 0
    for chunk in source.chunks():
        digest.update(chunk)
        seen += len(chunk)
    if seen != source.length:
        raise Corrupt(f"{source.length} bytes were announced for {id}, {seen} came")
    return ObjectId(id.kind, digest.digest())


def _tee(chunks: Iterator[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        see(chunk)
        yield chunk
