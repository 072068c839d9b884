"""The part of the contract of ``Requests.saves`` that is about bulk requests and answers to webhooks."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swhkit.requests import Requests
from swhkit.requests.saves import (
    Answered,
    BulkOrigin,
    BulkRequest,
    Saves,
    SaveStatus,
)
from swhkit.testing.odd import FAR, NOON, TOKYO, WEST

_SECOND = datetime.timedelta(seconds=1)
_PENDING, _ACCEPTED, _REJECTED = SaveStatus.PENDING, SaveStatus.ACCEPTED, SaveStatus.REJECTED


def bulk(id: str = "", user: str = "ada") -> BulkRequest:
    """A bulk request, of a new id if none is given."""
    return BulkRequest(id=id or str(uuid.uuid4()), date=NOON, user=user)


def many(count: int) -> list[BulkOrigin]:
    """Origins in no order."""
    return [
        BulkOrigin(url=f"https://example.org/{n * 7919 % count:06}", visit_type="git") for n in range(count)
    ]


class BulkContract:
    """Run by ``SavesContract``."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named requests")

    @pytest.fixture
    def saves(self, requests: Requests) -> Saves:
        """The role under test."""
        return requests.saves

    def test_of_equal_bulk_origins_the_first_counts(self, saves: Saves) -> None:
        request = bulk()
        origins = [
            BulkOrigin(url="https://b", visit_type="svn", status=_PENDING),
            BulkOrigin(url="https://b", visit_type="git", status=_REJECTED, reason="no"),
            BulkOrigin(url="https://a", visit_type="svn", job=5),
            BulkOrigin(url="https://b", visit_type="git", status=_ACCEPTED),
        ]
        saves.add_bulk(request, origins)
        assert saves.bulk(request.id) == request
        assert saves.bulk_origins(request.id) == [origins[2], origins[1], origins[0]]
        assert saves.count_bulk_origins(request.id) == 3
        assert saves.bulk_origins(request.id, offset=1, limit=1) == [origins[1]]
        assert saves.bulk_origins(request.id, offset=3) == saves.bulk_origins(request.id, limit=0) == []
        assert saves.bulk_origins(request.id, offset=FAR) == saves.bulk_origins(request.id, limit=-1) == []
        assert saves.bulk_origins(request.id, offset=-1, limit=FAR) == saves.bulk_origins(request.id)
        assert saves.jobless_bulk() == []

    def test_a_known_bulk_request_is_not_changed(self, saves: Saves) -> None:
        first = bulk()
        saves.add_bulk(first, many(2))
        with pytest.raises(ValueError, match=first.id):
            saves.add_bulk(BulkRequest(id=first.id, date=NOON + _SECOND, user="eve"), many(5))
        assert saves.bulks() == [first]
        assert saves.count_bulk_origins(first.id) == len(saves.bulk_origins(first.id)) == 2

    def test_bulk_requests_come_newest_first(self, saves: Saves) -> None:
        made = [bulk(user=user) for user in ("ada", "bob", "ada", "ada")]
        for request in made:
            saves.add_bulk(request, [])
        assert saves.bulks() == made[::-1]
        assert saves.bulks("ada") == [made[3], made[2], made[0]]
        assert saves.bulks("ada", offset=1, limit=1) == [made[2]]
        assert (
            saves.bulks("eve")
            == saves.bulks(limit=0)
            == saves.bulks(offset=4)
            == saves.bulks("ada", limit=-1)
            == []
        )
        assert [saves.count_bulks(user) for user in (None, "ada", "bob", "eve")] == [4, 3, 1, 0]
        assert saves.count_bulk_origins(made[0].id) == 0

    def test_a_bulk_request_may_be_large(self, saves: Saves) -> None:
        small, large, origins = bulk(), bulk(), many(10_000)
        saves.add_bulk(small, many(3))
        saves.add_bulk(large, origins)
        assert saves.count_bulk_origins(large.id) == len(origins)
        kept = list[BulkOrigin]()
        while page := saves.bulk_origins(large.id, offset=len(kept), limit=3000):
            assert len(page) <= 3000
            kept += page
        assert kept == sorted(origins, key=lambda origin: origin.url)
        waiting = saves.jobless_bulk()
        assert [id for id, _ in waiting] == [small.id] * 3 + [large.id] * 9997
        assert [origin for _, origin in waiting[3:]] == kept[:9997]
        saves.set_bulk_jobs((id, origin.url, origin.visit_type, n) for n, (id, origin) in enumerate(waiting))
        assert len(saves.jobless_bulk()) == 3
        assert [origin.job for origin in saves.bulk_origins(small.id)] == [0, 1, 2]
        saves.set_bulk_jobs(
            [(large.id, waiting[5][1].url, "hg", 9), ("unknown", waiting[5][1].url, "git", 9)]
        )
        assert saves.bulk_origins(large.id, offset=2, limit=1)[0].job == 5
        assert saves.jobless_bulk(limit=1) == saves.jobless_bulk()[:1]
        assert saves.jobless_bulk(limit=0) == []

    def test_a_delivery_gets_its_first_answer_again(self, saves: Saves) -> None:
        first = Answered(
            webhook="github", delivery="1-2", date=NOON.astimezone(TOKYO), status=200, body=bytes(range(256))
        )
        assert saves.note_answer(first) == first
        second = Answered(webhook="github", delivery="1-2", date=NOON + _SECOND, status=400, body=b"")
        assert saves.note_answer(second) == first
        found = saves.answered("github", "1-2")
        assert found == first
        assert found.date.utcoffset() == datetime.timedelta(0)
        for other in (("gitlab", "1-2"), ("github", "1"), ("GITHUB", "1-2"), ("github1", "-2")):
            assert saves.answered(*other) is None

    def test_of_many_answers_at_once_one_is_kept(self, saves: Saves) -> None:
        answers = [Answered(webhook="w", delivery="d", date=NOON, status=200 + n, body=b"") for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            kept = list(pool.map(saves.note_answer, answers))
        assert kept == [saves.answered("w", "d")] * 8
        assert kept[0] in answers

    def test_old_answers_are_forgotten(self, saves: Saves) -> None:
        for n in range(4):
            saves.note_answer(
                Answered(webhook="w", delivery=str(n), date=NOON + n * _SECOND, status=200, body=b"")
            )
        assert saves.forget_answers((NOON + 2 * _SECOND).astimezone(WEST)) == 2
        assert [saves.answered("w", str(n)) is None for n in range(4)] == [True, True, False, False]
        assert saves.forget_answers(NOON + 2 * _SECOND) == 0
        again = Answered(webhook="w", delivery="0", date=NOON, status=500, body=b"new")
        assert saves.note_answer(again) == again
