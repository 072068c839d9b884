"""Requests to save code, in dicts."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable

import msgspec

from swhkit.requests.kept import in_utc, kept
from swhkit.requests.rules import check_decision
from swhkit.requests.saves import (
    Answered,
    BulkOrigin,
    BulkRequest,
    NewSave,
    Prefix,
    SaveRequest,
    SaveStatus,
)
from swhkit_memory.requests.door import Door, count_each, part

replace = msgspec.structs.replace


class MemorySaves:
    """The role ``Saves``; see ``swhkit.requests.saves`` for what each method promises."""

    def __init__(self, door: Door) -> None:
        self._open = door.open
        self._saves: dict[int, SaveRequest] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._bulks: dict[str, BulkRequest] = {}
        self._origins: dict[str, dict[tuple[str, str], BulkOrigin]] = {}
        self._answers: dict[tuple[str, str], Answered] = {}

    def add(self, request: NewSave) -> SaveRequest:
        """As the contract."""
        request = kept(request)
        fields = {name: getattr(request, name) for name in NewSave.__struct_fields__}
        with self._open():
            made = SaveRequest(**fields | {"artifacts": tuple(request.artifacts)}, id=len(self._saves) + 1)
            self._saves[made.id] = made
        return made

    def get(self, id: int) -> SaveRequest | None:
        """As the contract."""
        with self._open():
            return self._saves.get(id)

    def of(self, url: str, visit_type: str | None = None, limit: int = 100) -> list[SaveRequest]:
        """As the contract."""
        with self._open():
            found = (
                save
                for save in reversed(self._saves.values())
                if save.url == url and visit_type in (None, save.visit_type)
            )
            return part(found, limit)

    def latest(
        self,
        status: SaveStatus | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> list[SaveRequest]:
        """As the contract."""
        with self._open():
            found = (
                save
                for save in reversed(self._saves.values())
                if status in (None, save.status) and (before is None or save.id < before)
            )
            return part(found, limit)

    def count_statuses(self) -> dict[str, int]:
        """As the contract."""
        with self._open():
            return count_each(SaveStatus, (one.status for one in self._saves.values()))

    def decide(
        self,
        id: int,
        status: SaveStatus,
        *,
        date: datetime.datetime,
        user: str | None,
        note: str = "",
    ) -> bool:
        """As the contract."""
        check_decision(status)
        date = in_utc(date)
        with self._open():
            save = self._saves.get(id)
            if save is None or save.status is not SaveStatus.PENDING:
                return False
            decided = replace(save, status=status, decided=date, decided_by=user, note=note or save.note)
            self._saves[id] = kept(decided)
        return True

    def jobless(self, limit: int = 1000) -> list[SaveRequest]:
        """As the contract."""
        with self._open():
            found = (save for save in self._saves.values() if _lacks_job(save))
            return part(found, limit)

    def set_jobs(self, jobs: Iterable[tuple[int, int]]) -> None:
        """As the contract."""
        made = dict(jobs)
        with self._open():
            for id in made.keys() & self._saves.keys():
                self._saves[id] = replace(self._saves[id], job=made[id])

    def set_prefix(self, prefix: Prefix) -> None:
        """As the contract."""
        prefix = kept(prefix)
        with self._open():
            self._prefixes[prefix.prefix] = prefix

    def remove_prefix(self, prefix: str) -> bool:
        """As the contract."""
        with self._open():
            return self._prefixes.pop(prefix, None) is not None

    def prefixes(self) -> list[Prefix]:
        """As the contract."""
        with self._open():
            return [self._prefixes[prefix] for prefix in sorted(self._prefixes)]

    def add_bulk(self, request: BulkRequest, origins: Collection[BulkOrigin]) -> None:
        """As the contract."""
        request, rows = kept(request), dict[tuple[str, str], BulkOrigin]()
        for origin in map(kept, origins):
            rows.setdefault((origin.url, origin.visit_type), origin)
        with self._open():
            if request.id in self._bulks:
                raise ValueError(f"there is a bulk request {request.id} already")
            self._bulks[request.id] = request
            self._origins[request.id] = dict(sorted(rows.items()))

    def bulk(self, id: str) -> BulkRequest | None:
        """As the contract."""
        with self._open():
            return self._bulks.get(id)

    def bulks(self, user: str | None = None, *, offset: int = 0, limit: int = 1000) -> list[BulkRequest]:
        """As the contract."""
        with self._open():
            found = (bulk for bulk in reversed(self._bulks.values()) if user in (None, bulk.user))
            return part(found, limit, offset)

    def count_bulks(self, user: str | None = None) -> int:
        """As the contract."""
        with self._open():
            return sum(user in (None, bulk.user) for bulk in self._bulks.values())

    def bulk_origins(self, id: str, *, offset: int = 0, limit: int = 1000) -> list[BulkOrigin]:
        """As the contract."""
        with self._open():
            return part(self._origins.get(id, {}).values(), limit, offset)

    def count_bulk_origins(self, id: str) -> int:
        """As the contract."""
        with self._open():
            return len(self._origins.get(id, {}))

    def jobless_bulk(self, limit: int = 10_000) -> list[tuple[str, BulkOrigin]]:
        """As the contract."""
        with self._open():
            found = (
                (id, origin)
                for id, origins in self._origins.items()
                for origin in origins.values()
                if _lacks_job(origin)
            )
            return part(found, limit)

    def set_bulk_jobs(self, jobs: Iterable[tuple[str, str, str, int]]) -> None:
        """As the contract."""
        made = list(jobs)
        with self._open():
            for id, url, visit_type, job in made:
                origins = self._origins.get(id, {})
                if origin := origins.get((url, visit_type)):
                    origins[url, visit_type] = replace(origin, job=job)

    def answered(self, webhook: str, delivery: str) -> Answered | None:
        """As the contract."""
        with self._open():
            return self._answers.get((webhook, delivery))

    def note_answer(self, answer: Answered) -> Answered:
        """As the contract."""
        answer = kept(answer)
        with self._open():
            return self._answers.setdefault((answer.webhook, answer.delivery), answer)

    def forget_answers(self, before: datetime.datetime) -> int:
        """As the contract."""
        moment = in_utc(before)
        with self._open():
            old = [key for key, answer in self._answers.items() if answer.date < moment]
            for key in old:
                del self._answers[key]
        return len(old)


def _lacks_job(asked: SaveRequest | BulkOrigin) -> bool:
    return asked.status is SaveStatus.ACCEPTED and asked.job is None
