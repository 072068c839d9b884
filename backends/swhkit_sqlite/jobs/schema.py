"""The tables of the job store, and a row as Python has it.

A *lane* is the queue of one group, task and priority. The table ``lane`` names the first job of each lane that has any:
so what to lease next is found among lanes, and a paused group with a hundred thousand jobs costs one look. It is derived
from ``job`` and written in the same transaction. Statements that workers wait for name their index: SQLite would rather
have ``job_state``, and read all that is leased. Moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

import msgspec

from swhkit.errors import Corrupt
from swhkit.jobs import Job, JobState
from swhkit_sqlite.catalog.tables import to_date
from swhkit_sqlite.connection import Schema

_TABLES = (
    """CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        task TEXT NOT NULL,
        arguments TEXT NOT NULL,
        key TEXT NOT NULL,
        group_name TEXT NOT NULL,
        due INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        created INTEGER NOT NULL,
        state TEXT NOT NULL,
        leased INTEGER NOT NULL,
        lease_number INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        again INTEGER,
        again_arguments TEXT,
        again_priority INTEGER,
        worker TEXT,
        lease_ends INTEGER,
        ended INTEGER,
        result TEXT,
        error TEXT
    )""",
    "CREATE UNIQUE INDEX job_open ON job (key) WHERE ended IS NULL",
    "CREATE INDEX job_queued ON job (group_name, task, priority, due, id) WHERE state = 'queued'",
    "CREATE INDEX job_lease_ends ON job (lease_ends) WHERE state = 'leased'",
    "CREATE INDEX job_leased ON job (group_name) WHERE state = 'leased'",
    "CREATE INDEX job_state ON job (state, id)",
    "CREATE INDEX job_ended ON job (ended) WHERE ended IS NOT NULL",
    """CREATE TABLE lane (
        group_name TEXT NOT NULL,
        task TEXT NOT NULL,
        priority INTEGER NOT NULL,
        due INTEGER NOT NULL,
        job INTEGER NOT NULL,
        PRIMARY KEY (group_name, task, priority)
    ) WITHOUT ROWID""",
    "CREATE INDEX lane_turn ON lane (priority, due, job)",
    """CREATE TABLE job_group (
        name TEXT PRIMARY KEY,
        paused_until INTEGER,
        begun INTEGER
    ) WITHOUT ROWID""",
    """CREATE VIEW v_jobs AS
        SELECT id, state, task, key, group_name, priority, datetime(due / 1000000, 'unixepoch') AS due, leased,
            attempts, worker, datetime(lease_ends / 1000000, 'unixepoch') AS lease_ends,
            datetime(again / 1000000, 'unixepoch') AS again, datetime(created / 1000000, 'unixepoch') AS created,
            datetime(ended / 1000000, 'unixepoch') AS ended, error, arguments, result FROM job""",
    """CREATE VIEW v_groups AS
        SELECT name, datetime(paused_until / 1000000, 'unixepoch') AS paused_until,
            datetime(begun / 1000000, 'unixepoch') AS begun,
            (SELECT count(*) FROM job WHERE group_name = name AND state = 'leased') AS leased,
            (SELECT count(*) FROM job WHERE group_name = name AND state = 'queued') AS queued FROM job_group""",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)


#: 0x73776B6A is "swkj". Arguments may name what only the archive's people should know.
SCHEMA = Schema("job store", 0x73776B6A, (_first,), mode=0o600)


class Lane(NamedTuple):
    """What tells lanes apart."""

    group: str
    task: str
    priority: int


class Row(msgspec.Struct, array_like=True):
    """A row of ``job``, to be changed. ``lease_number``: that of its latest lease, or a higher one if that has ended;
    ``lost``: how many leases ran out; arguments and results are JSON."""

    id: int
    task: str
    arguments: str
    key: str
    group_name: str
    due: int
    priority: int
    attempts: int
    created: int
    state: str
    leased: int = 0
    lease_number: int = 0
    lost: int = 0
    again: int | None = None
    again_arguments: str | None = None
    again_priority: int | None = None
    worker: str | None = None
    lease_ends: int | None = None
    ended: int | None = None
    result: str | None = None
    error: str | None = None

    @property
    def lane(self) -> Lane:
        """Where it stands while it is queued."""
        return Lane(self.group_name, self.task, self.priority)

    def job(self) -> Job:
        """As others see it. Raises ``Corrupt``."""
        try:
            again, lease_ends, ended = (
                None if at is None else to_date(at) for at in (self.again, self.lease_ends, self.ended)
            )
            return Job(
                id=self.id, task=self.task, arguments=json.loads(self.arguments), key=self.key,
                group=self.group_name, not_before=to_date(self.due), priority=self.priority,
                attempts=self.attempts, state=JobState(self.state), created=to_date(self.created),
                leased=self.leased, again=again, worker=self.worker, lease_ends=lease_ends, ended=ended,
                result=None if self.result is None else json.loads(self.result), error=self.error,
            )  # fmt: skip
        except (ValueError, OverflowError) as error:
            raise damaged(str(error)) from error


COLUMNS = Row.__struct_fields__


def row_of(values: tuple[object, ...]) -> Row:
    """A row as SQLite gives it. Raises ``Corrupt``."""
    try:
        return msgspec.convert(values, Row)
    except msgspec.ValidationError as error:
        raise damaged(str(error)) from error


def damaged(what: str) -> Corrupt:
    """What makes no sense."""
    return Corrupt(
        f"the job store is damaged ({what}): restore a backup, or remove the file: what was asked for is done anew"
    )
