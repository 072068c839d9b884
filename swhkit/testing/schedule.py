"""The contract of ``Requests.schedule``: forges, their pages, and how fresh origins are. ``listings`` has the rest."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from swhkit.errors import InvalidInput
from swhkit.requests import Requests
from swhkit.requests.schedule import (
    Freshness,
    KnownForge,
    ListingStatus,
    Page,
    Schedule,
    State,
    ToldBy,
)
from swhkit.testing.disappearances import HOUR, new_forge, seen
from swhkit.testing.listings import ListingsContract
from swhkit.testing.odd import ALPHABETICAL, FAR, NAIVE, NOON, ODD_TEXTS, SURROGATE, TOKYO, WEST

_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_NOTHING = {"ok": 0, "stale": 0, "gone": 0, "failing": 0, "unknown": 0}


def origin(url: str = "https://example.org/x.git", visit_type: str = "git", **more: Any) -> Freshness:
    """An origin of which nothing is known but what is given."""
    return Freshness(url=url, visit_type=visit_type, **more)


class ScheduleContract(ListingsContract):
    """Run by ``RequestsContract``; what is tested alone needs the fixture ``requests``."""

    def test_nothing_is_scheduled_in_an_empty_store(self, schedule: Schedule) -> None:
        assert schedule.forge(1) is None
        assert [*schedule.forges(), *schedule.listings(1), *schedule.listed(1)] == []
        assert schedule.due(NOON) == schedule.overdue(NOON) == schedule.origins() == []
        assert schedule.count_states() == _NOTHING
        assert schedule.count_listed(1) == {"enabled": 0, "disabled": 0}
        assert schedule.page(1, "u") is None
        assert schedule.freshness("u", "git") is None
        schedule.enable_forge(1, True)
        schedule.set_forge_due(1, NOON)
        schedule.keep_page(1, "u", Page(etag="e", body=b""))
        assert schedule.page(1, "u") is None
        schedule.set_freshness([])
        assert [*schedule.forges(), *schedule.origins()] == []

    def test_a_new_forge_is_due_at_once(self, schedule: Schedule) -> None:
        told = new_forge(
            every=0.25, visit_every=86_400.5, trusted=True, source=ToldBy.REQUEST,
            options={"group": "ä/b", "depth": [1, {"x": None}], "token": "${TOKEN}"},
        )  # fmt: skip
        made = schedule.set_forge(told, NOON.astimezone(TOKYO))
        for name in told.__struct_fields__:
            assert getattr(made, name) == getattr(told, name)
        assert (made.created, made.due, made.enabled) == (NOON, NOON, True)
        assert (made.full, made.listed) == (None, None)
        assert made.created.utcoffset() == datetime.timedelta(0)
        assert schedule.forge(made.id) == made
        assert schedule.forges() == [made]
        for id in (0, made.id + 1, FAR, -FAR):
            assert schedule.forge(id) is None
            schedule.enable_forge(id, False)
            schedule.set_forge_due(id, NOON + HOUR)
        assert schedule.forges() == [made]

    def test_a_known_forge_is_changed_and_enabled(self, schedule: Schedule) -> None:
        first = schedule.set_forge(new_forge(options={"a": 1}, visit_every=60.0, trusted=True), NOON)
        second = schedule.set_forge(new_forge(kind="gitlab"), NOON)
        schedule.enable_forge(first.id, False)
        schedule.set_forge_due(first.id, (NOON + HOUR).astimezone(WEST))
        found = schedule.forge(first.id)
        assert found is not None
        assert (found.enabled, found.due, found.options) == (False, NOON + HOUR, {"a": 1})
        assert found.due is not None
        assert found.due.utcoffset() == datetime.timedelta(0)
        for _ in range(2):
            again = schedule.set_forge(new_forge(source=ToldBy.CONFIG, every=5.0), NOON + 2 * HOUR)
            assert (again.id, again.created, again.due, again.enabled) == (first.id, NOON, NOON + HOUR, True)
            assert (again.source, again.every, again.visit_every) == (ToldBy.CONFIG, 5.0, None)
            assert (again.options, again.trusted) == ({}, False)
            assert schedule.forges() == [again, second]

    def test_what_is_no_json_or_no_interval_is_refused(self, schedule: Schedule) -> None:
        with pytest.raises(ValueError, match="no JSON"):
            schedule.set_forge(new_forge(options={"x": object()}), NOON)
        for seconds in (-1.0, float("nan"), float("inf"), 1e300):
            with pytest.raises(ValueError, match="no interval"):
                new_forge(every=seconds)
            with pytest.raises(ValueError, match="no interval"):
                new_forge(visit_every=seconds)
            with pytest.raises(ValueError, match="no interval"):
                origin(every=seconds)
        assert schedule.forges() == []

    def test_a_page_is_kept_until_the_next(self, schedule: Schedule, forge: KnownForge) -> None:
        other = schedule.set_forge(new_forge("https://other"), NOON)
        first = Page(
            etag='W/"1"', body=bytes(range(256)) * 1000, headers={"Link": '<https://x?page=2>; rel="next"'}
        )
        second = Page(etag="", body=b"")
        schedule.keep_page(forge.id, "https://x?page=1", first)
        schedule.keep_page(other.id, "https://x?page=1", second)
        assert schedule.page(forge.id, "https://x?page=1") == first
        assert schedule.page(other.id, "https://x?page=1") == second
        for nobody in ((forge.id, "https://x?page=2"), (FAR, "https://x?page=1"), (forge.id, "")):
            assert schedule.page(*nobody) is None
        schedule.keep_page(forge.id, "https://x?page=1", second)
        assert schedule.page(forge.id, "https://x?page=1") == second

    def test_all_that_is_known_of_an_origin_comes_back(self, schedule: Schedule) -> None:
        moments = {
            name: (NOON + n * _MICROSECOND).astimezone(TOKYO)
            for n, name in enumerate(("since", "visited", "succeeded", "last_update", "due"))
        }
        rows = [
            origin(
                "https://b",
                "svn",
                state=State.GONE,
                failures=3,
                reason="née\n",
                every=0.1,
                trusted=True,
                forge=7,
                **moments,
            ),
            origin("https://b", "git"),
        ]
        schedule.set_freshness(row for row in rows)
        schedule.set_freshness(rows)
        assert schedule.freshness("https://b", "svn") == rows[0]
        assert schedule.freshness("https://b", "git") == rows[1]
        assert schedule.origins() == rows[::-1]
        found = schedule.origins()[1].due
        assert found is not None
        assert found.utcoffset() == datetime.timedelta(0)
        wrong = (("https://b", "hg"), ("https://b/", "git"), ("HTTPS://b", "git"))
        assert [schedule.freshness(*origin) for origin in wrong] == [None] * 3
        known = {(row.url, row.visit_type): row for row in rows}
        assert schedule.freshness_of(origin for origin in (*wrong, *known, *known)) == known
        assert schedule.freshness_of([]) == schedule.freshness_of(wrong) == {}

    def test_the_last_row_of_an_origin_counts(self, schedule: Schedule) -> None:
        schedule.set_freshness([origin(failures=1, reason="x", due=NOON), origin("u"), origin(failures=2)])
        assert schedule.origins() == [origin(failures=2), origin("u")]
        schedule.set_freshness([origin(state=State.OK)])
        assert schedule.origins() == [origin(state=State.OK), origin("u")]
        assert schedule.due(NOON) == []
        assert schedule.count_states() == _NOTHING | {"ok": 1, "unknown": 1}

    def test_what_is_due_longest_comes_first(self, schedule: Schedule) -> None:
        rows = [
            origin("b", due=NOON),
            origin("a", "svn", due=NOON),
            origin("a", "git", due=NOON),
            origin("z", due=NOON - HOUR, state=State.GONE, every=5.0),
            origin("later", due=NOON + _MICROSECOND),
            origin("never"),
        ]
        schedule.set_freshness(rows)
        due = schedule.due(NOON.astimezone(WEST))
        assert [(row.url, row.visit_type) for row in due] == [
            ("z", "git"),
            ("a", "git"),
            ("a", "svn"),
            ("b", "git"),
        ]
        assert schedule.due(NOON, limit=2) == due[:2]
        assert (
            schedule.due(NOON, limit=0) == schedule.due(NOON, limit=-1) == schedule.due(NOON - 2 * HOUR) == []
        )
        assert [row.url for row in schedule.due(NOON + _MICROSECOND)][-1] == "later"
        schedule.set_freshness([origin("z", due=None), origin("b", due=NOON + HOUR)])
        assert [row.url for row in schedule.due(NOON)] == ["a", "a"]

    def test_what_is_later_than_its_interval_is_overdue(self, schedule: Schedule) -> None:
        ok: dict[str, Any] = {"state": State.OK, "due": NOON}
        rows = [
            origin("two hours", every=7200.0, **ok),
            origin("one minute", every=60.0, **ok),
            origin("none", **ok),
            origin("not asked for", state=State.OK, every=60.0),
            *(origin(state, state=state, due=NOON, every=60.0) for state in State if state is not State.OK),
            origin("unknown", due=NOON),
        ]
        schedule.set_freshness(rows)

        def overdue(after: datetime.timedelta) -> list[str]:
            return [row.url for row in schedule.overdue(NOON + after)]

        assert overdue(HOUR) == []
        assert overdue(HOUR + _MICROSECOND) == overdue(2 * HOUR) == ["none", "one minute"]
        assert overdue(2 * HOUR + _MICROSECOND) == ["none", "one minute", "two hours"]
        assert [row.url for row in schedule.overdue(NOON + 9 * HOUR, limit=1)] == ["none"]
        assert schedule.overdue(NOON + 9 * HOUR, limit=0) == schedule.overdue(NOON + 9 * HOUR, limit=-1) == []
        schedule.set_freshness(
            [origin("none", state=State.STALE, due=NOON), origin("one minute", **ok | {"due": None})]
        )
        assert overdue(9 * HOUR) == ["two hours"]

    def test_origins_are_paged_to_the_end_while_others_come(self, schedule: Schedule) -> None:
        keys = [(url, visit_type) for url in ALPHABETICAL for visit_type in ("git", "hg")]
        schedule.set_freshness(
            origin(*key, state=State.OK if key[1] == "hg" else None) for key in reversed(keys)
        )
        for state, expected in ((None, keys), (State.OK, keys[1::2])):
            found, after, n = list[tuple[str, str]](), ("", ""), 0
            while page := schedule.origins(state, after=after, limit=3):
                assert len(page) <= 3
                found += [(row.url, row.visit_type) for row in page]
                after, n = found[-1], n + 1
                schedule.set_freshness(
                    [origin(f"!{n}", state=State.OK), origin(*keys[1], state=State.OK, failures=n)]
                )
            assert [key for key in found if key[0][0] != "!"] == expected
        assert schedule.origins(State.GONE) == schedule.origins(limit=0) == schedule.origins(limit=-1) == []
        assert schedule.origins(after=("\U0010ffff", "")) == []

    def test_states_are_counted(self, schedule: Schedule) -> None:
        for n, state in enumerate((*State, None), start=1):
            schedule.set_freshness(origin(f"{state}{k}", state=state) for k in range(n))
        assert schedule.count_states() == {"ok": 1, "stale": 2, "gone": 3, "failing": 4, "unknown": 5}

    def test_there_may_be_many_origins(self, schedule: Schedule) -> None:
        states = (*State, None)
        rows = [
            origin(f"https://{n * 7919 % 10_000:05}", state=states[n % 5], due=NOON + n * _SECOND, every=60.0)
            for n in range(10_000)
        ]
        schedule.set_freshness(rows)
        assert schedule.count_states() == dict.fromkeys(_NOTHING, 2000)
        assert schedule.due(NOON + 10_000 * _SECOND, limit=FAR) == rows
        assert schedule.due(NOON + 10_000 * _SECOND) == rows[:1000]
        overdue = schedule.overdue(NOON + HOUR + 10_000 * _SECOND, limit=FAR)
        assert overdue == [row for row in rows if row.state is State.OK]
        found, after = list[Freshness](), ("", "")
        while page := schedule.origins(after=after, limit=999):
            found += page
            after = (page[-1].url, page[-1].visit_type)
        assert found == sorted(rows, key=lambda row: row.url)
        asked = [
            *((row.url, row.visit_type) for row in rows),
            *((f"https://no{n}", "git") for n in range(5000)),
        ]
        assert schedule.freshness_of(asked) == {(row.url, row.visit_type): row for row in rows}

    @pytest.mark.parametrize("text", [text for text in ODD_TEXTS if text])
    def test_urls_of_any_kind_are_kept_as_they_are(
        self, schedule: Schedule, forge: KnownForge, text: str
    ) -> None:
        kept = origin(text, text, reason=text, due=NOON, state=State.OK)
        schedule.set_freshness([kept])
        assert schedule.freshness(text, text) == kept
        assert schedule.origins() == schedule.due(NOON) == schedule.overdue(NOON + 2 * HOUR) == [kept]
        page = Page(etag=text, body=text.encode(), headers={text: text})
        schedule.keep_page(forge.id, text, page)
        assert schedule.page(forge.id, text) == page

    def test_urls_that_are_no_text_are_refused_and_reasons_explained(self, schedule: Schedule) -> None:
        with pytest.raises(InvalidInput, match="no Unicode text"):
            schedule.set_freshness([origin("good"), origin(SURROGATE)])
        with pytest.raises(InvalidInput, match="no Unicode text"):
            schedule.set_forge(new_forge(SURROGATE), NOON)
        assert [*schedule.origins(), *schedule.forges()] == []
        schedule.set_freshness([origin(reason=SURROGATE)])
        assert schedule.origins()[0].reason == SURROGATE.encode(errors="backslashreplace").decode()

    def test_moments_of_the_schedule_have_a_time_zone(self, schedule: Schedule, forge: KnownForge) -> None:
        listing = schedule.begin_listing(forge.id, True, NOON)
        for call in (
            lambda: schedule.set_forge(new_forge("https://new"), NAIVE),
            lambda: schedule.set_forge_due(forge.id, NAIVE),
            lambda: schedule.begin_listing(forge.id, True, NAIVE),
            lambda: schedule.note_seen(listing.id, [seen("1")], NAIVE),
            lambda: schedule.end_listing(listing.id, ListingStatus.COMPLETE, NAIVE),
            lambda: schedule.set_freshness([origin("good"), origin(due=NAIVE)]),
            lambda: schedule.due(NAIVE),
            lambda: schedule.overdue(NAIVE),
        ):
            with pytest.raises(ValueError, match="time zone"):
                call()
        assert schedule.forges() == [forge]
        assert schedule.listings(forge.id) == [listing]
        assert [*schedule.listed(forge.id), *schedule.origins()] == []

    def test_the_schedule_ends_with_the_store(self, requests: Requests, schedule: Schedule) -> None:
        requests.close()
        for call in (
            lambda: schedule.set_forge(new_forge(), NOON),
            lambda: schedule.forge(1),
            schedule.forges,
            lambda: schedule.enable_forge(1, True),
            lambda: schedule.set_forge_due(1, NOON),
            lambda: schedule.begin_listing(1, True, NOON),
            lambda: schedule.note_seen(1, [], NOON),
            lambda: schedule.end_listing(1, ListingStatus.COMPLETE, NOON),
            lambda: schedule.listings(1),
            lambda: schedule.listed(1),
            lambda: schedule.count_listed(1),
            lambda: schedule.page(1, "u"),
            lambda: schedule.keep_page(1, "u", Page(etag="e", body=b"")),
            lambda: schedule.freshness("u", "git"),
            lambda: schedule.freshness_of([]),
            lambda: schedule.set_freshness([]),
            lambda: schedule.due(NOON),
            lambda: schedule.overdue(NOON),
            schedule.origins,
            schedule.count_states,
            lambda: requests.schedule.forges(),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
