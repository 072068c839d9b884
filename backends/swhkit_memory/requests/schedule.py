"""Forges, what they list, and how fresh origins are, in dicts."""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from swhkit.requests.kept import in_utc, kept
from swhkit.requests.rules import as_listed, check_ending, last_told, noted, overdue_at, owners, plain_options
from swhkit.requests.schedule import (
    INTERRUPTED,
    Freshness,
    KnownForge,
    ListedOrigin,
    Listing,
    ListingStatus,
    NewForge,
    Noted,
    Page,
    Seen,
    State,
)
from swhkit_memory.requests.door import Door, part

replace = msgspec.structs.replace


class _Row(NamedTuple):
    """A listed origin, the listing that saw it last, and the one that disabled it."""

    origin: ListedOrigin
    seen: int
    lost: int | None = None


class MemorySchedule:
    """The role ``Schedule``; see ``swhkit.requests.schedule`` for what each method promises."""

    def __init__(self, door: Door) -> None:
        self._open = door.open
        self._forges: dict[int, KnownForge] = {}
        self._listings: dict[int, Listing] = {}
        self._listed: dict[int, dict[str, _Row]] = {}
        self._pages: dict[tuple[int, str], Page] = {}
        self._origins: dict[tuple[str, str], Freshness] = {}

    def set_forge(self, forge: NewForge, now: datetime.datetime) -> KnownForge:
        """As the contract."""
        forge, now = kept(forge), in_utc(now)
        fields = {name: getattr(forge, name) for name in NewForge.__struct_fields__}
        fields["options"] = plain_options(forge.options)
        with self._open():
            for known in self._forges.values():
                if (known.kind, known.url) == (forge.kind, forge.url):
                    made = replace(known, **fields, enabled=True)
                    break
            else:
                made = KnownForge(**fields, id=len(self._forges) + 1, created=now, due=now)
                self._listed[made.id] = {}
            self._forges[made.id] = made
        return made

    def forge(self, id: int) -> KnownForge | None:
        """As the contract."""
        with self._open():
            return self._forges.get(id)

    def forges(self) -> list[KnownForge]:
        """As the contract."""
        with self._open():
            return list(self._forges.values())

    def enable_forge(self, id: int, enabled: bool) -> None:
        """As the contract."""
        with self._open():
            if id in self._forges:
                self._forges[id] = replace(self._forges[id], enabled=enabled)

    def set_forge_due(self, id: int, due: datetime.datetime) -> None:
        """As the contract."""
        due = in_utc(due)
        with self._open():
            if id in self._forges:
                self._forges[id] = replace(self._forges[id], due=due)

    def begin_listing(self, forge: int, is_full: bool, now: datetime.datetime) -> Listing:
        """As the contract."""
        now = in_utc(now)
        with self._open():
            if forge not in self._forges:
                raise ValueError(f"there is no forge {forge}")
            for other in list(self._listings.values()):
                if other.forge == forge and other.ended is None:
                    self._end(other, ListingStatus.FAILED, now, INTERRUPTED)
            made = Listing(id=len(self._listings) + 1, forge=forge, is_full=is_full, started=now)
            self._listings[made.id] = made
        return made

    def note_seen(self, listing: int, seen: Iterable[Seen], now: datetime.datetime) -> Noted:
        """As the contract."""
        now = in_utc(now)
        told = last_told(map(kept, seen))
        with self._open():
            found = self._listings.get(listing)
            if found is None or found.ended is not None:
                raise ValueError(f"listing {listing} is not running")
            rows = self._listed[found.forge]
            known = {key: rows[key] for key in told if key in rows}
            owner = owners(told)
            for key, row in rows.items():
                if row.origin.enabled and owner.get(row.origin.url, key) != key:
                    rows[key] = _Row(replace(row.origin, enabled=False), row.seen, listing)
            before = {key: row.origin for key, row in known.items()}
            for key, one in told.items():
                is_its = owner[one.url] == key
                origin = as_listed(one, before.get(key), found.forge, now, enabled=is_its)
                rows[key] = _Row(origin, listing, None if is_its else listing)
            again = sum(row.seen == listing for row in known.values())
            self._listings[listing] = replace(
                found,
                repositories=found.repositories + len(told) - again,
                new=found.new + len(told) - len(known),
            )
        return noted(told, before)

    def end_listing(
        self,
        listing: int,
        status: ListingStatus,
        now: datetime.datetime,
        *,
        error: str | None = None,
        patience: int = 3,
    ) -> Listing:
        """As the contract."""
        check_ending(status, patience)
        now = in_utc(now)
        with self._open():
            found = self._listings.get(listing)
            if found is None:
                raise ValueError(f"there is no listing {listing}")
            if found.ended is not None:
                return found
            if status is ListingStatus.COMPLETE:
                if found.is_full:
                    self._miss(found, patience)
                forge = self._forges[found.forge]
                full = found.started if found.is_full else forge.full
                self._forges[forge.id] = replace(forge, listed=found.started, full=full)
            return self._end(found, status, now, error)

    def _miss(self, listing: Listing, patience: int) -> None:
        """Count a complete full listing against what it did not see."""
        rows = self._listed[listing.forge]
        for key, row in rows.items():
            if row.seen != listing.id and row.origin.enabled:
                missed = row.origin.missed + 1
                lost = listing.id if missed >= patience else None
                rows[key] = _Row(replace(row.origin, missed=missed, enabled=lost is None), row.seen, lost)

    def _end(
        self, listing: Listing, status: ListingStatus, now: datetime.datetime, error: str | None
    ) -> Listing:
        lost = sum(row.lost == listing.id for row in self._listed[listing.forge].values())
        ended = kept(replace(listing, ended=now, status=status, error=error, lost=lost))
        self._listings[listing.id] = ended
        return ended

    def listings(self, forge: int, limit: int = 10) -> list[Listing]:
        """As the contract."""
        with self._open():
            found = (listing for listing in reversed(self._listings.values()) if listing.forge == forge)
            return part(found, limit)

    def listed(
        self, forge: int, *, after: str = "", limit: int = 1000, enabled: bool | None = None
    ) -> list[ListedOrigin]:
        """As the contract."""
        with self._open():
            found = (
                row.origin
                for key, row in sorted(self._listed.get(forge, {}).items())
                if key > after and enabled in (None, row.origin.enabled)
            )
            return part(found, limit)

    def count_listed(self, forge: int) -> dict[str, int]:
        """As the contract."""
        with self._open():
            rows = self._listed.get(forge, {}).values()
            enabled = sum(row.origin.enabled for row in rows)
            return {"enabled": enabled, "disabled": len(rows) - enabled}

    def page(self, forge: int, url: str) -> Page | None:
        """As the contract."""
        with self._open():
            return self._pages.get((forge, url))

    def keep_page(self, forge: int, url: str, page: Page) -> None:
        """As the contract."""
        kept_page = replace(kept(page), headers=dict(page.headers))
        with self._open():
            if forge in self._forges:
                self._pages[forge, url] = kept_page

    def freshness(self, url: str, visit_type: str) -> Freshness | None:
        """As the contract."""
        with self._open():
            return self._origins.get((url, visit_type))

    def freshness_of(self, origins: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Freshness]:
        """As the contract."""
        asked = list(origins)
        with self._open():
            return {origin: self._origins[origin] for origin in asked if origin in self._origins}

    def set_freshness(self, rows: Iterable[Freshness]) -> None:
        """As the contract."""
        new = {(row.url, row.visit_type): row for row in map(kept, rows)}
        with self._open():
            self._origins.update(new)

    def due(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """As the contract."""
        now = in_utc(now)
        with self._open():
            found = [(row.due, key) for key, row in self._origins.items() if row.due and row.due <= now]
            return [self._origins[key] for _, key in sorted(found)[: max(limit, 0)]]

    def overdue(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """As the contract."""
        now = in_utc(now)
        with self._open():
            moments = ((overdue_at(row), key) for key, row in self._origins.items())
            found = [(moment, key) for moment, key in moments if moment is not None and moment < now]
            return [self._origins[key] for _, key in sorted(found)[: max(limit, 0)]]

    def origins(
        self, state: State | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 1000
    ) -> list[Freshness]:
        """As the contract."""
        with self._open():
            keys = sorted(self._origins)
            rows = (self._origins[key] for key in keys[bisect_right(keys, after) :])
            return part((row for row in rows if state in (None, row.state)), limit)

    def count_states(self) -> dict[str, int]:
        """As the contract."""
        counts = dict.fromkeys((*map(str, State), "unknown"), 0)
        with self._open():
            for row in self._origins.values():
                counts[row.state or "unknown"] += 1
        return counts
