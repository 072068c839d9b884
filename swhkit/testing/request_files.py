"""The contract of request stores that keep things on disk: what two stores, two processes and SIGKILL may do."""

from __future__ import annotations

import datetime
import functools
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swhkit.requests import Requests, digest_of, new_secret
from swhkit.requests.forges import ActorRole, ForgeStatus
from swhkit.requests.saves import Answered, BulkOrigin, BulkRequest, Prefix, SaveStatus
from swhkit.requests.schedule import INTERRUPTED, ListingStatus, Page, State
from swhkit.testing.bulk import bulk, many
from swhkit.testing.disappearances import new_forge, seen
from swhkit.testing.forge_requests import added, moved, proposal
from swhkit.testing.odd import NOON
from swhkit.testing.on_disk import OnDiskContract, opened
from swhkit.testing.processes import killed, two_at_once
from swhkit.testing.requests import FULL_HOUR, RequestsContract, token
from swhkit.testing.saves import save
from swhkit.testing.schedule import origin

#: ``opener(create)`` opens the same place again and again, in this or another process (so it must be picklable).
Opener = Callable[[bool], Requests]

_HOUR = datetime.timedelta(hours=1)
#: How many origins each bulk request has that is written when a process is killed.
_WHOLE = 400


class DurableRequestsContract(OnDiskContract, RequestsContract):
    """Subclass it and supply the fixture ``opener``; ``requests`` follows from it."""

    @pytest.fixture
    def requests(self, opener: Opener) -> Iterator[Requests]:
        yield from opened(opener)

    def test_what_one_learns_another_knows_at_once(self, requests: Requests, opener: Opener) -> None:
        other = opener(False)
        requests.add_token(token(), digest_of("s"))
        found = other.token(digest_of("s"))
        assert found is not None
        assert found.revoked is None
        requests.revoke_token("ci", NOON)
        found = other.token(digest_of("s"))
        assert found is not None
        assert found.revoked == NOON
        fill(requests)
        assert told(other) == told(requests)
        assert other.saves.decide(
            other.saves.latest(SaveStatus.PENDING)[0].id, SaveStatus.REJECTED, date=NOON, user="b"
        )
        assert requests.saves.latest(SaveStatus.PENDING) == []
        other.close()

    def test_nobody_else_may_read_it(self, requests: Requests, place: Path) -> None:
        requests.add_token(token(), digest_of("s"))
        fill(requests)
        files = [path for path in place.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []

    def test_no_secret_is_kept(self, requests: Requests, place: Path) -> None:
        secret = new_secret()
        requests.add_token(token(), digest_of(secret))
        requests.token(digest_of(secret))
        kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
        assert b"ada@example.org" in kept
        assert secret.encode() not in kept
        assert secret[8:24].encode() not in kept

    def test_opened_again_it_tells_the_same(self, opener: Opener) -> None:
        first = opener(True)
        fill(first)
        before = told(first)
        first.close()
        for create in (True, False):
            again = opener(create)
            assert told(again) == before
            again.close()

    def test_what_was_done_survives_sigkill(self, opener: Opener, tmp_path: Path) -> None:
        killed(_write_and_die, opener, tmp_path / "told")
        requests = opener(False)
        first, second = requests.tokens()
        assert (first.name, first.revoked, first.last_used) == ("first", None, FULL_HOUR)
        assert (second.name, second.revoked) == ("second", NOON)
        assert repr(told(requests)) == (tmp_path / "told").read_text()
        requests.close()

    def test_a_listing_whose_process_was_killed_is_failed_by_the_next(self, opener: Opener) -> None:
        killed(_list_and_die, opener)
        requests = opener(False)
        schedule = requests.schedule
        (forge,), now = schedule.forges(), NOON + _HOUR
        (dead,) = schedule.listings(forge.id)
        assert (dead.status, dead.repositories) == (ListingStatus.RUNNING, 3)
        schedule.begin_listing(forge.id, True, now)
        failed = schedule.listings(forge.id)[1]
        assert (failed.status, failed.error, failed.repositories) == (ListingStatus.FAILED, INTERRUPTED, 3)
        assert [(one.missed, one.enabled) for one in schedule.listed(forge.id)] == [(0, True)] * 3
        requests.close()

    def test_a_bulk_request_is_there_whole_or_not_at_all_after_sigkill(self, opener: Opener) -> None:
        opener(True).close()
        for _ in range(3):
            killed(_write_until_killed, opener)
        requests = opener(False)
        bulks = requests.saves.bulks()
        assert bulks
        for one in bulks:
            assert requests.saves.count_bulk_origins(one.id) == _WHOLE
            assert len(requests.saves.bulk_origins(one.id)) == _WHOLE
        requests.close()

    def test_two_processes_may_write_at_once(self, opener: Opener) -> None:
        requests = opener(True)
        asked = [requests.saves.add(save()).id for _ in range(40)]
        waiting = [added(requests.forge_requests, proposal(f"https://{n}")).id for n in range(20)]
        two_at_once(_write_beside_another, opener, asked, waiting)
        saves, forges, schedule = requests.saves, requests.forge_requests, requests.schedule
        decided = [saves.get(id) for id in asked]
        assert all(one is not None and one.note == f"by {one.decided_by}" for one in decided)
        assert sum(int(one.note) for child in range(2) for one in saves.of(f"https://{child}")) == 40 + 20
        assert all(len(forges.history(id)) == 2 for id in waiting)
        assert len(saves.of("https://both", limit=1000)) == 60
        ids = [one.id for one in saves.latest(limit=1000)]
        assert ids == sorted(set(ids), reverse=True)
        (forge,) = schedule.forges()
        assert schedule.count_states()["ok"] == 300
        assert forge.url == new_forge().url
        requests.close()


def fill(requests: Requests) -> None:
    """Put something of each kind into a store."""
    saves, forges, schedule = requests.saves, requests.forge_requests, requests.schedule
    asked = [saves.add(save(f"https://{n}", user="ada", note="é")) for n in range(2)]
    saves.decide(asked[0].id, SaveStatus.ACCEPTED, date=NOON, user="mod")
    saves.set_jobs([(asked[0].id, 5)])
    saves.set_prefix(Prefix(prefix="https://", accepted=False, date=NOON, user="mod"))
    request = bulk()
    saves.add_bulk(request, many(20))
    saves.set_bulk_jobs([(request.id, many(20)[3].url, "git", 7)])
    saves.note_answer(Answered(webhook="github", delivery="1", date=NOON, status=200, body=b"{}"))
    if not isinstance(made := forges.add(proposal()), int):
        moved(forges, made.id, ForgeStatus.WAITING_FOR_FEEDBACK, role=ActorRole.MODERATOR, text="hello")
    forge = schedule.set_forge(new_forge(options={"a": [1]}), NOON)
    schedule.keep_page(forge.id, "https://page", Page(etag="e", body=b"x" * 1000, headers={"a": "b"}))
    for keys in ("123", "134"):
        listing = schedule.begin_listing(forge.id, True, NOON)
        schedule.note_seen(listing.id, [seen(key) for key in keys], NOON)
        schedule.end_listing(listing.id, ListingStatus.COMPLETE, NOON)
    states = (*State, None)
    schedule.set_freshness(origin(str(n), state=states[n % 5], due=NOON, every=60.0) for n in range(20))


def told(requests: Requests) -> dict[str, object]:
    """All that a store tells of what ``fill`` has put in."""
    saves, forges, schedule = requests.saves, requests.forge_requests, requests.schedule
    return {
        "tokens": requests.tokens(),
        "saves": saves.latest(),
        "jobless": saves.jobless(),
        "prefixes": saves.prefixes(),
        "bulks": [
            (one, saves.bulk_origins(one.id), saves.count_bulk_origins(one.id)) for one in saves.bulks()
        ],
        "jobless bulk": saves.jobless_bulk(),
        "answer": saves.answered("github", "1"),
        "forge requests": [(one, forges.history(one.id)) for one in forges.latest()],
        "forges": [
            (one, schedule.listings(one.id), schedule.listed(one.id), schedule.page(one.id, "https://page"))
            for one in schedule.forges()
        ],
        "freshness": (
            schedule.origins(),
            schedule.due(NOON),
            schedule.overdue(NOON + 2 * _HOUR),
            schedule.count_states(),
        ),
    }


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _write_and_die(opener: Opener, path: Path) -> None:
    """Do something of each kind, and say in a file what a store tells that has done so."""
    requests = opener(True)
    for name in ("first", "second"):
        requests.add_token(token(name), digest_of(name))
    requests.use_token("first", NOON)
    requests.revoke_token("second", NOON)
    fill(requests)
    path.write_text(repr(told(requests)))
    _die()


def _list_and_die(opener: Opener) -> None:
    schedule = opener(True).schedule
    forge = schedule.set_forge(new_forge(), NOON)
    listing = schedule.begin_listing(forge.id, True, NOON)
    schedule.note_seen(listing.id, [seen(key) for key in "123"], NOON)
    _die()


def _write_until_killed(opener: Opener) -> None:
    """Dies by the hand of one thread while another writes."""
    saves, some = opener(False).saves, threading.Event()

    def kill() -> None:
        some.wait()
        _die()

    threading.Thread(target=kill, daemon=True).start()
    for n in range(10_000):
        origins = [BulkOrigin(url=f"https://{k}", visit_type="git") for k in range(_WHOLE)]
        saves.add_bulk(BulkRequest(id=f"{os.getpid()}-{n}", date=NOON, user="ada"), origins)
        if n == 3:
            some.set()


def _write_beside_another(opener: Opener, asked: list[int], waiting: list[int], number: int) -> None:
    """Decide what the other decides too, and say in a request of its own how often it was the first."""
    requests = opener(False)
    saves, forges, schedule = requests.saves, requests.forge_requests, requests.schedule
    me, first = f"child {number}", 0
    for id in asked:
        first += saves.decide(id, SaveStatus.ACCEPTED, date=NOON, user=me, note=f"by {me}")
    move = functools.partial(
        moved, forges, status=ForgeStatus.WAITING_FOR_FEEDBACK, expected=ForgeStatus.PENDING, actor=me
    )
    for id in waiting:
        first += move(id) is not None
    for n in range(30):
        saves.add(save("https://both"))
        schedule.set_forge(new_forge(), NOON)
        schedule.set_freshness(origin(str(k), state=State.OK) for k in range(n * 10, n * 10 + 10))
    saves.add(save(f"https://{number}", note=str(first)))
    requests.close()
