"""Requests to save many origins at once. The origins of one lie together, by URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

import msgspec

from swhkit.requests.kept import kept
from swhkit.requests.saves import BulkOrigin, BulkRequest
from swhkit_sqlite.catalog.sums import next_id
from swhkit_sqlite.codec import Damaged
from swhkit_sqlite.requests.rows import Role, Table, window

#: Besides the value: the number of the request, and how many origins it has.
BULKS = Table(
    "bulk_request", BulkRequest, ("id", "date", "user"), key=("number",), ours=("number", "origins")
)
ORIGINS = Table(
    "bulk_origin",
    BulkOrigin,
    ("url", "visit_type", "status", "reason", "job"),
    key=("request", "url", "visit_type"),
    ours=("request",),
)


class Bulk(Role):
    """The part of ``Saves`` that is about bulk requests."""

    def add_bulk(self, request: BulkRequest, origins: Collection[BulkOrigin]) -> None:
        """As the contract."""
        request, rows = kept(request), dict[tuple[str, str], BulkOrigin]()
        for origin in map(kept, origins):
            rows.setdefault((origin.url, origin.visit_type), origin)
        ordered = [rows[key] for key in sorted(rows)]
        with self._writing() as connection:
            if BULKS.rows(connection, "WHERE id = ?", (request.id,)):
                raise ValueError(f"there is a bulk request {request.id} already")
            number = next_id(connection, BULKS.name, "number")
            BULKS.insert(connection, [BULKS.row(request, number, len(ordered))])
            ORIGINS.insert(connection, (ORIGINS.row(origin, number) for origin in ordered))

    def bulk(self, id: str) -> BulkRequest | None:
        """As the contract."""
        return self._one(BULKS, "WHERE id = ?", id)

    def bulks(self, user: str | None = None, *, offset: int = 0, limit: int = 1000) -> list[BulkRequest]:
        """As the contract."""
        tail = "ORDER BY number DESC LIMIT ? OFFSET ?"
        if user is None:
            return self._values(BULKS, tail, *window(limit, offset))
        return self._values(BULKS, f"WHERE user = ? {tail}", user, *window(limit, offset))

    def count_bulks(self, user: str | None = None) -> int:
        """As the contract."""
        if user is None:
            return self._count("SELECT count(*) FROM bulk_request")
        return self._count("SELECT count(*) FROM bulk_request WHERE user = ?", user)

    def bulk_origins(self, id: str, *, offset: int = 0, limit: int = 1000) -> list[BulkOrigin]:
        """As the contract."""
        tail = (
            "WHERE request = (SELECT number FROM bulk_request WHERE id = ?) "
            "ORDER BY url, visit_type LIMIT ? OFFSET ?"
        )
        return self._values(ORIGINS, tail, id, *window(limit, offset))

    def count_bulk_origins(self, id: str) -> int:
        """As the contract."""
        with self._reading() as connection:
            found = BULKS.rows(connection, "WHERE id = ?", (id,))
        return found[0][1] if found else 0

    def jobless_bulk(self, limit: int = 10_000) -> list[tuple[str, BulkOrigin]]:
        """As the contract."""
        tail = (
            "INDEXED BY bulk_origin_jobless WHERE status = 'accepted' AND job IS NULL "
            "ORDER BY request, url, visit_type LIMIT ? OFFSET ?"
        )
        with self._reading() as connection:
            rows = ORIGINS.rows(connection, tail, window(limit))
            ids = {number: self._id(connection, number) for number in {row[0] for row in rows}}
            return [(ids[row[0]], ORIGINS.value(row)) for row in rows]

    def set_bulk_jobs(self, jobs: Iterable[tuple[str, str, str, int]]) -> None:
        """As the contract."""
        made = {(id, url, visit_type): job for id, url, visit_type, job in jobs}
        self._db.check_open()
        if not made:
            return
        with self._writing() as connection:
            numbers = {id: self._number(connection, id) for id in {id for id, _, _ in made}}
            changed = []
            for (id, url, visit_type), job in made.items():
                key = (numbers[id], url, visit_type)
                for row in ORIGINS.rows(connection, "WHERE request = ? AND url = ? AND visit_type = ?", key):
                    origin = msgspec.structs.replace(ORIGINS.value(row), job=job)
                    changed.append(ORIGINS.row(origin, row[0]))
            ORIGINS.put(connection, changed)

    def _id(self, connection: sqlite3.Connection, number: int) -> str:
        found = BULKS.one(connection, "WHERE number = ?", (number,))
        if found is None:
            raise Damaged(f"{BULKS.name}: number {number} has gone")
        return found.id

    def _number(self, connection: sqlite3.Connection, id: str) -> int | None:
        found = BULKS.rows(connection, "WHERE id = ?", (id,))
        return found[0][0] if found else None
