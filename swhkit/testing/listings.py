"""The part of the contract of ``Requests.schedule`` that is about listings: what is new, renamed, and gone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from swhkit.errors import InvalidInput
from swhkit.requests import Requests
from swhkit.requests.schedule import (
    INTERRUPTED,
    KnownForge,
    ListedOrigin,
    Listing,
    ListingStatus,
    NewForge,
    Noted,
    Schedule,
    Seen,
    ToldBy,
)
from swhkit.testing.odd import ALPHABETICAL, FAR, NAIVE, NOON, ODD_TEXTS, SURROGATE, TOKYO

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


class ListingsContract:
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

    def states(self, schedule: Schedule, forge: KnownForge) -> dict[str, tuple[str, bool, int]]:
        """URL, whether it is enabled, and what it missed, of each key."""
        return {one.key: (one.url, one.enabled, one.missed) for one in schedule.listed(forge.id)}

    def test_a_listing_runs_until_it_is_ended(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON.astimezone(TOKYO))
        assert (listing.forge, listing.is_full, listing.started, listing.ended) == (
            forge.id,
            True,
            NOON,
            None,
        )
        assert listing.status is ListingStatus.RUNNING
        assert schedule.listings(forge.id) == [listing]
        ended = schedule.end_listing(
            listing.id, ListingStatus.PARTIAL, (NOON + HOUR).astimezone(TOKYO), error="half of it"
        )
        assert (ended.id, ended.status, ended.ended, ended.error) == (
            listing.id, ListingStatus.PARTIAL, NOON + HOUR, "half of it",
        )  # fmt: skip
        assert schedule.listings(forge.id) == [ended]
        again = schedule.end_listing(listing.id, _COMPLETE, NOON + 2 * HOUR, error="other")
        assert again == ended
        assert schedule.listings(forge.id) == [ended]

    def test_a_listing_that_still_runs_has_died_when_another_begins(
        self, schedule: Schedule, forge: KnownForge
    ) -> None:
        other_forge = schedule.set_forge(new_forge("https://other"), NOON)
        elsewhere = schedule.begin_listing(other_forge.id, True, NOON)
        dead = schedule.begin_listing(forge.id, True, NOON)
        schedule.note_seen(dead.id, [seen("1")], NOON)
        alive = schedule.begin_listing(forge.id, False, NOON + HOUR)
        latest, before = schedule.listings(forge.id)
        assert latest == alive
        assert (before.id, before.status, before.ended, before.error) == (
            dead.id, ListingStatus.FAILED, NOON + HOUR, INTERRUPTED,
        )  # fmt: skip
        assert (before.repositories, before.new) == (1, 1)
        assert schedule.listings(other_forge.id) == [elsewhere]
        with pytest.raises(ValueError, match="not running"):
            schedule.note_seen(dead.id, [seen("2")], NOON)
        assert schedule.end_listing(dead.id, _COMPLETE, NOON) == before
        assert list(self.states(schedule, forge)) == ["1"]

    def test_what_makes_no_sense_ends_no_listing(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON)
        for id in (0, listing.id + 1, FAR):
            with pytest.raises(ValueError, match="no forge"):
                schedule.begin_listing(forge.id + 1 if id else 0, True, NOON)
            with pytest.raises(ValueError, match="not running"):
                schedule.note_seen(id, [seen("1")], NOON)
            with pytest.raises(ValueError, match="no listing"):
                schedule.end_listing(id, _COMPLETE, NOON)
            assert schedule.listings(id if id else -1) == []
        with pytest.raises(ValueError, match="by running"):
            schedule.end_listing(listing.id, ListingStatus.RUNNING, NOON)
        with pytest.raises(ValueError, match="patience"):
            schedule.end_listing(listing.id, _COMPLETE, NOON, patience=0)
        assert schedule.listings(forge.id) == [listing]
        assert schedule.listed(forge.id) == []

    def test_listings_come_newest_first(self, schedule: Schedule, forge: KnownForge) -> None:
        made = [pass_over(schedule, forge, [], hours=-n) for n in range(12)]
        assert schedule.listings(forge.id) == made[:1:-1]
        assert schedule.listings(forge.id, limit=2) == made[:9:-1]
        assert schedule.listings(forge.id, limit=0) == schedule.listings(forge.id, limit=-1) == []

    def test_a_complete_listing_is_known_to_its_forge(self, schedule: Schedule, forge: KnownForge) -> None:
        def of() -> tuple[object, object]:
            found = schedule.forge(forge.id)
            assert found is not None
            assert found.due == forge.due
            return found.listed, found.full

        pass_over(schedule, forge, [], ListingStatus.PARTIAL)
        pass_over(schedule, forge, [], ListingStatus.FAILED)
        assert of() == (None, None)
        listing = schedule.begin_listing(forge.id, True, NOON + HOUR)
        schedule.end_listing(listing.id, _COMPLETE, NOON + 9 * HOUR)
        assert of() == (NOON + HOUR, NOON + HOUR)
        pass_over(schedule, forge, [], is_full=False, hours=2)
        assert of() == (NOON + 2 * HOUR, NOON + HOUR)
        pass_over(schedule, forge, [], ListingStatus.FAILED, hours=3)
        assert of() == (NOON + 2 * HOUR, NOON + HOUR)

    def test_all_that_is_told_of_a_repository_comes_back(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON)
        told = seen("1", visit_type="hg", last_update=NOON.astimezone(TOKYO), archived=True, fork=True)
        assert schedule.note_seen(listing.id, [told], (NOON + HOUR).astimezone(TOKYO)) == Noted(new=("1",))
        (kept,) = schedule.listed(forge.id)
        for name in Seen.__struct_fields__:
            assert getattr(kept, name) == getattr(told, name)
        assert (kept.forge, kept.first_seen, kept.last_seen) == (forge.id, NOON + HOUR, NOON + HOUR)
        assert (kept.missed, kept.enabled, kept.former) == (0, True, ())
        assert kept.last_update is not None
        assert kept.last_update.utcoffset() == kept.first_seen.utcoffset() == datetime.timedelta(0)
        assert schedule.note_seen(listing.id, [seen("1")], NOON + 2 * HOUR) == Noted()
        (kept,) = schedule.listed(forge.id)
        assert (kept.visit_type, kept.last_update, kept.archived, kept.fork) == ("git", None, False, False)
        assert (kept.first_seen, kept.last_seen) == (NOON + HOUR, NOON + 2 * HOUR)

    def test_repositories_are_counted_once_each(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON)
        first = schedule.note_seen(
            listing.id, (seen(key, f"https://{key}{n}") for n, key in enumerate("aba")), NOON
        )
        assert first == Noted(new=("b", "a"))
        assert self.states(schedule, forge) == {"a": ("https://a2", True, 0), "b": ("https://b1", True, 0)}
        assert schedule.note_seen(listing.id, [seen("b", "https://b1"), seen("c")], NOON) == Noted(new=("c",))
        assert schedule.note_seen(listing.id, [], NOON) == Noted()
        ended = schedule.end_listing(listing.id, _COMPLETE, NOON)
        assert (ended.repositories, ended.new, ended.lost) == (3, 3, 0)
        second = pass_over(schedule, forge, [seen("a"), seen("d"), seen("a")])
        assert (second.repositories, second.new, second.lost) == (2, 1, 0)

    def test_what_fails_in_the_middle_leaves_nothing(self, schedule: Schedule, forge: KnownForge) -> None:
        def told() -> Iterator[Seen]:
            yield seen("1")
            raise RuntimeError("the forge went away")

        listing = schedule.begin_listing(forge.id, True, NOON)
        with pytest.raises(RuntimeError, match="went away"):
            schedule.note_seen(listing.id, told(), NOON)
        with pytest.raises(InvalidInput, match="no Unicode text"):
            schedule.note_seen(listing.id, [seen("1"), seen("2", SURROGATE)], NOON)
        with pytest.raises(ValueError, match="time zone"):
            schedule.note_seen(listing.id, [seen("1"), seen("2", last_update=NAIVE)], NOON)
        assert schedule.listed(forge.id) == []
        assert schedule.listings(forge.id) == [listing]

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
        assert self.states(schedule, forge) == {"1": ("b", True, 0), "2": ("a", True, 0)}
        assert schedule.note_seen(listing.id, [seen("1", "a")], NOON).renamed == (("1", "b"),)
        assert self.states(schedule, forge) == {"1": ("a", True, 0), "2": ("a", False, 0)}
        assert schedule.note_seen(listing.id, [seen("2", "b")], NOON).renamed == (("2", "a"),)
        assert self.states(schedule, forge) == {"1": ("a", True, 0), "2": ("b", True, 0)}
        assert schedule.end_listing(listing.id, _COMPLETE, NOON).lost == 0

    def test_a_url_is_taken_from_the_one_that_had_it(self, schedule: Schedule, forge: KnownForge) -> None:
        other_forge = schedule.set_forge(new_forge("https://other"), NOON)
        pass_over(schedule, other_forge, [seen("1", "a")])
        pass_over(schedule, forge, [seen("1", "a"), seen("2", "b")])
        ended = pass_over(schedule, forge, [seen("3", "a"), seen("2", "b")], is_full=False, hours=1)
        assert (ended.new, ended.lost) == (1, 1)
        assert self.states(schedule, forge) == {
            "1": ("a", False, 0),
            "2": ("b", True, 0),
            "3": ("a", True, 0),
        }
        assert self.states(schedule, other_forge) == {"1": ("a", True, 0)}
        one = schedule.listed(forge.id)[0]
        assert (one.first_seen, one.last_seen) == (NOON, NOON)
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert schedule.note_seen(listing.id, [seen("1", "c")], NOON).renamed == (("1", "a"),)
        assert self.states(schedule, forge)["1"] == ("c", True, 0)

    def test_of_two_with_one_url_the_last_has_it(self, schedule: Schedule, forge: KnownForge) -> None:
        ended = pass_over(schedule, forge, [seen("1", "a"), seen("2", "a")])
        assert self.states(schedule, forge) == {"1": ("a", False, 0), "2": ("a", True, 0)}
        assert (ended.repositories, ended.new, ended.lost) == (2, 2, 1)

    def test_one_absence_disables_nothing(self, schedule: Schedule, forge: KnownForge) -> None:
        pass_over(schedule, forge, [seen("1"), seen("2"), seen("3")])
        for n in range(10):
            lost = pass_over(schedule, forge, [seen("1")], hours=2 * n).lost
            assert lost == 0
            assert self.states(schedule, forge)["2"][1:] == (True, 1)
            pass_over(schedule, forge, [seen("1"), seen("2"), seen("3")], hours=2 * n + 1)
        assert schedule.count_listed(forge.id) == {"enabled": 3, "disabled": 0}

    def test_what_listings_in_a_row_have_missed_is_disabled(
        self, schedule: Schedule, forge: KnownForge
    ) -> None:
        pass_over(schedule, forge, [seen("1"), seen("2")])
        told = [pass_over(schedule, forge, [seen("1")], hours=n).lost for n in range(1, 6)]
        assert told == [0, 0, 1, 0, 0]
        assert self.states(schedule, forge)["2"][1:] == (False, 3)
        assert self.states(schedule, forge)["1"][1:] == (True, 0)
        assert schedule.count_listed(forge.id) == {"enabled": 1, "disabled": 1}
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert schedule.note_seen(listing.id, [seen("2")], NOON) == Noted()
        assert self.states(schedule, forge)["2"][1:] == (True, 0)
        assert schedule.end_listing(listing.id, _COMPLETE, NOON, patience=1).lost == 1
        assert self.states(schedule, forge)["1"][1:] == (False, 1)

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
        assert [state[1:] for state in self.states(schedule, forge).values()] == [(True, 0)] * 2
        for n in range(2):
            pass_over(schedule, forge, [], hours=n)
            pass_over(schedule, forge, [], ListingStatus.FAILED, hours=n)
        assert self.states(schedule, forge)["2"][1:] == (True, 2)
        pass_over(schedule, forge, [seen("2")], is_full=False)
        assert self.states(schedule, forge)["2"][1:] == (True, 0)
        pass_over(schedule, forge, [])
        assert self.states(schedule, forge) == {"1": (seen("1").url, False, 3), "2": (seen("2").url, True, 1)}

    def test_another_forge_misses_nothing(self, schedule: Schedule, forge: KnownForge) -> None:
        other = schedule.set_forge(new_forge("https://other"), NOON)
        pass_over(schedule, other, [seen("1"), seen("2")])
        pass_over(schedule, forge, [seen("1")])
        assert pass_over(schedule, forge, [], patience=1).lost == 1
        assert self.states(schedule, other) == {key: (seen(key).url, True, 0) for key in "12"}

    def test_listed_origins_are_paged_to_the_end_while_others_come(
        self, schedule: Schedule, forge: KnownForge
    ) -> None:
        pass_over(schedule, forge, [seen(key, f"u{key}") for key in reversed(ALPHABETICAL)])
        listing = schedule.begin_listing(forge.id, True, NOON)
        found, after, n = list[ListedOrigin](), "", 0
        while page := schedule.listed(forge.id, after=after, limit=3):
            assert len(page) <= 3
            found += page
            after, n = page[-1].key, n + 1
            schedule.note_seen(listing.id, [seen(f"!{n}"), seen(ALPHABETICAL[0], f"renamed{n}")], NOON)
        assert [one.key for one in found] == list(ALPHABETICAL)
        for nothing in ({"limit": 0}, {"limit": -1}, {"after": "\U0010ffff"}):
            assert schedule.listed(forge.id, **nothing) == []
        assert schedule.listed(FAR) == schedule.listed(-1) == []
        assert schedule.count_listed(FAR) == {"enabled": 0, "disabled": 0}

    def test_enabled_origins_are_listed_apart(self, schedule: Schedule, forge: KnownForge) -> None:
        pass_over(schedule, forge, [seen(str(n)) for n in range(9)])
        pass_over(schedule, forge, [seen(str(n)) for n in range(0, 9, 2)], patience=1)
        assert [one.key for one in schedule.listed(forge.id, enabled=True)] == ["0", "2", "4", "6", "8"]
        assert [one.key for one in schedule.listed(forge.id, enabled=False)] == ["1", "3", "5", "7"]
        assert [one.key for one in schedule.listed(forge.id, enabled=False, after="2", limit=2)] == ["3", "5"]
        assert schedule.count_listed(forge.id) == {"enabled": 5, "disabled": 4}

    def test_two_threads_may_tell_at_once(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON)

        def tell(n: int) -> int:
            return len(schedule.note_seen(listing.id, [seen(str(k)) for k in range(n, n + 20)], NOON).new)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(tell, range(0, 200, 10))) == 210
        ended = schedule.end_listing(listing.id, _COMPLETE, NOON)
        assert (ended.repositories, ended.new) == (210, 210)

    def test_a_forge_may_be_large(self, schedule: Schedule, forge: KnownForge) -> None:
        everything = [seen(f"{n:05}") for n in range(10_000)]
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert len(schedule.note_seen(listing.id, everything, NOON).new) == 10_000
        schedule.end_listing(listing.id, _COMPLETE, NOON)
        listing = schedule.begin_listing(forge.id, True, NOON)
        assert schedule.note_seen(listing.id, everything[:6000], NOON) == Noted()
        assert schedule.end_listing(listing.id, _COMPLETE, NOON, patience=1).lost == 4000
        assert schedule.count_listed(forge.id) == {"enabled": 6000, "disabled": 4000}
        assert len(schedule.listed(forge.id, limit=FAR)) == 10_000

    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS if text])
    def test_what_forges_say_is_kept_as_it_is(self, schedule: Schedule, text: str) -> None:
        forge = schedule.set_forge(new_forge(text, kind=text, options={text: text}), NOON)
        assert schedule.forges() == [forge]
        listing = schedule.begin_listing(forge.id, True, NOON)
        schedule.note_seen(listing.id, [Seen(key=text, url=text, visit_type=text)], NOON)
        schedule.note_seen(listing.id, [Seen(key=text, url="new", visit_type=text)], NOON)
        ended = schedule.end_listing(listing.id, ListingStatus.FAILED, NOON, error=text)
        (kept,) = schedule.listed(forge.id)
        assert (kept.key, kept.visit_type, kept.former, ended.error) == (text, text, (text,), text)
        assert (forge.kind, forge.url, forge.options) == (text, text, {text: text})
        listing = schedule.begin_listing(forge.id, True, NOON)
        ended = schedule.end_listing(listing.id, ListingStatus.FAILED, NOON, error=SURROGATE)
        assert ended.error == SURROGATE.encode(errors="backslashreplace").decode()
