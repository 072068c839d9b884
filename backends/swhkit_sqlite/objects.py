"""The object store in one SQLite file: what reads, adopts, forgets and checks. How bodies get in is ``intake``.

Bodies up to 16 MiB are one zstd frame in their row; larger ones are rows of 1 MiB, so that memory stays bounded both
ways. Positions of a scrub are row numbers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from swhkit.errors import Corrupt, InvalidInput, NotHeld, TooLarge
from swhkit.hashes import Hasher, git_digest, git_header
from swhkit.model import ByteSource, Chunks, Pack
from swhkit.pack import pack_checksum_ok, walk
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.storage import READ_LIMIT, AdoptReport, Finding, MaintainReport, Scrubbed
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.bodies import KINDS, NUMBERS, SCHEMA, pieces_of, verified
from swhkit_sqlite.codec import Damaged, groups, values
from swhkit_sqlite.connection import Database
from swhkit_sqlite.intake import Intake

_PAGE = 256
#: ``adopt`` commits whenever so many bytes of bodies have come.
_TRANSACTION_BYTES = 64 << 20
#: A damaged row may have anything in any column.
_WELL_FORMED = "typeof(digest) = 'blob' AND length(digest) = 20 AND kind IN (1, 2, 3, 4)"
_KIND = "iif(typeof(kind) = 'integer', kind, 0)"
_DIGEST = "iif(typeof(digest) = 'blob' AND length(digest) = 20, digest, NULL)"
_LENGTH = "iif(typeof(length) = 'integer', length, -1)"
#: An id with so many right bytes of its 20 is a damaged one, not one of other bytes.
_MOSTLY = 16
_NEXT_STEP = "restore the file from a copy; until then the object is not served"


class SqliteObjects:
    """An ``ObjectStore`` in the file ``path``; see ``swhkit.storage`` for what each method promises."""

    def __init__(self, path: Path, create: bool, cache: int) -> None:
        self._db = Database(path, SCHEMA, create, cache)

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """As the contract."""
        found = {}
        for group in groups(ids):
            for id, row, length in self._rows(group):
                if length > READ_LIMIT:
                    raise TooLarge(
                        f"{id} has {length} bytes, more than the {READ_LIMIT} that are read whole: stream it"
                    )
                found[id] = b"".join(verified(self._db.path, id, length, pieces_of(self._db, row)))
        return found

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """As the contract."""
        rows = self._rows([id])
        if not rows:
            raise NotHeld(f"{id} is not held")
        _, row, length = rows[0]
        yield from verified(self._db.path, id, length, pieces_of(self._db, row))

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """As the contract."""
        return {id: length for group in groups(ids) for id, _, length in self._rows(group)}

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As the contract."""
        missing: set[ObjectId] = set()
        for group in groups(ids):
            missing.update(group)
            missing.difference_update(id for id, _, _ in self._rows(group))
        return missing

    def scan(self, after: ObjectId | None = None, limit: int = 1000) -> list[ObjectId]:
        """As the contract."""
        sql = f"SELECT kind, digest FROM object WHERE digest > ? AND {_WELL_FORMED} ORDER BY digest LIMIT ?"
        with self._db.reading() as connection:
            rows = connection.execute(sql, (after.digest if after else b"", max(limit, 0))).fetchall()
        return [ObjectId(KINDS[kind], digest) for kind, digest in rows]

    def adopt(self, packs: Sequence[Pack]) -> AdoptReport:
        """As the contract; in transactions of some 64 MiB, so that a large pack doesn't keep other writers out."""
        self._db.check_open()
        objects = stored = 0
        for pack in packs:
            _check_agreement(pack)
            with _walked(pack) as walked:
                while (report := self._adopt_some(walked)) is not None:
                    objects, stored = objects + report.objects, stored + report.bytes
        return AdoptReport(objects, stored)

    def add(self, objects: Iterable[tuple[ObjectId, ByteSource]]) -> AdoptReport:
        """As the contract; one transaction."""
        with Intake(self._db) as intake:
            for id, source in objects:
                intake.take(id, source)
        return intake.report()

    def remove(self, ids: Iterable[ObjectId]) -> None:
        """As the contract; one transaction."""
        with self._db.writing() as connection:
            connection.executemany(
                "DELETE FROM object WHERE digest = ? AND kind = ?",
                ((id.digest, NUMBERS[id.kind]) for id in ids if id.kind in NUMBERS),
            )

    def maintain(self) -> MaintainReport:
        """Give free space back to the file system and empty the write-ahead log."""
        with self._db.reading() as connection:
            (objects,) = connection.execute("SELECT count(*) FROM object").fetchone()
        before, after = self._db.shrink()
        return MaintainReport(
            objects, before, after, f"{self._db.path.name}: {before} bytes before, {after} after"
        )

    def verify(self) -> Iterator[Finding]:
        """SQLite's own check of the file's structure."""
        next_step = "keep a copy of the file, then restore a backup, or load the origins into a new store"
        try:
            for problem in self._db.problems():
                yield Finding(problem, next_step, file=str(self._db.path))
        except Corrupt as error:
            yield Finding(str(error), next_step, file=str(self._db.path))

    def scrub(self, position: str | None = None) -> Iterator[Scrubbed | Finding]:
        """In order of rows, on all cores; as the contract."""
        after = _row_number(position)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            while rows := self._page(after):
                yield from (result for result in pool.map(self._scrub_one, rows) if result is not None)
                after = rows[-1][0]

    def mend(self) -> int:
        """As ``Mendable``; one transaction. Bytes that are whole tell which id they belong to."""
        with self._db.writing() as connection:
            connection.execute("REINDEX")
        mended = after = 0
        while rows := self._page(after):
            strange = [row for row in rows if isinstance(self._scrub_one(row), Finding)]
            mended += sum(self._mend_row(number, kind, digest) for number, kind, digest, _ in strange)
            after = rows[-1][0]
        return mended

    def _mend_row(self, number: int, kind: int, digest: bytes | None) -> bool:
        """Give a row the id its bytes have; or remove it, if they are held there. False if nobody can read them, or
        the two ids have little in common: then it is the bytes that changed."""
        try:
            body = b"".join(pieces_of(self._db, number))
        except (Damaged, Corrupt, NotHeld):
            return False
        found = {other: git_digest(KINDS[other].git, body) for other in KINDS}
        kind = next((other for other in found if found[other] == digest), kind)
        if kind not in found or (digest is not None and _common(digest, found[kind]) < _MOSTLY):
            return False
        with self._db.writing() as connection:
            done = connection.execute(
                "UPDATE OR IGNORE object SET kind = ?, digest = ?, length = ? WHERE id = ?",
                (kind, found[kind], len(body), number),
            )
            if not done.rowcount:
                connection.execute("DELETE FROM object WHERE id = ?", (number,))
        return True

    def close(self) -> None:
        """As the contract."""
        self._db.close()

    def _rows(self, ids: Sequence[ObjectId]) -> list[tuple[ObjectId, int, int]]:
        """(id, row number, length) of those that are held; at most one group of ids."""
        keys = [(id.digest, NUMBERS[id.kind]) for id in ids if id.kind in NUMBERS]
        sql = (
            f"WITH k(digest, kind) AS ({values(len(keys), 2)}) "
            f"SELECT o.kind, o.digest, o.id, {_LENGTH} "
            "FROM k CROSS JOIN object o ON o.digest = k.digest AND o.kind = k.kind"
        )
        with self._db.reading() as connection:
            rows = connection.execute(sql, [part for key in keys for part in key]).fetchall() if keys else []
        return [(ObjectId(KINDS[kind], digest), row, length) for kind, digest, row, length in rows]

    def _adopt_some(self, walked: Iterator[tuple[ObjectId, int, Iterator[bytes]]]) -> AdoptReport | None:
        """Take objects from a walk until a transaction is full; None at the end."""
        taken = 0
        with Intake(self._db) as intake:
            for id, length, pieces in walked:
                intake.take(id, Chunks(length, pieces))
                taken += length + 1
                if taken > _TRANSACTION_BYTES:
                    break
        return intake.report() if taken else None

    def _page(self, after: int) -> list[tuple[int, int, bytes | None, int]]:
        sql = f"SELECT id, {_KIND}, {_DIGEST}, {_LENGTH} FROM object WHERE id > ? ORDER BY id LIMIT ?"
        with self._db.reading() as connection:
            return connection.execute(sql, (after, _PAGE)).fetchall()

    def _scrub_one(self, row: tuple[int, int, bytes | None, int]) -> Scrubbed | Finding | None:
        """Hash one object; None if it was removed meanwhile."""
        number, kind, digest, length = row
        if kind not in KINDS or digest is None:
            return Finding(
                f"row {number} of object is none of an object", _NEXT_STEP, file=str(self._db.path)
            )
        id = ObjectId(KINDS[kind], digest)
        try:
            if id.kind is Kind.CONTENT:
                hasher = Hasher(length)
                for piece in pieces_of(self._db, number):
                    hasher.update(piece)
                hashes = hasher.finish()
                sound = hashes.sha1_git == digest
                return (
                    Scrubbed(id, length, str(number), hashes)
                    if sound
                    else self._finding(id, "do not hash to it")
                )
            git, seen = hashlib.sha1(git_header(id.kind.git, length)), 0
            for piece in pieces_of(self._db, number):
                git.update(piece)
                seen += len(piece)
            sound = seen == length and git.digest() == digest
            return Scrubbed(id, length, str(number)) if sound else self._finding(id, "do not hash to it")
        except NotHeld:
            return None
        except (Damaged, Corrupt) as error:
            return self._finding(id, f"cannot be read: {error}")
        except ValueError as error:
            if not self._page(number - 1):
                raise
            return self._finding(id, f"are not what was stored: {error}")

    def _finding(self, id: ObjectId, what: str) -> Finding:
        return Finding(f"the held bytes of {id} {what}", _NEXT_STEP, id, str(self._db.path))


