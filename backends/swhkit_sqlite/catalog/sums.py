"""A checksum in each row, because SQLite keeps none: a bit that changed on disk is never taken for what was stored.

Every table has a column ``checksum``: the CRC-32 of the table's name and all other columns. It finds each burst of up
to 32 bits, and all but one in four thousand million of the rest; it is against damage, not against malice. Readers ask
for ``sound(…)`` beside what they want. SQL has the function as ``row_checksum(text)`` on our connections.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from swhkit_sqlite.codec import groups

#: The columns that a checksum is of, in this order.
COLUMNS: dict[str, tuple[str, ...]] = {
    "content": ("id", "sha1_git", "sha1", "sha256", "blake2s256", "length", "absent", "reason"),
    "snapshot": ("id", "digest", "branches", "runs"),
    "branch_run": ("id", "key", "types", "length", "codec"),  # body has the SHA-256 that is its key
    "snapshot_run": ("snapshot", "first", "run"),
    "origin": ("id", "url", "digest", "visit_types"),
    "visit": ("id", "origin", "number", "type", "date", "status", "snapshot", "reason"),
    "visit_status": ("visit", "seq", "date", "status", "snapshot", "reason"),
    "gap": ("visit", "seq", "reason", "kind", "digest", "referrer", "branch"),
    "closed_tip": ("seq", "digest", "kind", "name"),
    "object_metadata": ("digest", "kind", "revision_type", "synthetic", "metadata"),
    "extid": ("type", "value", "version", "kind", "digest"),
    "extrinsic_metadata": (
        "id", "digest", "target", "discovery_date", "authority_type", "authority_url", "fetcher_name",
        "fetcher_version", "format", "origin", "visit", "snapshot", "release", "revision", "path", "directory",
        "metadata",
    ),
    "person": ("id", "key", "fullname"),
    "counter": ("name", "value"),
}  # fmt: skip
#: What tells the rows of a table apart.
KEYS: dict[str, tuple[str, ...]] = {
    "snapshot_run": ("snapshot", "first"),
    "visit_status": ("visit", "seq"),
    "gap": ("visit", "seq"),
    "closed_tip": ("seq",),
    "object_metadata": ("digest", "kind"),
    "extid": ("type", "value", "version", "kind", "digest"),
    "counter": ("name",),
}

Value = int | float | str | bytes | None


def checksum(table: str, *values: Value) -> int:
    """The checksum of a row."""
    return _crc(f"{table}|{','.join(map(_spelled, values))}")


def _spelled(value: Value) -> str:
    """Type and bytes of a value, as ``typeof(value) || hex(value)`` of SQLite."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"blob{value.hex().upper()}"
    if isinstance(value, str):
        return f"text{value.encode('utf-8', 'surrogateescape').hex().upper()}"
    return f"{'integer' if isinstance(value, int) else 'real'}{str(value).encode('ascii').hex().upper()}"


def checksum_of_content(
    id: int,
    sha1_git: bytes,
    sha1: bytes,
    sha256: bytes,
    blake2s256: bytes,
    length: int,
    absent: int,
    reason: str | None,
) -> int:
    """As ``checksum`` of a content row, in a quarter of the time: a load brings as many as it has files."""
    hex = (sha1_git + sha1 + sha256 + blake2s256).hex().upper()
    return _crc(
        f"content|integer{_digits(id)},blob{hex[:40]},blob{hex[40:80]},blob{hex[80:144]},blob{hex[144:]},"
        f"integer{_digits(length)},integer{_digits(absent)},{_spelled(reason)}"
    )


def _digits(number: int) -> str:
    """The hex of the digits of a number that is not negative."""
    return f"3{'3'.join(str(number))}"


def _crc(text: str) -> int:
    return zlib.crc32(text.encode("ascii"))


def install(connection: sqlite3.Connection) -> None:
    """Make ``row_checksum`` known to a connection. Its argument is made of hex, so that no damage makes it fail."""
    connection.create_function("row_checksum", 1, _crc, deterministic=True)


def of_values(table: str, values: Iterable[str]) -> str:
    """SQL for the checksum of a row of these values (SQL too)."""
    spelled = " || ',' || ".join(f"typeof({value}) || hex({value})" for value in values)
    return f"row_checksum('{table}|' || {spelled})"


