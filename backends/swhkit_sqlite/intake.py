"""The one door by which bodies enter the object store: hashed, compared with what is held, then written."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

from swhkit.errors import Collision, Corrupt, InvalidInput
from swhkit.hashes import git_digest, git_header
from swhkit.model import Bytes, ByteSource
from swhkit.storage import AdoptReport
from swhkit.swhid import ObjectId
from swhkit_sqlite.bodies import CHUNKED, NUMBERS, PIECE, WHOLE
from swhkit_sqlite.codec import Damaged, compress, decompress, groups, values
from swhkit_sqlite.connection import Database

#: Bodies wait in memory until so many bytes, or so many objects, have come: the write lock is taken late.
_WAITING_BYTES = 8 << 20
_WAITING_OBJECTS = 2_000

_INSERT = "INSERT INTO object (kind, digest, length, codec, body) VALUES (?, ?, ?, ?, ?)"
_INSERT_CHUNK = "INSERT INTO chunk (object, seq, length, codec, body) VALUES (?, ?, ?, ?, ?)"


class Intake:
    """A ``with`` block in which ``take`` takes objects; all are held after it, or, if it raises, none."""

    def __init__(self, db: Database) -> None:
        self._db, self._stack = db, ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._waiting: dict[ObjectId, bytes] = {}
        self._bytes = self._objects = self._stored = 0

    def __enter__(self) -> Intake:
        self._db.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with self._stack:
                self._flush()
        else:
            self._stack.__exit__(kind, error, trace)

    def report(self) -> AdoptReport:
        """Objects that were new, and the bytes of their compressed bodies."""
        return AdoptReport(self._objects, self._stored)

    def take(self, id: ObjectId, source: ByteSource) -> None:
        """One object. Raises ``Corrupt`` if the bytes do not hash to ``id``, ``Collision`` if others are held."""
        if id.kind not in NUMBERS:
            raise InvalidInput(f"{id} is no object that an object store holds")
        if source.length > WHOLE:
            self._take_large(id, source)
            return
        body = _whole(id, source)
        if self._waiting.setdefault(id, body) != body:
            raise _collision(id)
        self._bytes += len(body)
        if self._bytes > _WAITING_BYTES or len(self._waiting) >= _WAITING_OBJECTS:
            self._flush()

    def _begin(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._stack.enter_context(self._db.writing())
        return self._connection

    def _flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        if not waiting:
            return
        packed = {id: compress(body) for id, body in waiting.items()}
        connection = self._begin()
        for id, row in self._known(waiting):
            if self._is_held(id, row, waiting[id]):
                del packed[id]
        connection.executemany(
            _INSERT,
            [
                (NUMBERS[id.kind], id.digest, len(waiting[id]), codec, data)
                for id, (codec, data) in packed.items()
            ],
        )
        self._objects += len(packed)
        self._stored += sum(len(data) for _, data in packed.values())

    def _known(self, ids: dict[ObjectId, bytes]) -> list[tuple[ObjectId, int]]:
        """The row numbers of those that are held."""
        numbers: list[tuple[ObjectId, int]] = []
        for group in groups(ids):
            sql = (
                f"WITH k(place, digest, kind) AS ({values(len(group), 3)}) SELECT k.place, o.id "
                "FROM k CROSS JOIN object o ON o.digest = k.digest AND o.kind = k.kind"
            )
            keys = [part for place, id in enumerate(group) for part in (place, id.digest, NUMBERS[id.kind])]
            numbers += [(group[place], row) for place, row in self._begin().execute(sql, keys)]
        return numbers

    def _is_held(self, id: ObjectId, row: int, body: bytes) -> bool:
        """Whether the row holds this very body. A damaged one makes way; another sound one is a ``Collision``."""
        try:
            held = b"".join(self._held_pieces(row))
        except Damaged:
            held = None
        if held == body:
            return True
        if held is not None and git_digest(id.kind.git, held) == id.digest:
            raise _collision(id)
        self._begin().execute("DELETE FROM object WHERE id = ?", (row,))
        return False

    def _held_pieces(self, row: int) -> Iterator[bytes]:
        """The held body as this transaction sees it."""
        connection = self._begin()
        found = connection.execute("SELECT codec, body, length FROM object WHERE id = ?", (row,)).fetchone()
        if found is None:
            raise Damaged("an index names a row that is not there")
        codec, stored, length = found
        if codec != CHUNKED:
            if not isinstance(stored, bytes) or not isinstance(length, int) or not 0 <= length <= WHOLE:
                raise Damaged("a row has no body")
            yield decompress(codec, stored, length)
            return
        rows = connection.execute(
            "SELECT codec, body, length FROM chunk WHERE object = ? ORDER BY seq", (row,)
        )
        for codec, stored, size in rows:
            yield decompress(codec, stored, min(size, PIECE))

    def _take_large(self, id: ObjectId, source: ByteSource) -> None:
        """A body that is never whole in memory: written while it is hashed, into a transaction that may be undone."""
        connection, held = self._begin(), self._held_sha256(id)
        row = None
        if held is None:
            head = (NUMBERS[id.kind], id.digest, source.length, CHUNKED, None)
            row = connection.execute(_INSERT, head).lastrowid
        length, git, content = 0, hashlib.sha1(git_header(id.kind.git, source.length)), hashlib.sha256()
        for seq, piece in enumerate(_pieces(source)):
            length += len(piece)
            if length > source.length:
                break
            git.update(piece)
            content.update(piece)
            if row is not None:
                codec, data = compress(piece)
                connection.execute(_INSERT_CHUNK, (row, seq, len(piece), codec, data))
                self._stored += len(data)
        if length != source.length or git.digest() != id.digest:
            raise _corrupt(id)
        if held is not None and held != content.digest():
            raise _collision(id)
        self._objects += row is not None

    def _held_sha256(self, id: ObjectId) -> bytes | None:
        """The SHA-256 of the held body; None if there is none. A damaged one makes way for the one that comes."""
        for _, row in self._known({id: b""}):
            sql = "SELECT iif(typeof(length) = 'integer', length, -1) FROM object WHERE id = ?"
            (length,) = self._begin().execute(sql, (row,)).fetchone() or (-1,)
            git, content = hashlib.sha1(git_header(id.kind.git, length)), hashlib.sha256()
            try:
                for piece in self._held_pieces(row):
                    git.update(piece)
                    content.update(piece)
            except Damaged:
                length = -1
            if length >= 0 and git.digest() == id.digest:
                return content.digest()
            self._begin().execute("DELETE FROM object WHERE id = ?", (row,))
        return None


def _whole(id: ObjectId, source: ByteSource) -> bytes:
    """The bytes of a source of at most ``WHOLE`` bytes. Raises ``Corrupt`` unless they hash to ``id``."""
    if isinstance(source, Bytes):
        body = source.data
    else:
        parts, length = [], 0
        for chunk in source.chunks():
            length += len(chunk)
            if length > source.length:
                raise _corrupt(id)
            parts.append(bytes(chunk))
        body = b"".join(parts)
    if len(body) != source.length or git_digest(id.kind.git, body) != id.digest:
        raise _corrupt(id)
    return body


def _pieces(source: ByteSource) -> Iterator[bytes]:
    """The bytes of a source in pieces of exactly ``PIECE`` bytes (the last may be shorter)."""
    rest = bytearray()
    for chunk in source.chunks():
        rest += chunk
        while len(rest) >= PIECE:
            yield bytes(rest[:PIECE])
            del rest[:PIECE]
    if rest:
        yield bytes(rest)


def _corrupt(id: ObjectId) -> Corrupt:
    return Corrupt(f"the bytes that came for {id} do not hash to it: nothing was stored")


def _collision(id: ObjectId) -> Collision:
    return Collision(f"another body arrived under {id}, which is held: nothing was stored")
