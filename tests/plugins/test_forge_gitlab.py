"""The GitLab forge keeps the contract: a whole instance (with and without a token), groups, and users."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pytest
from forge_samples import PAGE, document, latest_first, moment, page

from swhkit.testing import ForgePartsContract
from swhkit.testing.forges import SAMPLES, ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, FakeWeb, as_json, fake_web
from swhkit_gitlab import swhkit_forges
from swhkit_gitlab.forge import GitlabForge
from swhkit_gitlab.settings import GitlabConfig

(PROVIDER,) = swhkit_forges()


def url_of(sample: Sample, base: str) -> str:
    return f"{base}/ada/{sample.name}.git"


def project(sample: Sample, base: str, **fields: Any) -> dict[str, Any]:
    fields = {"visibility": "private" if sample.private else "public", **fields}
    return document(
        "gitlab-project",
        id=sample.number,
        http_url_to_repo=url_of(sample, base),
        last_activity_at=moment(sample),
        **fields,
    )


class TestInstance(ForgeContract):
    """By keyset: the next page begins after a number."""

    provider = PROVIDER

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/api/v4/projects":
            return Answered(status=404)
        assert (asked.params["pagination"], asked.params["order_by"], asked.params["sort"]) == (
            "keyset",
            "id",
            "asc",
        )
        since = asked.params.get("last_activity_after", "")
        held = [sample for sample in held if moment(sample) >= since]
        after = int(asked.params.get("id_after", "0"))
        rest = [sample for sample in held if sample.number > after]
        following = (
            f"{base}{asked.path}?order_by=id&pagination=keyset&sort=asc&last_activity_after={since}&id_after="
        )
        link = f'<{following}{rest[PAGE - 1].number}>; rel="next"' if rest[PAGE:] else ""
        return as_json([self.told(sample, base) for sample in rest[:PAGE]], {"Link": link} if link else {})

    def told(self, sample: Sample, base: str) -> dict[str, Any]:
        return project(sample, base)

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class TestAnonymous(TestInstance):
    """Without a token fewer fields are told, of public projects alone."""

    token_field = None
    tells_private = False

    def told(self, sample: Sample, base: str) -> dict[str, Any]:
        named = {"id": sample.number, "http_url_to_repo": url_of(sample, base)}
        return document("gitlab-project-anonymous", **named, last_activity_at=moment(sample))


class TestGroups(ForgePartsContract):
    provider = PROVIDER
    settings = {"groups": ("engines/first",)}  # noqa: RUF012 (as the contract has it)
    partly = {"groups": ("nobody", "engines/first"), "users": ("nowhere",)}  # noqa: RUF012
    listed = "/api/v4/groups/engines/first/projects"

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != self.listed:
            return Answered(status=404)
        number = int(asked.params.get("page", "1"))
        if asked.params["order_by"] == "last_activity_at":
            assert asked.params["sort"] == "desc"
            held = latest_first(held)
        query = "&".join(f"{key}={value}" for key, value in asked.params.items() if key != "page")
        link = f'<{base}{asked.path.replace("engines/", "engines%2F")}?{query}&page={number + 1}>; rel="next"'
        headers = (
            {"Link": link, "X-Next-Page": str(number + 1)} if page(held, number + 1) else {"X-Next-Page": ""}
        )
        return as_json([project(sample, base) for sample in page(held, number)], headers)

    def url_of(self, sample: Sample, base: str) -> str:
        return url_of(sample, base)


class TestUsers(TestGroups):
    settings = {"users": ("ada",)}  # noqa: RUF012 (as the contract has it)
    partly = {"groups": ("nobody",), "users": ("ada", "nowhere")}  # noqa: RUF012
    listed = "/api/v4/users/ada/projects"


class Instance:
    """A GitLab with one project."""

    def __init__(self, web: FakeWeb) -> None:
        self.web = web
        self.fields: dict[str, Any] = {}
        web.answer = lambda asked: as_json([project(SAMPLES[0], "https://gitlab.example.com", **self.fields)])

    def listed(self, **settings: Any) -> dict[str, str]:
        """Origins by key."""
        found = Listing(self.web, lambda: GitlabForge(GitlabConfig(**settings)), "").run()
        return {repository.key: repository.url for repository in found}


@pytest.fixture
def instance() -> Any:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield Instance(web)


ONE = {"1": "https://gitlab.example.com/ada/analytical.git"}


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": "internal"},
        {"repository_access_level": "private"},
        {"repository_access_level": "disabled"},
    ],
)
def test_what_only_some_may_read_is_not_listed(instance: Instance, fields: dict[str, Any]) -> None:
    assert instance.listed(token="t") == ONE
    instance.fields = fields
    assert instance.listed(token="t") == {}


def test_with_a_token_what_does_not_say_that_it_is_public_is_not(instance: Instance) -> None:
    instance.fields = {"visibility": None}
    assert instance.listed() == ONE
    assert instance.listed(token="t") == {}


def test_wikis_forks_and_what_is_archived(instance: Instance) -> None:
    assert instance.listed(wikis=True) == ONE | {
        "1/wiki": "https://gitlab.example.com/ada/analytical.wiki.git"
    }
    instance.fields = {"wiki_access_level": "private"}
    assert instance.listed(wikis=True) == ONE
    instance.fields = {"forked_from_project": {"id": 2}}
    assert (instance.listed(), instance.listed(forks=False)) == (ONE, {})
    instance.fields = {"archived": True}
    assert (instance.listed(), instance.listed(archived=False)) == (ONE, {})


def test_an_hour_is_added_since_activity_is_told_by_the_hour(instance: Instance) -> None:
    since = datetime.datetime(2024, 1, 7, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    Listing(instance.web, lambda: GitlabForge(GitlabConfig()), "").run(since)
    assert [asked.params["last_activity_after"] for asked in instance.web.requests] == [
        "2024-01-07T09:00:00Z"
    ]


def test_what_is_asked_with_a_moment_is_not_remembered(instance: Instance) -> None:
    instance.web.etags = True
    listing = Listing(instance.web, lambda: GitlabForge(GitlabConfig()), "")
    listing.run(datetime.datetime.now(datetime.UTC))
    assert listing.pages == {}
