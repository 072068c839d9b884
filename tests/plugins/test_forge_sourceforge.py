"""The SourceForge forge keeps the contract, by the sitemap and for named projects, and knows each kind of repository."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from forge_samples import document, page

from swhkit.testing import ForgePartsContract
from swhkit.testing.forges import SAMPLES, ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, FakeWeb, as_html, as_json, fake_web
from swhkit_sourceforge import swhkit_forges
from swhkit_sourceforge.forge import SourceforgeForge
from swhkit_sourceforge.settings import SourceforgeConfig

(PROVIDER,) = swhkit_forges()
_SCHEMA = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def project(sample: Sample, **fields: Any) -> dict[str, Any]:
    known = document(
        "sourceforge-project", _id=f"id{sample.number}", shortname=sample.name, private=sample.private
    )
    for tool in known["tools"]:
        for key in ("url", "clone_url_https_anon", "clone_url_ro"):
            if key in tool:
                tool[key] = tool[key].replace("/p/analytical/", f"/p/{sample.name}/")
    return known | fields


def sitemap(entries: Sequence[tuple[str, str]], kind: str, entry: str) -> Answered:
    """A sitemap, or an index of such."""
    lines = [f"<{entry}>\n <loc>{url}</loc>\n <lastmod>{day}</lastmod>\n</{entry}>" for url, day in entries]
    return as_html(
        f'<?xml version="1.0" encoding="utf-8"?>\n<{kind} {_SCHEMA}>' + "\n".join(lines) + f"</{kind}>"
    )


class TestEverything(ForgeContract):
    provider = PROVIDER
    token_field = None

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path == "/allura_sitemap/sitemap.xml":
            maps = [
                (f"{base}/sitemap-{number}.xml", self.day(held))
                for number in range(1, 9)
                if page(held, number)
            ]
            return sitemap(maps, "sitemapindex", "sitemap")
        if asked.path.startswith("/sitemap-"):
            pages = [
                (f"{base}/{where}", f"{sample.updated:%Y-%m-%d}")
                for sample in page(held, int(asked.path[9:-4]))
                for where in (
                    f"projects/{sample.name}/files/",
                    f"p/{sample.name}/code/",
                    f"p/{sample.name}/wiki/",
                )
            ]
            return sitemap([(f"{base}/about", "2024-01-01"), *pages], "urlset", "url")
        found = [sample for sample in held if asked.path == f"/rest/p/{sample.name}"]
        return as_json(project(found[0])) if found else Answered(status=404)

    def day(self, held: Sequence[Sample]) -> str:
        return f"{held[-1].updated:%Y-%m-%d}"

    def url_of(self, sample: Sample, base: str) -> str:
        return f"https://git.code.sf.net/p/{sample.name}/code"


class TestProjects(ForgePartsContract):
    provider = PROVIDER
    token_field = None
    settings = {"projects": tuple(sample.name for sample in SAMPLES)}  # noqa: RUF012 (as the contract has it)
    partly = {"projects": ("nobody", *settings["projects"], "nowhere")}  # noqa: RUF012
    may_be_empty = False

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        asked_for = [known.number for known in SAMPLES if asked.path == f"/rest/p/{known.name}"]
        found = [sample for sample in held if sample.number in asked_for]
        return as_json(project(found[0])) if found else Answered(status=404)

    def url_of(self, sample: Sample, base: str) -> str:
        return f"https://git.code.sf.net/p/{sample.name}/code"


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield web


def listed(web: FakeWeb, told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What is listed of one project: visit type and URL by key."""
    web.answer = lambda asked: as_json(told)
    config = SourceforgeConfig(projects=("analytical",))
    found = Listing(web, lambda: SourceforgeForge(config), "").run()
    return {repository.key: (repository.visit_type, repository.url) for repository in found}


@pytest.mark.parametrize(
    ("kind", "told", "url"),
    [
        (
            "svn",
            {"clone_url_https_anon": "https://svn.code.sf.net/p/x/code/"},
            "https://svn.code.sf.net/p/x/code/",
        ),
        ("hg", {"clone_url_ro": "http://hg.code.sf.net/p/x/code"}, "http://hg.code.sf.net/p/x/code"),
        ("git", {}, "https://git.code.sf.net/p/analytical/old"),
        ("hg", {}, "http://hg.code.sf.net/p/analytical/old"),
    ],
)
def test_each_kind_of_repository_has_its_address(
    web: FakeWeb, kind: str, told: dict[str, str], url: str
) -> None:
    tool = {"name": kind, "mount_point": "old", "url": "/p/analytical/old/", "mount_label": "Old", **told}
    assert listed(web, project(SAMPLES[0], tools=[tool])) == {"id1/old": (kind, url)}


def test_projects_of_neighbourhoods_and_days_that_never_were(web: FakeWeb) -> None:
    pages = [
        ("/adobe/engine/home/", "2024-02-30"),
        ("/u/ada/profile/", ""),
        ("/p/gone/wiki/", "2024-01-01"),
        ("/p/engine/wiki/Home/", "2024-01-01"),
    ]

    def answer(asked: Asked) -> Answered:
        if asked.path == "/allura_sitemap/sitemap.xml":
            return sitemap([(f"{web.url}/sitemap-1.xml", "2024-01-01")], "sitemapindex", "sitemap")
        if asked.path == "/sitemap-1.xml":
            return sitemap([(web.url + path, day) for path, day in pages], "urlset", "url")
        if asked.path == "/rest/p/engine/wiki":
            return as_json({"pages": ["Home"]})
        known = {"/rest/adobe/engine": 1, "/rest/u/ada": 3}
        return as_json(project(SAMPLES[known[asked.path]])) if asked.path in known else Answered(status=404)

    web.answer = answer
    found = Listing(web, lambda: SourceforgeForge(SourceforgeConfig()), "").run()
    assert [(repository.key, repository.last_update) for repository in found] == [("id4/code", None)]


