"""Origins, their visits, and what became of them: the reading side."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing

from swhkit.manifest import origin_digest
from swhkit.model import Gap, Origin, Visit, VisitStatus, VisitUpdate
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.catalog.sums import sound
from swhkit_sqlite.catalog.tables import Tables, clipped, to_date
from swhkit_sqlite.codec import groups, values

_ORIGIN = f"SELECT {sound(o='origin')}, o.id, o.url, o.digest, o.visit_types FROM origin o"
_VISIT = (
    f"SELECT {sound(v='visit', o='origin')} AND (v.snapshot IS NULL OR {sound(s='snapshot')}), "
    "o.url, v.number, v.type, v.date, v.status, s.digest, v.reason FROM visit v "
    "JOIN origin o ON o.id = v.origin LEFT JOIN snapshot s ON s.id = v.snapshot"
)
#: The row number of a visit by the digest of its origin and its number.
VISIT_ID = "SELECT v.id FROM origin o JOIN visit v ON v.origin = o.id WHERE o.digest = ? AND v.number = ?"


class Visits(Tables):
    """The part of a ``Catalog`` that answers for origins and visits."""

    def origin(self, url: str) -> Origin | None:
        """As the contract."""
        return self.origin_by_digest(origin_digest(url))

    def origin_by_id(self, id: int) -> Origin | None:
        """As the contract."""
        return self._origin("o.id = ?", clipped(id))

    def origin_by_digest(self, digest: bytes) -> Origin | None:
        """As the contract."""
        return self._origin("o.digest = ?", digest)

    def origins(self, after: int = 0, limit: int = 1000) -> list[Origin]:
        """As the contract."""
        sql = f"{_ORIGIN} WHERE o.id > ? ORDER BY o.id LIMIT ?"
        return self._all(origin_of, sql, (clipped(after), max(limit, 0)))

    def _origin(self, condition: str, value: int | bytes) -> Origin | None:
        found = self._all(origin_of, f"{_ORIGIN} WHERE {condition}", (value,))
        return found[0] if found else None

    def visit(self, url: str, number: int) -> Visit | None:
        """As the contract."""
        found = self._visits("WHERE o.digest = ? AND v.number = ?", origin_digest(url), clipped(number))
        return found[0] if found else None

    def visits(self, url: str, before: int | None = None, limit: int = 10) -> list[Visit]:
        """As the contract."""
        below = clipped(1 << 63) if before is None else clipped(before)
        found = self._visits(
            "WHERE o.digest = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?",
            origin_digest(url), below, max(limit, 0),
        )  # fmt: skip
        newest = found[0].number if found else 0
        lost = [visit.number for visit in found] != list(range(newest, 0, -1)[: max(limit, 0)])
        if lost or (not found and before is None and limit > 0 and self.origin(url) is not None):
            raise self._damaged(f"visits of {url} are missing")
        return found

    def latest_visit(
        self,
        url: str,
        *,
        visit_type: str | None = None,
        require_snapshot: bool = False,
        statuses: Collection[VisitStatus] | None = None,
    ) -> Visit | None:
        """As the contract. A snapshot comes with a final status only, so the latest status is the one that has it."""
        condition, parameters = "WHERE o.digest = ?", list[object]([origin_digest(url)])
        if visit_type is not None:
            condition += " AND v.type = ?"
            parameters.append(visit_type)
        if require_snapshot:
            condition += " AND v.snapshot IS NOT NULL"
        if statuses is not None:
            condition += f" AND v.status IN ({', '.join('?' * len(statuses))})"
            parameters += [status.value for status in statuses]
        found = self._visits(f"{condition} ORDER BY v.number DESC LIMIT 1", *parameters)
        return found[0] if found else None

    def unfinished_visits(self) -> list[Visit]:
        """As the contract."""
        return self._visits("WHERE v.status IN ('created', 'ongoing') ORDER BY v.id")

    def visits_of_snapshot(self, id: bytes, limit: int = 100) -> list[Visit]:
        """As the contract; oldest first."""
        found = self._visits(
            "WHERE v.snapshot = (SELECT id FROM snapshot WHERE digest = ?) ORDER BY v.id LIMIT ?",
            id,
            max(limit, 0),
        )
        if any(visit.snapshot != id for visit in found):
            raise self._damaged("an index leads from a snapshot to another one")
        return found

    def _visits(self, condition: str, *parameters: object) -> list[Visit]:
        return self._all(_visit, f"{_VISIT} {condition}", parameters)

    def history(self, url: str, number: int) -> list[VisitUpdate]:
        """As the contract."""
        visit = self.visit(url, number)
        if visit is None:
            return []
        sql = (
            f"SELECT {sound(t='visit_status')} AND (t.snapshot IS NULL OR {sound(s='snapshot')}), "
            "t.date, t.status, s.digest, t.reason FROM visit_status t LEFT JOIN snapshot s ON s.id = t.snapshot "
            f"WHERE t.visit = ({VISIT_ID}) ORDER BY t.seq"
        )
        found = self._all(_update, sql, (origin_digest(url), clipped(number)))
        if not found or found[-1].status is not visit.status:
            raise self._damaged(f"the history of visit {number} of {url} is not whole")
        return found

    def gaps(self, url: str, number: int) -> list[Gap]:
        """As the contract."""
        if self.visit(url, number) is None:
            return []
        sql = (
            f"SELECT {sound(g='gap')}, g.reason, g.kind, g.digest, g.referrer, g.branch FROM gap g "
            f"WHERE g.visit = ({VISIT_ID}) ORDER BY g.seq"
        )
        return self._all(_gap, sql, (origin_digest(url), clipped(number)))

    def closed(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As the contract. Damaged rows vouch for nothing."""
        found: set[ObjectId] = set()
        for group in groups(ids):
            sql = (
                f"WITH k(digest, kind) AS ({values(len(group), 2)}) SELECT DISTINCT 1, c.kind, c.digest "
                "FROM k CROSS JOIN closed_tip c ON c.digest = k.digest AND c.kind = k.kind "
                f"WHERE {sound(c='closed_tip')}"
            )
            found.update(self._all(_tip, sql, [p for id in group for p in (id.digest, id.kind.value)]))
        return found

    def likely_tips(self, url: str, limit: int) -> list[ObjectId]:
        """As the contract. Damaged rows vouch for nothing."""
        found: dict[ObjectId, None] = {}
        select = f"SELECT c.kind, c.digest FROM closed_tip c WHERE {sound(c='closed_tip')}"
        with self._db.reading() as connection:
            for sql, parameters in (
                (f"{select} AND c.name = ? ORDER BY c.seq DESC", (name_of(url),)),
                (f"{select} ORDER BY c.seq DESC", ()),
            ):
                # a tip may come under several names: rows are taken until there are enough different ones
                with closing(connection.execute(sql, parameters)) as rows:
                    for kind, digest in rows:
                        if len(found) >= limit:
                            break
                        found[ObjectId(Kind(kind), digest)] = None
        return list(found)


