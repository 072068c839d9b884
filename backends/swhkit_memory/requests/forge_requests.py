"""Requests to add a forge, in dicts."""

from __future__ import annotations

import datetime

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
from swhkit_memory.requests.door import Door, count_each, part


class MemoryForgeRequests:
    """The role ``ForgeRequests``; see ``swhkit.requests.forges`` for what each method promises."""

    def __init__(self, door: Door) -> None:
        self._open = door.open
        self._requests: dict[int, ForgeRequest] = {}
        self._events: dict[int, list[ForgeEvent]] = {}
        self._lines = 0

    def add(self, request: NewForgeRequest) -> ForgeRequest | int:
        """As the contract."""
        request = kept(request)
        fields = {name: getattr(request, name) for name in NewForgeRequest.__struct_fields__}
        with self._open():
            for known in self._requests.values():
                if known.forge_url == request.forge_url:
                    return known.id
            made = ForgeRequest(**fields, id=len(self._requests) + 1, modified=request.date)
            self._requests[made.id], self._events[made.id] = made, []
            self._note(made.id, made.date, made.submitter, ActorRole.SUBMITTER, "", made.status)
        return made

    def get(self, id: int) -> ForgeRequest | None:
        """As the contract."""
        with self._open():
            return self._requests.get(id)

    def latest(self, *, submitter: str | None = None, offset: int = 0, limit: int = 10) -> list[ForgeRequest]:
        """As the contract."""
        with self._open():
            found = (r for r in reversed(self._requests.values()) if submitter in (None, r.submitter))
            return part(found, limit, offset)

    def count(self, submitter: str | None = None) -> int:
        """As the contract."""
        with self._open():
            return sum(submitter in (None, request.submitter) for request in self._requests.values())

    def with_status(self, status: ForgeStatus) -> list[ForgeRequest]:
        """As the contract."""
        with self._open():
            return [request for request in self._requests.values() if request.status == status]

    def count_statuses(self) -> dict[str, int]:
        """As the contract."""
        with self._open():
            return count_each(ForgeStatus, (one.status for one in self._requests.values()))

    def history(self, id: int) -> list[ForgeEvent]:
        """As the contract."""
        with self._open():
            return list(self._events.get(id, ()))

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
        with self._open():
            request = self._requests.get(id)
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
            self._requests[id] = changed
            self._note(id, line.date, line.actor, role, line.text, status)
        return changed

    def _note(
        self,
        id: int,
        date: datetime.datetime,
        actor: str,
        role: ActorRole,
        text: str,
        status: ForgeStatus | None,
    ) -> None:
        self._lines += 1
        line = ForgeEvent(id=self._lines, date=date, actor=actor, role=role, text=text, status=status)
        self._events[id].append(line)
