"""Pages: the data of an answer in HTML, the index, the documentation, and that nothing a stranger wrote is markup there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import yarl
from reading_samples import QUERY, URL, Sample

from swhkit.api import pages
from swhkit.api.table import ROUTES
from swhkit.model import (
    Branch,
    BranchType,
    Directory,
    Entry,
    ObjectMetadata,
    Person,
    Release,
    Revision,
    Timestamp,
)
from swhkit.swhid import Kind

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
EVIL = "\"'></code></pre></script><script>alert(1)</script><img src=x onerror=alert(1)><a href=javascript:alert(1)>"
EVIL_URL = "https://evil.example.org/"
DOCUMENTED = sorted({route.documented for route in ROUTES if route.category})


class Parsed(HTMLParser):
    """The elements, links and text of a page, as a parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def addresses(self) -> list[str]:
        return [value for name, value in self.attributes if name in ("href", "src", "action")]


def harmless(text: str, base: str) -> Parsed:
    """The page, whose elements and links must be ours alone."""
    page = Parsed(text)
    assert not {"script", "img", "iframe", "object", "embed", "form", "style", "base", "svg"} & set(
        page.elements
    )
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    for address in page.addresses:
        assert address.startswith((base + "/", "/", "#", "?")), address
        assert not address.startswith("//")
    return page


async def page(api: Any, path: str, status: int = 200, **headers: str) -> Parsed:
    """A page below ``/api/1/``; an address that begins with a slash stands beside it."""
    base = api.base.removesuffix("/api/1/")
    answer = await api.client.session.get(
        pages_url(api, path), headers={**HTML, **headers}, allow_redirects=False
    )
    text = await answer.text()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), text
    assert answer.headers["Content-Security-Policy"] == pages.POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in pages.POLICY
    return harmless(text, base)


def pages_url(api: Any, path: str) -> yarl.URL:
    below = path if path.startswith("/") else "/api/1/" + path
    return yarl.URL(api.base.removesuffix("/api/1/") + below, encoded=True)


class Hostile(Sample):
    """The sample with an origin whose owner tries everything."""

    def fill(self, base: str) -> None:
        """Add it; ``base`` is where the site is, since texts that look like ours are part of it."""
        bad = EVIL.encode()
        person = Person(b"%s <%s>" % (bad[:40], bad), bad[:40], bad)
        date = Timestamp(1, 0, b"+0000")
        self.bad_dir = self._add(
            Directory((Entry(bad.replace(b"/", b"|"), "file", self.hello.sha1_git, 0o100644),))
        )
        self.bad_rev = self._add(Revision(bad, person, person, date, date, self.bad_dir, (), ((b"x", bad),)))
        self.bad_rel = self._add(Release(bad, bad, self.bad_rev, Kind.REVISION, person, date))
        self.urls = [
            "javascript:alert(1)",
            EVIL_URL,
            base + "@evil.example.org/",
            base + ".evil.example.org/",
            base + "\\@evil.example.org/",
            f'{base}/" onclick="alert(1)',
            f"{base}/<script>",
            f" {base}/x",
            "//evil.example.org/",
            "data:text/html,<script>alert(1)</script>",
        ]
        deep: dict[str, object] = {"url": self.urls, EVIL: EVIL, "\u202eright": "\u202eto\u2066left\x9b"}
        self.catalog.add([ObjectMetadata(Kind.REVISION, self.bad_rev, "git", False, deep)])
        branches: dict[bytes, Branch | None] = {
            bad: Branch(BranchType.REVISION, self.bad_rev),
            b"HEAD": Branch(BranchType.ALIAS, bad),
            b"z": None,
        }
        self.bad_snp, made = self.snapshot(branches)
        self.visit(EVIL_URL + EVIL, made, visit_type=EVIL)


@pytest.fixture
async def hostile(serving: Any) -> AsyncIterator[Any]:
    sample = Hostile()
    async with serving(sample) as api:
        sample.fill(api.base.removesuffix("/api/1/"))
        yield api


