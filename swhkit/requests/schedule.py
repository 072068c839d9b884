"""What the archive keeps up to date by itself: forges and what they list, origins and how fresh they are.

A *forge* is one instance, or a part of one, that is listed every so often. Each pass over it is a *listing*; what it
found are *listed origins*. An *origin's freshness* is what is known of one (origin, visit type): its state in one of
four words, when it was visited, and when it is due again.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

#: Seconds for which an origin may be late at least before it counts as overdue.
LEAST_DELAY = 3600.0
#: Seconds of the longest interval: a hundred years.
LONGEST = 100 * 366 * 86_400.0
#: Seconds between listings of a forge, and between visits of what it lists, where nobody says otherwise.
LIST_EVERY, VISIT_EVERY = 86_400.0, 7 * 86_400.0
#: The error of a listing that did not end itself.
INTERRUPTED = "it was interrupted: another listing of the forge began"


class State(StrEnum):
    """How fresh an origin is.

    ``ok``: its latest visit was good, and it is not overdue. ``stale``: its latest visit was good, but a newer one
    should have happened by now. ``gone``: the origin was not there at its latest visit.
    ``failing``: its latest visit failed.
    """

    OK = "ok"
    STALE = "stale"
    GONE = "gone"
    FAILING = "failing"


class ListingStatus(StrEnum):
    """How a listing ended. Only a ``complete`` one of the whole forge says that something is not there."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class ToldBy(StrEnum):
    """Who told of a forge: the configuration, somebody at the shell, or an accepted request."""

    CONFIG = "config"
    CLI = "cli"
    REQUEST = "request"


class NewForge(msgspec.Struct, frozen=True, kw_only=True):
    """A forge to be listed: ``kind`` names its plugin, ``url`` the instance; ``options`` are the plugin's settings as they
    were written (``${NAME}`` for what comes from the environment; never a secret). ``every`` and ``visit_every``: seconds
    between listings, and between visits of what it lists (None: only when the forge tells of changes).
    ``trusted``: a person wrote it, so that it, and what it lists on its own host, may have a private address.
    Raises ``ValueError`` for intervals that are none.
    """

    kind: str
    url: str
    source: ToldBy
    every: float = LIST_EVERY
    visit_every: float | None = None
    options: Mapping[str, object] = {}
    trusted: bool = False

    def __post_init__(self) -> None:
        _check_interval(self.every)
        _check_interval(self.visit_every)


class KnownForge(NewForge, frozen=True, kw_only=True):
    """A forge as it is kept. One that the configuration no longer names is not ``enabled``, and is kept.

    ``full``: when its latest complete listing of everything began; ``listed``: when its latest complete listing, full or
    not, began. ``due``: when it is listed next.
    """

    id: int
    enabled: bool = True
    created: datetime.datetime
    full: datetime.datetime | None = None
    listed: datetime.datetime | None = None
    due: datetime.datetime | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over a forge. ``repositories``: how many it told of, each key once; ``new``: how many of these were not
    known; ``lost``: how many are disabled since it, and by it (0 until it has ended)."""

    id: int
    forge: int
    is_full: bool
    started: datetime.datetime
    ended: datetime.datetime | None = None
    status: ListingStatus = ListingStatus.RUNNING
    repositories: int = 0
    new: int = 0
    lost: int = 0
    error: str | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing says of one repository: ``key`` is the forge's own id, which stays when the repository is renamed."""

    key: str
    url: str
    visit_type: str
    last_update: datetime.datetime | None = None
    archived: bool = False
    fork: bool = False


class ListedOrigin(Seen, frozen=True, kw_only=True):
    """A repository of a forge as it is kept. ``missed``: complete full listings in a row that did not have it, until it was
    disabled. One that is not ``enabled`` is not visited any more; ``former``: URLs it had before and has no more, each
    once, oldest first."""

    forge: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime
    missed: int = 0
    enabled: bool = True
    former: tuple[str, ...] = ()


class Noted(msgspec.Struct, frozen=True):
    """What ``note_seen`` did: keys that were not known, and (key, former URL) of those that were renamed, in the order in
    which they were told of."""

    new: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of a forge that was kept with its ``etag``, to be used again when the forge says it is unchanged."""

    etag: str
    body: bytes
    headers: Mapping[str, str] = {}


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an origin and visit type. ``state`` is None until its first visit has ended; ``since`` is when the
    state began. ``succeeded``: date of the latest good visit. ``failures``: visits in a row that were not good.
    ``last_update``: the latest change that its forge told of. ``every``: seconds between visits, None: only when asked.
    ``due``: when it is to be visited next, None: when asked. ``trusted``: as for forges. ``forge``: the forge that lists it
    and says how often; None for an origin of the configuration, or one that somebody asked for. Raises ``ValueError``
    for an interval that is none.
    """

    url: str
    visit_type: str
    state: State | None = None
    since: datetime.datetime | None = None
    visited: datetime.datetime | None = None
    succeeded: datetime.datetime | None = None
    failures: int = 0
    reason: str | None = None
    last_update: datetime.datetime | None = None
    every: float | None = None
    due: datetime.datetime | None = None
    trusted: bool = False
    forge: int | None = None

    def __post_init__(self) -> None:
        _check_interval(self.every)


