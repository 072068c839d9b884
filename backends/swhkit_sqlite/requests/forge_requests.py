"""Requests to add a forge, and the history of each."""

from __future__ import annotations

import datetime
import sqlite3

import msgspec

from swhkit.requests.forges import (
    TRANSITIONS,
    ActorRole,
    ForgeEvent,
    ForgeRequest,
    ForgeStatus,
    NewForgeRequest,
)
from swhkit.requests.kept import kept
from swhkit_sqlite.catalog.sums import next_id
from swhkit_sqlite.catalog.tables import clipped
from swhkit_sqlite.requests.rows import Role, Table, window

REQUESTS = Table(
    "forge_request",
    ForgeRequest,
    (
        "id", "forge_type", "forge_url", "contact_name", "contact_email", "contact_comment", "submitter",
        "submitter_email", "forward_username", "date", "status", "moderator", "modified",
    ),
    key=("id",),
)  # fmt: skip
#: Besides the value: the number of the request.
EVENTS = Table(
    "forge_request_event",
    ForgeEvent,
    ("id", "date", "actor", "role", "text", "status"),
    key=("id",),
    ours=("request",),
)


class SqliteForgeRequests(Role):
    """The role ``ForgeRequests``; see ``swhkit.requests.forges`` for what each method promises."""

    def add(self, request: NewForgeRequest) -> ForgeRequest | int:
        """As the contract."""
        request = kept(request)
        fields = {name: getattr(request, name) for name in NewForgeRequest.__struct_fields__}
        with self._writing() as connection:
            known = REQUESTS.one(connection, "WHERE forge_url = ?", (request.forge_url,))
            if known is not None:
                return known.id
            made = ForgeRequest(**fields, id=next_id(connection, REQUESTS.name), modified=request.date)
            REQUESTS.insert(connection, [REQUESTS.row(made)])
            line = ForgeEvent(
                id=0, date=made.date, actor=made.submitter, role=ActorRole.SUBMITTER, status=made.status
            )
            _note(connection, made.id, line)
        return made

    def get(self, id: int) -> ForgeRequest | None:
        """As the contract."""
        return self._one(REQUESTS, "WHERE id = ?", clipped(id))

    def latest(self, *, submitter: str | None = None, offset: int = 0, limit: int = 10) -> list[ForgeRequest]:
        """As the contract."""
        tail = "ORDER BY id DESC LIMIT ? OFFSET ?"
        if submitter is None:
            return self._values(REQUESTS, tail, *window(limit, offset))
        return self._values(REQUESTS, f"WHERE submitter = ? {tail}", submitter, *window(limit, offset))

    def count(self, submitter: str | None = None) -> int:
        """As the contract."""
        if submitter is None:
            return self._count("SELECT count(*) FROM forge_request")
        return self._count("SELECT count(*) FROM forge_request WHERE submitter = ?", submitter)

    def with_status(self, status: ForgeStatus) -> list[ForgeRequest]:
        """As the contract."""
        return self._values(REQUESTS, "WHERE status = ? ORDER BY id", str(status))

    def count_statuses(self) -> dict[str, int]:
        """As the contract."""
        return self._count_each(REQUESTS, ForgeStatus)

    def history(self, id: int) -> list[ForgeEvent]:
        """As the contract."""
        return self._values(EVENTS, "WHERE request = ? ORDER BY id", clipped(id))

    def update(
        self,
        id: int,
        *,
        expected: ForgeStatus | None,
        status: ForgeStatus | None,
        actor: str,
        role: ActorRole,
        text: str,
        date: datetime.datetime,
    ) -> ForgeRequest | None:
        """As the contract."""
        line = kept(ForgeEvent(id=0, date=date, actor=actor, role=role, text=text, status=status))
        with self._writing() as connection:
            request = REQUESTS.one(connection, "WHERE id = ?", (clipped(id),))
            if request is None or expected not in (None, request.status):
                return None
            if status is not None and status not in TRANSITIONS[request.status]:
                return None
            changed = msgspec.structs.replace(
                request,
                status=status or request.status,
                modified=line.date,
                moderator=line.actor if role is ActorRole.MODERATOR else request.moderator,
            )
            REQUESTS.put(connection, [REQUESTS.row(changed)])
            _note(connection, changed.id, line)
        return changed


def _note(connection: sqlite3.Connection, request: int, line: ForgeEvent) -> None:
    """Write a line of history, under the next number."""
    numbered = msgspec.structs.replace(line, id=next_id(connection, EVENTS.name))
    EVENTS.insert(connection, [EVENTS.row(numbered, request)])
