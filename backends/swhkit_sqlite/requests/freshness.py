"""How fresh origins are: a row for each URL and visit type."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from swhkit.requests.kept import kept
from swhkit.requests.rules import overdue_at
from swhkit.requests.schedule import Freshness, State
from swhkit_sqlite.catalog.tables import to_microseconds
from swhkit_sqlite.codec import groups
from swhkit_sqlite.requests.rows import Role, Row, Table, window

#: Besides the value: the moment after which it is overdue.
FRESHNESS = Table(
    "freshness",
    Freshness,
    (
        "url", "visit_type", "state", "since", "visited", "succeeded", "failures", "reason", "last_update", "every",
        "due", "trusted", "forge",
    ),
    key=("url", "visit_type"),
    ours=("overdue",),
)  # fmt: skip


class Origins(Role):
    """The part of ``Schedule`` that is about the freshness of origins."""

    def freshness(self, url: str, visit_type: str) -> Freshness | None:
        """As the contract."""
        return self._one(FRESHNESS, "WHERE url = ? AND visit_type = ?", url, visit_type)

    def freshness_of(self, origins: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Freshness]:
        """As the contract."""
        self._db.check_open()
        asked = set(origins)
        found: dict[tuple[str, str], Freshness] = {}
        for urls in groups(url for url, _ in asked):  # for pairs SQLite would walk through the table
            rows = self._values(FRESHNESS, f"WHERE url IN ({', '.join('?' * len(urls))})", *urls)
            found.update({(row.url, row.visit_type): row for row in rows})
        return {origin: row for origin, row in found.items() if origin in asked}

    def set_freshness(self, rows: Iterable[Freshness]) -> None:
        """As the contract."""
        new = {(row.url, row.visit_type): row for row in map(kept, rows)}
        self._db.check_open()
        if not new:
            return
        made = [_row(new[key]) for key in sorted(new)]
        with self._writing() as connection:
            FRESHNESS.put(connection, made)

    def due(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """As the contract."""
        tail = "WHERE due <= ? ORDER BY due, url, visit_type LIMIT ? OFFSET ?"
        return self._values(FRESHNESS, tail, to_microseconds(now), *window(limit))

    def overdue(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """As the contract."""
        tail = "WHERE overdue < ? ORDER BY overdue, url, visit_type LIMIT ? OFFSET ?"
        return self._values(FRESHNESS, tail, to_microseconds(now), *window(limit))

    def origins(
        self, state: State | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 1000
    ) -> list[Freshness]:
        """As the contract."""
        tail = "(url, visit_type) > (?, ?) ORDER BY url, visit_type LIMIT ? OFFSET ?"
        if state is None:
            return self._values(FRESHNESS, f"WHERE {tail}", *after, *window(limit))
        return self._values(FRESHNESS, f"WHERE state = ? AND {tail}", str(state), *after, *window(limit))

    def count_states(self) -> dict[str, int]:
        """As the contract."""
        sql = "SELECT coalesce(state, 'unknown'), count(*) FROM freshness GROUP BY state"
        with self._reading() as connection:
            found = dict(connection.execute(sql).fetchall())
        return {word: found.get(word, 0) for word in (*map(str, State), "unknown")}


def _row(value: Freshness) -> Row:
    overdue = overdue_at(value)
    return FRESHNESS.row(value, None if overdue is None else to_microseconds(overdue))
