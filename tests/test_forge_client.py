"""The client of forges: ways to the next page, tokens, what is remembered, and whom it believes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from net_servers import answering

from swhkit.errors import InvalidInput, InvalidUrl, NotFound, Unavailable
from swhkit.forge import (
    Fetched,
    ForgeClient,
    ForgeLimits,
    Paging,
    by_body,
    by_header,
    by_link,
    by_number,
    with_parameters,
)
from swhkit.http import Patience
from swhkit.net import Network
from swhkit.requests.schedule import Page
from swhkit.testing.forges import Clock
from swhkit.testing.web import Answered, Asked, FakeWeb, as_html, as_json, fake_web

CLI = Network(from_cli=True)
LOG = logging.getLogger(__name__)


class Item(msgspec.Struct):
    id: int


class Scene:
    """A fake forge and a client of it."""

    def __init__(self, web: FakeWeb) -> None:
        self.web, self.pages, self.clock = web, dict[str, Page](), Clock()

    def client(self, network: Network = CLI, url: str = "", **limits: Any) -> ForgeClient:
        return ForgeClient(
            network,
            url or self.web.url,
            kept=self.pages.get,
            keep=self.pages.__setitem__,
            deadline=None,
            log=LOG,
            limits=ForgeLimits(patience=Patience(attempts=2, wait=0.01), **limits),
            sleep=self.clock.sleep,
            now=self.clock.now,
        )


@pytest.fixture
def scene() -> Iterator[Scene]:
    with fake_web(lambda asked: Answered(status=404)) as web:
        yield Scene(web)


# -- ways to the next page -------------------------------------------------------------------------------------------


def fetched(
    headers: Mapping[str, str], body: bytes = b"[]", url: str = "https://f.example/x?page=1"
) -> Fetched:
    return Fetched(url=url, headers=headers, body=body)


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ('<https://f.example/x?page=2>; rel="next", <https://f.example/x?page=9>; rel="last"', "https://f.example/x?page=2"),
        ('<https://f.example/x?page=1>; rel="prev",<https://f.example/x?page=3>; rel=next', "https://f.example/x?page=3"),
        ('<?page=2>; title="a, b; c"; REL="first Next"', "https://f.example/x?page=2"),
        ('<https://f.example/a,b;c?d=(e)>; rel="next"', "https://f.example/a,b;c?d=(e)"),
        ('<https://f.example/x>; rel="last"', None),
        ('<https://f.example/x>; rel="nexter"', None),
        ("https://f.example/x; rel=next", None),
        ("<" * 60_000, None),
        ("", None),
    ],
)  # fmt: skip
def test_links(link: str, following: str | None) -> None:
    assert by_link(fetched({"link": link})) == following


def test_headers_numbers_and_bodies() -> None:
    assert by_header()(fetched({"x-next-page": "4"})) == "https://f.example/x?page=4"
    assert (
        by_header("X-Next-Cursor", "cursor")(fetched({"x-next-cursor": "a b"}))
        == "https://f.example/x?page=1&cursor=a+b"
    )
    assert by_header()(fetched({"x-next-page": ""})) is None
    some = msgspec.structs.replace(fetched({}), items=(msgspec.Raw(b"1"),))
    assert by_number()(some) == "https://f.example/x?page=2"
    assert by_number("start", first=0, step=25)(some) == "https://f.example/x?page=1&start=25"
    assert by_number()(fetched({})) is None
    assert by_body()(fetched({}, b'{"next": "/y"}')) == "https://f.example/y"
    assert by_body("paging.next")(fetched({}, b'{"paging": {"next": "?z=1"}}')) == "https://f.example/x?z=1"
    assert by_body("cursor", "after")(fetched({}, b'{"cursor": 7}')) == "https://f.example/x?page=1&after=7"
    for end in (b"{}", b'{"next": null}', b'{"next": ""}', b"[]", b'{"next": false}'):
        assert by_body()(fetched({}, end)) is None


def test_parameters_take_the_place_of_those_with_their_names() -> None:
    for given, parameters, made in (
        ("a=1&b=&a=2", {"a": "ö&"}, "b=&a=%C3%B6%26"),
        ("c=1", {"a": True, "c": None, "d": 7}, "a=true&d=7"),
    ):
        assert with_parameters(f"https://f.example/x?{given}", parameters) == f"https://f.example/x?{made}"


def endless(asked: Asked) -> Answered:
    """Each page has another one."""
    number = int(asked.params.get("page", "1"))
    return as_json([{"id": number}], {"Link": f'<?page={number + 1}>; rel="next"'})


def test_so_many_pages_and_no_more(scene: Scene) -> None:
    scene.web.answer = endless
    with pytest.raises(Unavailable, match=r"has no end \(after 5 pages\)"):
        list(scene.client(pages=5).pages("/x"))
    assert len(scene.web.requests) == 5


def test_a_circle_is_seen_when_it_closes(scene: Scene) -> None:
    scene.web.answer = lambda asked: endless(
        msgspec.structs.replace(asked, params={"page": str(int(asked.params.get("page", "1")) % 3)})
    )
    with pytest.raises(Unavailable, match="has no end"):
        list(scene.client().pages("/x?page=1"))
    assert len(scene.web.requests) == 3


def test_an_instance_that_knows_nothing_of_pages_is_noticed(scene: Scene) -> None:
    scene.web.answer = lambda asked: as_json([{"id": 1}])
    with pytest.raises(Unavailable, match="comes again and again"):
        list(scene.client().each("/x", Item, paging=by_number()))
    assert len(scene.web.requests) < 20


def own(page: Fetched) -> str | None:
    return "/y?of=2" if page.url.endswith("/x") else None


def test_a_way_of_ones_own_with_paths_below_the_instance(scene: Scene) -> None:
    scene.web.answer = lambda asked: as_json([{"id": 1, "extra": [1.50]}])
    client = scene.client().at("/sub/api")
    assert list(client.each("/x", Item, paging=own)) == [(Item(1), b'{"id": 1, "extra": [1.5]}')] * 2
    assert [(asked.path, dict(asked.params)) for asked in scene.web.requests] == [
        ("/sub/api/x", {}),
        ("/sub/api/y", {"of": "2"}),
    ]


def test_a_page_that_is_not_there_is_no_end(scene: Scene) -> None:
    scene.web.answer = lambda asked: endless(asked) if "page" not in asked.params else Answered(status=404)
    with pytest.raises(Unavailable, match="breaks off"):
        list(scene.client().pages("/x"))
    scene.web.answer = lambda asked: Answered(status=404)
    with pytest.raises(NotFound, match="the forge answers 404"):
        list(scene.client().pages("/x"))


@pytest.mark.parametrize(
    "following",
    ["https://other.example/x", "http://127.0.0.1:1/x", "//other.example/x", "file:///etc/passwd", "http://[/",
     "ext::sh -c x"],
)  # fmt: skip
def test_the_next_page_is_on_the_same_server(scene: Scene, following: str) -> None:
    scene.web.answer = lambda asked: as_json([{"id": 1}], {"Link": f'<{following}>; rel="next"'})
    with pytest.raises(Unavailable, match="the next page is refused"):
        list(scene.client().pages("/x"))
    assert len(scene.web.requests) == 1


def test_no_user_name_comes_along_with_a_link(scene: Scene) -> None:
    place = scene.web.url.removeprefix("http://")
    scene.web.answer = lambda asked: as_json([], {"Link": f'<http://u:secret@{place}/x>; rel="next"'})
    with pytest.raises(Unavailable) as caught:
        list(scene.client().pages("/x"))
    assert "secret" not in str(caught.value)


def test_a_plugin_that_is_led_elsewhere_gets_unavailable(scene: Scene) -> None:
    for url in ("https://other.example/x", "nonsense", "http://127.0.0.1:1/"):
        with pytest.raises(Unavailable):
            scene.client().get_json(url, Item)


# -- what comes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda client: client.get_json("/x", Item), "missing required field `id`"),
        (lambda client: client.get_json("/x", list[int]), "Expected `array`"),
        (lambda client: list(client.pages("/x", within="data")), "it has no 'data'"),
        (lambda client: list(client.pages("/x")), "Expected `array`"),
        (lambda client: client.get_text("/x", end="</html>"), "there is no </html> at its end"),
    ],
)
def test_another_answer_names_what_was_expected(
    scene: Scene, ask: Callable[[ForgeClient], object], said: str
) -> None:
    scene.web.answer = lambda asked: as_json({"name": "x"})
    with pytest.raises(Unavailable) as caught:
        ask(scene.client())
    assert said in str(caught.value)
    assert f"{scene.web.url}/x" in str(caught.value)


def test_documents_and_texts(scene: Scene) -> None:
    scene.web.answer = lambda asked: as_html(f"<p>{asked.params.get('q', '')}</P></HTML>\n")
    assert scene.client().get_text("/x", params={"q": "ä"}, end="</html>") == "<p>ä</P></HTML>\n"
    scene.web.answer = lambda asked: as_json({"id": 7})
    assert scene.client().get_document("/x", Item) == (Item(7), b'{"id": 7}')


def test_an_answer_that_is_too_large_is_refused(scene: Scene) -> None:
    scene.web.answer = lambda asked: Answered(b" " * 5_000)
    with pytest.raises(Unavailable, match="larger than 4000 bytes"):
        scene.client(page_size=4_000).get_text("/x")


def test_redirects_are_followed_on_the_same_server(scene: Scene) -> None:
    scene.web.answer = lambda asked: (
        Answered(status=301, headers={"Location": "/new"}) if asked.path == "/old" else as_json({"id": 1})
    )
    assert scene.client().get_json("/old", Item) == Item(1)


def test_private_addresses_are_not_for_strangers(scene: Scene) -> None:
    with pytest.raises((InvalidUrl, Unavailable)):
        scene.client(Network(private_addresses="never")).get_json("/x", Item)
    assert scene.web.requests == []


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_goes_over_plain_http_only_where_the_operator_wrote_so(scene: Scene) -> None:
    token = {"PRIVATE-TOKEN": "s3cret"}
    scene.web.answer = lambda asked: as_json({"id": 1})
    scene.client().at("/api", token).get_json("/x", Item)
    assert scene.web.requests[0].headers["private-token"] == "s3cret"
    for client in (
        scene.client(Network(private_addresses="always"), "http://f.example"),
        scene.client(CLI, "https://f.example"),
    ):
        with pytest.raises(InvalidInput, match="not sent over plain http") as caught:
            client.at("http://f.example/api", token)
        assert "s3cret" not in str(caught.value)
    scene.client(Network(private_addresses="always"), "http://f.example").at("/api", {"Accept": "x/y"})


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\r\nX: y", "s3crét"])
def test_a_token_that_no_header_can_have_is_not_told(scene: Scene, token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        scene.client().at("/api", {"Authorization": f"Bearer {token}"})
    assert "s3cr" not in str(caught.value)


# -- what is remembered ----------------------------------------------------------------------------------------------


def test_what_leads_on_is_remembered_with_a_page(scene: Scene) -> None:
    def answer(asked: Asked) -> Answered:
        good = endless(asked) if asked.params.get("page") != "3" else as_json([])
        etag = {"ETag": f'W/"{asked.params}"'}
        if asked.headers.get("if-none-match") == etag["ETag"]:
            return Answered(status=304, headers=etag)
        return msgspec.structs.replace(good, headers={**good.headers, **etag, "X-Private": "7"})

    scene.web.answer = answer
    first = [item for item, _ in scene.client().each("/x", Item)]
    assert [item for item, _ in scene.client().each("/x", Item)] == first == [Item(1), Item(2)]
    assert len(scene.web.requests) == 6
    assert {name for page in scene.pages.values() for name in page.headers} == {"link"}


def test_a_remembered_page_of_another_shape_is_asked_for_anew(scene: Scene) -> None:
    scene.web.etags = True
    scene.web.answer = lambda asked: as_json({"id": 1})
    scene.client().get_json("/x", dict[str, Any])
    (url,) = scene.pages
    scene.pages[url] = msgspec.structs.replace(scene.pages[url], body=b"[]")
    assert scene.client().get_json("/x", Item) == Item(1)


def test_large_pages_and_those_whose_end_nobody_can_tell_are_not_remembered(scene: Scene) -> None:
    scene.web.etags = True
    scene.web.answer = lambda asked: as_json({"id": 1})
    scene.client(kept_size=4).get_json("/x", Item)
    assert scene.pages == {}
    with answering(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nConnection: close\r\n\r\n{"id": 1}') as (port, _):
        assert scene.client(url=f"http://127.0.0.1:{port}").get_json("/x", Item) == Item(1)
    assert scene.pages == {}


# -- waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {}, b"", 60),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit."}', 60),
        (429, {"X-RateLimit-Remaining": "0"}, b"", 60),
        (429, {"Retry-After": "soon"}, b"", 60),
        (429, {"Retry-After": "99999999"}, b"", 86_400),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "120"}, b"", 120),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, b"", 1),
    ],
)
def test_how_long_a_forge_is_left_alone(
    scene: Scene, status: int, headers: dict[str, str], body: bytes, seconds: float
) -> None:
    scene.web.answer = lambda asked: Answered(body, status, headers)
    with pytest.raises(Unavailable) as caught:
        scene.client(longest_wait=0.5).get_json("/x", Item)
    assert caught.value.retry_after == pytest.approx(seconds, abs=0.5)


def test_clients_of_one_forge_know_of_each_other_s_waits(scene: Scene) -> None:
    scene.web.answer = lambda asked: as_json(
        {"id": 1}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "500"}
    )
    client = scene.client()
    assert client.at("/api").get_json("/x", Item) == Item(1)
    with pytest.raises(Unavailable, match="left alone for 500 s") as caught:
        client.get_json("/y", Item)
    assert caught.value.retry_after == pytest.approx(500, abs=1)
    scene.clock.sleep(501)
    assert client.get_json("/y", Item) == Item(1)


def test_a_server_that_breaks_off_is_asked_again_and_then_given_up(scene: Scene) -> None:
    def answer(asked: Asked) -> Answered:
        return Answered(b'{"id": 1}', cut=4 if len(scene.web.requests) < 2 else None)

    scene.web.answer = answer
    assert scene.client().get_json("/x", Item) == Item(1)
    scene.web.answer = lambda asked: Answered(b'{"id": 1}', cut=4)
    with pytest.raises(Unavailable, match="has not come whole"):
        scene.client().get_json("/x", Item)
    assert len(scene.web.requests) == 4
    assert all(seconds < 1 for seconds in scene.clock.slept)


PAGINGS: list[Paging] = [by_link, by_body(), by_header(), by_number()]


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("body", [b'[{"id": 1}]', b"[[[[]]]]"])
def test_every_way_ends(scene: Scene, paging: Paging, body: bytes) -> None:
    scene.web.answer = lambda asked: Answered(body if "page" not in asked.params else b"[]")
    assert len(list(scene.client().pages("/x", paging=paging))) <= 2
