"""Write a git pack, walk a pack, check a pack's checksum; nothing else. Reading packs is left to git.

Packs made here hold whole objects (no deltas), the first gigabyte of them not even compressed: git compresses them
against each other when a stage is sealed, and until then only time counts. Format: gitformat-pack(5), version 2.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt, InvalidInput
from swhkit.files import sync_folder
from swhkit.git import Git
from swhkit.hashes import git_header, verified
from swhkit.model import Bytes, ByteSource, Pack
from swhkit.packindex import show_index
from swhkit.process import Runner
from swhkit.swhid import Kind, ObjectId

_TYPES = {Kind.REVISION: 1, Kind.DIRECTORY: 2, Kind.CONTENT: 3, Kind.RELEASE: 4}
_KINDS = {number: kind for kind, number in _TYPES.items()}
#: zlib's levels: until a pack has so many bytes, and from then on, lest the disk be what is too small.
_LEVELS, _PLAIN = (0, 1), 1 << 30
_BUFFER = 1 << 20
#: Bytes read at once to look at an object: most are no longer.
_GLANCE = 1 << 12


class PackWriter:
    """Writes one pack in memory that does not depend on its objects. Not thread-safe.

    ``path`` is the pack to be; until ``finish`` everything is in ``path.tmp``. Not to give one object twice is the
    caller's business (git reads such a pack, but ``git verify-pack`` refuses it). After a failed ``add`` the writer is
    as it was before and can be used on; only when the disk itself fails is it aborted.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._count = path, 0
        self._tmp = path.with_name(path.name + ".tmp")
        self._file = self._tmp.open("w+b", buffering=_BUFFER)
        self._write_head()
        self.bytes_written = 12

    def __len__(self) -> int:
        return self._count

    def add(self, kind: Kind, source: ByteSource) -> ObjectId:
        """Append one object and return its id, computed from the very bytes that were written.

        Raises ``Corrupt`` if not exactly ``source.length`` bytes came, and whatever the source raises.
        """
        if kind not in _TYPES:
            raise InvalidInput(f"a pack cannot hold a {kind.word}")
        start, length = self.bytes_written, source.length
        digest = hashlib.sha1(git_header(kind.git, length))
        head = _object_head(_TYPES[kind], length)
        try:
            if isinstance(source, Bytes):
                digest.update(source.data)
                self._write(head + zlib.compress(source.data, self._level))
            else:
                self._write(head)
                self._deflate(source, digest)
        except BaseException:
            self._back_to(start)
            raise
        self._count += 1
        return ObjectId(kind, digest.digest())

    def look(self, position: int) -> tuple[Kind, int, Iterator[bytes]]:
        """Kind, length and body (in pieces) of the object that was begun when ``bytes_written`` was ``position``.

        The pieces must be taken before ``finish``. Raises ``Corrupt`` if the disk does not give back what was written.
        """
        self._file.flush()
        handle = self._file.fileno()
        head = os.pread(handle, _GLANCE, position)
        number, length, start = _parse_head(head)
        if number not in _KINDS:
            raise Corrupt(
                f"{self._tmp.name} has no object at {position}: it was damaged while it was written"
            )
        return _KINDS[number], length, self._inflate(handle, head[start:], position + len(head), length)

    def _inflate(self, handle: int, data: bytes, position: int, length: int) -> Iterator[bytes]:
        """The body of an object whose compressed bytes begin with ``data`` and go on at ``position``."""
        swell, left = zlib.decompressobj(), length
        try:
            while not swell.eof:
                if not data:
                    data = os.pread(handle, _BUFFER, position)
                    position += len(data)
                    if not data:
                        break
                piece = swell.decompress(data, _BUFFER)
                data = swell.unconsumed_tail
                left -= len(piece)
                if piece:
                    yield piece
        except zlib.error as error:
            raise Corrupt(f"{self._tmp.name} was damaged while it was written ({error})") from None
        if left:
            raise Corrupt(f"{self._tmp.name} was damaged while it was written: an object ends too soon")

    def finish(self) -> Path:
        """Complete the pack (it may be empty) and give it its name; it is durable on return."""
        self._file.seek(0)
        self._write_head()
        self._file.seek(0)
        digest = hashlib.sha1()
        while block := self._file.read(
            _BUFFER
        ):  # the count stands at the head: the checksum can't be had before
            digest.update(block)
        self._file.write(digest.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.bytes_written += 20
        self._tmp.replace(self.path)
        sync_folder(self.path.parent)
        return self.path

    def abort(self) -> None:
        """Throw away what was written. Does nothing after ``finish``."""
        if not self._file.closed:
            with contextlib.suppress(OSError):  # it may be a full disk that we are here for
                self._file.close()
            self._tmp.unlink(missing_ok=True)

    @property
    def _level(self) -> int:
        return _LEVELS[self.bytes_written >= _PLAIN]

    def _write_head(self) -> None:
        self._file.write(struct.pack(">4sII", b"PACK", 2, self._count))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes_written += len(data)

    def _deflate(self, source: ByteSource, digest: hashlib._Hash) -> None:
        squeeze, seen = zlib.compressobj(self._level), 0
        for chunk in source.chunks():
            seen += len(chunk)
            if seen > source.length:
                raise Corrupt(f"more bytes came than the {source.length} that were announced")
            digest.update(chunk)
            self._write(squeeze.compress(chunk))
        if seen < source.length:
            raise Corrupt(f"{source.length} bytes were announced, {seen} came")
        self._write(squeeze.flush())

    def _back_to(self, position: int) -> None:
        if self._file.closed:
            return
        try:
            self._file.seek(position)
            self._file.truncate()
            self.bytes_written = position
        except OSError:
            self.abort()


def _object_head(number: int, length: int) -> bytes:
    """Type and length of an object: 4 bits of length in the first byte, 7 in each that follows, lowest first."""
    byte, length = number << 4 | length & 15, length >> 4
    head = bytearray()
    while length:
        head.append(byte | 0x80)
        byte, length = length & 0x7F, length >> 7
    head.append(byte)
    return bytes(head)


def _parse_head(head: bytes) -> tuple[int, int, int]:
    """Type, length, and where the compressed bytes begin: the inverse of ``_object_head``."""
    number, length, shift, place = head[0] >> 4 & 7, head[0] & 15, 4, 0
    while head[place] & 0x80:
        place += 1
        length |= (head[place] & 0x7F) << shift
        shift += 7
    return number, length, place + 1


def walk(pack: Pack, runner: Runner) -> Iterator[tuple[ObjectId, int, Iterator[bytes]]]:
    """All objects of one pack, each once, with its length and its body in pieces of at most 1 MiB.

    A body is good until the next object is asked for. The last piece of each is given only when all of it has hashed
    to the id; else, and when the pack or its idx is damaged or does not give all its objects, ``Corrupt`` is raised.
    """
    count, distinct = _index_counts(pack)
    if count != _announced(pack.path):
        raise Corrupt(f"the pack {pack.path.name} and its idx do not agree on the number of objects")
    with tempfile.TemporaryDirectory(prefix="walk-", dir=runner.home) as scratch:
        git = Git.init(runner, Path(scratch) / "pack.git")
        for suffix, path in ((".pack", pack.path), (".idx", pack.idx)):
            (Path(scratch) / f"pack.git/objects/pack/pack-{'0' * 40}{suffix}").symlink_to(path.absolute())
        seen = 0
        with _failure_is_damage(pack.path):
            for id, size, pieces in git.read(None):
                seen += 1
                body = _sound(id, size, pieces, pack.path)
                yield id, size, body
                for _ in body:  # what the taker has left is verified all the same
                    pass
        if seen != distinct:
            raise Corrupt(f"the pack {pack.path.name} gave {seen} of its {distinct} objects: it is damaged")


@contextlib.contextmanager
def _failure_is_damage(pack: Path) -> Iterator[None]:
    """Git dies at the first damaged object: say so."""
    try:
        yield
    except ChildTimeout:
        raise
    except ChildFailed as error:
        raise Corrupt(f"the pack {pack.name} cannot be read: {error}") from error


def _sound(id: ObjectId, size: int, pieces: Iterator[bytes], pack: Path) -> Iterator[bytes]:
    with _failure_is_damage(pack):
        yield from verified(id, size, pieces)


def _index_counts(pack: Pack) -> tuple[int, int]:
    """How many entries the idx has, and how many different ids."""
    count, distinct, previous = 0, 0, b""
    for digest, _ in show_index(pack.idx):
        count += 1
        distinct += digest != previous
        previous = digest
    return count, distinct


def _announced(path: Path) -> int:
    """The number of objects a pack says it has."""
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) != 12 or head[:8] != b"PACK\0\0\0\2":
        raise Corrupt(f"{path.name} is no git pack of version 2")
    return int.from_bytes(head[8:], "big")


def pack_checksum_ok(path: Path) -> bool:
    """Whether the SHA-1 at the end of a ``.pack``, ``.idx`` or ``multi-pack-index`` is that of what precedes it.

    Tells of damaged bytes, not of a well-made lie. Raises ``OSError`` if the file cannot be read.
    """
    digest = hashlib.sha1()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - 20
        if left < 0:
            return False
        while left and (block := file.read(min(left, _BUFFER))):
            digest.update(block)
            left -= len(block)
        return file.read() == digest.digest()
