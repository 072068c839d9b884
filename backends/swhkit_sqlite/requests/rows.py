"""The values of the contract as rows: a column for each field of a struct, and a checksum for each row.

A bit that changed on disk accepts nothing, and sends nobody to another address: such a row is ``Corrupt``.
"""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args

import msgspec

from swhkit.errors import Corrupt
from swhkit_sqlite.catalog.sums import Value, checksum
from swhkit_sqlite.catalog.tables import clipped, to_date, to_microseconds
from swhkit_sqlite.codec import Damaged
from swhkit_sqlite.connection import Database

S = TypeVar("S", bound=msgspec.Struct)

#: All columns of a table but its checksum, in the table's order.
Row = tuple[Any, ...]
#: What comes back as something else than it was annotated with: a tuple for a sequence.
Types = Mapping[str, Any]
_NONE: Types = MappingProxyType({})


class Table(Generic[S]):
    """A table of values of the struct ``kind``.

    ``columns`` are its fields in the order of the checksum, which never changes; ``ours`` are columns in front of them that
    the struct does not have. ``key`` tells rows apart. ``types`` replaces annotations of fields.
    """

    def __init__(
        self,
        name: str,
        kind: type[S],
        columns: Sequence[str],
        *,
        key: Sequence[str],
        ours: Sequence[str] = (),
        types: Types = _NONE,
    ) -> None:
        annotated = {field.name: field.type for field in msgspec.structs.fields(kind)} | dict(types)
        self.name, self._kind, self._columns, self._ours = name, kind, tuple(columns), len(ours)
        ways = [_ways(annotated[column]) for column in columns]
        self._to, self._back = [to for to, _ in ways], [back for _, back in ways]
        quoted = [f'"{column}"' for column in (*ours, *columns, "checksum")]
        marks = ", ".join("?" * len(quoted))
        # a key that is set, be it to itself, has SQLite look through all tables that refer to it
        changed = [column for column in quoted if column.strip('"') not in key]
        changes = ", ".join(f"{column} = excluded.{column}" for column in changed)
        self._select = f"SELECT {', '.join(quoted)} FROM {name}"
        self._insert = f"INSERT INTO {name} ({', '.join(quoted)}) VALUES ({marks})"
        self._put = f"{self._insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"

    def row(self, value: S, *ours: Value) -> Row:
        """The row of a value, behind columns of ours."""
        return (*ours, *(to(getattr(value, name)) for name, to in zip(self._columns, self._to, strict=True)))

    def value(self, row: Row) -> S:
        """The value of a row. Raises ``Damaged``."""
        stored = zip(self._columns, self._back, row[self._ours :], strict=True)
        try:
            return self._kind(**{name: back(column) for name, back, column in stored})
        except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
            raise Damaged(f"{self.name}: {error}") from error

    def insert(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Write new rows."""
        connection.executemany(self._insert, ((*row, checksum(self.name, *row)) for row in rows))

    def put(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Write rows, in place of those with the same key."""
        connection.executemany(self._put, ((*row, checksum(self.name, *row)) for row in rows))

    def rows(self, connection: sqlite3.Connection, tail: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of ``SELECT … tail``. Raises ``Damaged`` if one does not match its checksum."""
        found = connection.execute(f"{self._select} {tail}", parameters).fetchall()
        for row in found:
            if checksum(self.name, *row[:-1]) != row[-1]:
                raise Damaged(f"{self.name}: it does not match its checksum")
        return [row[:-1] for row in found]

    def one(self, connection: sqlite3.Connection, tail: str, parameters: Sequence[object] = ()) -> S | None:
        """The value of the first of these rows."""
        found = self.rows(connection, tail, parameters)
        return self.value(found[0]) if found else None

    def values(self, connection: sqlite3.Connection, tail: str, parameters: Sequence[object] = ()) -> list[S]:
        """The values of these rows."""
        return [self.value(row) for row in self.rows(connection, tail, parameters)]


class Role:
    """Base of the roles: the database they share."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """As that of the database; damaged rows are ``Corrupt``."""
        with self._undamaged(), self._db.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """As that of the database; damaged rows are ``Corrupt``, and nothing has happened."""
        with self._undamaged(), self._db.writing() as connection:
            yield connection

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        try:
            yield
        except Damaged as error:
            text = f"a row in {self._db.path} is damaged ({error}): restore a backup of the file"
            raise Corrupt(text, str(self._db.path)) from error

    def _one(self, table: Table[S], tail: str, *parameters: object) -> S | None:
        with self._reading() as connection:
            return table.one(connection, tail, parameters)

    def _values(self, table: Table[S], tail: str, *parameters: object) -> list[S]:
        with self._reading() as connection:
            return table.values(connection, tail, parameters)

    def _count_each(self, table: Table[S], words: type[StrEnum]) -> dict[str, int]:
        """How many rows have each of these words as their status; all of them are there."""
        sql = f"SELECT status, count(*) FROM {table.name} GROUP BY status"
        with self._reading() as connection:
            found = dict(connection.execute(sql).fetchall())
        return {str(word): found.get(str(word), 0) for word in words}

    def _count(self, sql: str, *parameters: object) -> int:
        with self._reading() as connection:
            found = connection.execute(sql, parameters).fetchone()
        return 0 if found is None else int(found[0])


def window(limit: int, offset: int = 0) -> tuple[int, int]:
    """Parameters of ``LIMIT ? OFFSET ?``: below 0 is 0."""
    return clipped(max(limit, 0)), clipped(max(offset, 0))


def _same(value: Any) -> Any:
    return value


def _or_none(way: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else way(value)


def _ways(annotation: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How values of a type become columns, and columns values."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if type(None) in get_args(annotation):
        to, back = _ways(kinds[0])
        return (to, back) if to is _same and back is _same else (_or_none(to), _or_none(back))
    if annotation in (str, int, bytes):
        return _same, _same
    if annotation is float:
        return float, _same
    if annotation is bool:
        return int, bool
    if annotation is datetime.datetime:
        return to_microseconds, to_date
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return str, annotation
    return _to_json, msgspec.json.Decoder(annotation).decode


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
