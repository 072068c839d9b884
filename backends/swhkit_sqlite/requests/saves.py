"""Requests to save code: single ones and the prefixes that decide on them, answers to webhooks. ``bulk`` has the rest."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

from swhkit.requests.kept import kept
from swhkit.requests.rules import check_decision
from swhkit.requests.saves import Answered, Artifact, NewSave, Prefix, SaveRequest, SaveStatus
from swhkit_sqlite.catalog.sums import next_id
from swhkit_sqlite.catalog.tables import clipped, to_microseconds
from swhkit_sqlite.requests.bulk import Bulk
from swhkit_sqlite.requests.rows import Table, window

SAVES = Table(
    "save_request",
    SaveRequest,
    (
        "id", "url", "visit_type", "date", "status", "not_before", "user", "webhook", "note", "artifacts", "trusted",
        "job", "decided", "decided_by",
    ),
    key=("id",),
    types={"artifacts": tuple[Artifact, ...]},
)  # fmt: skip
PREFIXES = Table("save_prefix", Prefix, ("prefix", "accepted", "date", "user"), key=("prefix",))
ANSWERS = Table(
    "webhook_answer",
    Answered,
    ("webhook", "delivery", "date", "status", "body"),
    key=("webhook", "delivery"),
)


class SqliteSaves(Bulk):
    """The role ``Saves``; see ``swhkit.requests.saves`` for what each method promises."""

    def add(self, request: NewSave) -> SaveRequest:
        """As the contract."""
        request = kept(request)
        fields = {name: getattr(request, name) for name in NewSave.__struct_fields__}
        fields["artifacts"] = tuple(request.artifacts)
        with self._writing() as connection:
            made = SaveRequest(**fields, id=next_id(connection, SAVES.name))
            SAVES.insert(connection, [SAVES.row(made)])
        return made

    def get(self, id: int) -> SaveRequest | None:
        """As the contract."""
        return self._one(SAVES, "WHERE id = ?", clipped(id))

    def of(self, url: str, visit_type: str | None = None, limit: int = 100) -> list[SaveRequest]:
        """As the contract."""
        conditions, parameters = "WHERE url = ?", [url]
        if visit_type is not None:
            conditions, parameters = f"{conditions} AND visit_type = ?", [url, visit_type]
        tail = f"{conditions} ORDER BY id DESC LIMIT ? OFFSET ?"
        return self._values(SAVES, tail, *parameters, *window(limit))

    def latest(
        self,
        status: SaveStatus | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
    ) -> list[SaveRequest]:
        """As the contract."""
        conditions, parameters = ["1"], list[object]()
        if status is not None:
            conditions.append("status = ?")
            parameters.append(str(status))
        if before is not None:
            conditions.append("id < ?")
            parameters.append(clipped(before))
        tail = f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ? OFFSET ?"
        return self._values(SAVES, tail, *parameters, *window(limit))

    def count_statuses(self) -> dict[str, int]:
        """As the contract."""
        return self._count_each(SAVES, SaveStatus)

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
        to_microseconds(date)
        with self._writing() as connection:
            save = SAVES.one(connection, "WHERE id = ?", (clipped(id),))
            if save is None or save.status is not SaveStatus.PENDING:
                return False
            decided = msgspec.structs.replace(
                save, status=status, decided=date, decided_by=user, note=note or save.note
            )
            SAVES.put(connection, [SAVES.row(kept(decided))])
        return True

    def jobless(self, limit: int = 1000) -> list[SaveRequest]:
        """As the contract."""
        tail = "INDEXED BY save_request_jobless WHERE status = 'accepted' AND job IS NULL ORDER BY id LIMIT ? OFFSET ?"
        return self._values(SAVES, tail, *window(limit))

    def set_jobs(self, jobs: Iterable[tuple[int, int]]) -> None:
        """As the contract."""
        made = dict(jobs)
        self._db.check_open()
        if not made:
            return
        with self._writing() as connection:
            changed = []
            for id, job in made.items():
                save = SAVES.one(connection, "WHERE id = ?", (clipped(id),))
                if save is not None and save.job != job:
                    changed.append(SAVES.row(msgspec.structs.replace(save, job=job)))
            SAVES.put(connection, changed)

    def set_prefix(self, prefix: Prefix) -> None:
        """As the contract."""
        row = PREFIXES.row(kept(prefix))
        with self._writing() as connection:
            PREFIXES.put(connection, [row])

    def remove_prefix(self, prefix: str) -> bool:
        """As the contract."""
        with self._writing() as connection:
            done = connection.execute("DELETE FROM save_prefix WHERE prefix = ?", (prefix,))
        return done.rowcount > 0

    def prefixes(self) -> list[Prefix]:
        """As the contract."""
        return self._values(PREFIXES, "ORDER BY prefix")

    def answered(self, webhook: str, delivery: str) -> Answered | None:
        """As the contract."""
        return self._one(ANSWERS, "WHERE webhook = ? AND delivery = ?", webhook, delivery)

    def note_answer(self, answer: Answered) -> Answered:
        """As the contract."""
        answer = kept(answer)
        with self._writing() as connection:
            known = ANSWERS.one(
                connection, "WHERE webhook = ? AND delivery = ?", (answer.webhook, answer.delivery)
            )
            if known is None:
                ANSWERS.insert(connection, [ANSWERS.row(answer)])
        return known or answer

    def forget_answers(self, before: datetime.datetime) -> int:
        """As the contract."""
        moment = to_microseconds(before)
        with self._writing() as connection:
            done = connection.execute("DELETE FROM webhook_answer WHERE date < ?", (moment,))
        return done.rowcount
