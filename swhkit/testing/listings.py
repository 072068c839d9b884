"""The part of the contract of ``Requests.schedule`` that is about listings and what they tell of."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swhkit.errors import InvalidInput
from swhkit.requests.schedule import (
    INTERRUPTED,
    KnownForge,
    ListedOrigin,
    ListingStatus,
    Noted,
    Schedule,
    Seen,
)
from swhkit.testing.disappearances import HOUR, DisappearancesContract, new_forge, pass_over, seen, states
from swhkit.testing.odd import ALPHABETICAL, FAR, NAIVE, NOON, ODD_TEXTS, SURROGATE, TOKYO

_COMPLETE = ListingStatus.COMPLETE


class ListingsContract(DisappearancesContract):
    """Run by ``ScheduleContract``."""

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
        assert list(states(schedule, forge)) == ["1"]

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
        assert states(schedule, forge) == {"a": ("https://a2", True, 0), "b": ("https://b1", True, 0)}
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
