"""The catalog in dicts behind one lock: origins, visits, snapshots, closed tips. The rest is in ``records``."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile

import msgspec

from swhkit.errors import NotHeld
from swhkit.manifest import object_id, origin_digest
from swhkit.model import Branch, BranchType, Gap, Origin, Snapshot, Visit, VisitStatus, VisitUpdate
from swhkit.search import Fits, FoundOrigin, OriginPage, OriginQuery, look
from swhkit.storage import BranchPage, Finding, Publication
from swhkit.swhid import ObjectId
from swhkit_memory.records import Records

Key = tuple[str, int]


class MemoryCatalog(Records):
    """A ``Catalog`` in memory; see ``swhkit.storage`` for what each method promises."""

    def __init__(self) -> None:
        super().__init__()
        self._origins: dict[str, Origin] = {}
        self._visits: dict[Key, Visit] = {}
        self._histories: dict[Key, list[VisitUpdate]] = {}
        self._gaps: dict[Key, list[Gap]] = {}
        self._snapshots: dict[bytes, Snapshot] = {}
        self._tips: dict[tuple[str, ObjectId], None] = {}

    # --- snapshots ---

    def snapshot(self, id: bytes) -> Snapshot | None:
        """As the contract."""
        with self._open():
            return self._snapshots.get(id)

    def branches(
        self, id: bytes, first: bytes = b"", count: int = 1000, types: Collection[BranchType] | None = None
    ) -> BranchPage | None:
        """As the contract."""
        if count < 1:
            raise ValueError(f"count is {count}: a page has room for one branch at least")
        snapshot = self.snapshot(id)
        if snapshot is None:
            return None
        fit = [
            (name, branch) for name, branch in snapshot.branches.items()
            if name >= first and (types is None or (branch is not None and branch.type in types))
        ]  # fmt: skip
        return BranchPage(dict(fit[:count]), fit[count][0] if len(fit) > count else None)

    def branch(self, id: bytes, name: bytes) -> Branch | None:
        """As the contract."""
        snapshot = self.snapshot(id)
        return None if snapshot is None else snapshot.branches.get(name)

    def missing_snapshots(self, ids: Iterable[bytes]) -> set[bytes]:
        """As the contract."""
        with self._open():
            return {id for id in ids if id not in self._snapshots}

    def snapshots(self, after: bytes | None = None, limit: int = 1000) -> list[bytes]:
        """As the contract."""
        with self._open():
            return sorted(id for id in self._snapshots if after is None or id > after)[: max(limit, 0)]

    # --- origins ---

    def origin(self, url: str) -> Origin | None:
        """As the contract."""
        with self._open():
            return self._origins.get(url)

    def origin_by_id(self, id: int) -> Origin | None:
        """As the contract."""
        return next(iter(self.origins(id - 1, 1)), None) if 1 <= id <= len(self._origins) else None

    def origin_by_digest(self, digest: bytes) -> Origin | None:
        """As the contract."""
        with self._open():
            return next(
                (origin for url, origin in self._origins.items() if origin_digest(url) == digest), None
            )

    def origins(self, after: int = 0, limit: int = 1000) -> list[Origin]:
        """As the contract."""
        with self._open():
            return [origin for origin in self._origins.values() if origin.id > after][: max(limit, 0)]

    def search_origins(
        self, query: OriginQuery, *, after: int = 0, offset: int = 0, limit: int = 70
    ) -> OriginPage:
        """As the contract; what fits is counted whole unless it takes too long."""
        fits, every = Fits(query), self.origins(0, len(self._origins))
        rows = [(o.id, o.url) for o in every if self._has(o, query)]
        looked = look(lambda last: [row for row in rows if row[0] > last], fits, after, offset, max(limit, 0))
        counted = look(lambda last: [row for row in rows if row[0] > last], fits, 0, 0, len(rows))
        found = [self._found(every[id - 1]) for id in looked.ids]
        total = len(counted.ids) if counted.next is None else None
        return OriginPage(found, total, looked.next, looked.offset)

    def _has(self, origin: Origin, query: OriginQuery) -> bool:
        """Whether an origin has the visits that are asked for."""
        if query.visit_type is not None and query.visit_type not in origin.visit_types:
            return False
        latest = self.latest_visit(origin.url, require_snapshot=True)
        if latest is None or latest.snapshot is None:
            return not (query.with_visit or query.with_content)
        snapshot = self.snapshot(latest.snapshot)
        return not query.with_content or bool(snapshot and snapshot.branches)

    def _found(self, origin: Origin) -> FoundOrigin:
        visits = self.visits(origin.url, limit=len(self._visits))
        having = [visit for visit in visits if visit.snapshot is not None]
        same = list(takewhile(lambda visit: visit.snapshot == having[0].snapshot, having))
        return FoundOrigin(
            origin,
            visits[0].number,
            having[0].snapshot if having else None,
            visits[0].date,
            same[-1].date if same else None,
        )

    # --- visits ---

    def visit(self, url: str, number: int) -> Visit | None:
        """As the contract."""
        with self._open():
            return self._visits.get((url, number))

    def visits(self, url: str, before: int | None = None, limit: int = 10) -> list[Visit]:
        """As the contract."""
        with self._open():
            fit = [v for (of, n), v in self._visits.items() if of == url and (before is None or n < before)]
            return fit[::-1][: max(limit, 0)]

    def latest_visit(
        self,
        url: str,
        *,
        visit_type: str | None = None,
        require_snapshot: bool = False,
        statuses: Collection[VisitStatus] | None = None,
    ) -> Visit | None:
        """As the contract. A snapshot comes with a final status only, so the latest status is the one that has it."""
        for visit in self.visits(url, limit=len(self._visits)):
            if (
                visit_type in (None, visit.type)
                and (visit.snapshot is not None or not require_snapshot)
                and (statuses is None or visit.status in statuses)
            ):
                return visit
        return None

    def unfinished_visits(self) -> list[Visit]:
        """As the contract."""
        with self._open():
            return [visit for visit in self._visits.values() if not visit.status.final]

    def history(self, url: str, number: int) -> list[VisitUpdate]:
        """As the contract."""
        with self._open():
            return list(self._histories.get((url, number), ()))

    def visits_of_snapshot(self, id: bytes, limit: int = 100) -> list[Visit]:
        """As the contract."""
        with self._open():
            return [visit for visit in self._visits.values() if visit.snapshot == id][: max(limit, 0)]

    def gaps(self, url: str, number: int) -> list[Gap]:
        """As the contract."""
        with self._open():
            return list(self._gaps.get((url, number), ()))

    def open_visit(self, url: str, visit_type: str, date: datetime.datetime) -> Visit:
        """As the contract."""
        date = _utc(date)
        with self._open():
            origin = self._origins.get(url)
            if origin is None:
                origin = Origin(len(self._origins) + 1, url)
                self._count("origin", 1)
            if visit_type not in origin.visit_types:
                origin = Origin(origin.id, url, (*origin.visit_types, visit_type))
            self._origins[url] = origin
            number = sum(of == url for of, _ in self._visits) + self._count("origin_visit", 1)
            visit = Visit(url, number, visit_type, date, VisitStatus.CREATED)
            self._visits[url, number] = visit
            self._histories[url, number] = [VisitUpdate(date, VisitStatus.CREATED)]
            return visit

    def update_visit(
        self, url: str, number: int, status: VisitStatus, date: datetime.datetime, reason: str | None = None
    ) -> bool:
        """As the contract."""
        with self._open():
            return self._update(url, number, VisitUpdate(_utc(date), status, None, reason))

    def publish(self, url: str, number: int, publication: Publication) -> bool:
        """As the contract."""
        if not publication.status.final:
            raise ValueError(f"a visit cannot end as {publication.status.value}: that status is not final")
        snapshot = publication.snapshot
        digest = None if snapshot is None else object_id(snapshot).digest
        update = VisitUpdate(_utc(publication.date), publication.status, digest, publication.reason)
        with self._open():
            if not self._update(url, number, update):
                return False
            if snapshot is not None and digest is not None and digest not in self._snapshots:
                self._snapshots[digest] = Snapshot(dict(sorted(snapshot.branches.items())))
                self._count("snapshot", 1)
            self._gaps[url, number] = list(publication.gaps)
            self._tips.update({(_name(url), id): None for id in publication.closed})
            for kind, count in publication.new.items():
                if kind.word in ("directory", "revision", "release"):
                    self._count(kind.word, count)
            return True

    def _update(self, url: str, number: int, update: VisitUpdate) -> bool:
        visit = self._visits.get((url, number))
        if visit is None:
            raise NotHeld(f"there is no visit {number} of {url}")
        if visit.status.final:
            return False
        self._histories[url, number].append(update)
        self._visits[url, number] = msgspec.structs.replace(
            visit, status=update.status, snapshot=update.snapshot, reason=update.reason
        )
        return True

    # --- closed tips, counters, end ---

    def closed(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As the contract."""
        with self._open():
            known = {id for _, id in self._tips}
            return {id for id in ids if id in known}

    def likely_tips(self, url: str, limit: int) -> list[ObjectId]:
        """As the contract."""
        with self._open():
            latest = list(reversed(self._tips))
            same = [id for name, id in latest if name == _name(url)]
            return list(dict.fromkeys([*same, *(id for _, id in latest)]))[: max(limit, 0)]

    def unclose(self, ids: Iterable[ObjectId]) -> None:
        """As the contract."""
        gone = set(ids)
        with self._open():
            self._tips = {key: None for key in self._tips if key[1] not in gone}

    def set_counters(self, values: Mapping[str, int]) -> None:
        """As the contract."""
        with self._open():
            if unknown := set(values) - set(self._counters):
                raise ValueError(f"unknown counters: {', '.join(sorted(unknown))}")
            self._counters.update(values)

    def maintain(self) -> str:
        """Nothing can be made smaller here."""
        with self._open():
            return "a catalog in memory needs no maintenance"

    def verify(self) -> Iterator[Finding]:
        """There is nothing that could be damaged."""
        with self._open():
            pass
        yield from ()

    def scrub(self) -> Iterator[Finding]:
        """As ``verify``."""
        return self.verify()

    def mend(self) -> int:
        """As ``verify``."""
        with self._open():
            return 0

    def close(self) -> None:
        """Nothing can be asked any more."""
        with self._lock:
            self._closed = True


def _utc(date: datetime.datetime) -> datetime.datetime:
    if date.tzinfo is None:
        raise ValueError(f"{date} has no time zone")
    return date.astimezone(datetime.UTC)


def _name(url: str) -> str:
    """The last part of a URL's path by which relatives are found: ``.git`` and slashes aside, case folded."""
    return url.rstrip("/").rpartition("/")[2].casefold().removesuffix(".git")
