"""Jobs in one SQLite file that only its owner may read. Each call that changes something is one transaction."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from swhkit.jobs import Ending, Job, JobState, Lease, NewJob, as_json
from swhkit_sqlite.catalog.tables import clipped, to_date, to_microseconds
from swhkit_sqlite.connection import Database
from swhkit_sqlite.jobs.batch import SELECT, Batch, many
from swhkit_sqlite.jobs.choosing import FIRST_DUE, Room, chosen
from swhkit_sqlite.jobs.schema import SCHEMA, damaged, row_of
from swhkit_sqlite.jobs.steps import LEASED, QUEUED, begin, end, enqueue_once_more, is_valid, lose, new_row

_CACHE = 16 << 20
#: How many jobs are forgotten in one transaction, so that workers get their turn.
_BITE = 5_000
#: Above every number.
_NO_ID = 1 << 64
_FIRST_END = "SELECT min(lease_ends) FROM job INDEXED BY job_lease_ends WHERE state = 'leased'"
_BEGUN = "INSERT INTO job_group (name, begun) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET begun = excluded.begun"
_PAUSE = """
    INSERT INTO job_group (name, paused_until) VALUES (?, ?) ON CONFLICT (name)
    DO UPDATE SET paused_until = max(coalesce(paused_until, excluded.paused_until), excluded.paused_until)"""


class SqliteJobs:
    """A ``Jobs`` store in the file ``path``; see ``swhkit.jobs`` for what each method promises."""

    def __init__(self, path: Path, create: bool) -> None:
        self._db = Database(path, SCHEMA, create, _CACHE)

    def enqueue(self, jobs: Iterable[NewJob], now: datetime.datetime) -> list[Job]:
        """As the contract."""
        moment = to_microseconds(now)
        wanted = [new_row(job, moment) for job in jobs]
        with self._db.writing() as connection:
            batch = Batch(connection)
            rows = batch.by_key([row.key for row in wanted])
            last, kept = batch.last_id(), []
            for row in wanted:
                known = rows.get(row.key)
                if known is None:
                    last += 1
                    row.id = last
                    rows[row.key] = row
                    batch.add(row)
                else:
                    batch.changing(known)
                    enqueue_once_more(known, row)
                    batch.changing(known)
                kept.append(rows[row.key].job())
            batch.write()
        return kept

    def lease(
        self,
        worker: str,
        seconds: float,
        now: datetime.datetime,
        *,
        count: int = 1,
        per_group: int | None = None,
        spacing: float = 0.0,
        tasks: Collection[str] | None = None,
    ) -> list[Lease]:
        """As the contract. No lock is taken while nothing is due."""
        moment, ends = to_microseconds(now), to_microseconds(now + datetime.timedelta(seconds=seconds))
        first = self._next_due()
        if first is None or first > moment:
            return []
        with self._db.writing() as connection:
            _take_back(connection, moment)
            room = Room(connection, moment, per_group, round(spacing * 1_000_000))
            ids = chosen(connection, moment, count, room, tasks)
            batch = Batch(connection)
            rows = batch.by_id(ids)
            if any(id not in rows or rows[id].state != QUEUED for id in ids):
                raise damaged("lanes name jobs that are not queued")
            leases = []
            for id in ids:
                batch.changing(rows[id])
                begin(rows[id], worker, moment, ends)
                leases.append(Lease(rows[id].job(), rows[id].lease_number))
            batch.write()
            groups = {row.group_name for row in rows.values()} - {""}
            connection.executemany(_BEGUN, [(group, moment) for group in groups])
        return leases

    def extend(self, leases: Sequence[Lease], seconds: float, now: datetime.datetime) -> list[Lease]:
        """As the contract."""
        ends = to_microseconds(now + datetime.timedelta(seconds=seconds))
        with self._db.writing() as connection:
            batch = Batch(connection)
            rows = batch.by_id([lease.job.id for lease in leases])
            valid = [lease for lease in leases if is_valid(lease, rows)]
            for lease in valid:
                row = rows[lease.job.id]
                batch.changing(row)
                row.lost -= row.state == QUEUED
                row.state, row.lease_ends = LEASED, ends
            batch.write()
        return valid

    def end(self, endings: Sequence[Ending], now: datetime.datetime) -> list[bool]:
        """As the contract."""
        moment = to_microseconds(now)
        dues = [
            None if ending.not_before is None else to_microseconds(ending.not_before) for ending in endings
        ]
        results = [None if ending.result is None else as_json(ending.result) for ending in endings]
        if any(ending.state is JobState.LEASED for ending in endings):
            raise ValueError("a lease ends as done, failed or queued, not as leased")
        counted = []
        with self._db.writing() as connection:
            batch = Batch(connection)
            rows = batch.by_id([ending.lease.job.id for ending in endings])
            for ending, due, result in zip(endings, dues, results, strict=True):
                counted.append(is_valid(ending.lease, rows))
                if counted[-1]:
                    row = rows[ending.lease.job.id]
                    batch.ending(row)
                    end(row, ending, due, result, moment)
                    batch.ending(row)
            batch.write()
        return counted

    def pause(self, group: str, until: datetime.datetime) -> None:
        """As the contract."""
        moment = to_microseconds(until)
        with self._db.writing() as connection:
            if group:
                connection.execute(_PAUSE, (group, moment))

    def pauses(self, now: datetime.datetime) -> dict[str, datetime.datetime]:
        """As the contract."""
        sql = "SELECT name, paused_until FROM job_group WHERE paused_until > ?"
        with self._db.reading() as connection:
            rows = connection.execute(sql, (to_microseconds(now),)).fetchall()
        return {name: to_date(until) for name, until in rows}

    def job(self, id: int) -> Job | None:
        """As the contract."""
        return self.jobs([id]).get(id)

    def jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """As the contract."""
        asked = [clipped(id) for id in ids]
        with self._db.reading() as connection:
            rows = [row_of(values) for values in many(connection, f"{SELECT} WHERE id IN", asked)]
        return {row.id: row.job() for row in rows}

    def open(self, key: str) -> Job | None:
        """As the contract."""
        found = self._jobs("WHERE ended IS NULL AND key = ?", (key,))
        return found[0] if found else None

    def next_due(self) -> datetime.datetime | None:
        """As the contract."""
        first = self._next_due()
        return None if first is None else to_date(first)

    def latest(
        self, state: JobState | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[Job]:
        """As the contract."""
        below = clipped(_NO_ID if before is None else before)
        rest = "id < ? ORDER BY id DESC LIMIT ?"
        if state is None:
            return self._jobs(f"WHERE {rest}", (below, max(limit, 0)))
        return self._jobs(f"WHERE state = ? AND {rest}", (str(state), below, max(limit, 0)))

    def counts(self) -> dict[str, int]:
        """As the contract."""
        with self._db.reading() as connection:
            found = dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())
        return {state.value: found.get(state.value, 0) for state in JobState}

    def prune(self, before: datetime.datetime) -> int:
        """As the contract; in several transactions."""
        moment, gone = to_microseconds(before), 0
        sql = "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE ended < ? LIMIT ?)"
        while True:
            with self._db.writing() as connection:
                bite = connection.execute(sql, (moment, _BITE)).rowcount
            gone += bite
            if bite < _BITE:
                return gone

    def close(self) -> None:
        """As the contract."""
        self._db.close()

    def _jobs(self, rest: str, values: Sequence[object]) -> list[Job]:
        with self._db.reading() as connection:
            rows = connection.execute(f"{SELECT} {rest}", values).fetchall()
        return [row_of(row).job() for row in rows]

    def _next_due(self) -> int | None:
        with self._db.reading() as connection:
            moments = [connection.execute(sql).fetchone()[0] for sql in (FIRST_DUE, _FIRST_END)]
        return min((moment for moment in moments if moment is not None), default=None)


def _take_back(connection: sqlite3.Connection, now: int) -> None:
    """Queue what was leased for long enough, or let it fail."""
    batch = Batch(connection)
    for row in batch.overdue(now):
        batch.ending(row)
        lose(row, now)
        batch.ending(row)
    batch.write()
