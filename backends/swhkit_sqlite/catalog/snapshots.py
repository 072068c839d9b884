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
from swhkit_sqlite.catalog.sums import checksum, insert, mending, next_id, replace, sound
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


_SNAPSHOT = f"SELECT {sound(s='snapshot')}, s.id, s.runs FROM snapshot s WHERE s.digest = ?"
_RUNS = (
    f"SELECT {sound(s='snapshot_run', r='branch_run')}, s.first, r.id, r.types "
    "FROM snapshot_run s CROSS JOIN branch_run r ON r.id = s.run WHERE s.snapshot = ? ORDER BY s.first"
)


_PUT_RUN = (
    "INSERT INTO branch_run (id, key, types, length, codec, body, checksum) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET key = excluded.key, types = excluded.types, length = excluded.length, "
    "codec = excluded.codec, body = excluded.body, checksum = excluded.checksum"
)


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
            sql = f"WITH k(d) AS ({values(len(group))}) SELECT k.d FROM k CROSS JOIN snapshot s "
            sql += f"ON s.digest = k.d WHERE {sound(s='snapshot')}"
            with self._db.reading() as connection:
                rows = connection.execute(sql, group).fetchall()
            missing.update(group)
            missing.difference_update(digest for (digest,) in rows)
        return missing

    def snapshots(self, after: bytes | None = None, limit: int = 1000) -> list[bytes]:
        """As the contract. Damaged ones are left out."""
        good = sound(s="snapshot")
        sql = f"SELECT s.digest FROM snapshot s WHERE s.digest > ? AND {good} ORDER BY s.digest LIMIT ?"
        with self._db.reading() as connection:
            return [digest for (digest,) in connection.execute(sql, (after or b"", max(limit, 0))).fetchall()]

    def _runs(self, id: bytes, first: bytes) -> list[_Run] | None:
        """The runs that may have names from ``first`` on, in order; None if the snapshot is not known.

        All runs are looked at, so that one that has gone, or belongs elsewhere, is noticed.
        """
        with self._db.reading() as connection:
            row = connection.execute(_SNAPSHOT, (id,)).fetchone()
            if row is None:
                return None
            good, number, count = row
            runs = connection.execute(_RUNS, (number,)).fetchall() if good else []
        if not good or len(runs) != count or not all(run[0] for run in runs):
            raise self._corrupt(id, "a row of it does not match its checksum, or has gone")
        start = max((place for place, run in enumerate(runs) if run[1] <= first), default=0)
        return [_Run(number, types) for _, _, number, types in runs[start:]]

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
        path = str(self._db.path)
        return Corrupt(f"swh:1:snp:{id.hex()} in {path} is damaged ({what}): run `swhkit check`", path)

    def _add_snapshot(self, connection: sqlite3.Connection, digest: bytes, snapshot: Snapshot) -> int:
        """The row number of a snapshot, written and counted if it is new, and made anew if it is damaged."""
        row = connection.execute(_SNAPSHOT, (digest,)).fetchone()
        number = next_id(connection, "snapshot") if row is None else int(row[1])
        if row is not None and self._is_whole(digest):
            return number
        runs = [(number, branches[0][0], _add_run(connection, branches)) for branches in _cut(snapshot)]
        values = (number, digest, len(snapshot.branches), len(runs))
        if row is None:
            insert(connection, "snapshot", [values])
            count(connection, "snapshot", 1)
        else:
            replace(connection, "snapshot", values)
            connection.execute("DELETE FROM snapshot_run WHERE snapshot = ?", (number,))
        insert(connection, "snapshot_run", runs)
        return number

    def _is_whole(self, digest: bytes) -> bool:
        """Whether a known snapshot can be read. Outside of the transaction: its rows are older."""
        try:
            return self.snapshot(digest) is not None
        except Corrupt:
            return False


def _add_run(connection: sqlite3.Connection, branches: list[_Packed]) -> int:
    body = msgspec.msgpack.encode(branches)
    key, types = _key(body), sum(1 << number for number in {branch[1] for branch in branches})
    codec, stored = compress(body)
    sql = f"SELECT {sound(r='branch_run')}, r.id, r.body FROM branch_run r WHERE r.key = ?"
    row = connection.execute(sql, (key,)).fetchone()
    id = next_id(connection, "branch_run") if row is None else int(row[1])
    if row is None or not row[0] or row[2] != stored:  # new, or damaged, or packed by another zstd
        values = (id, key, types, len(body), codec)
        with mending(connection):
            connection.execute(_PUT_RUN, (*values, stored, checksum("branch_run", *values)))
    return id


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
