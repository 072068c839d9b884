"""The forge keeps the contract, and does what its settings say."""

from collections.abc import Sequence
from typing import Any

from swhkit_pagure import PagureConfig, PagureForge, swhkit_forges

from swhkit.testing import ForgeContract
from swhkit.testing.forges import SAMPLES, Listing, Sample
from swhkit.testing.web import Answered, Asked, as_json, fake_web

(PROVIDER,) = swhkit_forges()


def project(sample: Sample, base: str, parent: str | None = None) -> dict[str, Any]:
    """A project as the API tells of it, without most of its keys."""
    return {
        "id": sample.number,
        "name": sample.name,
        "namespace": None,
        "full_url": f"{base}/{sample.name}",
        "date_modified": f"{sample.updated:%s}",
        "parent": parent and {"fullname": parent},
    }


class TestContract(ForgeContract):
    provider = PROVIDER
    token_field = None
    tells_private = False

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/api/0/projects":
            return Answered(status=404)
        page = int(asked.params.get("page", 1))
        following = f"{base}{asked.path}?per_page=3&page={page + 1}" if held[page * 3 :] else None
        found = [project(sample, base) for sample in held[page * 3 - 3 : page * 3]]
        return as_json({"pagination": {"next": following, "page": page}, "projects": found})

    def url_of(self, sample: Sample, base: str) -> str:
        return f"{base}/{sample.name}"


def test_forks_and_namespaces() -> None:
    def answer(asked: Asked) -> Answered:
        told = [project(SAMPLES[0], "https://pagure.io"), project(SAMPLES[3], "https://pagure.io", "analytical")]
        return as_json({"pagination": {"next": None}, "projects": told})

    with fake_web(answer) as web:
        listed = Listing(web, lambda: PagureForge(PagureConfig(namespaces=("rpms", "docs"))), "").run()
        assert [repository.key for repository in listed] == ["1", "1"]
        assert [(a.params["namespace"], a.params["fork"]) for a in web.requests] == [
            ("rpms", "false"),
            ("docs", "false"),
        ]
        listed = Listing(web, lambda: PagureForge(PagureConfig(forks=True)), "").run()
        assert [(repository.key, repository.fork) for repository in listed] == [("1", False), ("4", True)]
        assert ["fork" in asked.params for asked in web.requests] == [False]
