"""Badges, the addresses of SWHIDs, and ``/browse/``: they lead to a page of the object, and every ``browse_url`` to one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
import yarl
from reading_samples import MISSING, QUERY, SPACED, URL, Sample

from swhkit.swhid import Kind

SVG = "{http://www.w3.org/2000/svg}"


async def ask(api: Any, path: str, **headers: str) -> Any:
    url = yarl.URL(api.base.removesuffix("/api/1/") + path, encoded=True)
    return await api.client.session.get(url, allow_redirects=False, headers=headers)


async def badge(api: Any, path: str, status: int) -> tuple[str, str, list[str]]:
    """Both texts of a badge, and where it leads."""
    answer = await ask(api, path)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "image/svg+xml")
    root = ElementTree.fromstring(await answer.read())
    assert root.tag == SVG + "svg"
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        "svg",
        "title",
        "a",
        "clipPath",
        "rect",
        "g",
        "text",
    }
    left, right = (str(one.text) for one in root.iter(SVG + "text"))
    assert root[0].text == f"{left}: {right}"
    return left, right, [one.attrib["href"] for one in root.iter(SVG + "a")]


def ids(sample: Sample) -> dict[Kind, str]:
    return {
        Kind.CONTENT: sample.hello.sha1_git.hex(),
        Kind.DIRECTORY: sample.root.hex(),
        Kind.REVISION: sample.odd.hex(),
        Kind.SNAPSHOT: sample.snp.hex(),
    }


async def test_badges(api: Any) -> None:
    base = api.base.removesuffix("/api/1/")
    for kind, id in ids(api.sample).items():
        swhid = f"swh:1:{kind}:{id}"
        told = (f"archived {kind.word}", swhid, [f"{base}/{swhid}/"])
        assert await badge(api, f"/badge/{swhid}/", 200) == told
        assert await badge(api, f"/badge/{swhid};origin=https://x.org/y/", 200) == told
        assert await badge(api, f"/badge/{kind.word}/{id}/", 200) == told
        assert await badge(api, f"/badge/{kind.word}/{id.upper()}/", 200) == told
        missing: tuple[str, str, list[str]] = ("error", f"{kind.word} not found", [])
        assert await badge(api, f"/badge/swh:1:{kind}:{MISSING.hex()}/", 404) == missing
        assert await badge(api, f"/badge/{kind.word}/{MISSING.hex()}/", 404) == missing
        assert await badge(api, f"/badge/{kind.word}/xyz/", 400) == ("error", f"invalid {kind.word} id", [])
    release = api.sample.of_content.hex()
    left, right, _ = await badge(api, f"/badge/release/{release}/", 200)
    assert (left, right) == ("archived release", "bl\\xffob")
    for path in ("swh:1:foo:12", "swh:1:cnt:12", "swh:2:cnt:" + "0" * 40, "swh:1:ori:" + "0" * 40):
        assert await badge(api, f"/badge/{path}/", 400) == ("error", "invalid object id", [])


async def test_badges_of_origins(api: Any) -> None:
    base = api.base.removesuffix("/api/1/")
    page = f"{base}/api/1/origin/{URL}/get/?format=html"
    for url in (URL, quote(URL, safe="")):
        assert await badge(api, f"/badge/origin/{url}/", 200) == ("archived repository", URL, [page])
    for url in ("https://x.org/r", "%3Csvg%3E", "%00"):
        assert await badge(api, f"/badge/origin/{url}/", 404) == ("error", "origin not found", [])


async def test_badges_escape_what_a_stranger_wrote(serving: Any) -> None:
    sample = Sample()
    url = "https://x.org/\"'></text></svg><script>alert(1)</script>&\x1b\x00" + "x" * 500
    sample.visit(url, None)
    async with serving(sample) as api:
        _, right, [link] = await badge(api, f"/badge/origin/{quote(url, safe='')}/", 200)
        assert right.startswith("https://x.org/\"'></text></svg><script>alert(1)</script>&\ufffd\ufffdx")
        assert len(right) <= 120
        assert link.startswith(api.base)


async def test_unknown_types_of_badges(api: Any) -> None:
    assert await badge(api, f"/badge/nope/{'0' * 40}/", 400) == ("error", "invalid nope id", [])
    for path in ("/badge/", "/badge/%3Cb%3E/x/"):
        answer = await ask(api, path)
        assert (answer.status, (await answer.json())["error"]) == (404, "Resource not found")


async def test_swhids_lead_to_pages(api: Any) -> None:
    base = api.base.removesuffix("/api/1/")
    for kind, id in ids(api.sample).items():
        answer = await ask(api, f"/swh:1:{kind}:{id}/")
        shown = f"sha1_git:{id}" if kind is Kind.CONTENT else id
        assert (answer.status, answer.headers["Location"]) == (302, f"{base}/browse/{kind.word}/{shown}/")
        upper = await ask(api, f"/SWH:1:{kind.upper()}:{id.upper()}/")
        assert upper.headers["Location"] == answer.headers["Location"]
    answer = await ask(api, f"/swh:1:rev:{api.sample.odd.hex()}")
    assert (answer.status, answer.headers["Location"]) == (301, f"/swh:1:rev:{api.sample.odd.hex()}/")
    answer = await ask(api, f"/swh:1:rev:{MISSING.hex()}/")
    assert (answer.status, (await answer.json())["exception"]) == (404, "NotFoundExc")
    answer = await ask(api, "/swh:1:rev:12/")
    assert (answer.status, (await answer.json())["exception"]) == (400, "BadInputExc")


@pytest.mark.parametrize(
    "qualifiers",
    [
        "",
        f";origin={URL}",
        ";origin=https://git.example.org/a%2520b",
        ";visit=VISIT",
        f";origin={URL};visit=VISIT;anchor=ANCHOR;path=/sub/f.txt;lines=1-2",
        ";anchor=ANCHOR;path=/sub",
        ";anchor=ANCHOR;path=/",
        ";path=/%C3%A9",
    ],
)
async def test_every_browse_url_leads_to_a_page(api: Any, qualifiers: str) -> None:
    s = api.sample
    context = qualifiers.replace("VISIT", f"swh:1:snp:{s.snp.hex()}").replace(
        "ANCHOR", f"swh:1:rev:{s.first.hex()}"
    )
    for kind, id in ids(s).items():
        found = await api.json(f"resolve/{quote(f'swh:1:{kind}:{id}{context}', safe=':;=/')}/")
        answer = await api.client.session.get(yarl.URL(found["browse_url"], encoded=True))
        assert (answer.status, answer.content_type) == (200, "text/html"), found
        assert answer.url.query["format"] == "html"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("content/sha1_git:HELLO/", "content/sha1_git:HELLO/"),
        ("content/sha1_git:HELLO/?path=a/b&origin_url=x", "content/sha1_git:HELLO/"),
        ("directory/ROOT/", "directory/ROOT/"),
        ("directory/ROOT/?path=sub/f.txt", "directory/ROOT/sub/f.txt/"),
        ("directory/ROOT/sub/", "directory/ROOT/sub/"),
        ("revision/FIRST/", "revision/FIRST/"),
        ("revision/FIRST/?path=/%C3%A9/&origin_url=x", "revision/FIRST/directory/%C3%A9/"),
        ("revision/FIRST/?path=a%FF%0D%0AX:y", "revision/FIRST/directory/a%FF%0D%0AX:y/"),
        ("revision/FIRST/log/", "revision/FIRST/log/"),
        ("revision/FIRST/whatever/", "revision/FIRST/"),
        ("release/FIRST/", "release/FIRST/"),
        ("snapshot/ROOT/?origin_url=x", "snapshot/ROOT/"),
        ("snapshot/ROOT/log/", "snapshot/ROOT/"),
        (f"origin/?origin_url={URL}", f"origin/{URL}/get/"),
        (f"origin/?origin_url={quote(QUERY, safe='')}", f"origin/{QUERY.replace('?', '%3F')}/get/"),
        (f"origin/visits/?origin_url={URL}", f"origin/{URL}/visits/"),
        (f"origin/directory/?origin_url={URL}&path=a", f"origin/{URL}/get/"),
        (f"origin/{URL}/", f"origin/{URL}/get/"),
    ],
)
async def test_browse_leads_to_the_page_of_the_api(api: Any, path: str, target: str) -> None:
    s = api.sample
    for name, id in {"HELLO": s.hello.sha1_git, "ROOT": s.root, "FIRST": s.first}.items():
        path, target = path.replace(name, id.hex()), target.replace(name, id.hex())
    answer = await ask(api, "/browse/" + path)
    assert (answer.status, answer.headers["Location"]) == (302, f"{api.base}{target}?format=html")
    assert await answer.read() == b""


async def test_browse_refuses(api: Any) -> None:
    for path, status in (
        ("origin/", 400),
        ("origin/visits/", 400),
        (f"person/{'0' * 40}/", 404),
        ("revision/xyz/", 404),
        ("", 404),
    ):
        assert (await ask(api, "/browse/" + path)).status == status
    answer = await ask(api, f"/browse/revision/{api.sample.first.hex().upper()}/")
    assert answer.headers["Location"] == f"/browse/revision/{api.sample.first.hex()}/"
    assert SPACED not in str(answer.headers)
