"""The contract of forges whose settings name parts of an instance: owners, groups, projects."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from swhkit.errors import NotFound
from swhkit.forge import Repository
from swhkit.testing.forge_listings import Listing, Sample
from swhkit.testing.forges import ForgeContract
from swhkit.testing.web import Answered, FakeWeb


class ForgePartsContract(ForgeContract):
    """As ``ForgeContract``; supply ``partly``, too."""

    #: Settings that name two parts that the fake forge does not have (``nobody`` first, ``nowhere`` last) and, between
    #: them, what ``settings`` names.
    partly: ClassVar[dict[str, Any]]

    def test_a_part_that_is_not_there_ends_no_other(
        self, monkeypatch: pytest.MonkeyPatch, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        """And the listing does not look complete."""
        monkeypatch.setattr(type(self), "settings", self.partly)
        told: list[Repository] = []
        with pytest.raises(NotFound, match=r"nobody.*; .*nowhere"):
            told.extend(listing.told())
        assert {repository.url for repository in told} == self.expected(held, web)

    def test_other_trouble_with_a_part_ends_the_listing(
        self, monkeypatch: pytest.MonkeyPatch, listing: Listing, web: FakeWeb
    ) -> None:
        monkeypatch.setattr(type(self), "settings", self.partly)
        web.answer = lambda _: Answered(status=403)
        listing.fails()
        assert len(web.requests) == 1, "nothing else is asked of one that refuses"
