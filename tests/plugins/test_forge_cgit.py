"""The forges cgit and gitweb keep the contract, with pages as the real programs print them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import pytest
from forge_samples import text

from swhkit.errors import InvalidInput, Unavailable
from swhkit.testing.forges import ForgeContract, Listing, Sample
from swhkit.testing.web import Answered, Asked, FakeWeb, as_html, fake_web
from swhkit_cgit import swhkit_forges
from swhkit_cgit.forge import CgitForge, GitwebForge
from swhkit_cgit.pages import cgit_index, gitweb_summary
from swhkit_cgit.settings import WebConfig

CGIT, GITWEB = swhkit_forges()
_HEAD, _ROWS, _TAIL = re.split(r"(?<=</th></tr>\n)|(?=</table><ul class='pager')", text("cgit-index-1.html"))
_ROW = _ROWS.partition("<tr><td class='toplevel-repo'><a href='/cgit/empty")[0]
_PAGER = "</table><ul class='pager'>"


def index(found: Sequence[Sample], following: int | None) -> str:
    """A page of a cgit's index, made of a real one."""
    rows = [
        _ROW.replace("analytical", sample.name).replace(
            "2024-01-10 12:00:00", f"{sample.updated:%Y-%m-%d %H:%M:%S}"
        )
        for sample in found
    ]
    after = "" if following is None else f"<li><a title='Page' href='/cgit/?ofs={following}'>[n]</a></li>"
    pager = f"{_PAGER}<li><a title='Page' class='current' href='/cgit/'>[c]</a></li>{after}</ul>"
    return _HEAD + "".join(rows) + pager + _TAIL.partition("</ul>")[2]


class TestCgit(ForgeContract):
    provider = CGIT
    token_field = None
    path = "/cgit"
    tells_private = False
    keeps_keys = False

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path == "/cgit/":
            offset = int(asked.params.get("ofs", "0"))
            return as_html(index(held[offset : offset + 3], offset + 3 if held[offset + 3 :] else None))
        for sample in held:
            if asked.path == f"/cgit/{sample.name}.git/":
                return as_html(text("cgit-summary.html").replace("tools/notes%20on%20numbers", sample.name))
        return Answered(status=404)

    def url_of(self, sample: Sample, base: str) -> str:
        return f"https://git.example.org/cgit/{sample.name}.git"


class TestGitweb(ForgeContract):
    provider = GITWEB
    token_field = None
    path = "/gitweb"
    tells_private = False
    keeps_keys = False

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        if asked.path != "/gitweb":
            return Answered(status=404)
        head, row, tail = re.split(
            r"(?=<outline type.*analytical)|(?<=summary\"/>\n)(?=<outline.*engine)", text("gitweb-opml.xml")
        )
        if asked.params.get("a") == "opml":
            rows = [row.replace("analytical", sample.name) for sample in held]
            whole = (
                head.partition("<outline type")[0]
                + "".join(rows)
                + "</outline>"
                + tail.rpartition("</outline>")[2]
            )
            return as_html(whole.replace("https://git.example.org/gitweb", f"{base}/gitweb"))
        query = asked.params.get("p", "").removesuffix(";a=summary").removesuffix(".git")
        if query in {sample.name for sample in held}:
            return as_html(text("gitweb-summary.html").replace("tools/notes on numbers", query))
        return Answered(status=404)

    def url_of(self, sample: Sample, base: str) -> str:
        return f"https://git.example.org/git/{sample.name}.git"


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield web


