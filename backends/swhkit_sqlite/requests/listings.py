"""Listings, and the origins they told of: each with the listing that saw it last, and the one that disabled it."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from swhkit.requests.kept import in_utc, kept
from swhkit.requests.rules import as_listed, check_ending, last_told, noted, owners
from swhkit.requests.schedule import (
    INTERRUPTED,
    KnownForge,
    ListedOrigin,
    Listing,
    ListingStatus,
    Noted,
    Seen,
)
from swhkit_sqlite.catalog.sums import next_id
from swhkit_sqlite.catalog.tables import clipped
from swhkit_sqlite.codec import Damaged, groups
from swhkit_sqlite.requests.rows import Role, Row, Table, window

FORGES = Table(
    "forge",
    KnownForge,
    (
        "id", "kind", "url", "source", "every", "visit_every", "options", "trusted", "enabled", "created", "full",
        "listed", "due",
    ),
    key=("id",),
)  # fmt: skip
LISTINGS = Table(
    "listing",
    Listing,
    ("id", "forge", "is_full", "started", "ended", "status", "repositories", "new", "lost", "error"),
    key=("id",),
)
#: Besides the value: the listing that saw it last, and the one that disabled it.
LISTED = Table(
    "listed_origin",
    ListedOrigin,
    (
        "forge", "key", "url", "visit_type", "last_update", "archived", "fork", "first_seen", "last_seen", "missed",
        "enabled", "former",
    ),
    key=("forge", "key"),
    ours=("seen", "lost"),
)  # fmt: skip

#: How rows are found by each column: left alone, SQLite would walk through all of a forge for some URLs.
_INDEXED = {"key": "", "url": "INDEXED BY listed_origin_url"}

replace = msgspec.structs.replace


class Listings(Role):
    """The part of ``Schedule`` that is about listings and what they told of."""

    def begin_listing(self, forge: int, is_full: bool, now: datetime.datetime) -> Listing:
        """As the contract."""
        now = in_utc(now)
        with self._writing() as connection:
            if FORGES.one(connection, "WHERE id = ?", (clipped(forge),)) is None:
                raise ValueError(f"there is no forge {forge}")
            for other in LISTINGS.values(connection, "WHERE forge = ? AND ended IS NULL", (forge,)):
                _end(connection, other, ListingStatus.FAILED, now, INTERRUPTED)
            id = next_id(connection, LISTINGS.name)
            made = Listing(id=id, forge=forge, is_full=is_full, started=now)
            LISTINGS.insert(connection, [LISTINGS.row(made)])
        return made

    def note_seen(self, listing: int, seen: Iterable[Seen], now: datetime.datetime) -> Noted:
        """As the contract."""
        told, now = last_told(map(kept, seen)), in_utc(now)
        with self._writing() as connection:
            found = LISTINGS.one(connection, "WHERE id = ?", (clipped(listing),))
            if found is None or found.ended is not None:
                raise ValueError(f"listing {listing} is not running")
            known = _listed(connection, found.forge, "key", told)
            before = {key: held.origin for key, held in known.items()}
            owner = owners(told)
            changed = _without_url(_listed(connection, found.forge, "url", owner), told, listing)
            for key, one in told.items():
                is_its = owner[one.url] == key
                origin = as_listed(one, before.get(key), found.forge, now, enabled=is_its)
                changed.append(LISTED.row(origin, listing, None if is_its else listing))
            LISTED.put(connection, changed)
            again = sum(held.seen == listing for held in known.values())
            counted = replace(
                found,
                repositories=found.repositories + len(told) - again,
                new=found.new + len(told) - len(known),
            )
            LISTINGS.put(connection, [LISTINGS.row(counted)])
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
        with self._writing() as connection:
            found = LISTINGS.one(connection, "WHERE id = ?", (clipped(listing),))
            if found is None:
                raise ValueError(f"there is no listing {listing}")
            if found.ended is not None:
                return found
            if status is ListingStatus.COMPLETE:
                if found.is_full:
                    _miss(connection, found, patience)
                _note_complete(connection, found)
            return _end(connection, found, status, now, error)

    def listings(self, forge: int, limit: int = 10) -> list[Listing]:
        """As the contract."""
        tail = "WHERE forge = ? ORDER BY id DESC LIMIT ? OFFSET ?"
        return self._values(LISTINGS, tail, clipped(forge), *window(limit))

    def listed(
        self, forge: int, *, after: str = "", limit: int = 1000, enabled: bool | None = None
    ) -> list[ListedOrigin]:
        """As the contract."""
        tail = "key > ? ORDER BY key LIMIT ? OFFSET ?"
        if enabled is None:
            return self._values(LISTED, f"WHERE forge = ? AND {tail}", clipped(forge), after, *window(limit))
        tail = f"INDEXED BY listed_origin_enabled WHERE forge = ? AND enabled = ? AND {tail}"
        return self._values(LISTED, tail, clipped(forge), int(enabled), after, *window(limit))

    def count_listed(self, forge: int) -> dict[str, int]:
        """As the contract."""
        sql = "SELECT enabled, count(*) FROM listed_origin WHERE forge = ? GROUP BY enabled"
        with self._reading() as connection:
            found = dict(connection.execute(sql, (clipped(forge),)).fetchall())
        return {"enabled": found.get(1, 0), "disabled": found.get(0, 0)}


class _Held(NamedTuple):
    """A row of a listed origin: the value, the listing that saw it last, and the one that disabled it."""

    origin: ListedOrigin
    seen: int
    lost: int | None


def _listed(
    connection: sqlite3.Connection, forge: int, column: str, values: Iterable[str]
) -> dict[str, _Held]:
    """The origins of a forge whose ``column`` is one of these, by key."""
    found: dict[str, _Held] = {}
    for group in groups(values):
        tail = f"{_INDEXED[column]} WHERE forge = ? AND {column} IN ({', '.join('?' * len(group))})"
        for row in LISTED.rows(connection, tail, (forge, *group)):
            origin = LISTED.value(row)
            found[origin.key] = _Held(origin, row[0], row[1])
    return found


def _without_url(namesakes: Mapping[str, _Held], told: Mapping[str, Seen], listing: int) -> list[Row]:
    """The rows of those that are disabled because another has their URL now."""
    return [
        LISTED.row(replace(held.origin, enabled=False), held.seen, listing)
        for key, held in namesakes.items()
        if held.origin.enabled and key not in told
    ]


def _miss(connection: sqlite3.Connection, listing: Listing, patience: int) -> None:
    """Count a complete full listing against what it did not see."""
    changed = []
    tail = "WHERE forge = ? AND enabled = 1 AND seen <> ?"
    for row in LISTED.rows(connection, tail, (listing.forge, listing.id)):
        origin = LISTED.value(row)
        missed = origin.missed + 1
        lost = listing.id if missed >= patience else None
        changed.append(LISTED.row(replace(origin, missed=missed, enabled=lost is None), row[0], lost))
    LISTED.put(connection, changed)


def _note_complete(connection: sqlite3.Connection, listing: Listing) -> None:
    """Let the forge know that a listing was complete."""
    forge = FORGES.one(connection, "WHERE id = ?", (listing.forge,))
    if forge is None:
        raise Damaged(f"{FORGES.name}: number {listing.forge} has gone")
    full = listing.started if listing.is_full else forge.full
    FORGES.put(connection, [FORGES.row(replace(forge, listed=listing.started, full=full))])


def _end(
    connection: sqlite3.Connection,
    listing: Listing,
    status: ListingStatus,
    now: datetime.datetime,
    error: str | None,
) -> Listing:
    sql = "SELECT count(*) FROM listed_origin WHERE lost = ?"
    (lost,) = connection.execute(sql, (listing.id,)).fetchone()
    ended = kept(replace(listing, ended=now, status=status, error=error, lost=lost))
    LISTINGS.put(connection, [LISTINGS.row(ended)])
    return ended
