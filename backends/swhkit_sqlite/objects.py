"""The object store in one SQLite file: what reads, adopts, forgets and checks. How bodies get in is ``intake``.

Bodies up to 16 MiB are one zstd frame in their row; larger ones are rows of 1 MiB, so that memory stays bounded both
ways. Positions of a scrub are row numbers.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from swhkit.errors import Corrupt, InvalidInput, NotHeld, TooLarge
from swhkit.hashes import Hasher, git_digest
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
        sql = "SELECT kind, digest FROM object WHERE digest > ? ORDER BY digest LIMIT ?"
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

    def close(self) -> None:
        """As the contract."""
        self._db.close()

    def _rows(self, ids: Sequence[ObjectId]) -> list[tuple[ObjectId, int, int]]:
        """(id, row number, length) of those that are held; at most one group of ids."""
        keys = [(id.digest, NUMBERS[id.kind]) for id in ids if id.kind in NUMBERS]
        sql = (
            f"WITH k(digest, kind) AS ({values(len(keys), 2)}) SELECT o.kind, o.digest, o.id, o.length "
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

    def _page(self, after: int) -> list[tuple[int, int, bytes, int]]:
        sql = "SELECT id, kind, digest, length FROM object WHERE id > ? ORDER BY id LIMIT ?"
        with self._db.reading() as connection:
            return connection.execute(sql, (after, _PAGE)).fetchall()

    def _scrub_one(self, row: tuple[int, int, bytes, int]) -> Scrubbed | Finding | None:
        """Hash one object; None if it was removed meanwhile."""
        number, kind, digest, length = row
        id = ObjectId(KINDS.get(kind, Kind.CONTENT), digest)
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
            body = b"".join(pieces_of(self._db, number))
            sound = len(body) == length and git_digest(id.kind.git, body) == digest
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
