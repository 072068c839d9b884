"""The GitHub forge keeps the contract, for owners and for all repositories, and finds the API's address."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

import pytest
from forge_samples import document, latest_first, moment, page

from swhkit.forge import Repository
from swhkit.testing import ForgePartsContract
from swhkit.testing.forges import ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, as_json, fake_web
from swhkit_github import swhkit_forges
from swhkit_github.forge import GithubForge
from swhkit_github.settings import GithubConfig

(PROVIDER,) = swhkit_forges()


def url_of(sample: Sample, base: str) -> str:
    return f"{base}/ada/{sample.name}"


def repository(sample: Sample, base: str, **fields: Any) -> dict[str, Any]:
    named = {"id": sample.number, "name": sample.name, "html_url": url_of(sample, base)}
    return document("github-repository", **named, private=sample.private, pushed_at=moment(sample), **fields)


class TestOwners(ForgePartsContract):
    provider = PROVIDER
    settings = {"owners": ("ada",)}  # noqa: RUF012 (as the contract has it)
    partly = {"owners": ("nobody", "ada", "nowhere")}  # noqa: RUF012
    kind = "User"

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path == "/api/v3/users/ada":
            return as_json({"login": "ada", "id": 1815, "type": self.kind, "public_repos": len(held)})
        if (
            asked.path
            != {"User": "/api/v3/users/ada/repos", "Organization": "/api/v3/orgs/ada/repos"}[self.kind]
        ):
            return Answered(status=404)
        number = int(asked.params.get("page", "1"))
        if asked.params["sort"] == "pushed":
            assert asked.params["direction"] == "desc"
            held = latest_first(held)
        following = (
            f"<{base}{asked.path}?sort={asked.params['sort']}&direction={asked.params['direction']}&page="
        )
        links = [f'{following}{number + 1}>; rel="next"'] if page(held, number + 1) else []
        links += [f'{following}1>; rel="first"'] if number > 1 else []
        found = [repository(sample, base) for sample in page(held, number)]
        return as_json(found, {"Link": ", ".join(links)} if links else {})

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class TestOrganisations(TestOwners):
    kind = "Organization"


class TestEverything(ForgeContract):
    """``/repositories?since=ID``: short documents, by number."""

    provider = PROVIDER

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/api/v3/repositories":
            return Answered(status=404)
        after = int(asked.params["since"])
        found = held[after : after + 3]
        link = f'<{base}/api/v3/repositories?since={after + 3}>; rel="next"'
        short = ("id", "name", "full_name", "private", "owner", "html_url", "description", "fork", "url")
        told = [{key: repository(sample, base)[key] for key in short} for sample in found]
        return as_json(told, {"Link": link} if held[after + 3 :] else {})

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class TestSettings:
    """Of one repository that is a fork, archived, and has a wiki."""

    @pytest.fixture
    def listing(self) -> Any:
        sample = Sample(7, "engine", datetime.datetime(2024, 1, 7, tzinfo=datetime.UTC))
        with fake_web(
            lambda asked: as_json([repository(sample, "https://github.com", fork=True, archived=True)])
        ) as web:
            yield lambda **settings: Listing(web, lambda: GithubForge(GithubConfig(**settings)), "").run()

    def test_what_is_told_of_a_repository(self, listing: Any) -> None:
        (found,) = listing()
        assert found.metadata is not None
        assert found == Repository(
            key="7",
            url="https://github.com/ada/engine",
            last_update=datetime.datetime(2024, 1, 7, tzinfo=datetime.UTC),
            archived=True,
            fork=True,
            metadata=found.metadata,
            metadata_format="github-repository-json",
        )
        assert json.loads(found.metadata)["description"] == "Notes on the engine – and “friends”"

    def test_wikis_forks_and_what_is_archived(self, listing: Any) -> None:
        assert [(r.key, r.url) for r in listing(wikis=True)] == [
            ("7", "https://github.com/ada/engine"),
            ("7/wiki", "https://github.com/ada/engine.wiki.git"),
        ]
        assert listing(forks=False) == listing(archived=False) == []
