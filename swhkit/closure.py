"""Walk a graph of objects in bounded memory: is everything below these heads held?

The queue and the set of visited ids live in a temporary SQLite file, so that neither ten million objects nor a tree
3,000 levels deep is a matter of memory or recursion. Where the object store is a git directory the stage asks
``git rev-list`` instead, which is the same rule in C; ``check`` and the other stores walk here.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from swhkit import manifest
from swhkit.batches import sized
from swhkit.errors import InvalidManifest, TooLarge
from swhkit.git import headers_of
from swhkit.storage import ObjectReader
from swhkit.swhid import Kind, ObjectId

_BATCH = 500
#: Bytes of bodies that are asked for at once.
_TOGETHER = 16 << 20

#: Gives the bodies of those that are there, in any order; absent ids are left out. A body is let go before the next.
Read = Callable[[Sequence[ObjectId]], Iterator[tuple[ObjectId, bytes]]]


def held_bodies(objects: ObjectReader, ids: Sequence[ObjectId]) -> Iterator[tuple[ObjectId, bytes]]:
    """As much of the held ones among ``ids`` as tells their edges, some 16 MiB of bodies in memory at a time (or one
    directory that is larger). Raises ``Corrupt`` for damaged ones."""
    for part in sized(ids, objects.sizes(ids), _TOGETHER):
        try:
            bodies = objects.read(part)
        except TooLarge:  # it came alone, unless it was replaced meanwhile
            for id in set(part) - objects.missing(part):
                yield id, edges_in(id.kind, objects.stream(id))
            continue
        while bodies:
            yield bodies.popitem()


def edges_in(kind: Kind, pieces: Iterator[bytes]) -> bytes:
    """As much of a body as tells its edges, for a message may be of any size. All of it is consumed, and so verified."""
    head = None if kind is Kind.DIRECTORY else headers_of(pieces)
    if head is None:
        return b"".join(pieces)
    for _ in pieces:
        pass
    return head


class Walk:
    """One walk. Use as a context manager; the temporary file goes with it.

    ``read`` gives the bodies of directories, revisions and releases; contents are never read, only listed. ``known``
    (optional) tells which of a batch need not be looked into, because all below them is known to be held. Every method
    raises ``OSError`` where the disk of the temporary file fails or is full.
    """

    def __init__(
        self, scratch: Path, read: Read, known: Callable[[Iterable[ObjectId]], set[ObjectId]] | None = None
    ) -> None:
        self._read, self._known = read, known
        self._path = scratch / "walk.sqlite"
        self._path.unlink(missing_ok=True)
        with _told(self._path):
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;"
                "CREATE TABLE seen (n INTEGER PRIMARY KEY, kind TEXT, digest BLOB, referrer BLOB, UNIQUE (kind, digest));"
                "CREATE TABLE absent (kind TEXT, digest BLOB, referrer BLOB);"
            )
        self._next = 0

    def __enter__(self) -> Walk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)

    def run(self, heads: Iterable[ObjectId]) -> None:
        """Visit all that is reachable from ``heads``; may be called again with more heads."""
        self._push((head, None) for head in heads)
        while rows := self._ask(
            "SELECT n, kind, digest FROM seen WHERE n > ? AND kind != 'cnt' ORDER BY n LIMIT ?",
            self._next,
            _BATCH,
        ):
            self._next = rows[-1][0]
            self._look_into([ObjectId(Kind(kind), digest) for _, kind, digest in rows])

    def contents(self) -> Iterator[bytes]:
        """The sha1_git of every content reached, in the order of first sight."""
        last = 0
        while rows := self._ask(
            "SELECT n, digest FROM seen WHERE n > ? AND kind = 'cnt' ORDER BY n LIMIT 1000", last
        ):
            last = rows[-1][0]
            yield from (digest for _, digest in rows)

    def reached(self) -> Iterator[ObjectId]:
        """Every id reached, heads included."""
        last = 0
        while rows := self._ask("SELECT n, kind, digest FROM seen WHERE n > ? ORDER BY n LIMIT 1000", last):
            last = rows[-1][0]
            yield from (ObjectId(Kind(kind), digest) for _, kind, digest in rows)

    def absent(self, limit: int = 100) -> list[tuple[ObjectId, bytes | None]]:
        """Directories, revisions and releases that could not be read, each with one digest that refers to it."""
        rows = self._ask("SELECT kind, digest, referrer FROM absent LIMIT ?", limit)
        return [(ObjectId(Kind(kind), digest), referrer) for kind, digest, referrer in rows]

    def referrer(self, id: ObjectId) -> bytes | None:
        """The digest of the object through which ``id`` was first reached, None for heads and unknown ids."""
        rows = self._ask("SELECT referrer FROM seen WHERE kind = ? AND digest = ?", id.kind.value, id.digest)
        return rows[0][0] if rows else None

    def _ask(self, sql: str, *values: Any) -> list[Any]:
        with _told(self._path):
            return self._db.execute(sql, values).fetchall()

    def _look_into(self, ids: list[ObjectId]) -> None:
        known = self._known(ids) if self._known else set()
        waiting = dict.fromkeys(id for id in ids if id not in known)
        self._ask("BEGIN")
        for id, body in self._read(list(waiting)):
            self._push_edges(id, body)
            del waiting[id]
        for id in waiting:
            self._mark_absent(id)
        self._ask("COMMIT")

    def _push_edges(self, id: ObjectId, body: bytes) -> None:
        try:
            self._push((ObjectId(kind, digest), id.digest) for kind, digest in manifest.edges(id.kind, body))
        except InvalidManifest:
            self._mark_absent(id)

    def _push(self, found: Iterable[tuple[ObjectId, bytes | None]]) -> None:
        with _told(self._path):
            self._db.executemany(
                "INSERT OR IGNORE INTO seen (kind, digest, referrer) VALUES (?, ?, ?)",
                ((id.kind.value, id.digest, referrer) for id, referrer in found),
            )

    def _mark_absent(self, id: ObjectId) -> None:
        self._ask("INSERT INTO absent VALUES (?, ?, ?)", id.kind.value, id.digest, self.referrer(id))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite says of the disk as the ``OSError`` that it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
