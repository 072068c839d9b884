"""Content rows: four digests, a length, visible or absent.

A damaged row is ``Corrupt`` to who asks for it, and no row to who asks what is there: so the next visit that has the
content makes it anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from swhkit.errors import NotHeld
from swhkit.hashes import HASH_LENGTHS, HashName
from swhkit.model import ContentRow
from swhkit_sqlite.catalog.sums import insert, next_id, replace, sound
from swhkit_sqlite.catalog.tables import Tables, count, plain
from swhkit_sqlite.codec import groups, values

_COLUMNS = "c.sha1_git, c.sha1, c.sha256, c.blake2s256, c.length, c.absent, c.reason"
_SOUND = sound(c="content")
_OR_DAMAGED = f" OR NOT ({_SOUND})"

_Columns = tuple[bytes, bytes, bytes, bytes, int, int, str | None]


class Contents(Tables):
    """The content part of a ``Catalog``."""

    def contents(self, sha1_gits: Iterable[bytes]) -> dict[bytes, ContentRow]:
        """As the contract."""
        found = {}
        for group in groups(sha1_gits):
            rows = self._all(
                _row, _select(f"{_SOUND}, {_COLUMNS}", "sha1_git", len(group), _OR_DAMAGED), group
            )
            found.update({row.sha1_git: row for row in rows})
        return found

    def missing_contents(self, sha1_gits: Iterable[bytes]) -> set[bytes]:
        """As the contract."""
        missing: set[bytes] = set()
        for group in groups(sha1_gits):
            sql = _select("c.sha1_git", "sha1_git", len(group)) + f" WHERE c.absent = 0 AND {_SOUND}"
            with self._db.reading() as connection:
                rows = connection.execute(sql, group).fetchall()
            missing.update(group)
            missing.difference_update(digest for (digest,) in rows)
        return missing

    def find_contents(self, algorithm: HashName, digests: Iterable[bytes]) -> dict[bytes, list[ContentRow]]:
        """As the contract."""
        if algorithm not in HASH_LENGTHS:  # it becomes part of a statement
            raise ValueError(f"{algorithm!r} is no digest of contents")
        found: dict[bytes, list[ContentRow]] = {}
        seen: set[bytes] = set()
        for group in groups(digests):
            sql = _select(f"{_SOUND}, {_COLUMNS}", algorithm, len(group), _OR_DAMAGED)
            for row in self._all(_row, sql, group):
                digest: bytes = getattr(row, algorithm)
                if digest not in seen:
                    found.setdefault(digest, []).append(row)
            seen.update(found)
        return found

    def scan_contents(self, after: bytes | None = None, limit: int = 1000) -> list[ContentRow]:
        """In the order of arrival, without damaged rows. Raises ``NotHeld`` if the row to resume after is gone."""
        start = 0
        if after is not None:
            with self._db.reading() as connection:  # the last, for no damage may make a scan go in circles
                (start,) = connection.execute(_select("max(c.id)", "sha1_git", 1), (after,)).fetchone()
            if start is None:
                raise NotHeld(f"the content row {after.hex()} to resume after is gone: begin the scan again")
        sql = f"SELECT 1, {_COLUMNS} FROM content c WHERE c.id > ? AND {_SOUND} ORDER BY c.id LIMIT ?"
        return self._all(_row, sql, (start, max(limit, 0)))

    def remove_contents(self, sha1_gits: Iterable[bytes]) -> int:
        """As the contract; one transaction."""
        with self._db.writing() as connection:
            known: dict[int, bool] = {}
            for group in groups(sha1_gits):
                known.update(
                    connection.execute(_select("c.id, c.absent", "sha1_git", len(group)), group).fetchall()
                )
            connection.executemany("DELETE FROM content WHERE id = ?", [(id,) for id in known])
            absent = sum(map(bool, known.values()))
            count(connection, "skipped_content", -absent)
            count(connection, "content", absent - len(known))
            return len(known)

    def _add_contents(self, connection: sqlite3.Connection, rows: Sequence[ContentRow]) -> tuple[int, int]:
        """Insert what is new, make absent rows visible; the numbers of rows that are newly visible and newly absent."""
        wanted = _best(rows)
        visible = self._make_visible(connection, wanted)
        for group in groups(tuple(wanted)):
            sql = _select(f"k.d, c.id, {_SOUND}", "sha1_git", len(group), _OR_DAMAGED)
            for digest, id, good in connection.execute(sql, group).fetchall():
                row = wanted.pop(digest, None)
                if row is not None and not good:
                    replace(connection, "content", (id, *_columns(row)))
        # sorted, because neighbours in the index then share pages
        new = [wanted[digest] for digest in sorted(wanted)]
        first = next_id(connection, "content") if new else 0
        insert(connection, "content", ((id, *_columns(row)) for id, row in enumerate(new, first)))
        absent = sum(row.status != "visible" for row in new)
        count(connection, "skipped_content", absent - visible)
        count(connection, "content", len(new) - absent + visible)
        return len(new) - absent + visible, absent

    def _make_visible(self, connection: sqlite3.Connection, wanted: dict[bytes, ContentRow]) -> int:
        """Turn absent rows into visible ones where all digests agree."""
        sql = f"SELECT c.value FROM counter c WHERE c.name = 'skipped_content' AND {sound(c='counter')}"
        if connection.execute(sql).fetchone() == (0,):  # a damaged or lost counter says nothing
            return 0
        ids = []
        for group in groups(digest for digest, row in wanted.items() if row.status == "visible"):
            sql = _select(f"{_COLUMNS}, c.id", "sha1_git", len(group)) + f" WHERE c.absent = 1 AND {_SOUND}"
            for *row, id in connection.execute(sql, group).fetchall():
                if tuple(row[:5]) == _columns(wanted[row[0]])[:5]:
                    ids.append((id, *_columns(wanted[row[0]])))
        for changed in ids:
            replace(connection, "content", changed)
        return len(ids)


def repeated(connection: sqlite3.Connection) -> list[int]:
    """The numbers of rows of contents that have an earlier row; there are none unless an index was damaged."""
    prefixes = "SELECT substr(sha1_git, 1, 5) FROM content INDEXED BY content_sha1_git GROUP BY 1 HAVING count(*) > 1"
    sql = (
        f"SELECT max(c.id) FROM content c WHERE substr(c.sha1_git, 1, 5) IN ({prefixes}) "
        "GROUP BY c.sha1_git HAVING count(*) > 1"
    )
    return [id for (id,) in connection.execute(sql)]


def _best(rows: Sequence[ContentRow]) -> dict[bytes, ContentRow]:
    """One row for each id: the first, or the first visible one of the same digests."""
    best: dict[bytes, ContentRow] = {}
    for row in rows:
        held = best.setdefault(row.sha1_git, row)
        if held.status != "visible" and row.status == "visible" and _columns(held)[:5] == _columns(row)[:5]:
            best[row.sha1_git] = row
    return best


def _select(columns: str, name: str, number: int, others: str = "") -> str:
    """A join of ``number`` digests with the content rows that have them, by index and then by the whole digest.

    ``others`` (``_OR_DAMAGED``): rows that the index names and whose own digest may have changed since.
    """
    return (
        f"WITH k(d) AS ({values(number)}) SELECT {columns} FROM k CROSS JOIN content c "
        f"ON substr(c.{name}, 1, 5) = substr(k.d, 1, 5) AND (c.{name} = k.d{others})"
    )


def _row(
    sha1_git: bytes,
    sha1: bytes,
    sha256: bytes,
    blake2s256: bytes,
    length: int,
    absent: int,
    reason: str | None,
) -> ContentRow:
    status = "absent" if absent else "visible"
    return ContentRow(sha1_git, sha1, sha256, blake2s256, length, status, reason)


def _columns(row: ContentRow) -> _Columns:
    return (
        row.sha1_git,
        row.sha1,
        row.sha256,
        row.blake2s256,
        row.length,
        int(row.status != "visible"),
        plain(row.reason),
    )
