"""Origins and visits: the writing side. Every method is one short transaction."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable

from swhkit.errors import Corrupt, NotHeld
from swhkit.manifest import object_id, origin_digest
from swhkit.model import Gap, Visit, VisitStatus
from swhkit.storage import Publication
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.catalog import search
from swhkit_sqlite.catalog.snapshots import Snapshots
from swhkit_sqlite.catalog.sums import insert, next_id, replace, sound, unless_sound
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
            visit = next_id(connection, "visit")
            row = (visit, origin, number, visit_type, moment, "created", None, None)
            insert(connection, "visit", [row])
            insert(connection, "visit_status", [(visit, 0, moment, "created", None, None)])
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
            gaps = enumerate(publication.gaps)
            insert(connection, "gap", [(visit, seq, *_gap_columns(gap)) for seq, gap in gaps])
            name, first = name_of(url), next_id(connection, "closed_tip", "seq")
            tips = enumerate(sorted(publication.closed), first)
            rows = [(seq, id.digest, id.kind.value, name) for seq, id in tips]
            insert(connection, "closed_tip", rows, unless_sound("closed_tip"))
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


def _gap_columns(gap: Gap) -> tuple[str | None, str | None, bytes | None, bytes | None, bytes | None]:
    return plain(gap.reason), gap.kind and gap.kind.value, gap.digest, gap.referrer, gap.branch


def _origin_row(connection: sqlite3.Connection, url: str, visit_type: str) -> int:
    """The number of an origin, made if it is new, with ``visit_type`` among its types; a damaged row is made anew."""
    digest = origin_digest(url)
    sql = f"SELECT {sound(o='origin')}, o.id, o.visit_types FROM origin o WHERE o.digest = ?"
    row = connection.execute(sql, (digest,)).fetchone()
    if row is None:
        id = next_id(connection, "origin")
        insert(connection, "origin", [(id, url, digest, visit_type)])
        search.enter(connection, id, url)
        count(connection, "origin", 1)
        return id
    good, id, types = row
    known = types.split() if good else _types_visited(connection, id)
    if not good or visit_type not in known:
        replace(connection, "origin", (id, url, digest, " ".join(dict.fromkeys([*known, visit_type]))))
    if not good:
        search.enter(connection, id, url, again=True)
    return int(id)


def _types_visited(connection: sqlite3.Connection, origin: int) -> list[str]:
    sql = f"SELECT v.type FROM visit v WHERE v.origin = ? AND {sound(v='visit')} ORDER BY v.number"
    return list(dict.fromkeys(type for (type,) in connection.execute(sql, (origin,))))


def _open_row(connection: sqlite3.Connection, url: str, number: int) -> int | None:
    """The row of a visit that can still change, None if its status is final. Raises ``NotHeld``, ``Corrupt``."""
    visit = visit_id(connection, url, number)
    if visit is None:
        raise NotHeld(f"there is no visit {number} of {url}")
    sql = (
        f"SELECT {sound(v='visit', o='origin')} AND v.number = ? AND o.digest = ?, v.status "
        "FROM visit v JOIN origin o ON o.id = v.origin WHERE v.id = ?"
    )
    good, status = connection.execute(sql, (number, origin_digest(url), visit)).fetchone() or (False, "")
    if not good:
        raise Corrupt(
            f"the row of visit {number} of {url} is damaged: restore the catalog from a copy, or load the origin again"
        )
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
    (last,) = connection.execute("SELECT max(seq) FROM visit_status WHERE visit = ?", (visit,)).fetchone()
    seq = 0 if last is None else last + 1
    insert(connection, "visit_status", [(visit, seq, moment, status.value, snapshot, reason)])
    begun = connection.execute(
        "SELECT id, origin, number, type, date FROM visit WHERE id = ?", (visit,)
    ).fetchone()
    replace(connection, "visit", (*begun, status.value, snapshot, reason))
