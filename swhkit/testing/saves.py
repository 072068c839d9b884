"""The contract of ``Requests.saves``: single requests and prefixes here, ``bulk`` has the rest."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from swhkit.errors import InvalidInput
from swhkit.requests import Requests
from swhkit.requests.saves import (
    Answered,
    Artifact,
    BulkOrigin,
    BulkRequest,
    NewSave,
    Prefix,
    SaveRequest,
    Saves,
    SaveStatus,
)
from swhkit.testing.bulk import BulkContract, bulk
from swhkit.testing.odd import ALPHABETICAL, FAR, NAIVE, NOON, ODD_TEXTS, SURROGATE, TOKYO, WEST

_SECOND = datetime.timedelta(seconds=1)
_PENDING, _ACCEPTED, _REJECTED = SaveStatus.PENDING, SaveStatus.ACCEPTED, SaveStatus.REJECTED


def save(
    url: str = "https://example.org/x.git",
    visit_type: str = "git",
    status: SaveStatus = _PENDING,
    **more: Any,
) -> NewSave:
    """A request to save an origin."""
    fields: dict[str, Any] = {"url": url, "visit_type": visit_type, "date": NOON, "status": status}
    return NewSave(**fields | more)


class SavesContract(BulkContract):
    """Run by ``RequestsContract``; what is tested alone needs the fixture ``requests``."""

    def test_nothing_was_asked_of_an_empty_store(self, saves: Saves) -> None:
        assert saves.get(1) is None
        assert saves.of("https://example.org") == saves.latest() == saves.jobless() == []
        assert [*saves.prefixes(), *saves.bulks(), *saves.jobless_bulk()] == []
        assert saves.bulk("x") is None
        assert saves.bulk_origins("x") == []
        assert saves.count_bulks() == saves.count_bulk_origins("x") == saves.forget_answers(NOON) == 0
        assert saves.answered("github", "1") is None
        assert not saves.remove_prefix("https://")
        saves.set_jobs([])
        saves.set_bulk_jobs([])
        saves.set_jobs([(1, 2)])
        saves.set_bulk_jobs([("x", "https://example.org", "git", 1)])
        assert saves.latest() == []

    def test_all_of_a_save_request_comes_back(self, saves: Saves) -> None:
        asked = save(
            "https://example.org/ü?q=%20#é", "archives", _ACCEPTED, date=NOON.astimezone(TOKYO),
            not_before=(NOON + _SECOND).astimezone(WEST), user="Ada Lovelace, née Byron 🚀", webhook="github",
            note="why", artifacts=[Artifact("https://example.org/a.tgz", "1.0"), Artifact("https://ä", "")], trusted=True,
        )  # fmt: skip
        kept = saves.add(asked)
        assert saves.get(kept.id) == kept
        assert saves.latest() == saves.of(asked.url) == [kept]
        assert (kept.job, kept.decided, kept.decided_by) == (None, None, None)
        assert {name: getattr(kept, name) for name in NewSave.__struct_fields__} == {
            name: getattr(asked, name) for name in NewSave.__struct_fields__
        } | {"artifacts": tuple(asked.artifacts)}
        assert kept.date.utcoffset() == datetime.timedelta(0)
        assert kept.not_before is not None
        assert kept.not_before.utcoffset() == datetime.timedelta(0)

    def test_each_call_is_a_request_with_a_higher_number(self, saves: Saves) -> None:
        made = [saves.add(save()) for _ in range(3)]
        assert all(one.id < other.id for one, other in pairwise(made))
        assert saves.of(made[0].url) == made[::-1]

    def test_requests_for_an_origin_come_newest_first(self, saves: Saves) -> None:
        git, hg, other = (
            saves.add(save(*what)) for what in (("https://a", "git"), ("https://a", "hg"), ("https://a/",))
        )
        again = saves.add(save("https://a", date=NOON - _SECOND))
        assert saves.of("https://a") == [again, hg, git]
        assert saves.of("https://a", "git") == [again, git]
        assert saves.of("https://a", "git", limit=1) == [again]
        assert saves.of("https://a/") == [other]
        assert saves.of("https://A") == saves.of("https://a", "Git") == saves.of("https://a", limit=0) == []
        assert saves.of("https://a", limit=-1) == []

    def test_requests_are_paged_to_the_end_while_others_come(self, saves: Saves) -> None:
        made = [saves.add(save(status=_ACCEPTED if n % 3 else _REJECTED)) for n in range(20)]
        seen, before = list[SaveRequest](), None
        while page := saves.latest(before=before, limit=3):
            assert len(page) <= 3
            seen += page
            before = page[-1].id
            saves.add(save(status=_ACCEPTED))
        assert seen == made[::-1]
        rejected = saves.latest(_REJECTED)
        assert rejected == [one for one in made[::-1] if one.status is _REJECTED]
        assert saves.latest(_REJECTED, before=rejected[0].id, limit=2) == rejected[1:3]
        assert saves.latest(_PENDING) == saves.latest(limit=0) == saves.latest(limit=-5) == []
        assert saves.latest(before=FAR, limit=1) == saves.latest(limit=1)
        assert saves.latest(before=-FAR) == saves.latest(before=made[0].id) == []
        assert len(saves.latest(limit=FAR)) == len(seen) + 7

    def test_requests_are_counted_by_status(self, saves: Saves) -> None:
        assert saves.count_statuses() == {"pending": 0, "accepted": 0, "rejected": 0}
        for status in (_PENDING, _PENDING, _ACCEPTED):
            saves.add(save(status=status))
        assert saves.count_statuses() == {"pending": 2, "accepted": 1, "rejected": 0}
        assert saves.decide(saves.latest(_PENDING)[0].id, _REJECTED, date=NOON, user=None)
        assert saves.count_statuses() == {"pending": 1, "accepted": 1, "rejected": 1}

    def test_a_number_beyond_all_bounds_is_no_request(self, saves: Saves) -> None:
        saves.add(save())
        for id in (0, -1, 2, FAR, -FAR):
            assert saves.get(id) is None
            assert not saves.decide(id, _ACCEPTED, date=NOON, user=None)
            saves.set_jobs([(id, 1)])
        assert [one.job for one in saves.latest()] == [None]

    def test_a_pending_request_is_decided_once(self, saves: Saves) -> None:
        first, second, third = (saves.add(save(note="mine")) for _ in range(3))
        later = NOON + _SECOND
        assert saves.decide(first.id, _ACCEPTED, date=later.astimezone(TOKYO), user="ada")
        assert saves.decide(second.id, _REJECTED, date=later, user=None, note="spam")
        for id in (first.id, second.id):
            assert not saves.decide(id, _REJECTED, date=NOON, user="eve", note="no")
        assert [one.status for one in saves.latest()] == [_PENDING, _REJECTED, _ACCEPTED]
        accepted, rejected = saves.get(first.id), saves.get(second.id)
        assert accepted is not None
        assert (accepted.decided, accepted.decided_by, accepted.note) == (later, "ada", "mine")
        assert rejected is not None
        assert (rejected.decided, rejected.decided_by, rejected.note) == (later, None, "spam")
        assert saves.get(third.id) == third
        with pytest.raises(ValueError, match="no decision"):
            saves.decide(third.id, _PENDING, date=NOON, user=None)

    def test_of_many_who_decide_one_does(self, saves: Saves) -> None:
        for _ in range(5):
            asked = saves.add(save())

            def decide(n: int, id: int = asked.id) -> bool:
                return saves.decide(id, _ACCEPTED if n % 2 else _REJECTED, date=NOON, user=f"u{n}")

            with ThreadPoolExecutor(8) as pool:
                done = list(pool.map(decide, range(8)))
            assert sum(done) == 1
            (winner,) = (n for n, did in enumerate(done) if did)
            kept = saves.get(asked.id)
            assert kept is not None
            assert (kept.decided_by, kept.status) == (f"u{winner}", _ACCEPTED if winner % 2 else _REJECTED)

    def test_accepted_requests_without_a_job_are_found(self, saves: Saves) -> None:
        ids = [saves.add(save(status=status)).id for status in (_ACCEPTED, _PENDING, _REJECTED, _ACCEPTED)]
        assert [one.id for one in saves.jobless()] == [ids[0], ids[3]]
        assert [one.id for one in saves.jobless(limit=1)] == [ids[0]]
        assert saves.jobless(limit=0) == []
        saves.decide(ids[1], _ACCEPTED, date=NOON, user=None)
        assert [one.id for one in saves.jobless()] == [ids[0], ids[1], ids[3]]
        saves.set_jobs((id, job) for id, job in ((ids[0], 7), (ids[3], 1), (99, 5), (ids[3], 8)))
        assert [one.id for one in saves.jobless()] == [ids[1]]
        assert [one.job for one in saves.latest()] == [8, None, None, 7]
        saves.set_jobs([(ids[0], 9)])
        saves.set_jobs([(ids[0], 9)])
        assert [one.job for one in saves.latest()] == [8, None, None, 9]

    def test_the_last_word_on_a_prefix_holds(self, saves: Saves) -> None:
        for text in reversed(ALPHABETICAL):
            saves.set_prefix(Prefix(prefix=text, accepted=False, date=NOON))
        assert [one.prefix for one in saves.prefixes()] == list(ALPHABETICAL)
        last = Prefix(prefix=ALPHABETICAL[0], accepted=True, date=NOON.astimezone(WEST), user="ada")
        saves.set_prefix(last)
        saves.set_prefix(last)
        assert saves.prefixes()[0] == last
        assert saves.prefixes()[0].date.utcoffset() == datetime.timedelta(0)
        assert len(saves.prefixes()) == len(ALPHABETICAL)
        assert not saves.remove_prefix("a%")
        assert saves.remove_prefix(ALPHABETICAL[0])
        assert not saves.remove_prefix(ALPHABETICAL[0])
        assert [one.prefix for one in saves.prefixes()] == list(ALPHABETICAL[1:])

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_texts_of_any_kind_are_kept_as_they_are(self, saves: Saves, text: str) -> None:
        kept = saves.add(save(f"https://{text}", note=text, user=text, webhook=text))
        assert saves.of(f"https://{text}") == [kept]
        assert (kept.note, kept.user, kept.webhook) == (text, text, text)
        request = bulk(user=text)
        saves.add_bulk(request, [BulkOrigin(url=text, visit_type=text, reason=text)])
        assert saves.bulks(text) == [request]
        assert saves.jobless_bulk() == [(request.id, BulkOrigin(url=text, visit_type=text, reason=text))]
        saves.set_bulk_jobs([(request.id, text, text, 1)])
        assert saves.jobless_bulk() == []
        saves.set_prefix(Prefix(prefix=text, accepted=True, date=NOON, user=text))
        assert saves.remove_prefix(text)

    def test_what_is_no_text_is_refused_or_explained(self, saves: Saves) -> None:
        for asked in (save(SURROGATE), save(user=SURROGATE), save(visit_type=SURROGATE)):
            with pytest.raises(InvalidInput, match="no Unicode text"):
                saves.add(asked)
        with pytest.raises(InvalidInput, match="no Unicode text"):
            saves.add_bulk(
                bulk(),
                [
                    BulkOrigin(url="https://good", visit_type="git"),
                    BulkOrigin(url=SURROGATE, visit_type="git"),
                ],
            )
        assert [*saves.latest(), *saves.bulks()] == []
        assert saves.add(save(note=SURROGATE)).note == SURROGATE.encode(errors="backslashreplace").decode()

    def test_moments_of_requests_have_a_time_zone(self, saves: Saves) -> None:
        asked = saves.add(save())
        for call in (
            lambda: saves.add(save(date=NAIVE)),
            lambda: saves.add(save(not_before=NAIVE)),
            lambda: saves.decide(asked.id, _ACCEPTED, date=NAIVE, user=None),
            lambda: saves.decide(FAR, _ACCEPTED, date=NAIVE, user=None),
            lambda: saves.set_prefix(Prefix(prefix="p", accepted=True, date=NAIVE)),
            lambda: saves.add_bulk(BulkRequest(id="i", date=NAIVE, user="u"), []),
            lambda: saves.note_answer(Answered(webhook="w", delivery="d", date=NAIVE, status=1, body=b"")),
            lambda: saves.forget_answers(NAIVE),
        ):
            with pytest.raises(ValueError, match="time zone"):
                call()
        assert saves.latest() == [asked]
        assert [*saves.prefixes(), *saves.bulks()] == []
        assert saves.answered("w", "d") is None

    def test_saves_end_with_the_store(self, requests: Requests, saves: Saves) -> None:
        requests.close()
        for call in (
            lambda: saves.add(save()),
            lambda: saves.get(1),
            lambda: saves.of("u"),
            saves.latest,
            lambda: saves.decide(1, _ACCEPTED, date=NOON, user=None),
            saves.jobless,
            lambda: saves.set_jobs([]),
            lambda: saves.set_prefix(Prefix(prefix="p", accepted=True, date=NOON)),
            lambda: saves.remove_prefix("p"),
            saves.prefixes,
            lambda: saves.add_bulk(bulk(), []),
            lambda: saves.bulk("i"),
            saves.bulks,
            saves.count_bulks,
            lambda: saves.bulk_origins("i"),
            lambda: saves.count_bulk_origins("i"),
            saves.jobless_bulk,
            lambda: saves.set_bulk_jobs([]),
            lambda: saves.answered("w", "d"),
            lambda: saves.note_answer(Answered(webhook="w", delivery="d", date=NOON, status=1, body=b"")),
            lambda: saves.forget_answers(NOON),
            lambda: requests.saves.get(1),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
