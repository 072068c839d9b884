"""Snapshots as runs of branches.

The branches of a snapshot, sorted by name, are cut into runs of some hundreds. Where a run ends depends on the names
alone, so two visits of an origin share all runs but those in which a branch moved; and a page of a large snapshot
opens only the runs it needs. A whole snapshot is given only if it hashes to its id.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec

from swhkit.errors import Corrupt, InvalidManifest
from swhkit.manifest import object_id
from swhkit.model import Branch, BranchType, Snapshot
from swhkit.storage import BranchPage
from swhkit_sqlite.catalog.tables import Tables, count
from swhkit_sqlite.codec import Damaged, compress, decompress, groups, values

#: A run ends after a name whose CRC-32 is divisible by this, if it has ``_SHORTEST`` branches …
_CUT = 256
_SHORTEST, _LONGEST = 64, 2_000
#: … or as soon as its names and targets have so many bytes.
_RUN_BYTES = 1 << 20
#: No run is longer than this; what says so is damaged.
_MOST_BYTES = 1 << 31

#: A branch in a run: name, place in ``_TYPES`` (0 is dangling), target.
_Packed = tuple[bytes, int, bytes]
_TYPES: tuple[BranchType | None, ...] = (None, *BranchType)
_NUMBERS = {type: number for number, type in enumerate(_TYPES)}
_DECODER = msgspec.msgpack.Decoder(list[_Packed])


class _Run(NamedTuple):
    """A row of ``branch_run`` without its body: ``types`` has bit n set if a branch of type number n is in it."""

    id: int
    types: int


class Snapshots(Tables):
    """The snapshot part of a ``Catalog``."""

    def snapshot(self, id: bytes) -> Snapshot | None:
        """As the contract."""
        runs = self._runs(id, b"")
        if runs is None:
            return None
        snapshot = Snapshot(
            {name: _branch(type, target) for run in runs for name, type, target in self._open(id, run)}
        )
        try:
            sound = object_id(snapshot).digest == id
        except InvalidManifest:
            sound = False
        if not sound:
            raise self._corrupt(id, "its branches do not hash to it")
        return snapshot

    def branches(
        self, id: bytes, first: bytes = b"", count: int = 1000, types: Collection[BranchType] | None = None
    ) -> BranchPage | None:
        """As the contract."""
        if count < 1:
            raise ValueError(f"count is {count}: a page has room for one branch at least")
        runs = self._runs(id, first)
        if runs is None:
            return None
        page: dict[bytes, Branch | None] = {}
        for name, type, target in self._matching(id, runs, first, types):
            if len(page) == count:
                return BranchPage(page, name)
            page[name] = _branch(type, target)
        return BranchPage(page, None)

    def branch(self, id: bytes, name: bytes) -> Branch | None:
        """As the contract."""
        for run in (self._runs(id, name) or [])[:1]:
            for found, type, target in self._open(id, run):
                if found == name:
                    return _branch(type, target)
        return None

    def missing_snapshots(self, ids: Iterable[bytes]) -> set[bytes]:
        """As the contract."""
        missing: set[bytes] = set()
        for group in groups(ids):
            sql = f"WITH k(d) AS ({values(len(group))}) SELECT k.d FROM k CROSS JOIN snapshot s ON s.digest = k.d"
            with self._db.reading() as connection:
                rows = connection.execute(sql, group).fetchall()
            missing.update(group)
            missing.difference_update(digest for (digest,) in rows)
        return missing

    def snapshots(self, after: bytes | None = None, limit: int = 1000) -> list[bytes]:
        """As the contract."""
        sql = "SELECT digest FROM snapshot WHERE digest > ? ORDER BY digest LIMIT ?"
        with self._db.reading() as connection:
            return [digest for (digest,) in connection.execute(sql, (after or b"", max(limit, 0))).fetchall()]

    def _runs(self, id: bytes, first: bytes) -> list[_Run] | None:
        """The runs that may have names from ``first`` on, in order; None if the snapshot is not known."""
        with self._db.reading() as connection:
            row = connection.execute("SELECT id FROM snapshot WHERE digest = ?", (id,)).fetchone()
            if row is None:
                return None
            sql = (
                "SELECT r.id, r.types FROM snapshot_run s CROSS JOIN branch_run r ON r.id = s.run "
                "WHERE s.snapshot = :snapshot AND s.first >= coalesce((SELECT max(first) FROM snapshot_run "
                "WHERE snapshot = :snapshot AND first <= :first), x'') ORDER BY s.first"
            )
            return [
                _Run(*run) for run in connection.execute(sql, {"snapshot": row[0], "first": first}).fetchall()
            ]

    def _matching(
        self, id: bytes, runs: list[_Run], first: bytes, types: Collection[BranchType] | None
    ) -> Iterator[_Packed]:
        wanted = range(len(_TYPES)) if types is None else [_NUMBERS[type] for type in types]
        mask = sum(1 << number for number in set(wanted))
        for run in runs:
            if run.types & mask:
                yield from (b for b in self._open(id, run) if b[0] >= first and mask >> b[1] & 1)

    def _open(self, id: bytes, run: _Run) -> list[_Packed]:
        """The branches of a run, verified against its key."""
        with self._db.reading() as connection:
            key, codec, stored, length = connection.execute(
                "SELECT key, codec, body, length FROM branch_run WHERE id = ?", (run.id,)
            ).fetchone()
        if not 0 <= length < _MOST_BYTES:
            raise self._corrupt(id, f"a run of branches has the length {length}")
        try:
            body = decompress(codec, stored, length)
        except Damaged as error:
            raise self._corrupt(id, str(error)) from error
        if _key(body) != key:
            raise self._corrupt(id, "a run of branches is not what was stored")
        return _DECODER.decode(body)

    def _corrupt(self, id: bytes, what: str) -> Corrupt:
        return Corrupt(f"swh:1:snp:{id.hex()} in {self._db.path} is damaged ({what}): run `swhkit check`")

    def _add_snapshot(self, connection: sqlite3.Connection, digest: bytes, snapshot: Snapshot) -> int:
        """The row number of a snapshot, written and counted if it is new."""
        row = connection.execute("SELECT id FROM snapshot WHERE digest = ?", (digest,)).fetchone()
        if row is not None:
            return int(row[0])
        number = connection.execute(
            "INSERT INTO snapshot (digest, branches) VALUES (?, ?)", (digest, len(snapshot.branches))
        ).lastrowid
        assert number is not None
        for branches in _cut(snapshot):
            first = branches[0][0]
            run = _add_run(connection, branches)
            connection.execute("INSERT INTO snapshot_run VALUES (?, ?, ?)", (number, first, run))
        count(connection, "snapshot", 1)
        return number


def _add_run(connection: sqlite3.Connection, branches: list[_Packed]) -> int:
    body = msgspec.msgpack.encode(branches)
    row = connection.execute("SELECT id FROM branch_run WHERE key = ?", (_key(body),)).fetchone()
    if row is None:
        types = sum(1 << number for number in {branch[1] for branch in branches})
        codec, stored = compress(body)
        row = connection.execute(
            "INSERT INTO branch_run (key, types, length, codec, body) VALUES (?, ?, ?, ?, ?) RETURNING id",
            (_key(body), types, len(body), codec, stored),
        ).fetchone()
    return int(row[0])


def _cut(snapshot: Snapshot) -> Iterator[list[_Packed]]:
    """The branches in byte order of their names, in runs."""
    run: list[_Packed] = []
    size = 0
    for name in sorted(snapshot.branches):
        branch = snapshot.branches[name]
        packed = (name, 0, b"") if branch is None else (name, _NUMBERS[branch.type], branch.target)
        run.append(packed)
        size += len(name) + len(packed[2])
        ends = len(run) >= _SHORTEST and zlib.crc32(name) % _CUT == 0
        if ends or len(run) == _LONGEST or size >= _RUN_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run


def _key(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _branch(type: int, target: bytes) -> Branch | None:
    kind = _TYPES[type]
    return None if kind is None else Branch(kind, target)
