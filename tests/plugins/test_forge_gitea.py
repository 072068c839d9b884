"""The forges Gitea, Forgejo and Gogs keep the contract: a whole instance, and owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from forge_samples import document, latest_first, moment, page

from swhkit.testing import ForgePartsContract
from swhkit.testing.forges import SAMPLES, ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, FakeWeb, as_json, fake_web
from swhkit_gitea import swhkit_forges
from swhkit_gitea.forge import GiteaForge
from swhkit_gitea.settings import GiteaConfig

GITEA, FORGEJO, GOGS = swhkit_forges()


def url_of(sample: Sample, base: str) -> str:
    return f"{base}/ada/{sample.name}.git"


def repository(kind: str, sample: Sample, base: str, **fields: Any) -> dict[str, Any]:
    named = {"id": sample.number, "clone_url": url_of(sample, base), "private": sample.private}
    return document(f"{kind}-repository", **named, updated_at=moment(sample), **fields)


class TestGitea(ForgeContract):
    provider = GITEA

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path == "/api/v1/users/ada":
            return as_json({"id": 7, "login": "ada", "username": "ada"})
        if asked.path != "/api/v1/repos/search":
            return Answered(status=404)
        assert (asked.params["private"], asked.params["exclusive"]) == ("false", "true")
        assert asked.params.get("uid") == ("7" if self.settings else None)
        if asked.params["sort"] == "updated":
            held = latest_first(held)
        number = int(asked.params["page"])
        told = {"ok": True, "data": [repository("gitea", sample, base) for sample in page(held, number)]}
        # The address in the link is often wrong: behind a proxy, or after a move.
        link = '<http://localhost:3000/api/v1/repos/search?page=2>; rel="next"'
        return as_json(told, {"X-Total-Count": str(len(held)), "Link": link})

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class TestForgejoOwners(TestGitea, ForgePartsContract):
    provider = FORGEJO
    settings = {"owners": ("ada",)}  # noqa: RUF012 (as the contract has it)
    partly = {"owners": ("nobody", "ada", "nowhere")}  # noqa: RUF012


class TestGogs(ForgeContract):
    provider = GOGS

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/api/v1/repos/search":
            return Answered(status=404)
        found = page(held, int(asked.params["page"])) if asked.params.get("q") == "_" else []
        return as_json({"ok": True, "data": [repository("gogs", sample, base) for sample in found]})

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class Instance:
    """A Gitea with one repository."""

    def __init__(self, web: FakeWeb) -> None:
        self.web = web
        self.fields: dict[str, Any] = {}
        web.answer = self._answer

    def _answer(self, asked: Asked) -> Answered:
        first = asked.params["page"] == "1"
        one = repository("gitea", SAMPLES[0], "https://gitea.example.org", **self.fields)
        return as_json({"ok": True, "data": [one] if first else []})

    def listed(self, **settings: Any) -> dict[str, str]:
        """Origins by key."""
        found = Listing(self.web, lambda: GiteaForge(GiteaConfig(**settings)), "").run()
        return {repository.key: repository.url for repository in found}


@pytest.fixture
def instance() -> Any:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield Instance(web)


ONE = {"1": "https://gitea.example.org/ada/analytical.git"}


@pytest.mark.parametrize("field", ["internal", "unlisted"])
def test_what_only_some_may_see_is_not_listed(instance: Instance, field: str) -> None:
    assert instance.listed() == ONE
    instance.fields = {field: True}
    assert instance.listed(token="t") == {}


def test_wikis_forks_and_what_is_archived(instance: Instance) -> None:
    assert instance.listed(wikis=True) == ONE | {
        "1/wiki": "https://gitea.example.org/ada/analytical.wiki.git"
    }
    instance.fields = {"has_wiki": False}
    assert instance.listed(wikis=True) == ONE
    instance.fields = {"fork": True}
    assert (instance.listed(), instance.listed(forks=False)) == (ONE, {})
    instance.fields = {"archived": True}
    assert (instance.listed(), instance.listed(archived=False)) == (ONE, {})