def test_sitemaps_without_changes_are_not_asked_for(web: FakeWeb) -> None:
    web.answer = lambda asked: sitemap(
        [(f"{web.url}/sitemap-1.xml", "2024-01-01")], "sitemapindex", "sitemap"
    )
    since = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    assert Listing(web, lambda: SourceforgeForge(SourceforgeConfig()), "").run(since) == []
    assert len(web.requests) == 1


def test_projects_within_projects(web: FakeWeb) -> None:
    """The short name of one has that of the other in it."""
    tool = {"name": "svn", "mount_point": "code", "url": "/p/analytical/parts/code/", "mount_label": "Code"}
    within = project(SAMPLES[1], shortname="analytical/parts", private=False, tools=[tool])

    def answer(asked: Asked) -> Answered:
        if asked.path == "/allura_sitemap/sitemap.xml":
            return sitemap([(f"{web.url}/sitemap-1.xml", "2024-01-01")], "sitemapindex", "sitemap")
        if asked.path == "/sitemap-1.xml":
            pages = (
                "analytical/files/",
                "analytical/parts/files/",
                "analytical/parts/tickets/",
                "analytical/",
            )
            return sitemap([(f"{web.url}/p/{where}", "2024-01-01") for where in pages], "urlset", "url")
        known = {"/rest/p/analytical": project(SAMPLES[0]), "/rest/p/analytical/parts": within}
        return as_json(known[asked.path])

    web.answer = answer
    everything = {
        "id1/code": "https://git.code.sf.net/p/analytical/code",
        "id2/code": "https://svn.code.sf.net/p/analytical/parts/code",
    }
    for config in (SourceforgeConfig(), SourceforgeConfig(projects=("analytical", "analytical/parts"))):
        found = Listing(web, partial(SourceforgeForge, config), "").run()
        assert {repository.key: repository.url for repository in found} == everything
        assert len([asked for asked in web.requests if asked.path.startswith("/rest/")]) == 2


def legacy(web: FakeWeb, kind: str, page: str | None, shortname: str = "analytical") -> dict[str, str]:
    """What is listed of a project that has a repository of an old ``kind``, with a page of this text: URL by key."""
    tool = {"name": kind, "mount_point": "code", "url": f"/p/{shortname}/code/", "mount_label": "Code"}
    told = project(SAMPLES[0], shortname=shortname, tools=[tool])

    def answer(asked: Asked) -> Answered:
        if asked.path == f"/rest/p/{shortname}":
            return as_json(told)
        place = {"cvs": "/analytical/cvs/", "bzr": "/analytical/bzr/bzr/analytical"}[kind]
        return Answered(status=404) if page is None or asked.path != place else as_html(page)

    web.answer = answer
    config = SourceforgeConfig(projects=(shortname,), legacy=f"{web.url}/{{project}}/{{kind}}")
    found = Listing(web, lambda: SourceforgeForge(config), "").run()
    assert all(repository.visit_type == kind for repository in found)
    return {repository.key: repository.url for repository in found}


@pytest.mark.parametrize("kind", ["cvs", "bzr"])
def test_an_old_repository_that_is_gone(web: FakeWeb, kind: str) -> None:
    assert legacy(web, kind, None) == {}
    assert legacy(web, kind, "<html>nothing here</html>") == {}
    assert legacy(web, kind, "<html>nothing here</html>", "analytical/parts") == {}


def test_each_module_of_a_cvs_repository(web: FakeWeb) -> None:
    command = "<li><b>cvs -z3 -d:pserver:anonymous@a.cvs.sourceforge.net:/cvsroot/{} co -P {}</b></li>"
    commands = [("analytical", "engine"), ("analytical", "the notes"), ("elsewhere", "other")]
    page = "<html><body>" + "\n".join(command.format(*one) for one in commands)
    root = "rsync://a.cvs.sourceforge.net/cvsroot/analytical"
    assert legacy(web, "cvs", page) == {
        "id1/code/engine": f"{root}/engine",
        "id1/code/the notes": f"{root}/the%20notes",
    }


def test_each_branch_of_a_bazaar_repository(web: FakeWeb) -> None:
    here = f"{web.url}/analytical/bzr/bzr/analytical"
    one = f'<html>To get this branch, use: <code>bzr branch {here}</code><a href="x/files">4</a></html>'
    assert legacy(web, "bzr", one) == {"id1/code": here}
    rows = '<td><a href="backup.bzr.~1~/">old</a></td><td><a href="trunk/files">trunk</a></td>'
    several = f'<html>{rows}<a href="../">..</a><a href="a%2Bb/files">a+b</a></html>'
    assert legacy(web, "bzr", several) == {"id1/code/trunk": f"{here}/trunk", "id1/code/a+b": f"{here}/a%2Bb"}
