"""The contract of ``Requests.forge_requests``: what is proposed, decided, and remembered of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from swhkit.errors import InvalidInput
from swhkit.requests import Requests
from swhkit.requests.forges import (
    TRANSITIONS,
    ActorRole,
    ForgeRequest,
    ForgeRequests,
    ForgeStatus,
    NewForgeRequest,
)
from swhkit.testing.odd import FAR, NAIVE, NOON, ODD_TEXTS, SURROGATE, TOKYO

_SECOND = datetime.timedelta(seconds=1)
_S = ForgeStatus


def proposal(forge_url: str = "https://git.example.org/", **more: Any) -> NewForgeRequest:
    """A request to add a forge."""
    fields: dict[str, Any] = {
        "forge_url": forge_url,
        "forge_type": "gitea",
        "contact_name": "Grace",
        "contact_email": "grace@example.org",
        "submitter": "ada",
        "submitter_email": "ada@example.org",
        "date": NOON,
    }
    return NewForgeRequest(**fields | more)


def added(forges: ForgeRequests, request: NewForgeRequest | None = None) -> ForgeRequest:
    """A request that was not known."""
    made = forges.add(request or proposal())
    assert isinstance(made, ForgeRequest)
    return made


def moved(forges: ForgeRequests, id: int, status: ForgeStatus | None, **more: Any) -> ForgeRequest | None:
    """What ``update`` returns for a moderator without words."""
    line = {"expected": None, "actor": "mod", "role": ActorRole.MODERATOR, "text": "", "date": NOON}
    return forges.update(id, **{"status": status} | line | more)


def ways() -> dict[ForgeStatus, tuple[ForgeStatus, ...]]:
    """How each status is reached from ``PENDING``."""
    found: dict[ForgeStatus, tuple[ForgeStatus, ...]] = {_S.PENDING: ()}
    todo = [_S.PENDING]
    for status in todo:
        for following in sorted(TRANSITIONS[status] - found.keys()):
            found[following] = (*found[status], following)
            todo.append(following)
    return found


class ForgeRequestsContract:
    """Run by ``RequestsContract``; what is tested alone needs the fixture ``requests``."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named requests")

    @pytest.fixture
    def forges(self, requests: Requests) -> ForgeRequests:
        """The role under test."""
        return requests.forge_requests

    def test_an_empty_store_has_no_forge_requests(self, forges: ForgeRequests) -> None:
        assert forges.get(1) is None
        assert [*forges.latest(), *forges.history(1)] == []
        assert forges.count() == forges.count("ada") == 0
        assert [forges.with_status(status) for status in ForgeStatus] == [[]] * len(ForgeStatus)
        assert forges.count_statuses() == dict.fromkeys(map(str, ForgeStatus), 0)
        assert moved(forges, 1, _S.REJECTED) is None

    def test_all_of_a_forge_request_comes_back(self, forges: ForgeRequests) -> None:
        asked = proposal(contact_comment="ask ü", forward_username=True, date=NOON.astimezone(TOKYO))
        made = added(forges, asked)
        assert forges.get(made.id) == made
        assert forges.latest() == forges.with_status(_S.PENDING) == [made]
        assert (made.status, made.moderator, made.modified) == (_S.PENDING, None, NOON)
        for name in NewForgeRequest.__struct_fields__:
            assert getattr(made, name) == getattr(asked, name)
        assert made.date.utcoffset() == made.modified.utcoffset() == datetime.timedelta(0)
        (line,) = forges.history(made.id)
        assert (line.date, line.actor, line.role, line.text, line.status) == (
            NOON, "ada", ActorRole.SUBMITTER, "", _S.PENDING,
        )  # fmt: skip

    def test_a_known_forge_gives_its_number(self, forges: ForgeRequests) -> None:
        first, other = added(forges), added(forges, proposal("https://git.example.org"))
        assert first.id < other.id
        assert forges.add(proposal(submitter="eve", forge_type="gitlab")) == first.id
        moved(forges, first.id, _S.REJECTED)
        assert forges.add(proposal()) == first.id
        assert forges.count() == 2
        assert [len(forges.history(id)) for id in (first.id, other.id)] == [2, 1]

    def test_of_many_who_propose_a_forge_one_does(self, forges: ForgeRequests) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: forges.add(proposal(submitter=f"u{n}")), range(16)))
        (one,) = (request for request in made if isinstance(request, ForgeRequest))
        assert made.count(one.id) == 15
        assert forges.latest() == [one]
        assert [line.actor for line in forges.history(one.id)] == [one.submitter]

    def test_forge_requests_come_newest_first(self, forges: ForgeRequests) -> None:
        made = [
            added(
                forges,
                proposal(f"https://{n}", submitter="bob" if n == 1 else "ada", date=NOON - n * _SECOND),
            )
            for n in range(12)
        ]
        assert forges.latest() == made[:1:-1]
        assert forges.latest(offset=10) == [made[1], made[0]]
        assert forges.latest(submitter="bob") == [made[1]]
        assert forges.latest(submitter="ada", offset=9, limit=1) == [made[2]]
        assert forges.latest(offset=12) == forges.latest(offset=FAR) == []
        assert forges.latest(limit=0) == forges.latest(limit=-1) == []
        assert forges.latest(submitter="eve") == forges.latest(submitter="Ada") == []
        assert forges.latest(offset=-3, limit=FAR) == made[::-1]
        assert [forges.count(who) for who in (None, "ada", "bob", "eve")] == [12, 11, 1, 0]

    def test_requests_of_a_status_come_oldest_first(self, forges: ForgeRequests) -> None:
        made = [added(forges, proposal(f"https://{n}")) for n in range(4)]
        for n in (3, 1):
            moved(forges, made[n].id, _S.SUSPENDED)
        assert [one.id for one in forges.with_status(_S.SUSPENDED)] == [made[1].id, made[3].id]
        assert forges.with_status(_S.PENDING) == [made[0], made[2]]
        counts = forges.count_statuses()
        assert {word: count for word, count in counts.items() if count} == {"PENDING": 2, "SUSPENDED": 2}
        assert list(counts) == list(map(str, ForgeStatus))

    def test_every_status_can_be_reached(self) -> None:
        assert ways().keys() == set(ForgeStatus)

    @pytest.mark.parametrize("status", ForgeStatus)
    def test_a_request_moves_as_it_may(self, forges: ForgeRequests, status: ForgeStatus) -> None:
        for target in ForgeStatus:
            made = added(forges, proposal(f"https://{target}"))
            for step in ways()[status]:
                assert moved(forges, made.id, step) is not None
            before, history = forges.get(made.id), forges.history(made.id)
            assert before is not None
            assert before.status is status
            after = moved(forges, made.id, target, date=NOON + _SECOND)
            if target in TRANSITIONS[status]:
                assert after is not None
                assert after.status is target
                assert forges.get(made.id) == after
                assert [line.status for line in forges.history(made.id)] == [
                    *(h.status for h in history),
                    target,
                ]
            else:
                assert after is None
                assert forges.get(made.id) == before
                assert forges.history(made.id) == history

    def test_what_was_expected_must_be_so(self, forges: ForgeRequests) -> None:
        made = added(forges)
        assert moved(forges, made.id, _S.REJECTED, expected=_S.WAITING_FOR_FEEDBACK) is None
        assert moved(forges, made.id, None, expected=_S.ACCEPTED) is None
        assert len(forges.history(made.id)) == 1
        assert moved(forges, made.id, _S.WAITING_FOR_FEEDBACK, expected=_S.PENDING) is not None
        assert moved(forges, made.id, None, expected=_S.WAITING_FOR_FEEDBACK) is not None
        for id in (0, 2, FAR, -FAR):
            assert moved(forges, id, None) is None
            assert forges.get(id) is None
            assert forges.history(id) == []

    def test_history_says_who_did_what(self, forges: ForgeRequests) -> None:
        made, other = added(forges), added(forges, proposal("https://other"))
        lines = [
            ("mod", ActorRole.MODERATOR, "Dear Grace", _S.WAITING_FOR_FEEDBACK),
            ("mod", ActorRole.MODERATOR, "a remark", None),
            ("mod", ActorRole.MODERATOR, "a remark", None),
            ("grace", ActorRole.EMAIL, "fine", _S.FEEDBACK_TO_HANDLE),
        ]
        for n, (actor, role, text, status) in enumerate(lines, start=1):
            changed = moved(
                forges,
                made.id,
                status,
                actor=actor,
                role=role,
                text=text,
                date=(NOON + n * _SECOND).astimezone(TOKYO),
            )
            moved(forges, other.id, None, text="between")
        assert forges.get(made.id) == changed
        assert changed is not None
        assert (changed.status, changed.moderator) == (_S.FEEDBACK_TO_HANDLE, "mod")
        assert (changed.date, changed.modified) == (NOON, NOON + 4 * _SECOND)
        history = forges.history(made.id)
        assert [(h.actor, h.role, h.text, h.status) for h in history[1:]] == lines
        assert [h.date for h in history] == [NOON + n * _SECOND for n in range(5)]
        assert sorted({h.id for h in history}) == [h.id for h in history]
        assert not {h.id for h in history} & {h.id for h in forges.history(other.id)}

    def test_of_many_who_move_a_request_one_does(self, forges: ForgeRequests) -> None:
        for n in range(4):
            made = added(forges, proposal(f"https://{n}"))
            moved(forges, made.id, _S.WAITING_FOR_FEEDBACK)

            def accept(n: int, id: int = made.id) -> ForgeRequest | None:
                return moved(forges, id, _S.ACCEPTED, expected=_S.WAITING_FOR_FEEDBACK, actor=f"m{n}")

            with ThreadPoolExecutor(8) as pool:
                done = list(pool.map(accept, range(8)))
            (winner,) = (one for one in done if one is not None)
            assert forges.get(made.id) == winner
            assert [line.actor for line in forges.history(made.id)] == ["ada", "mod", winner.moderator]

    def test_remarks_at_once_are_all_there(self, forges: ForgeRequests) -> None:
        made = added(forges)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: moved(forges, made.id, None, text=str(n)), range(40)))
        assert sorted(int(line.text) for line in forges.history(made.id)[1:]) == list(range(40))

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_words_of_any_kind_are_kept_as_they_are(self, forges: ForgeRequests, text: str) -> None:
        made = added(
            forges, proposal(text, contact_name=text, contact_comment=text, submitter=text, forge_type=text)
        )
        assert forges.latest(submitter=text) == [made]
        assert (made.forge_url, made.contact_name, made.contact_comment, made.forge_type) == (text,) * 4
        assert forges.add(proposal(text)) == made.id
        moved(forges, made.id, None, text=text, actor=text)
        assert [(line.actor, line.text) for line in forges.history(made.id)] == [(text, ""), (text, text)]

    def test_words_that_are_no_text_are_refused_or_explained(self, forges: ForgeRequests) -> None:
        for field in ("forge_url", "contact_name", "contact_comment", "submitter"):
            with pytest.raises(InvalidInput, match="no Unicode text"):
                forges.add(proposal(**{field: SURROGATE}))
        assert forges.count() == 0
        made = added(forges)
        with pytest.raises(InvalidInput, match="no Unicode text"):
            moved(forges, made.id, None, actor=SURROGATE)
        moved(forges, made.id, None, text=SURROGATE)
        assert forges.history(made.id)[-1].text == SURROGATE.encode(errors="backslashreplace").decode()

    def test_moments_of_forge_requests_have_a_time_zone(self, forges: ForgeRequests) -> None:
        made = added(forges)
        with pytest.raises(ValueError, match="time zone"):
            forges.add(proposal("https://new", date=NAIVE))
        for id in (made.id, FAR):
            with pytest.raises(ValueError, match="time zone"):
                moved(forges, id, _S.REJECTED, date=NAIVE)
        assert forges.latest() == [made]

    def test_forge_requests_end_with_the_store(self, requests: Requests, forges: ForgeRequests) -> None:
        requests.close()
        for call in (
            lambda: forges.add(proposal()),
            lambda: forges.get(1),
            forges.latest,
            forges.count,
            lambda: forges.with_status(_S.PENDING),
            lambda: forges.history(1),
            lambda: moved(forges, 1, None),
            lambda: requests.forge_requests.get(1),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