async def test_nothing_a_stranger_wrote_becomes_markup_or_a_link(hostile: Any) -> None:
    s = hostile.sample
    url = quote(EVIL_URL + EVIL, safe="")
    evil = quote(EVIL, safe="")
    for path in (
        f"directory/{s.bad_dir.hex()}/",
        f"revision/{s.bad_rev.hex()}/",
        f"revision/{s.bad_rev.hex()}/log/?per_page=1&x={evil}",
        f"revision/{s.bad_rev.hex()}/directory/",
        f"release/{s.bad_rel.hex()}/",
        f"snapshot/{s.bad_snp.hex()}/?branches_count=1",
        f"origin/{url}/get/",
        f"origin/{url}/visits/?per_page=1",
        f"origin/{url}/visit/latest/",
        f"resolve/swh:1:rev:{s.bad_rev.hex()};origin={quote(quote(EVIL_URL + EVIL, safe=''), safe='')}/",
    ):
        await page(hostile, path)
    found = (await page(hostile, f"revision/{s.bad_rev.hex()}/")).text
    for text in (EVIL, "javascript:alert(1)", EVIL_URL):
        assert msgspec.json.encode(text).decode()[1:-1] in found


async def test_texts_that_only_look_like_ours_are_no_links(hostile: Any) -> None:
    s = hostile.sample
    shown = await page(hostile, f"revision/{s.bad_rev.hex()}/")
    assert not [address for address in shown.addresses if address in s.urls]
    links = [address for address in shown.addresses if address.startswith("http")]
    data = await hostile.json(f"revision/{s.bad_rev.hex()}/")
    assert {data["url"], data["directory_url"], data["history_url"]} <= set(links)
    assert "\u202e" not in shown.text
    assert "\\u202eto\\u2066left\\u009b" in shown.text


async def test_refusals_are_pages_without_a_strangers_markup(hostile: Any) -> None:
    evil = quote(EVIL, safe="")
    for path, status in (
        (f"origin/{evil}/get/", 404),
        (f"directory/{hostile.sample.bad_dir.hex()}/{evil}/", 404),
        (f"content/{'0' * 40}/", 404),
        (f"snapshot/{hostile.sample.snp.hex()}/?target_types={evil}", 400),
        (f"content/{'0' * 40}/raw/", 404),
        ("known/", 405),
        (f"{evil}/", 404),
        (f"/{evil}", 404),
        (f"/browse/{evil}/", 404),
    ):
        await page(hostile, path, status)


async def test_a_page_shows_the_request_its_answer_and_what_belongs_to_it(api: Any) -> None:
    path = f"/api/1/snapshot/{api.sample.snp.hex()}/"
    shown = await page(api, f"{path}?branches_count=2&format=html")
    assert f"GET {path}?branches_count=2&format=html" in shown.text
    assert "200" in shown.text
    assert {f"{path}?branches_count=2&format=json", f"{path}?branches_count=2&format=yaml"} <= set(
        shown.addresses
    )
    assert "/api/1/snapshot/doc/" in shown.addresses
    plain = await api.get(f"snapshot/{api.sample.snp.hex()}/?branches_count=2")
    assert plain.links["next"]["url"].human_repr() in [yarl.URL(one).human_repr() for one in shown.addresses]
    data = msgspec.json.format(await plain.read(), indent=2).decode()
    assert data in shown.text


