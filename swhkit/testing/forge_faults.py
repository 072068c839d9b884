"""The contract of ``Forge`` where the forge is in trouble, talks nonsense, or wants to be left alone.

A listing then ends by ``Unavailable``: never by another error, never as if it were complete.
"""

from __future__ import annotations

import time

import msgspec
import pytest

from swhkit.testing.forge_listings import ForgeFixtures, Listing, Sample, always, retyped, tampered
from swhkit.testing.web import Answered, FakeWeb

#: Answers that are none of any forge.
_GARBAGE = (
    b"",
    b"{",
    b"null",
    b"7",
    b"<html>",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'[{"id": 1e999}]',
)


class ForgeFaultsContract(ForgeFixtures):
    """Part of ``ForgeContract``."""

    @pytest.mark.parametrize("status", [401, 403, 418, 500, 502, 503])
    def test_an_error_anywhere_is_no_shorter_listing(
        self, listing: Listing, web: FakeWeb, status: int
    ) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, always(Answered(b"out of order", status))):
                error = listing.fails()
                assert str(status) in str(error)

    def test_trouble_that_passes_is_outlasted(
        self, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda _: Answered(status=502), times=1):
                assert {repository.url for repository in listing.run()} == self.expected(held, web)
        assert all(seconds < 5 for seconds in listing.clock.slept)

    def test_an_answer_that_breaks_off_is_no_shorter_listing(self, listing: Listing, web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda good: msgspec.structs.replace(good, cut=len(good.body) // 2)):
                listing.fails()

    def test_half_an_answer_is_no_answer(self, listing: Listing, web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, body=good.body[: len(good.body) // 2])
            ):
                listing.fails()

    @pytest.mark.parametrize("garbage", _GARBAGE, ids=range(len(_GARBAGE)))
    def test_garbage_is_unavailable(self, listing: Listing, web: FakeWeb, garbage: bytes) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda good: msgspec.structs.replace(good, body=garbage)):
                listing.fails()

    @pytest.mark.parametrize("kind", ["numbers", "texts", "booleans", "objects", "arrays", "nulls"])
    def test_json_of_another_shape_is_unavailable_or_does_not_matter(
        self, listing: Listing, web: FakeWeb, kind: str
    ) -> None:
        """No answer makes the plugin fail in another way, and none makes a listing shorter."""
        whole = listing.run()
        for number in range(len(web.requests)):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, body=retyped(good.body, kind))
            ):
                found = listing.ends()
                assert found is None or len(found) >= len(whole)

    def test_a_listing_without_end_ends(self, listing: Listing, web: FakeWeb) -> None:
        """Each answer is the first page with something that leads on."""
        for number in range(self.requests_of(listing)):
            known = list[Answered]()

            def again(good: Answered, known: list[Answered] = known) -> Answered:
                known.append(good)
                return known[0]

            with tampered(web, number, again, onwards=True):
                assert listing.ends() is None or len(known) <= 12, "the same page came again and again"

    def test_time_ends_a_listing(self, listing: Listing) -> None:
        listing.fails(deadline=time.monotonic() - 1)

    # --- a forge that wants to be left alone ---

    def test_a_short_wait_is_waited(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            busy = Answered(status=429, headers={"Retry-After": "7"})
            listing.clock.slept.clear()
            with tampered(web, number, always(busy), times=1):
                assert {repository.url for repository in listing.run()} == self.expected(held, web)
            assert sum(listing.clock.slept) == pytest.approx(7, abs=0.1)

    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_a_long_wait_is_left_to_the_caller(self, listing: Listing, web: FakeWeb, status: int) -> None:
        busy = Answered(status=status, headers={"Retry-After": "1800"})
        for number in range(self.requests_of(listing)):
            with tampered(web, number, always(busy)):
                assert listing.fails().retry_after == pytest.approx(1800, abs=1)
                assert len(web.requests) == number + 1, "it was asked once more"
        assert listing.clock.slept == []

    @pytest.mark.parametrize("prefix", ["X-RateLimit", "RateLimit"])
    def test_an_allowance_that_is_used_up_is_left_to_the_caller(
        self, listing: Listing, web: FakeWeb, prefix: str
    ) -> None:
        """When the forge refuses, and already when it says that this was the last request."""
        total = self.requests_of(listing)
        reset = {"X-RateLimit": f"{listing.clock.time + 900:.0f}", "RateLimit": "900"}[prefix]
        told = {f"{prefix}-Remaining": "0", f"{prefix}-Reset": reset}
        for number in range(total):
            with tampered(web, number, always(Answered(status=403, headers=told))):
                assert listing.fails().retry_after == pytest.approx(900, abs=2)
        for number in range(total - 1):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, headers={**good.headers, **told})
            ):
                assert listing.fails().retry_after == pytest.approx(900, abs=2)
                assert len(web.requests) == number + 1, "it was asked though nothing was left"