@contextmanager
def _walked(pack: Pack) -> Iterator[Iterator[tuple[ObjectId, int, Iterator[bytes]]]]:
    """The objects of a pack; git has ended, and its folder is gone, after the block."""
    with scratch_folder("home") as home:
        objects = walk(pack, Runner(home))
        try:
            yield objects
        finally:
            if isinstance(objects, Generator):
                objects.close()


def _common(one: bytes, other: bytes) -> int:
    """How many bytes are the same at the same place."""
    return sum(a == b for a, b in zip(one, other, strict=True))


def _row_number(position: str | None) -> int:
    if position is None:
        return 0
    if not position.isascii() or not position.isdigit() or len(position) > 18:
        raise InvalidInput(
            f"{position[:40]!r} is no position of a scrub: take one that a scrub of this store has given"
        )
    return int(position)


def _check_agreement(pack: Pack) -> None:
    """Raise ``Corrupt`` unless both files are whole and the idx says it was made for this very pack.

    Source: gitformat-pack(5); the last but one SHA-1 of an idx is the pack's own."""
    sound = pack_checksum_ok(pack.path) and pack_checksum_ok(pack.idx)
    if not sound or _tail(pack.path, 20) != _tail(pack.idx, 40)[:20]:
        raise Corrupt(f"the pack {pack.path} and its idx do not agree: index it again")


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-count, os.SEEK_END)
        return file.read()
