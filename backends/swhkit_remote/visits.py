"""Visits of origins. The web API tells the latest status of each, without history, gaps and reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from swhkit.errors import InvalidInput, Unreachable
from swhkit.model import Gap, Visit, VisitStatus, VisitUpdate
from swhkit_remote.answers import NotThere
from swhkit_remote.client import Client
from swhkit_remote.origins import quoted
from swhkit_remote.shapes import VisitJson

#: Visits that the web API gives at once, and the first number that is none.
PAGE, HUGE = 100, 1 << 63


class Visits:
    """The part of the catalog on visits."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def visit(self, url: str, number: int) -> Visit | None:
        """As the contract, without a reason."""
        self._client.check_open()
        if not url or not 1 <= number < HUGE:
            return None
        found = self._one(f"origin/{quoted(url)}/visit/{number}/", url)
        return found if found is None or found.number == number else None

    def visits(self, url: str, before: int | None = None, limit: int = 10) -> list[Visit]:
        """As the contract, a hundred in one question; empty for an origin that is not known there."""
        self._client.check_open()
        found: list[Visit] = []
        for visit in self._newest_first(url, before, limit):
            if len(found) >= limit:
                break
            found.append(visit)
        return found

    def latest_visit(
        self,
        url: str,
        *,
        visit_type: str | None = None,
        require_snapshot: bool = False,
        statuses: Collection[VisitStatus] | None = None,
    ) -> Visit | None:
        """As the contract; asked for certain ``statuses`` it goes through the visits, newest first."""
        self._client.check_open()
        if statuses is not None:
            for visit in self._newest_first(url, None, HUGE):
                fits = visit_type in (None, visit.type) and (
                    visit.snapshot is not None or not require_snapshot
                )
                if fits and visit.status in statuses:
                    return visit
            return None
        if not url:
            return None
        query = {"require_snapshot": "true"} if require_snapshot else {}
        if visit_type is not None:
            query["visit_type"] = visit_type
        found = self._one(f"origin/{quoted(url)}/visit/latest/", url, query, "swh_api_origin_visit_latest")
        if found is not None and (
            visit_type not in (None, found.type) or (require_snapshot and found.snapshot is None)
        ):
            raise Unreachable(f"{self._client.url} told of another visit of {url} than was asked for")
        return found

    def unfinished_visits(self) -> list[Visit]:
        """The web API has no list of visits of all origins. Raises ``InvalidInput``."""
        self._client.check_open()
        raise InvalidInput(f"the unfinished visits of {self._client.url} cannot be listed over the web API")

    def visits_of_snapshot(self, id: bytes, limit: int = 100) -> list[Visit]:
        """The web API does not find visits by snapshot. Raises ``InvalidInput``."""
        self._client.check_open()
        if limit <= 0:
            return []
        raise InvalidInput(f"{self._client.url} cannot be asked which visits ended in snapshot {id.hex()}")

    def history(self, url: str, number: int) -> list[VisitUpdate]:
        """The latest status alone, dated when the visit began: the web API tells no more."""
        found = self.visit(url, number)
        return [] if found is None else [VisitUpdate(found.date, found.status, found.snapshot)]

    def gaps(self, url: str, number: int) -> list[Gap]:
        """None: the web API does not tell them, and here none are recorded. Nothing is excused by that."""
        del url, number
        self._client.check_open()
        return []

    def _newest_first(self, url: str, before: int | None, limit: int) -> Iterator[Visit]:
        if not url or limit <= 0:
            return
        last = HUGE if before is None else min(before, HUGE)
        left = limit
        while last > 1 and left > 0:
            count = min(PAGE, left)
            query: dict[str, str | int] = {"per_page": count}
            if last < HUGE:
                query["last_visit"] = last
            try:
                told, _ = self._client.json(f"origin/{quoted(url)}/visits/", tuple[VisitJson, ...], query)
            except NotThere:
                return
            for one in told:
                visit = one.visit_of(url)
                if visit is None:
                    return
                if visit.number >= last:
                    raise Unreachable(f"{self._client.url} sends the visits of {url} out of order")
                last, left = visit.number, left - 1
                yield visit
            if len(told) < count:
                return

    def _one(
        self, path: str, url: str, query: dict[str, str] | None = None, scope: str = "swh_api"
    ) -> Visit | None:
        try:
            told, _ = self._client.json(path, VisitJson, query, scope=scope)
        except NotThere:
            return None
        return told.visit_of(url)