@pytest.mark.parametrize(
    "path", ["ping/", "stat/counters/", "nope/", f"origin/{URL}/get/", f"origin/{QUERY}/get/"]
)
async def test_head_of_a_page(api: Any, path: str) -> None:
    get = await api.get(path, headers=HTML)
    head = await api.ask("HEAD", path, headers=HTML)
    assert (head.status, await head.read()) == (get.status, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_fields_count_on_pages(api: Any) -> None:
    shown = await page(api, f"revision/{api.sample.odd.hex()}/?fields=id,parents")
    assert re.findall('"(\\w+)": ', shown.text)[:2] == ["id", "parents"]
    assert "committer" not in shown.text


async def test_post_answers_pages(api: Any) -> None:
    answer = await api.post("known/", json=[], headers=HTML)
    assert (answer.status, answer.content_type) == (200, "text/html")
    harmless(await answer.text(), api.base.removesuffix("/api/1/"))


async def test_files_stay_files(api: Any) -> None:
    answer = await api.get(f"content/{api.sample.html.sha1.hex()}/raw/", headers=HTML)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_the_overview_and_the_index(api: Any) -> None:
    for path in ("/", "/api/"):
        assert {"/api/1/?format=html", "/api/1/openapi.json"} <= set((await page(api, path)).addresses)
    for path in ("/api", "/api/1"):
        answer = await api.client.session.get(pages_url(api, path), allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (301, path + "/")
    index = await api.json("")
    assert list(index) == ["doc_routes"]
    names = [name for name, _ in index["doc_routes"]]
    assert names == [*sorted(set(names) - {"Miscellaneous"}), "Miscellaneous"]
    for name, listed in index["doc_routes"]:
        for one in listed:
            assert list(one) == ["category", "docstring", "route", "route_view_name", "tags", "doc_intro"]
            assert one["category"] == name
            assert one["docstring"].startswith(one["doc_intro"])
    by_route = {one["route"]: one["route_view_name"] for _, listed in index["doc_routes"] for one in listed}
    assert by_route["/api/1/content/"] == "api-1-content-doc"
    assert by_route["/api/1/ping/"] == "api-1-ping"
    addresses = (await page(api, "")).addresses
    for route in by_route:
        assert route + "doc/" in addresses


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_each_documented_route_has_its_page(api: Any, name: str) -> None:
    shown = await page(api, f"{name}/doc/")
    for route in ROUTES:
        if route.category and route.documented == name:
            assert route.template in shown.text
            assert route.summary.replace("``", "") in " ".join(shown.text.split())
            for parameter in (*route.types, *(one.name for one in route.query)):
                assert parameter in shown.text
    assert "curl" in shown.text
    assert (await api.get(f"{name}/doc")).status == 301


async def test_every_link_of_the_index_and_of_the_pages_leads_to_a_page(api: Any) -> None:
    seen: set[str] = set()
    for path in (
        "/",
        "",
        *(f"{name}/doc/" for name in DOCUMENTED[:5]),
        f"directory/{api.sample.inner.hex()}/",
    ):
        seen.update((await page(api, path)).addresses)
    for address in seen - {"#main"}:
        url = address if address.startswith("http") else api.base.removesuffix("/api/1/") + address
        answer = await api.client.session.get(yarl.URL(url, encoded=True))
        assert answer.status == 200, address


async def test_assets_are_kept_and_change_their_address(api: Any) -> None:
    [style] = {one for one in (await page(api, "/")).addresses if "style.css" in one}
    assert re.fullmatch(r"/static/style\.css\?v=[0-9a-f]{16}", style)
    answer = await api.client.session.get(pages_url(api, style))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "max-age=31536000" in answer.headers["Cache-Control"]
    text = await answer.text()
    assert "@import" not in text
    assert "url(" not in text
    again = await api.client.session.get(
        pages_url(api, style), headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status, await again.read()) == (304, b"")
    for path in ("/static/", "/static/style.css/", "/static/../pages.py", "/static/%2e%2e/pages.py"):
        assert (await api.client.session.get(pages_url(api, path))).status == 404


async def test_pages_below_a_path(serving: Any, sample: Sample) -> None:
    async with serving(sample, public_url="https://example.org/archive/") as api:
        text = await (await api.get("ping/", headers=HTML)).text()
    addresses = Parsed(text).addresses
    assert [one for one in addresses if not one.startswith("/archive/")] == ["#main"]


def test_deep_and_large_data_is_shown() -> None:
    deep: object = "end"
    for _ in range(300):
        deep = [deep]
    assert "end" in pages.marked(deep, "http://x")
    many = [{"url": f"http://x/{number}", "name": EVIL} for number in range(5000)]
    text = str(pages.marked(many, "http://x"))
    assert text.count('<a href="http://x/') == 5000
    assert "<script" not in text
    assert str(pages.marked("http://x/", "")).count("<a") == 0


def test_prose_escapes_and_marks_code() -> None:
    assert (
        str(pages.prose("a ``<b>`` & <i> ``c``")) == "a <code>&lt;b&gt;</code> &amp; &lt;i&gt; <code>c</code>"
    )
