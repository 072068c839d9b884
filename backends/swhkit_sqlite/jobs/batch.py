"""The jobs that one transaction reads and changes: loaded together, written together, and their lanes with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from swhkit_sqlite.catalog.tables import clipped
from swhkit_sqlite.jobs.schema import COLUMNS, Lane, Row, row_of

SELECT = f"SELECT {', '.join(COLUMNS)} FROM job"
_INSERT = f"INSERT INTO job ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
#: What changes while a job is open; ``ended`` is apart since two indexes depend on it.
_CHANGING = (
    "arguments", "due", "priority", "state", "leased", "lease_number", "lost", "again", "again_arguments",
    "again_priority", "worker", "lease_ends",
)  # fmt: skip
_ENDING = (*_CHANGING, "ended", "result", "error")
_AT_ONCE = 500


class Batch:
    """A transaction over jobs. Call ``write`` last."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._new: list[Row] = []
        self._changed: dict[int, Row] = {}
        self._ended: dict[int, Row] = {}
        self._lanes: set[Lane] = set()

    def by_id(self, ids: Sequence[int]) -> dict[int, Row]:
        """Those that are known."""
        return {row.id: row for row in self._where("id IN", list(map(clipped, ids)))}

    def by_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Those that are open."""
        return {row.key: row for row in self._where("ended IS NULL AND key IN", keys)}

    def overdue(self, now: int) -> list[Row]:
        """Those whose leases ran out."""
        sql = f"{SELECT} INDEXED BY job_lease_ends WHERE state = 'leased' AND lease_ends <= ?"
        return list(map(row_of, self.connection.execute(sql, (now,))))

    def _where(self, condition: str, values: Sequence[object]) -> Iterable[Row]:
        return map(row_of, many(self.connection, f"{SELECT} WHERE {condition}", values))

    def last_id(self) -> int:
        """The highest number there ever was."""
        found = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'job'").fetchone()
        return 0 if found is None else int(found[0])

    def add(self, row: Row) -> None:
        """A new job."""
        self._new.append(row)
        self._lanes.add(row.lane)

    def changing(self, row: Row) -> None:
        """To be called before a row is changed and after it."""
        if row.id not in self._ended:
            self._changed[row.id] = row
        self._lanes.add(row.lane)

    def ending(self, row: Row) -> None:
        """As ``changing``, for one whose lease ends."""
        self._changed.pop(row.id, None)
        self._ended[row.id] = row
        self._lanes.add(row.lane)

    def write(self) -> None:
        """Write it all."""
        self.connection.executemany(_INSERT, map(msgspec.structs.astuple, self._new))
        for columns, rows in ((_CHANGING, self._changed), (_ENDING, self._ended)):
            sql = f"UPDATE job SET {', '.join(f'{c} = ?' for c in columns)} WHERE id = ?"
            self.connection.executemany(sql, map(attrgetter(*columns, "id"), rows.values()))
        lanes = sorted(self._lanes)
        lane = "group_name = ? AND task = ? AND priority = ?"
        self.connection.executemany(f"DELETE FROM lane WHERE {lane}", lanes)
        self.connection.executemany(
            "INSERT INTO lane (group_name, task, priority, due, job) SELECT group_name, task, priority, due, id "
            f"FROM job INDEXED BY job_queued WHERE state = 'queued' AND {lane} ORDER BY due, id LIMIT 1",
            lanes,
        )


def many(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> Iterable[tuple[object, ...]]:
    """The rows of a statement that ends in ``IN``, asked for a few hundred values at a time."""
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE]
        yield from connection.execute(f"{sql} ({', '.join('?' * len(part))})", part).fetchall()