def name_of(url: str) -> str:
    """The last part of a URL's path by which relatives are found: ``.git`` and slashes aside, case folded."""
    return url.rstrip("/").rpartition("/")[2].casefold().removesuffix(".git")


def origin_of(id: int, url: str, digest: bytes, types: str) -> Origin:
    """The origin of a row. Raises ``ValueError`` if its URL is not what was stored."""
    if origin_digest(url) != digest:
        raise ValueError(f"the URL of origin {id} is not what was stored")
    return Origin(id, url, tuple(types.split()))


def _visit(
    url: str, number: int, type: str, date: int, status: str, snapshot: bytes | None, reason: str | None
) -> Visit:
    return Visit(url, number, type, to_date(date), VisitStatus(status), snapshot, reason)


def _update(date: int, status: str, snapshot: bytes | None, reason: str | None) -> VisitUpdate:
    return VisitUpdate(to_date(date), VisitStatus(status), snapshot, reason)


def _gap(
    reason: str, kind: str | None, digest: bytes | None, referrer: bytes | None, branch: bytes | None
) -> Gap:
    return Gap(reason, None if kind is None else Kind(kind), digest, referrer, branch)


def _tip(kind: str, digest: bytes) -> ObjectId:
    return ObjectId(Kind(kind), digest)


def visit_id(connection: sqlite3.Connection, url: str, number: int) -> int | None:
    """The row number of a visit as the connection's transaction sees it."""
    row = connection.execute(VISIT_ID, (origin_digest(url), clipped(number))).fetchone()
    return None if row is None else int(row[0])