def expression(table: str, prefix: str = "") -> str:
    """SQL for the checksum that a row should have. ``prefix``: that of the columns, e.g. ``c.`` or ``excluded.``."""
    return of_values(table, (prefix + column for column in COLUMNS[table]))


def sound(**aliases: str) -> str:
    """SQL for whether the rows ``alias=table`` are as they were stored."""
    return " AND ".join(
        f"{alias}.checksum = {expression(table, f'{alias}.')}" for alias, table in aliases.items()
    )


def insert(
    connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Value, ...]], conflict: str = ""
) -> int:
    """Insert rows, all columns of each, with their checksums; how many were inserted (or changed, by ``conflict``)."""
    columns = COLUMNS[table]
    marks = ", ".join("?" * (len(columns) + 1))
    sql = f"INSERT INTO {table} ({', '.join(columns)}, checksum) VALUES ({marks}) {conflict}"
    with mending(connection) if conflict else nullcontext():
        done = connection.executemany(sql, _with_checksums(table, rows))
    return max(done.rowcount, 0)


def _with_checksums(table: str, rows: Iterable[tuple[Value, ...]]) -> Iterator[tuple[Value, ...]]:
    if table == "content":
        quick: Callable[..., int] = checksum_of_content
        return ((*row, quick(*row)) for row in rows)
    return ((*row, checksum(table, *row)) for row in rows)


def unless_sound(table: str) -> str:
    """The conflict clause by which a known row stays as it is, unless it is damaged: then the new one replaces it."""
    columns = (*COLUMNS[table], "checksum")
    if "id" in columns or "seq" in columns:
        columns = tuple(column for column in columns if column not in ("id", "seq", "checksum"))
        renewed = [f"excluded.{column}" for column in columns]
        key = "id" if "id" in COLUMNS[table] else "seq"
        mended = f"checksum = {of_values(table, [f'{table}.{key}', *renewed])}"
    else:
        columns, mended = columns[:-1], "checksum = excluded.checksum"
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"ON CONFLICT DO UPDATE SET {changes}, {mended} WHERE NOT ({sound(**{table: table})})"


def replace(connection: sqlite3.Connection, table: str, row: tuple[Value, ...]) -> None:
    """Put a whole row in the place of the one with the same ``id``, which may be damaged."""
    columns = COLUMNS[table]
    with mending(connection):
        connection.execute(
            f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in columns)}, checksum = ? WHERE id = ?",
            (*row, checksum(table, *row), row[0]),
        )


def next_id(connection: sqlite3.Connection, table: str, key: str = "id") -> int:
    """The number of the next row; it is part of the checksum, so it must be known before."""
    (last,) = connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()
    return int(last) + 1


@contextmanager
def mending(connection: sqlite3.Connection) -> Iterator[None]:
    """Rows may be changed whose index entries are not what they should be.

    SQLite refuses that (SQLITE_CORRUPT_INDEX) but under ``writable_schema``, for just this purpose. The changed row
    gets its right entries.
    """
    connection.execute("PRAGMA writable_schema=ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA writable_schema=OFF")


def damaged(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Value]]:
    """The rows of a table that are not as they were stored. Text may have lone surrogates (bytes that are no UTF-8)."""
    columns = COLUMNS[table]
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    rows = connection.execute(f"SELECT {', '.join(columns)}, checksum FROM {table} NOT INDEXED")
    for *values, stored in rows:
        if checksum(table, *values) != stored:
            yield dict(zip(columns, values, strict=True))


def drop_damaged(connection: sqlite3.Connection, table: str, unless: str = "0") -> int:
    """Delete the damaged rows of a table, but those of which the SQL ``unless`` is true; returns how many there were."""
    keys = KEYS.get(table, ("id",))
    bad = [tuple(row[key] for key in keys) for row in damaged(connection, table)]
    condition = " AND ".join(f"{key} IS ?" for key in keys)
    with mending(connection):
        for group in groups(bad):
            connection.executemany(f"DELETE FROM {table} WHERE {condition} AND NOT ({unless})", group)
    return len(bad)


def add_columns(connection: sqlite3.Connection, tables: Sequence[str]) -> None:
    """Give each table its ``checksum``, right for the rows it has."""
    for table in tables:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER NOT NULL DEFAULT -1")
        connection.execute(f"UPDATE {table} SET checksum = {expression(table)}")
