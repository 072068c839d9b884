"""The part of the contract of ``Requests.schedule`` that is about what is renamed, and what is gone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from swhkit.requests import Requests
from swhkit.requests.schedule import (
    KnownForge,
    Listing,
    ListingStatus,
    NewForge,
    Noted,
    Schedule,
    Seen,
    ToldBy,
)
from swhkit.testing.odd import NOON

HOUR = datetime.timedelta(hours=1)
_COMPLETE = ListingStatus.COMPLETE


def new_forge(url: str = "https://git.example.org", **more: Any) -> NewForge:
    """A forge that somebody told of at the shell."""
    return NewForge(**{"kind": "gitea", "url": url, "source": ToldBy.CLI} | more)


def seen(key: str, url: str = "", **more: Any) -> Seen:
    """A repository at a URL, one with its key in it if none is given."""
    return Seen(key=key, url=url or f"https://git.example.org/{key}", **{"visit_type": "git"} | more)


def pass_over(
    schedule: Schedule,
    forge: KnownForge,
    told: Iterable[Seen],
    status: ListingStatus = _COMPLETE,
    *,
    is_full: bool = True,
    hours: int = 0,
    patience: int = 3,
) -> Listing:
    """A whole listing, begun some hours after noon, in pages of two."""
    now, rest = NOON + hours * HOUR, list(told)
    listing = schedule.begin_listing(forge.id, is_full, now)
    while page := rest[:2]:
        schedule.note_seen(listing.id, page, now)
        rest = rest[2:]
    return schedule.end_listing(listing.id, status, now, patience=patience)


def states(schedule: Schedule, forge: KnownForge) -> dict[str, tuple[str, bool, int]]:
    """URL, whether it is enabled, and what it missed, of each key."""
    return {one.key: (one.url, one.enabled, one.missed) for one in schedule.listed(forge.id)}


class DisappearancesContract:
    """Run by ``ScheduleContract``."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named requests")

    @pytest.fixture
    def schedule(self, requests: Requests) -> Schedule:
        """The role under test."""
        return requests.schedule

    @pytest.fixture
    def forge(self, schedule: Schedule) -> KnownForge:
        """A forge that is known."""
        return schedule.set_forge(new_forge(), NOON)

    def test_a_renamed_repository_is_the_same(self, schedule: Schedule, forge: KnownForge) -> None:
        former = list[tuple[tuple[tuple[str, str], ...], tuple[str, ...]]]()
        for n, url in enumerate(("a", "b", "b", "c", "a")):
            listing = schedule.begin_listing(forge.id, n % 2 == 0, NOON + n * HOUR)
            noted = schedule.note_seen(listing.id, [seen("1", url)], NOON + n * HOUR)
            (kept,) = schedule.listed(forge.id)
            assert (kept.url, kept.first_seen, kept.last_seen) == (url, NOON, NOON + n * HOUR)
            former.append((noted.renamed, kept.former))
        assert former == [
            ((), ()),
            ((("1", "a"),), ("a",)),
            ((), ("a",)),
            ((("1", "b"),), ("a", "b")),
            ((("1", "c"),), ("b", "c")),
        ]

    def test_two_may_swap_their_urls(self, schedule: Schedule, forge: KnownForge) -> None:
        pass_over(schedule, forge, [seen("1", "a"), seen("2", "b")])
        listing = schedule.begin_listing(forge.id, True, NOON)
        noted = schedule.note_seen(listing.id, [seen("2", "a"), seen("1", "b")], NOON)
        assert noted == Noted(renamed=(("2", "b"), ("1", "a")))
        assert states(schedule, forge) == {"1": ("b", True, 0), "2": ("a", True, 0)}
        assert schedule.note_seen(listing.id, [seen("1", "a")], NOON).renamed == (("1", "b"),)
        assert states(schedule, forge) == {"1": ("a", True, 0), "2": ("a", False, 0)}
        assert schedule.note_seen(listing.id, [seen("2", "b")], NOON).renamed == (("2", "a"),)
        assert states(schedule, forge) == {"1": ("a", True, 0), "2": ("b", True, 0)}
        assert schedule.end_listing(listing.id, _COMPLETE, NOON).lost == 0

    def test_a_url_is_taken_from_the_one_that_had_it(self, schedule: Schedule, forge: KnownForge) -> None:
        other_forge = schedule.set_forge(new_forge("https://other"), NOON)
        pass_over(schedule, other_forge, [seen("1", "a")])
        pass_over(schedule, forge, [seen("1", "a"), seen("2", "b")])
        ended = pass_over(schedule, forge, [seen("3", "a"), seen("2", "b")], is_full=False, hours=1)
        assert (ended.new, ended.lost) == (1, 1)
        assert states(schedule, forge) == {
            "1": ("a", False, 0),
            "2": ("b", True, 0),
            "3": ("a", True, 0),
        }
        assert states(schedule, other_forge) == {"1": ("a", True, 0)}
        assert pass_over(schedule, forge, [seen("3", "a")], is_full=False, hours=2).lost == 0
        one = schedule.listed(forge.id)[0]
        assert (one.first_seen, one.last_seen) == (NOON, NOON)
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert schedule.note_seen(listing.id, [seen("1", "c")], NOON).renamed == (("1", "a"),)
        assert states(schedule, forge)["1"] == ("c", True, 0)

    def test_of_two_with_one_url_the_last_has_it(self, schedule: Schedule, forge: KnownForge) -> None:
        ended = pass_over(schedule, forge, [seen("1", "a"), seen("2", "a")])
        assert states(schedule, forge) == {"1": ("a", False, 0), "2": ("a", True, 0)}
        assert (ended.repositories, ended.new, ended.lost) == (2, 2, 1)

    def test_one_absence_disables_nothing(self, schedule: Schedule, forge: KnownForge) -> None:
        pass_over(schedule, forge, [seen("1"), seen("2"), seen("3")])
        for n in range(10):
            lost = pass_over(schedule, forge, [seen("1")], hours=2 * n).lost
            assert lost == 0
            assert states(schedule, forge)["2"][1:] == (True, 1)
            pass_over(schedule, forge, [seen("1"), seen("2"), seen("3")], hours=2 * n + 1)
        assert schedule.count_listed(forge.id) == {"enabled": 3, "disabled": 0}

    def test_what_listings_in_a_row_have_missed_is_disabled(
        self, schedule: Schedule, forge: KnownForge
    ) -> None:
        pass_over(schedule, forge, [seen("1"), seen("2")])
        told = [pass_over(schedule, forge, [seen("1")], hours=n).lost for n in range(1, 6)]
        assert told == [0, 0, 1, 0, 0]
        assert states(schedule, forge)["2"][1:] == (False, 3)
        assert states(schedule, forge)["1"][1:] == (True, 0)
        assert schedule.count_listed(forge.id) == {"enabled": 1, "disabled": 1}
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert schedule.note_seen(listing.id, [seen("2")], NOON) == Noted()
        assert states(schedule, forge)["2"][1:] == (True, 0)
        assert schedule.end_listing(listing.id, _COMPLETE, NOON, patience=1).lost == 1
        assert states(schedule, forge)["1"][1:] == (False, 1)

    def test_only_complete_listings_of_everything_count(self, schedule: Schedule, forge: KnownForge) -> None:
        pass_over(schedule, forge, [seen("1"), seen("2")])
        for n in range(5):
            for status, is_full in (
                (ListingStatus.PARTIAL, True),
                (ListingStatus.FAILED, True),
                (_COMPLETE, False),
                (ListingStatus.PARTIAL, False),
            ):
                pass_over(schedule, forge, [seen("1")], status, is_full=is_full, hours=n, patience=1)
            schedule.begin_listing(forge.id, True, NOON)
        assert [state[1:] for state in states(schedule, forge).values()] == [(True, 0)] * 2
        for n in range(2):
            pass_over(schedule, forge, [], hours=n)
            pass_over(schedule, forge, [], ListingStatus.FAILED, hours=n)
        assert states(schedule, forge)["2"][1:] == (True, 2)
        pass_over(schedule, forge, [seen("2")], is_full=False)
        assert states(schedule, forge)["2"][1:] == (True, 0)
        pass_over(schedule, forge, [])
        assert states(schedule, forge) == {"1": (seen("1").url, False, 3), "2": (seen("2").url, True, 1)}

    def test_another_forge_misses_nothing(self, schedule: Schedule, forge: KnownForge) -> None:
        other = schedule.set_forge(new_forge("https://other"), NOON)
        pass_over(schedule, other, [seen("1"), seen("2")])
        pass_over(schedule, forge, [seen("1")])
        assert pass_over(schedule, forge, [], patience=1).lost == 1
        assert states(schedule, other) == {key: (seen(key).url, True, 0) for key in "12"}
