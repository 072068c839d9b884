"""Origins and visits: the writing side. Every method is one short transaction."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable

from swhkit.errors import NotHeld
from swhkit.manifest import object_id, origin_digest
from swhkit.model import Visit, VisitStatus
from swhkit.storage import Publication
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.catalog.snapshots import Snapshots
from swhkit_sqlite.catalog.tables import count, plain, to_date, to_microseconds
from swhkit_sqlite.catalog.visits import name_of, visit_id

_COUNTED = (Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE)


class Publishing(Snapshots):
    """The part of a ``Catalog`` by which visits begin and end."""

    def open_visit(self, url: str, visit_type: str, date: datetime.datetime) -> Visit:
        """As the contract."""
        moment = to_microseconds(date)
        with self._db.writing() as connection:
            origin = _origin_row(connection, url, visit_type)
            (number,) = connection.execute(
                "SELECT coalesce(max(number), 0) + 1 FROM visit WHERE origin = ?", (origin,)
            ).fetchone()
            visit = connection.execute(
                "INSERT INTO visit (origin, number, type, date, status) VALUES (?, ?, ?, ?, 'created')",
                (origin, number, visit_type, moment),
            ).lastrowid
            connection.execute(
                "INSERT INTO visit_status VALUES (?, 0, ?, 'created', NULL, NULL)", (visit, moment)
            )
            count(connection, "origin_visit", 1)
        return Visit(url, number, visit_type, to_date(moment), VisitStatus.CREATED)

    def update_visit(
        self, url: str, number: int, status: VisitStatus, date: datetime.datetime, reason: str | None = None
    ) -> bool:
        """As the contract."""
        moment = to_microseconds(date)
        with self._db.writing() as connection:
            visit = _open_row(connection, url, number)
            if visit is not None:
                _append(connection, visit, moment, status, None, reason)
            return visit is not None

    def publish(self, url: str, number: int, publication: Publication) -> bool:
        """As the contract."""
        moment, snapshot = to_microseconds(publication.date), publication.snapshot
        if not publication.status.final:
            raise ValueError(f"a visit cannot end as {publication.status.value}: that status is not final")
        digest = None if snapshot is None else object_id(snapshot).digest
        with self._db.writing() as connection:
            visit = _open_row(connection, url, number)
            if visit is None:
                return False
            known = None
            if snapshot is not None and digest is not None:
                known = self._add_snapshot(connection, digest, snapshot)
            connection.executemany(
                "INSERT INTO gap VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        visit,
                        seq,
                        plain(gap.reason),
                        gap.kind and gap.kind.value,
                        gap.digest,
                        gap.referrer,
                        gap.branch,
                    )
                    for seq, gap in enumerate(publication.gaps)
                ],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO closed_tip (digest, kind, name) VALUES (?, ?, ?)",
                [(id.digest, id.kind.value, name_of(url)) for id in publication.closed],
            )
            for kind in _COUNTED:
                count(connection, kind.word, publication.new.get(kind, 0))
            _append(connection, visit, moment, publication.status, known, publication.reason)
        return True

    def unclose(self, ids: Iterable[ObjectId]) -> None:
        """As the contract."""
        with self._db.writing() as connection:
            connection.executemany(
                "DELETE FROM closed_tip WHERE digest = ? AND kind = ?",
                ((id.digest, id.kind.value) for id in ids),
            )


def _origin_row(connection: sqlite3.Connection, url: str, visit_type: str) -> int:
    """The number of an origin, made if it is new, with ``visit_type`` among its types."""
    digest = origin_digest(url)
    row = connection.execute("SELECT id, visit_types FROM origin WHERE digest = ?", (digest,)).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO origin (url, digest, visit_types) VALUES (?, ?, ?) RETURNING id, visit_types",
            (url, digest, visit_type),
        ).fetchone()
        count(connection, "origin", 1)
    id, types = row
    if visit_type not in types.split():
        connection.execute("UPDATE origin SET visit_types = ? WHERE id = ?", (f"{types} {visit_type}", id))
    return int(id)


def _open_row(connection: sqlite3.Connection, url: str, number: int) -> int | None:
    """The row of a visit that can still change, None if its status is final. Raises ``NotHeld``."""
    visit = visit_id(connection, url, number)
    if visit is None:
        raise NotHeld(f"there is no visit {number} of {url}")
    (status,) = connection.execute("SELECT status FROM visit WHERE id = ?", (visit,)).fetchone()
    return None if VisitStatus(status).final else visit


def _append(
    connection: sqlite3.Connection,
    visit: int,
    moment: int,
    status: VisitStatus,
    snapshot: int | None,
    reason: str | None,
) -> None:
    """One more line of a visit's history, which becomes its latest status."""
    reason = plain(reason)
    connection.execute(
        "INSERT INTO visit_status SELECT ?, max(seq) + 1, ?, ?, ?, ? FROM visit_status WHERE visit = ?",
        (visit, moment, status.value, snapshot, reason, visit),
    )
    connection.execute(
        "UPDATE visit SET status = ?, snapshot = ?, reason = ? WHERE id = ?",
        (status.value, snapshot, reason, visit),
    )
