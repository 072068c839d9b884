"""What the tables share: the database, moments, kinds, and counting inside a transaction."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from swhkit.errors import Corrupt
from swhkit_sqlite.catalog.sums import of_values, sound
from swhkit_sqlite.connection import Database

T = TypeVar("T")

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LARGEST = (1 << 63) - 1


class Tables:
    """Base of the parts of the catalog."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def _all(self, make: Callable[..., T], sql: str, parameters: Sequence[object]) -> list[T]:
        """``make(*row)`` for each row whose first column, whether it is ``sound``, is true; that column is left out.
        One row that is not, or that cannot be made into a value, is ``Corrupt``."""
        with self._db.reading() as connection:
            rows = connection.execute(sql, parameters).fetchall()
        if not all(row[0] for row in rows):
            raise self._damaged("it does not match its checksum")
        try:
            return [make(*row[1:]) for row in rows]
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> Corrupt:
        path = str(self._db.path)
        return Corrupt(f"a row of {path} is damaged ({what}): run `swhkit check --full`", path)


def count(connection: sqlite3.Connection, name: str, by: int) -> int:
    """Move a counter in the caller's transaction; returns ``by``. A damaged one stays damaged: nobody knows its value."""
    if by:
        connection.execute(
            f"UPDATE counter SET value = value + :by, checksum = iif({sound(counter='counter')}, "
            f"{of_values('counter', ('name', '(value + :by)'))}, -1) WHERE name = :name",
            {"by": by, "name": name},
        )
    return by


def to_microseconds(date: datetime.datetime) -> int:
    """Microseconds since 1970 UTC, exactly. Raises ``ValueError`` for a moment without time zone."""
    if date.tzinfo is None:
        raise ValueError(f"{date} has no time zone")
    return (date - _EPOCH) // _MICROSECOND


def to_date(microseconds: int) -> datetime.datetime:
    """The moment in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def clipped(number: int) -> int:
    """An integer that SQLite can take: one beyond 64 bits names nothing, nor does the nearest that fits."""
    return max(-_LARGEST, min(number, _LARGEST))


def plain(text: str | None) -> str | None:
    """A text that SQLite can keep: lone surrogates (file names in error messages) become backslash escapes."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