class Schedule(Protocol):
    """Forges, listings, listed origins and their freshness. What ``Requests`` says of all its methods holds here."""

    def set_forge(self, forge: NewForge, now: datetime.datetime) -> KnownForge:
        """Keep a forge, or change what is kept of the one with this kind and URL and enable it. A new one is due at once,
        a known one when it was. ``ValueError`` for options that are no JSON."""

    def forge(self, id: int) -> KnownForge | None:
        """One forge."""

    def forges(self) -> list[KnownForge]:
        """All of them by number, also those that are not enabled."""

    def enable_forge(self, id: int, enabled: bool) -> None:
        """Have it listed or not; unknown ones are ignored."""

    def set_forge_due(self, id: int, due: datetime.datetime) -> None:
        """Say when a forge is listed next; unknown ones are ignored."""

    def begin_listing(self, forge: int, is_full: bool, now: datetime.datetime) -> Listing:
        """A new listing in status ``running``; others of the forge that still run are ``failed`` by it (their process
        died), with the error ``INTERRUPTED``. ``ValueError`` for an unknown forge. Each call is a listing."""

    def note_seen(self, listing: int, seen: Iterable[Seen], now: datetime.datetime) -> Noted:
        """Keep what a listing says, a transaction a call: those told of are enabled, ``missed`` is 0 and ``last_seen`` is
        ``now``. Of repeated keys the last counts. A known key with another URL was renamed; a URL that another key of
        the forge has by now is taken from that one, which is disabled (of two in one call that have the same URL, the
        first). It keeps what is known of it, and is enabled again when it is told of again.

        ``ValueError`` for a listing that is not running (any more): what it says may be older than what is known.
        """

    def end_listing(
        self,
        listing: int,
        status: ListingStatus,
        now: datetime.datetime,
        *,
        error: str | None = None,
        patience: int = 3,
    ) -> Listing:
        """End a listing. A complete full one counts ``missed`` for enabled origins it did not see, and disables those that
        ``patience`` such listings in a row have missed; ``complete`` ones set the forge's ``listed`` (and ``full``) to
        the moment they began. Others change nothing but themselves.

        One that has ended already is returned as it is. ``ValueError`` for an unknown one, for the status ``running`` and
        for a patience below 1.
        """

    def listings(self, forge: int, limit: int = 10) -> list[Listing]:
        """Listings of a forge, newest first."""

    def listed(
        self, forge: int, *, after: str = "", limit: int = 1000, enabled: bool | None = None
    ) -> list[ListedOrigin]:
        """Origins of a forge by key (by code points), after ``after``; only those that are ``enabled``, or not, if it is
        given."""

    def count_listed(self, forge: int) -> dict[str, int]:
        """How many origins a forge has: ``enabled`` and ``disabled``."""

    def page(self, forge: int, url: str) -> Page | None:
        """The answer that is kept for a URL. A store may forget it, and does when it is damaged: it is asked for again."""

    def keep_page(self, forge: int, url: str, page: Page) -> None:
        """Keep an answer instead of the one before. Unknown forges are ignored."""

    def freshness(self, url: str, visit_type: str) -> Freshness | None:
        """What is known of one origin."""

    def freshness_of(self, origins: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Freshness]:
        """What is known of these origins (URL, type), by them; unknown ones are left out. They are not held together: a
        row that is written meanwhile may be seen as it was, or as it is."""

    def set_freshness(self, rows: Iterable[Freshness]) -> None:
        """Keep these rows as they are, in place of those with the same URL and type, in one transaction a call. Of rows
        with the same URL and type the last counts."""

    def due(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """Origins that are due at ``now`` or were before, the longest first, then by URL and type."""

    def overdue(self, now: datetime.datetime, limit: int = 1000) -> list[Freshness]:
        """Origins in state ``ok`` whose ``due`` lies more than their ``every`` (at least an hour, and that without one)
        before ``now``; the longest overdue first, then by URL and type."""

    def origins(
        self, state: State | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 1000
    ) -> list[Freshness]:
        """Origins by (URL, type) after ``after``; those of one state if it is given."""

    def count_states(self) -> dict[str, int]:
        """How many origins are in each state; ``unknown`` are those without one. All of these words are there."""


def _check_interval(seconds: float | None) -> None:
    if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= LONGEST):
        raise ValueError(f"{seconds} seconds are no interval: 0 to {LONGEST:.0f}")
