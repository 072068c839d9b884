"""The Bitbucket forge keeps the contract, for workspaces and for all repositories."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from forge_samples import document, latest_first, page

from swhkit.testing import ForgePartsContract
from swhkit.testing.forges import SAMPLES, ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, FakeWeb, as_json, fake_web
from swhkit_bitbucket import swhkit_forges
from swhkit_bitbucket.forge import BitbucketForge
from swhkit_bitbucket.settings import BitbucketConfig

(PROVIDER,) = swhkit_forges()


def repository(sample: Sample, base: str, **fields: Any) -> dict[str, Any]:
    known = document("bitbucket-repository")
    links = known["links"] | {"html": {"href": f"{base}/ada/{sample.name}"}}
    uuid = f"{{7dd600e6-0000-4801-b967-{sample.number:012d}}}"
    told = {
        "uuid": uuid,
        "links": links,
        "is_private": sample.private,
        "updated_on": sample.updated.isoformat(),
    }
    return known | told | fields


class TestEverything(ForgeContract):
    """By date of creation, which is also the cursor."""

    provider = PROVIDER

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/2.0/repositories":
            return Answered(status=404)
        after = int(asked.params.get("after", "0"))
        told: dict[str, Any] = {
            "pagelen": 3,
            "values": [repository(s, base) for s in held[after : after + 3]],
        }
        if held[after + 3 :]:
            told["next"] = f"{base}{asked.path}?pagelen=100&after={after + 3}"
        return as_json(told)

    def url_of(self, sample: Sample, base: str) -> str:
        return f"{base}/ada/{sample.name}.git"


class TestWorkspaces(ForgePartsContract):
    provider = PROVIDER
    settings = {"workspaces": ("ada",)}  # noqa: RUF012 (as the contract has it)
    partly = {"workspaces": ("nobody", "ada", "nowhere")}  # noqa: RUF012

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/2.0/repositories/ada":
            return Answered(status=404)
        number = int(asked.params.get("page", "1"))
        if asked.params["sort"] == "-updated_on":
            held = latest_first(held)
        found = [repository(sample, base) for sample in page(held, number)]
        told = {"pagelen": 3, "page": number, "size": len(held), "values": found}
        if page(held, number + 1):
            told["next"] = f"{base}{asked.path}?sort={asked.params['sort']}&page={number + 1}"
        return as_json(told)

    def url_of(self, sample: Sample, base: str) -> str:
        return f"{base}/ada/{sample.name}.git"


@pytest.fixture
def web() -> Any:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield web


def listed(web: FakeWeb, fields: dict[str, Any], **settings: Any) -> dict[str, tuple[str, str]]:
    """What is listed of one repository: URL and visit type by key."""
    web.answer = lambda asked: as_json(
        {"values": [repository(SAMPLES[0], "https://bitbucket.org", **fields)]}
    )
    found = Listing(web, lambda: BitbucketForge(BitbucketConfig(**settings)), "").run()
    return {repository.key: (repository.url, repository.visit_type) for repository in found}


KEY = "{7dd600e6-0000-4801-b967-000000000001}"


def test_wikis_forks_and_other_systems(web: FakeWeb) -> None:
    url = "https://bitbucket.org/ada/analytical.git"
    assert listed(web, {}, wikis=True) == {KEY: (url, "git"), f"{KEY}/wiki": (f"{url}/wiki", "git")}
    assert listed(web, {"has_wiki": False}, wikis=True) == {KEY: (url, "git")}
    assert listed(web, {"parent": {"full_name": "grace/analytical"}}, forks=False) == {}
    assert listed(web, {"parent": None}, forks=False) == {KEY: (url, "git")}
    assert listed(web, {"scm": "hg"}) == {KEY: (url, "hg")}


def test_a_token_may_be_a_name_and_a_password(web: FakeWeb) -> None:
    for token, sent in (("abc", "Bearer abc"), ("ada:pw", f"Basic {base64.b64encode(b'ada:pw').decode()}")):
        listed(web, {}, token=token)
        assert [asked.headers["authorization"] for asked in web.requests] == [sent]
