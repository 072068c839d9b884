"""The catalog in one SQLite file. Each module has the tables of one resource; this one joins them.

The file is meant to be opened by people too (sqlite-utils, datasette): tables have the names of the domain, and views
(``v_contents``, ``v_visits`` …) show digests in hex and moments as dates.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from swhkit.errors import Corrupt
from swhkit.model import ContentRow, ExtId, ExtrinsicMetadata, ObjectMetadata, PersonRow
from swhkit.storage import COUNTERS, TRANSACTION_ROWS, Added, Finding, Record
from swhkit_sqlite.catalog.contents import Contents, repeated
from swhkit_sqlite.catalog.facts import Facts
from swhkit_sqlite.catalog.findings import finding
from swhkit_sqlite.catalog.publish import Publishing
from swhkit_sqlite.catalog.schema import SCHEMA
from swhkit_sqlite.catalog.search import Searching, is_whole, recreate
from swhkit_sqlite.catalog.sums import COLUMNS, damaged, drop_damaged, insert, sound
from swhkit_sqlite.catalog.visits import Visits
from swhkit_sqlite.connection import Database
from swhkit_sqlite.errors import translated

#: Damaged rows of these are forgotten by ``mend``: reindexing, or the next visit, makes them anew.
_COME_AGAIN = ("content", "closed_tip", "object_metadata", "extid")
#: Damaged rows of these are forgotten unless something needs them: the next visit has put others in their place.
_NEEDED = {
    "branch_run": "id IN (SELECT run FROM snapshot_run)",
    "snapshot_run": "snapshot IN (SELECT id FROM snapshot)",
}
_COPY = "keep a copy of the file, then restore a backup or save what can be read (docs/operations.md)"
_REINDEX = "run `swhkit reindex`, which makes indexes anew"
#: A transaction of ``add`` ends early when so many bytes of names and metadata have come.
_TRANSACTION_BYTES = 16 << 20


class SqliteCatalog(Contents, Facts, Visits, Searching, Publishing):
    """A ``Catalog`` in the file ``path``; see ``swhkit.storage`` for what each method promises."""

    def __init__(self, path: Path, create: bool, cache: int) -> None:
        super().__init__(Database(path, SCHEMA, create, cache))

    def add(self, records: Iterable[Record]) -> Added:
        """As the contract. Records are taken from the iterator outside of the transactions."""
        self._db.check_open()
        total = Added()
        for batch in _batches(records):
            added = self._add_batch(batch)
            total = Added(
                content=total.content + added.content,
                skipped_content=total.skipped_content + added.skipped_content,
                person=total.person + added.person,
                other=total.other + added.other,
            )
        return total

    def _add_batch(self, batch: list[Record]) -> Added:
        with self._db.writing() as connection:
            content, skipped = self._add_contents(connection, [r for r in batch if isinstance(r, ContentRow)])
            person = self._add_persons(connection, [r.fullname for r in batch if isinstance(r, PersonRow)])
            other = (
                self._add_metadata(connection, [r for r in batch if isinstance(r, ObjectMetadata)])
                + self._add_extids(connection, [r for r in batch if isinstance(r, ExtId)])
                + self._add_extrinsic(connection, [r for r in batch if isinstance(r, ExtrinsicMetadata)])
            )
            return Added(content=content, skipped_content=skipped, person=person, other=other)

    def counters(self) -> dict[str, int]:
        """As the contract."""
        sql = f"SELECT {sound(c='counter')}, c.name, c.value FROM counter c"
        found = dict(self._all(lambda *counter: counter, sql, ()))
        if set(found) != set(COUNTERS):
            raise self._damaged("a counter has gone")
        return found

    def set_counters(self, values: Mapping[str, int]) -> None:
        """As the contract; one transaction. Damaged counters are made anew."""
        if unknown := set(values) - set(COUNTERS):
            raise ValueError(f"unknown counters: {', '.join(sorted(unknown))}; known: {', '.join(COUNTERS)}")
        with self._db.writing() as connection:
            names = ", ".join("?" * len(COUNTERS))
            connection.execute(f"DELETE FROM counter WHERE name NOT IN ({names})", COUNTERS)
            connection.executemany("DELETE FROM counter WHERE name = ?", [(name,) for name in values])
            insert(connection, "counter", values.items())

    def maintain(self) -> str:
        """Give free space back, let SQLite look at its statistics, empty the write-ahead log."""
        before, after = self._db.shrink()
        return f"{self._db.path.name}: {before} bytes before, {after} after"

    def verify(self) -> Iterator[Finding]:
        """SQLite's own check of the file's structure, and whether the tables are those we made."""
        return self._problems(full=False)

    def scrub(self) -> Iterator[Finding]:
        """As the contract: every index is compared with its table, every row with its checksum."""
        yield from self._problems(full=True)
        yield from self._damaged_rows()

    def mend(self) -> int:
        """As the contract; one transaction, after one for the index of URLs. Raises ``Corrupt`` where a page of anything
        else makes no sense: then only a copy helps."""
        lost = self._mend_search()
        with self._db.writing() as connection:
            if not _is_sound(connection):
                connection.execute("REINDEX")
            forgotten = sum(drop_damaged(connection, table) for table in _COME_AGAIN)
            for table, needed in _NEEDED.items():
                drop_damaged(connection, table, needed)
            while rows := repeated(connection):
                connection.executemany("DELETE FROM content WHERE id = ?", [(id,) for id in rows])
                forgotten += len(rows)
        if lost:
            self._db.rebuild()
        return forgotten

    def _problems(self, full: bool) -> Iterator[Finding]:
        try:
            for problem in self._db.problems(full):
                index = re.search(
                    "missing from index|non-unique entry|wrong # of entries|inverted index", problem
                )
                yield Finding(problem, _REINDEX if index else _COPY, file=str(self._db.path))
        except Corrupt as error:
            yield Finding(str(error), _COPY, file=str(self._db.path))

    def _damaged_rows(self) -> Iterator[Finding]:
        for table in COLUMNS:
            try:
                with self._db.scanning() as connection:
                    for row in damaged(connection, table):
                        yield finding(table, row, str(self._db.path))
            except Corrupt as error:
                yield Finding(str(error), _COPY, file=str(self._db.path))
        with suppress(Corrupt), self._db.scanning() as connection:
            for id in repeated(connection):
                yield Finding(f"a content has a second row ({id})", _REINDEX, file=str(self._db.path))
        if not self._search_is_whole():
            text = "the index of URLs does not have what the origins have"
            yield Finding(text, _REINDEX, file=str(self._db.path))

    def _mend_search(self) -> bool:
        """Make the index of URLs anew if it, or anything, is damaged; whether that has left pages that belong to none."""
        with self._db.scanning() as connection:
            sound = _is_sound(connection)
        if sound and self._search_is_whole():
            return False
        with translated(self._db.path):
            return recreate(self._db)

    def _search_is_whole(self) -> bool:
        with self._db.scanning() as connection:
            return is_whole(connection)

    def close(self) -> None:
        """As the contract."""
        self._db.close()


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records for one transaction each: bounded in number and in bytes."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        if isinstance(record, PersonRow):
            size += len(record.fullname)
        elif isinstance(record, ExtrinsicMetadata):
            size += len(record.metadata)
        if len(batch) == TRANSACTION_ROWS or size > _TRANSACTION_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