@pytest.mark.parametrize(
    "unit",
    ["<a ", "<", "<!", "<!--", "<!-->", "<![CDATA[", "<?", "</a", "<a b='", '<a b="', "<a b=c ",
     "<td class='toplevel-repo'>", "<a href='x'", "<span class=age-x title='", "&#x10FFFF;", "<a a ", "a ", "= ", "'"],
)  # fmt: skip
def test_hostile_pages_are_read_in_time_that_grows_with_their_size(unit: str) -> None:
    """A megabyte of anything; html.parser would take days for some."""
    for page in (
        unit * (1_000_000 // len(unit)),
        f"<a {unit * 300_000}>",
        f"<a {unit * (8_000 // len(unit))}>" * 100,
    ):
        cgit_index(page)
        gitweb_summary(page)


def day(month: int) -> datetime.datetime:
    return datetime.datetime(2024, month, 10, 12, tzinfo=datetime.UTC)


def real_cgit(asked: Asked) -> Answered:
    """What the real program answered."""
    pages = {
        ("/cgit/", None): "cgit-index-1.html",
        ("/cgit/", "3"): "cgit-index-2.html",
        ("/cgit/empty.git/", None): "cgit-empty.html",
        ("/cgit/tools/notes on numbers.git/", None): "cgit-summary.html",
    }
    name = pages.get((asked.path, asked.params.get("ofs")))
    if name is not None:
        return as_html(text(name))
    path = asked.path.removeprefix("/cgit/").strip("/")
    return as_html(text("cgit-summary.html").replace("tools/notes%20on%20numbers.git", path))


def test_real_pages_of_cgit(web: FakeWeb) -> None:
    web.answer = real_cgit
    found = Listing(web, lambda: CgitForge(WebConfig()), "/cgit").run()
    assert {r.key: r.last_update for r in found} == {
        "analytical.git": day(1),
        "empty.git": None,
        "engine.git": day(2),
        "tools/difference.git": day(3),
        "tools/notes on numbers.git": day(4),
    }
    assert [r.url for r in found] == [f"https://git.example.org/cgit/{quote(r.key)}" for r in found]
    assert [asked.path for asked in web.requests].count("/cgit/") == 2
    since = {r.key for r in Listing(web, lambda: CgitForge(WebConfig()), "/cgit").run(day(3))}
    assert since == {"empty.git", "tools/difference.git", "tools/notes on numbers.git"}


def test_where_cgit_names_no_url_the_page_itself_is_it(web: FakeWeb) -> None:
    def answer(asked: Asked) -> Answered:
        good = real_cgit(asked)
        return Answered(good.body.replace(b"vcs-git", b"nofollow"), headers=good.headers)

    web.answer = answer
    found = Listing(web, lambda: CgitForge(WebConfig()), "/cgit").run()
    assert [r.url for r in found] == [f"{web.url}/cgit/{quote(r.key)}" for r in found]


def test_with_a_written_clone_url_no_page_of_a_repository_is_asked_for(web: FakeWeb) -> None:
    web.answer = real_cgit
    config = WebConfig(clone_url="https://git.example.net/{path}")
    found = Listing(web, lambda: CgitForge(config), "/cgit").run()
    assert [r.url for r in found] == [f"https://git.example.net/{quote(r.key)}" for r in found]
    assert len(web.requests) == 2
    web.answer = lambda asked: as_html(text("gitweb-opml.xml"))
    found = Listing(web, lambda: GitwebForge(config), "/gitweb").run()
    assert "https://git.example.net/tools/notes%20on%20numbers.git" in {r.url for r in found}
    assert len(web.requests) == 1


def test_a_clone_url_has_a_place_for_the_path() -> None:
    with pytest.raises(InvalidInput, match=r"has no \{path\}"):
        CgitForge(WebConfig(clone_url="https://git.example.net/"))


def test_a_repository_that_vanishes_meanwhile_is_left_out(web: FakeWeb) -> None:
    web.answer = lambda asked: Answered(status=404) if "engine" in asked.path else real_cgit(asked)
    assert len(Listing(web, lambda: CgitForge(WebConfig()), "/cgit").run()) == 4


def test_real_pages_of_gitweb(web: FakeWeb) -> None:
    def answer(asked: Asked) -> Answered:
        if asked.params.get("a") == "opml":
            return as_html(
                text("gitweb-opml.xml").replace("https://git.example.org/gitweb", f"{web.url}/gitweb")
            )
        return as_html(text("gitweb-summary.html"))

    web.answer = answer
    found = Listing(web, lambda: GitwebForge(WebConfig()), "/gitweb").run()
    assert [r.key for r in found] == [
        "tools/difference.git", "tools/notes on numbers.git", "analytical.git", "engine.git",
    ]  # fmt: skip
    assert {(r.url, r.last_update) for r in found} == {
        ("https://git.example.org/git/tools/notes%20on%20numbers.git", day(4))
    }


def test_a_gitweb_that_does_not_say_where_to_clone_from_is_told_so(web: FakeWeb) -> None:
    def answer(asked: Asked) -> Answered:
        name = "gitweb-opml.xml" if asked.params.get("a") == "opml" else "gitweb-summary.html"
        told = text(name).replace("https://git.example.org/gitweb", f"{web.url}/gitweb")
        return as_html(told.replace("metadata_url", "metadata_other"))

    web.answer = answer
    with pytest.raises(Unavailable, match="set clone_url"):
        Listing(web, lambda: GitwebForge(WebConfig()), "/gitweb").run()
