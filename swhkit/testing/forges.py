"""The contract of ``Forge``: what a listing must come to, whatever the forge answers.

Listings are real ones, by the client that a listing of the archive has, of a server on this machine that plays the forge.
What becomes of listings that break off stands in ``forge_faults``.
"""

from __future__ import annotations

import datetime
import json
import logging

import msgspec
import pytest

from swhkit.errors import NotFound, Unavailable
from swhkit.testing.forge_faults import ForgeFaultsContract
from swhkit.testing.forge_listings import SAMPLES, TOKEN, Clock, Listing, Sample, always, misled, tampered
from swhkit.testing.web import Answered, Asked, FakeWeb, fake_web

__all__ = [
    "SAMPLES",
    "Answered",
    "Asked",
    "Clock",
    "FakeWeb",
    "ForgeContract",
    "Listing",
    "Sample",
    "fake_web",
]


class ForgeContract(ForgeFaultsContract):
    """Subclass it, set ``provider``, and supply ``answer`` and ``url_of``.

    The fake forge has to need more than one request for ``SAMPLES``: pages of three, say.
    """

    # --- what is listed ---

    def test_everything_is_listed_once(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        found = listing.run()
        assert {repository.url for repository in found} == self.expected(held, web)
        assert len({repository.key for repository in found}) == len(found) == len(self.expected(held, web))
        assert len(web.requests) > 1, "let the fake forge have several pages"
        for repository in found:
            assert repository.key
            assert repository.key.isprintable()
            assert repository.visit_type
            assert repository.last_update is None or repository.last_update.tzinfo is not None
            assert (repository.metadata is None) == (repository.metadata_format == "")
            if repository.metadata is not None:
                json.loads(repository.metadata)

    def test_the_same_again_is_the_same(self, listing: Listing) -> None:
        assert listing.run() == listing.run()

    def test_a_renamed_repository_keeps_its_key(
        self, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        before = {repository.key for repository in listing.run()}
        held[0] = msgspec.structs.replace(held[0], name="renamed")
        after = listing.run()
        assert {repository.url for repository in after} == self.expected(held, web)
        assert ({repository.key for repository in after} == before) == self.keeps_keys

    def test_what_comes_twice_does_no_harm(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        """What is pushed to during a listing moves to another page."""
        held[3:3] = held[:3]
        found = listing.run()
        assert {repository.url for repository in found} == self.expected(held, web)
        assert len({repository.key for repository in found}) == len(self.expected(held, web))

    def test_an_empty_forge_is_an_empty_listing(self, listing: Listing, held: list[Sample]) -> None:
        held.clear()
        if self.may_be_empty:
            assert listing.run() == []
        else:
            with pytest.raises((NotFound, Unavailable)):
                listing.run()

    def test_what_is_private_is_never_listed(
        self, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        held[:] = [msgspec.structs.replace(sample, private=True) for sample in held]
        found = {repository.url for repository in listing.run()}
        assert found == self.expected(held, web)
        assert bool(found) != self.tells_private

    def test_what_changed_since_is_listed(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        since = held[3].updated - datetime.timedelta(hours=3)
        found = {repository.url for repository in listing.run(since)}
        assert found >= self.expected(held[3:], web)
        assert found <= self.expected(held, web)
        if self.forge().incremental():
            assert found < self.expected(held, web), "it says that since makes a listing shorter"

    def test_a_forge_that_is_not_there_is_not_found(self, listing: Listing, web: FakeWeb) -> None:
        web.answer = lambda _: Answered(status=404)
        with pytest.raises(NotFound):
            listing.run()

    # --- what must not get out ---

    def test_nothing_leads_to_another_server(self, listing: Listing, web: FakeWeb) -> None:
        with fake_web(lambda _: Answered(b"[]")) as elsewhere:
            for number in range(self.requests_of(listing)):
                with tampered(web, number, lambda good: misled(good, web.url, elsewhere.url)):
                    listing.ends()
            assert elsewhere.requests == []

    def test_a_redirect_to_another_server_is_refused(self, listing: Listing, web: FakeWeb) -> None:
        with fake_web(lambda asked: self.answer(asked, SAMPLES, web.url)) as elsewhere:
            for number in range(self.requests_of(listing)):
                moved = Answered(status=302, headers={"Location": f"{elsewhere.url}{self.path}/x?y=z"})
                with tampered(web, number, always(moved)):
                    listing.fails()
            for asked in elsewhere.requests:
                assert not any(TOKEN in value for value in asked.headers.values())

    def test_the_token_is_sent_and_not_told(
        self, listing: Listing, web: FakeWeb, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for number in range(self.requests_of(listing)):
            for asked in web.requests:
                sent = any(TOKEN in value for value in asked.headers.values())
                assert sent == (self.token_field is not None)
            with tampered(web, number, always(Answered(status=502))):
                listing.fails()
        assert TOKEN not in caplog.text

    # --- what is remembered ---

    def test_an_unchanged_forge_is_asked_whether_it_is(self, listing: Listing, web: FakeWeb) -> None:
        web.etags = True
        first = listing.run()
        assert listing.pages, "nothing was remembered"
        assert listing.run() == first
        assert web.unchanged == len(web.requests)
        assert all("if-none-match" in asked.headers for asked in web.requests)

    def test_what_is_of_no_use_is_not_remembered(self, listing: Listing, web: FakeWeb) -> None:
        web.etags = True
        for number in range(self.requests_of(listing)):
            listing.pages.clear()
            with tampered(web, number, lambda good: msgspec.structs.replace(good, body=b"{")):
                listing.fails()
            assert all(page.body != b"{" for page in listing.pages.values())
