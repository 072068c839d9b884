"""The contract of ``Requests``: access tokens here, the other roles in modules of their own, and all of them run at once.

What its prose leaves open is fixed here: moments come back in UTC with their microseconds; a digest of another length
than 32 bytes and a moment without time zone are a ``ValueError``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swhkit.requests import LOOKED_UP, Requests, Token, digest_of, new_secret
from swhkit.testing.forge_requests import ForgeRequestsContract
from swhkit.testing.odd import NOON
from swhkit.testing.saves import SavesContract
from swhkit.testing.schedule import ScheduleContract

_HOUR = datetime.timedelta(hours=1)
#: What ``use_token`` notes at noon.
FULL_HOUR = NOON.replace(minute=0, second=0, microsecond=0)


def token(name: str = "ci", *permissions: str, created: datetime.datetime = NOON) -> Token:
    """A token of Ada's."""
    return Token(
        name=name, user="ada", email="ada@example.org", permissions=frozenset(permissions), created=created
    )


class RequestsContract(SavesContract, ForgeRequestsContract, ScheduleContract):
    """Subclass it and supply the fixture ``requests``; every role of the store is tested."""

    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named requests")

    def test_an_empty_store_knows_nobody(self, requests: Requests) -> None:
        assert requests.tokens() == []
        assert requests.token(digest_of("")) is None
        assert requests.token(bytes(32)) is None
        assert not requests.revoke_token("ci", NOON)
        requests.use_token("ci", NOON)
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
        requests.revoke_token("ci", NOON)
        assert not requests.add_token(token(), second)
        assert requests.token(second) is None
        found = requests.token(first)
        assert found is not None
        assert (found.permissions, found.revoked) == (frozenset(), NOON)

    def test_a_revoked_token_stays_revoked_since_the_first_time(self, requests: Requests) -> None:
        requests.add_token(token(), digest_of("s"))
        assert requests.revoke_token("ci", NOON + _HOUR)
        assert requests.revoke_token("ci", NOON + 2 * _HOUR)
        (kept,) = requests.tokens()
        assert kept.revoked == NOON + _HOUR
        assert requests.token(digest_of("s")) == kept

    def test_use_is_noted_by_the_hour_and_never_goes_back(self, requests: Requests) -> None:
        def used() -> datetime.datetime | None:
            return requests.tokens()[0].last_used

        requests.add_token(token(), digest_of("s"))
        assert used() is None
        requests.use_token("ci", NOON)
        assert used() == FULL_HOUR
        requests.use_token("ci", FULL_HOUR + datetime.timedelta(minutes=59))
        assert used() == FULL_HOUR
        east = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        requests.use_token("ci", (NOON + 2 * _HOUR).astimezone(east))
        assert used() == FULL_HOUR + 2 * _HOUR
        requests.use_token("ci", NOON + _HOUR)
        assert used() == FULL_HOUR + 2 * _HOUR

    def test_all_of_a_token_comes_back(self, requests: Requests) -> None:
        west = datetime.timezone(datetime.timedelta(hours=-8))
        kept = Token(
            name="x.Y_z-1", user="Ada Lovelace, née Byron 🚀", email="ädä@exämple.org", created=NOON.astimezone(west),
            last_used=FULL_HOUR, revoked=NOON + _HOUR,
        )  # fmt: skip
        requests.add_token(kept, digest_of("s"))
        found = requests.token(digest_of("s"))
        assert found == kept
        assert found.created.utcoffset() == datetime.timedelta(0)

    def test_tokens_come_oldest_first(self, requests: Requests) -> None:
        for n, name in enumerate(("b", "c", "a")):
            requests.add_token(token(name, created=NOON + n * _HOUR), digest_of(name))
        requests.add_token(token("first", created=NOON - _HOUR), digest_of("first"))
        assert [kept.name for kept in requests.tokens()] == ["first", "b", "c", "a"]

    def test_what_makes_no_sense_is_refused(self, requests: Requests) -> None:
        for digest in (b"", b"short", bytes(33)):
            with pytest.raises(ValueError, match="32 bytes"):
                requests.add_token(token(), digest)
        naive = NOON.replace(tzinfo=None)
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
            lambda: requests.revoke_token("ci", NOON),
            lambda: requests.use_token("ci", NOON),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
