"""The catalog in one SQLite file. Each module has the tables of one resource; this one joins them.

The file is meant to be opened by people too (sqlite-utils, datasette): tables have the names of the domain, and views
(``v_contents``, ``v_visits`` …) show digests in hex and moments as dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from swhkit.errors import Corrupt
from swhkit.model import ContentRow, ExtId, ExtrinsicMetadata, ObjectMetadata, PersonRow
from swhkit.storage import TRANSACTION_ROWS, Added, Finding, Record
from swhkit_sqlite.catalog.contents import Contents
from swhkit_sqlite.catalog.facts import Facts
from swhkit_sqlite.catalog.publish import Publishing
from swhkit_sqlite.catalog.schema import SCHEMA
from swhkit_sqlite.catalog.visits import Visits
from swhkit_sqlite.connection import Database

#: A transaction of ``add`` ends early when so many bytes of names and metadata have come.
_TRANSACTION_BYTES = 16 << 20


class SqliteCatalog(Contents, Facts, Visits, Publishing):
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
        with self._db.reading() as connection:
            return dict(connection.execute("SELECT name, value FROM counter").fetchall())

    def set_counters(self, values: Mapping[str, int]) -> None:
        """As the contract; one transaction."""
        with self._db.writing() as connection:
            known = {name for (name,) in connection.execute("SELECT name FROM counter")}
            if unknown := set(values) - known:
                raise ValueError(
                    f"unknown counters: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
                )
            connection.executemany(
                "UPDATE counter SET value = ? WHERE name = ?", [(v, k) for k, v in values.items()]
            )

    def maintain(self) -> str:
        """Give free space back, let SQLite look at its statistics, empty the write-ahead log."""
        before, after = self._db.shrink()
        return f"{self._db.path.name}: {before} bytes before, {after} after"

    def verify(self) -> Iterator[Finding]:
        """SQLite's own check of the file's structure."""
        next_step = "keep a copy of the file, then restore a backup or run `sqlite3 FILE .recover`"
        try:
            for problem in self._db.problems():
                yield Finding(problem, next_step, file=str(self._db.path))
        except Corrupt as error:
            yield Finding(str(error), next_step, file=str(self._db.path))

    def close(self) -> None:
        """As the contract."""
        self._db.close()


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
