"""The contract of ``Requests``: access tokens. What its prose leaves open is fixed here: moments come back in UTC with
their microseconds; a digest of another length than 32 bytes and a moment without time zone are a ``ValueError``."""

from __future__ import annotations

import datetime
import os
import signal
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swhkit.requests import LOOKED_UP, Requests, Token, digest_of, new_secret
from swhkit.testing.on_disk import OnDiskContract, opened
from swhkit.testing.processes import killed

#: ``opener(create)`` opens the same place again and again, in this or another process (so it must be picklable).
Opener = Callable[[bool], Requests]

_NOON = datetime.datetime(2024, 3, 1, 12, 30, 5, 123456, datetime.UTC)
_HOUR = datetime.timedelta(hours=1)
_FULL = _NOON.replace(minute=0, second=0, microsecond=0)


def token(name: str = "ci", *permissions: str, created: datetime.datetime = _NOON) -> Token:
    """A token of Ada's."""
    return Token(
        name=name, user="ada", email="ada@example.org", permissions=frozenset(permissions), created=created
    )


class RequestsContract:
    """Subclass it and supply the fixture ``requests``."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named requests")

    def test_an_empty_store_knows_nobody(self, requests: Requests) -> None:
        assert requests.tokens() == []
        assert requests.token(digest_of("")) is None
        assert requests.token(bytes(32)) is None
        assert not requests.revoke_token("ci", _NOON)
        requests.use_token("ci", _NOON)
        assert requests.tokens() == []

    def test_a_token_is_found_by_its_digest_alone(self, requests: Requests) -> None:
        secret = new_secret()
        kept = token("ci", "swh.web.api.graph", "staff")
        assert requests.add_token(kept, digest_of(secret))
        assert requests.token(digest_of(secret)) == kept
        assert requests.tokens() == [kept]
        for wrong in (secret[:-1], secret + " ", secret.swapcase(), "", "ci"):
            assert requests.token(digest_of(wrong)) is None

    def test_a_part_of_a_digest_finds_nothing(self, requests: Requests) -> None:
        digest = digest_of("secret")
        requests.add_token(token(), digest)
        for wrong in (
            digest[:LOOKED_UP],
            digest[:31],
            digest + b"\0",
            digest[:LOOKED_UP] + bytes(32 - LOOKED_UP),
            b"",
        ):
            assert requests.token(wrong) is None

    def test_digests_that_begin_alike_are_told_apart(self, requests: Requests) -> None:
        digests = [bytes(31) + bytes([n]) for n in range(3)]
        for n, digest in enumerate(digests):
            assert requests.add_token(token(f"t{n}"), digest)
        assert [found and found.name for found in map(requests.token, digests)] == ["t0", "t1", "t2"]

    def test_a_name_and_a_digest_are_taken_for_ever(self, requests: Requests) -> None:
        first, second = digest_of("one"), digest_of("two")
        assert requests.add_token(token(), first)
        assert not requests.add_token(token("other"), first)
        assert not requests.add_token(token("ci", "staff"), second)
        requests.revoke_token("ci", _NOON)
        assert not requests.add_token(token(), second)
        assert requests.token(second) is None
        found = requests.token(first)
        assert found is not None
        assert (found.permissions, found.revoked) == (frozenset(), _NOON)

    def test_a_revoked_token_stays_revoked_since_the_first_time(self, requests: Requests) -> None:
        requests.add_token(token(), digest_of("s"))
        assert requests.revoke_token("ci", _NOON + _HOUR)
        assert requests.revoke_token("ci", _NOON + 2 * _HOUR)
        (kept,) = requests.tokens()
        assert kept.revoked == _NOON + _HOUR
        assert requests.token(digest_of("s")) == kept

    def test_use_is_noted_by_the_hour_and_never_goes_back(self, requests: Requests) -> None:
        def used() -> datetime.datetime | None:
            return requests.tokens()[0].last_used

        requests.add_token(token(), digest_of("s"))
        assert used() is None
        requests.use_token("ci", _NOON)
        assert used() == _FULL
        requests.use_token("ci", _FULL + datetime.timedelta(minutes=59))
        assert used() == _FULL
        east = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        requests.use_token("ci", (_NOON + 2 * _HOUR).astimezone(east))
        assert used() == _FULL + 2 * _HOUR
        requests.use_token("ci", _NOON + _HOUR)
        assert used() == _FULL + 2 * _HOUR

    def test_all_of_a_token_comes_back(self, requests: Requests) -> None:
        west = datetime.timezone(datetime.timedelta(hours=-8))
        kept = Token(
            name="x.Y_z-1", user="Ada Lovelace, née Byron 🚀", email="ädä@exämple.org", created=_NOON.astimezone(west),
            last_used=_FULL, revoked=_NOON + _HOUR,
        )  # fmt: skip
        requests.add_token(kept, digest_of("s"))
        found = requests.token(digest_of("s"))
        assert found == kept
        assert found.created.utcoffset() == datetime.timedelta(0)

    def test_tokens_come_oldest_first(self, requests: Requests) -> None:
        for n, name in enumerate(("b", "c", "a")):
            requests.add_token(token(name, created=_NOON + n * _HOUR), digest_of(name))
        requests.add_token(token("first", created=_NOON - _HOUR), digest_of("first"))
        assert [kept.name for kept in requests.tokens()] == ["first", "b", "c", "a"]

    def test_what_makes_no_sense_is_refused(self, requests: Requests) -> None:
        for digest in (b"", b"short", bytes(33)):
            with pytest.raises(ValueError, match="32 bytes"):
                requests.add_token(token(), digest)
        naive = _NOON.replace(tzinfo=None)
        with pytest.raises(ValueError, match="time zone"):
            requests.add_token(token(created=naive), digest_of("s"))
        assert requests.tokens() == []
        requests.add_token(token(), digest_of("s"))
        with pytest.raises(ValueError, match="time zone"):
            requests.use_token("ci", naive)
        with pytest.raises(ValueError, match="time zone"):
            requests.revoke_token("ci", naive)
        assert requests.tokens() == [token()]

    def test_one_of_many_gets_a_name(self, requests: Requests) -> None:
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda n: requests.add_token(token(), digest_of(str(n))), range(24)))
        assert sorted(done) == [False] * 23 + [True]
        assert len(requests.tokens()) == 1

    def test_after_closing_nothing_is_told(self, requests: Requests) -> None:
        requests.close()
        requests.close()
        for call in (
            requests.tokens,
            lambda: requests.token(bytes(32)),
            lambda: requests.add_token(token(), bytes(32)),
            lambda: requests.revoke_token("ci", _NOON),
            lambda: requests.use_token("ci", _NOON),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()


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
        requests.revoke_token("ci", _NOON)
        found = other.token(digest_of("s"))
        assert found is not None
        assert found.revoked == _NOON
        other.close()

    def test_nobody_else_may_read_it(self, requests: Requests, place: Path) -> None:
        requests.add_token(token(), digest_of("s"))
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

    def test_what_was_done_survives_sigkill(self, opener: Opener) -> None:
        killed(_write_and_die, opener)
        requests = opener(False)
        first, second = requests.tokens()
        assert (first.name, first.revoked, first.last_used) == ("first", None, _FULL)
        assert (second.name, second.revoked) == ("second", _NOON)
        requests.close()


def _write_and_die(opener: Opener) -> None:
    requests = opener(True)
    for name in ("first", "second"):
        requests.add_token(token(name), digest_of(name))
    requests.use_token("first", _NOON)
    requests.revoke_token("second", _NOON)
    os.kill(os.getpid(), signal.SIGKILL)
