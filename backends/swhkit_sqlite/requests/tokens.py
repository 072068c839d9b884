"""Access tokens, without their secrets. Each row has a checksum: a bit that changed on disk gives nobody a permission."""

from __future__ import annotations

import datetime
import hmac
import json
import sqlite3

from swhkit.errors import Corrupt
from swhkit.requests import LOOKED_UP, Token, hour_of
from swhkit_sqlite.catalog.sums import checksum
from swhkit_sqlite.catalog.tables import to_date, to_microseconds
from swhkit_sqlite.connection import Database

_COLUMNS = "id, name, digest, user, email, permissions, created, last_used, revoked"
_SELECT = f"SELECT {_COLUMNS}, checksum FROM token"

#: A row of the table without its checksum.
Row = tuple[int, str, bytes, str, str, str, int, int | None, int | None]


class Tokens:
    """The part of ``Requests`` that is about access tokens; see ``swhkit.requests`` for what each method promises."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_token(self, token: Token, digest: bytes) -> bool:
        """As the contract."""
        if len(digest) != 32:
            raise ValueError(f"a SHA-256 has 32 bytes, this one {len(digest)}")
        values = _values(token, digest)
        with self._db.writing() as connection:
            known = connection.execute("SELECT 1 FROM token WHERE name = ? OR digest = ?", values[:2])
            if known.fetchone():
                return False
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM token").fetchone()
            row = (last + 1, *values)
            marks = ", ".join("?" * (len(row) + 1))
            connection.execute(
                f"INSERT INTO token ({_COLUMNS}, checksum) VALUES ({marks})", (*row, checksum("token", *row))
            )
        return True

    def token(self, digest: bytes) -> Token | None:
        """As the contract."""
        with self._db.reading() as connection:
            sql = f"{_SELECT} WHERE substr(digest, 1, {LOOKED_UP}) = ?"
            rows = connection.execute(sql, (digest[:LOOKED_UP],)).fetchall()
        found = [row for row in map(self._sound, rows) if hmac.compare_digest(row[2], digest)]
        return self._made(found[0]) if found else None

    def tokens(self) -> list[Token]:
        """As the contract."""
        with self._db.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY created, id").fetchall()
        return [self._made(self._sound(row)) for row in rows]

    def use_token(self, name: str, at: datetime.datetime) -> None:
        """As the contract. Nothing is written, and no lock taken, within the hour."""
        hour = to_microseconds(hour_of(at))
        with self._db.reading() as connection:
            stale = "SELECT 1 FROM token WHERE name = ? AND coalesce(last_used, -1) < ?"
            if not connection.execute(stale, (name, hour)).fetchone():
                return
        with self._db.writing() as connection:
            row = self._row(connection, name)
            if row is not None and (row[7] is None or row[7] < hour):
                _update(connection, (*row[:7], hour, row[8]))

    def revoke_token(self, name: str, at: datetime.datetime) -> bool:
        """As the contract."""
        moment = to_microseconds(at)
        with self._db.writing() as connection:
            row = self._row(connection, name)
            if row is not None and row[8] is None:
                _update(connection, (*row[:8], moment))
        return row is not None

    def _row(self, connection: sqlite3.Connection, name: str) -> Row | None:
        found = connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
        return None if found is None else self._sound(found)

    def _sound(self, stored: tuple[object, ...]) -> Row:
        """A row without its checksum, which it matches. Raises ``Corrupt``."""
        *row, mark = stored
        if checksum("token", *row) != mark:  # type: ignore[arg-type]
            raise self._damaged("it does not match its checksum")
        return tuple(row)  # type: ignore[return-value]

    def _made(self, row: Row) -> Token:
        _, name, _, user, email, permissions, created, last_used, revoked = row
        try:
            return Token(
                name=name,
                user=user,
                email=email,
                permissions=frozenset(json.loads(permissions)),
                created=to_date(created),
                last_used=None if last_used is None else to_date(last_used),
                revoked=None if revoked is None else to_date(revoked),
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, what: str) -> Corrupt:
        return Corrupt(
            f"a token in {self._db.path} is damaged ({what}): restore a backup, or remove the file and make new tokens"
        )


def _values(token: Token, digest: bytes) -> tuple[str, bytes, str, str, str, int, int | None, int | None]:
    """The columns of a row behind its number."""
    last_used, revoked = (
        None if at is None else to_microseconds(at) for at in (token.last_used, token.revoked)
    )
    permissions = json.dumps(sorted(token.permissions))
    created = to_microseconds(token.created)
    return token.name, digest, token.user, token.email, permissions, created, last_used, revoked


def _update(connection: sqlite3.Connection, row: Row) -> None:
    connection.execute(
        "UPDATE token SET last_used = ?, revoked = ?, checksum = ? WHERE id = ?",
        (row[7], row[8], checksum("token", *row), row[0]),
    )
