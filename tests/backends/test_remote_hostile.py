"""The remote reader and an upstream that lies, stalls, floods, or sends one elsewhere."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from remote_servers import HASTY, Hostile, answer, catalog, hostile, objects, raw

from swhkit.errors import Corrupt, InvalidInput, NotHeld, Unreachable
from swhkit.hashes import git_digest, git_header
from swhkit.model import Origin
from swhkit.storage import OriginQuery
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit_remote import answers, connections

BODY = b"hello, world\n" * 1000
ID = ObjectId(Kind.CONTENT, git_digest("blob", BODY))
GOOD = git_header("blob", len(BODY)) + BODY
TOKEN = "s3cr3t-t0ken"
DIGEST = b"\x11" * 20
NOT_FOUND = answer(b'{"exception":"NotFoundExc","reason":"Object not found."}', status="404 Not Found")


def js(value: Any, **more: Any) -> bytes:
    return answer(json.dumps(value).encode(), **more)


def test_good_bytes_are_given_and_absence_is_believed() -> None:
    """The other tests could not fail otherwise."""
    with hostile(raw(GOOD)) as server:
        assert objects(server.url, **HASTY).read([ID]) == {ID: BODY}
        assert b"".join(objects(server.url, **HASTY).stream(ID)) == BODY
    with hostile(NOT_FOUND) as server:
        assert objects(server.url, **HASTY).read([ID]) == {}
        with pytest.raises(NotHeld, match=str(ID)):
            next(objects(server.url, **HASTY).stream(ID))


# --- bytes ---


@pytest.mark.parametrize(
    "sent",
    [
        git_header("blob", len(BODY)) + BODY[:-1] + b"X",
        git_header("tree", len(BODY)) + BODY,
        git_header("blob", len(BODY) - 1) + BODY,
        git_header("blob", len(BODY) + 1) + BODY,
        git_header("blob", 3) + b"abc",
        b"blob 010\0" + BODY[:10],
        b"blob -1\0",
        b"blob 99999999999999999999999999\0",
        b"blob " + b"1" * 100_000,
        b"",
        b"<html>please log in</html>",
    ],
)
def test_wrong_bytes_are_corrupt_and_never_given(sent: bytes) -> None:
    with hostile(raw(sent)) as server:
        with pytest.raises(Corrupt, match=str(ID)):
            objects(server.url, **HASTY).read([ID])
        got: list[bytes] = []
        with pytest.raises(Corrupt, match=str(ID)):
            got.extend(objects(server.url, **HASTY).stream(ID))
        assert sum(map(len, got)) < len(BODY)


def test_truncated_bytes_are_not_there_rather_than_wrong() -> None:
    with hostile(raw(GOOD[:-100], length=len(GOOD))) as server:
        for call in (lambda r: r.read([ID]), lambda r: b"".join(r.stream(ID))):
            with pytest.raises(Unreachable, match="broke off"):
                call(objects(server.url, **HASTY))


def _chunks(connection: socket.socket, piece: bytes, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")


def test_an_endless_body_ends() -> None:
    def send(connection: socket.socket, head: str) -> None:
        head_of = (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        connection.sendall(head_of.encode() + b"%x\r\n" % len(GOOD) + GOOD + b"\r\n")
        _chunks(connection, bytes(1 << 16))

    with hostile(send) as server, samples.PeakMemory() as memory:
        with pytest.raises(Corrupt, match=str(ID)):
            objects(server.url, **HASTY).read([ID])
        with pytest.raises(Corrupt, match=str(ID)):
            list(objects(server.url, **HASTY).stream(ID))
    assert memory.growth < 32 << 20


def test_endless_json_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(connection: socket.socket, head: str) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        )
        _chunks(connection, b" " * (1 << 20))

    with (
        hostile(send) as server,
        samples.PeakMemory() as memory,
        pytest.raises(Unreachable, match="more than"),
    ):
        catalog(server.url, **HASTY).counters()
    assert memory.growth < 3 * answers.JSON_LIMIT


def test_an_endless_head_ends() -> None:
    def continues(connection: socket.socket, head: str) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    def headers(connection: socket.socket, head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: " + b"x" * 60_000 + b"\r\n")

    def line(connection: socket.socket, head: str) -> None:
        while True:
            connection.sendall(b"H" * 65536)

    for send in (continues, headers, line):
        with hostile(send) as server, pytest.raises(Unreachable, match="cannot be reached"):
            catalog(server.url, **HASTY).counters()


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip"])
def test_encodings_that_were_not_asked_for_are_not_unpacked(encoding: str) -> None:
    bomb = gzip.compress(bytes(100 << 20))
    with hostile(answer(bomb, Content_Encoding=encoding)) as server, samples.PeakMemory() as memory:
        rows = catalog(server.url, **HASTY)
        with pytest.raises(Unreachable, match="encoding"):
            rows.counters()
    assert memory.growth < 32 << 20
    with hostile(raw(bomb, Content_Encoding=encoding)) as server:
        reader = objects(server.url, **HASTY)
        with pytest.raises(Unreachable, match="encoding"):
            reader.read([ID])
        assert "Accept-Encoding: identity" in server.requests[0]


# --- what is no answer ---


@pytest.mark.parametrize(
    "status", ["200 OK", "404 Not Found", "401 Unauthorized", "403 Forbidden", "302 Found", "204 No Content"]
)
def test_html_is_no_answer(status: str) -> None:
    page = answer(b"<html>please log in</html>", "text/html", status)
    with hostile(page) as server:
        reader, rows = objects(server.url, **HASTY), catalog(server.url, **HASTY)
        for call in _questions(reader, rows):
            with pytest.raises(Unreachable, match=server.url):
                call()


def _questions(reader: Any, rows: Any) -> list[Callable[[], object]]:
    return [
        lambda: reader.read([ID]),
        lambda: reader.missing([ID]),
        lambda: reader.sizes([ID]),
        lambda: next(reader.stream(ID)),
        lambda: rows.contents([DIGEST]),
        lambda: rows.missing_contents([DIGEST]),
        lambda: rows.find_contents("sha1", [DIGEST]),
        lambda: rows.snapshot(DIGEST),
        lambda: rows.branches(DIGEST),
        lambda: rows.branch(DIGEST, b"HEAD"),
        lambda: rows.missing_snapshots([DIGEST]),
        lambda: rows.origin("https://example.org/"),
        lambda: rows.origins(),
        lambda: rows.origin_by_id(1),
        lambda: rows.search_origins(OriginQuery()).origins,
        lambda: rows.visit("https://example.org/", 1),
        lambda: rows.visits("https://example.org/"),
        lambda: rows.latest_visit("https://example.org/"),
        lambda: rows.metadata([ObjectId(Kind.REVISION, DIGEST)]),
        lambda: rows.extids("x", [b"y"]),
        lambda: rows.extids_of([ID]),
        lambda: rows.extrinsic_metadata(str(ID)),
        lambda: rows.authorities(str(ID)),
        lambda: rows.person(1),
        lambda: rows.counters(),
    ]


NONSENSE = [
    b"", b"{", b"null", b"[]", b"{}", b"1", b'"x"', b"[[[[[[1]]]]]]", b"[" * 200_000, b'{"a":' * 200_000,
    b'{"exception": 1}', b"\xff\xfe", b'{"id": "\xff"}', b"NaN", b"1e400", b"[null]", b'[{"origin": {}}]',
    b'{"content": -1}', b'{"content": 1e99}', b'{"content": 99999999999999999999999999999999}',
    b'{"id":"' + b"1" * 40 + b'","branches":{"a":{"target":"zz","target_type":"revision"}},"next_branch":null}',
    b'{"id":"' + b"1" * 40 + b'","branches":{},"next_branch":""}',
    b'{"checksums": {"sha1": "00"}, "length": "x"}',
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NONSENSE)))
def test_json_of_the_wrong_shape_is_no_answer(number: int) -> None:
    """Whatever comes, the answer is a sentence; what may be true of an empty list or mapping is taken for that."""
    with hostile(answer(NONSENSE[number])) as server:
        options = {**HASTY, "retries": 0}
        reader, rows = objects(server.url, **options), catalog(server.url, **options)
        for call in _questions(reader, rows):
            found, said = _tried(call)
            assert not found
            assert len(said) < 1000
            assert "\n" not in said


def _tried(call: Callable[[], object]) -> tuple[object, str]:
    """What is answered, or what is said instead."""
    try:
        return call(), ""
    except (Unreachable, InvalidInput) as error:
        return None, str(error)


def test_an_answer_about_something_else_is_no_answer() -> None:
    sums = {"sha1": "00" * 20, "sha1_git": "22" * 20, "sha256": "00" * 32, "blake2s256": "00" * 32}
    told = js({"checksums": sums, "length": 3, "status": "visible"})
    with hostile(told) as server, pytest.raises(Unreachable, match="another content"):
        catalog(server.url, **HASTY).contents([DIGEST])
    with hostile(js({})) as server, pytest.raises(Unreachable, match="does not tell"):
        objects(server.url, **HASTY).missing([ID])
    with hostile(js({"url": "https://example.org/other", "visit_types": []})) as server:
        assert catalog(server.url, **HASTY).origin("https://example.org/this") is None


@pytest.mark.parametrize(
    "metadata",
    [
        b"[1]",
        b"3",
        b'"x"',
        b'{"a": [' + b"[]," * 600_000 + b"1]}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_metadata_that_is_no_object_or_endless_is_not_looked_into(metadata: bytes) -> None:
    id = ObjectId(Kind.REVISION, DIGEST)
    told = b'{"id":"%s","directory":"%s","metadata":%s}' % (b"1" * 40, b"1" * 40, metadata)
    with hostile(answer(told)) as server, pytest.raises(Unreachable):
        catalog(server.url, **HASTY).metadata([id])
    plain = told.replace(metadata, b'{"a": [null]}')
    with hostile(answer(plain)) as server:
        assert catalog(server.url, **HASTY).metadata([id])[id].metadata == {"a": [None]}


def test_words_of_an_upstream_steer_no_terminal_and_tell_no_token() -> None:
    reason = f"\x1b[31m\nred {TOKEN} " + "x" * 10_000
    said = js({"exception": "BadInputExc", "reason": reason}, status="400 Bad Request")
    with hostile(said) as server, pytest.raises(Unreachable) as caught:
        catalog(server.url, token=TOKEN, **HASTY).counters()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 500
    assert TOKEN not in text
    status_line = f"HTTP/1.1 xx {TOKEN}\r\n\r\n".encode()
    for said in (
        status_line,
        js(1, status=f"500 {TOKEN}"),
        js({"exception": "E", "reason": TOKEN}, status="500 E"),
    ):
        with hostile(said) as server, pytest.raises(Unreachable) as caught:
            catalog(server.url, token=TOKEN, **HASTY).counters()
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h:99999/", "http://h:x/", "http://[::1", "https://:5/"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="host or port"):
        objects(url)


def test_a_token_with_line_breaks_is_refused_and_not_repeated() -> None:
    for token in ("abc\r\nX: y", "a b", "tökén", "\0"):
        with pytest.raises(InvalidInput) as caught:
            objects("http://127.0.0.1:1/", token=token)
        assert token not in str(caught.value)


# --- elsewhere ---


def test_redirects_to_another_host_are_not_followed_and_get_no_token() -> None:
    with hostile(raw(GOOD)) as thief:
        for place in (
            thief.url,
            thief.url.replace("127.0.0.1", "localhost"),
            "//" + thief.url.removeprefix("http://"),
            "https" + thief.url.removeprefix("http"),
            "file:///etc/passwd",
            "http://[",
            "\\\\evil\\x",
        ):
            for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
                moved = answer(b"", "text/html", status, Location=place)
                with hostile(moved) as server:
                    with pytest.raises((Unreachable, Corrupt)) as caught:
                        objects(server.url, token=TOKEN, **HASTY).read([ID])
                    assert TOKEN not in str(caught.value)
        assert thief.requests == []


def test_redirects_at_home_are_followed_with_the_token() -> None:
    def send(connection: socket.socket, head: str) -> None:
        there = head.startswith("GET /there?a=b ")
        connection.sendall(
            raw(GOOD) if there else answer(b"", "text/html", "302 Found", Location="/there?a=b")
        )

    with hostile(send) as server:
        assert objects(server.url, token=TOKEN, **HASTY).read([ID]) == {ID: BODY}
        assert all(f"Authorization: Bearer {TOKEN}" in head for head in server.requests)
        assert len(server.requests) == 2


def test_redirects_in_circles_end() -> None:
    with hostile(answer(b"", "text/html", "302 Found", Location="/api/1/raw/")) as server:
        with pytest.raises(Unreachable, match="circles"):
            objects(server.url, **HASTY).read([ID])
        assert len(server.requests) < 10


def test_a_redirected_question_with_a_body_is_not_repeated() -> None:
    with hostile(answer(b"", "text/html", "301 Moved", Location="/other/")) as server:
        with pytest.raises(Unreachable, match="redirects"):
            objects(server.url, **HASTY).missing([ID])
        assert len(server.requests) == 1


def test_links_lead_nowhere_else() -> None:
    """Only the query of a next page is used, where the first one was asked for."""
    with hostile(js([])) as thief:
        link = f'<{thief.url}origin/search/x/?page_token=T>; rel="next"'
        found = js([{"url": "https://example.org/"}], Link=link)
        with hostile([found, js([])]) as server:
            rows = catalog(server.url, token=TOKEN, **HASTY)
            page = rows.search_origins(OriginQuery(("x",)))
            assert page.next is not None
            assert rows.search_origins(OriginQuery(("x",)), after=page.next).origins == []
            assert "page_token=T" in server.requests[1]
        assert thief.requests == []


def test_links_in_circles_end() -> None:
    record = {
        "discovery_date": "2024-01-01T00:00:00+00:00", "authority": {"type": "forge", "url": "u"},
        "fetcher": {"name": "n", "version": "1"}, "format": "f",
        "metadata_url": "http://x/api/1/raw-extrinsic-metadata/get/" + "1" * 40 + "/",
    }  # fmt: skip
    link = '<http://x/?page_token=T>; rel="next"'
    with hostile(js([record], Link=link)) as server:
        with pytest.raises(Unreachable, match="circles"):
            catalog(server.url, **HASTY).extrinsic_metadata(str(ID), ("forge", "u"), limit=100)
        assert len(server.requests) < 5
    page = {"id": "11" * 20, "branches": {"a": None}, "next_branch": "b"}
    with hostile(js(page)) as server:
        rows = catalog(server.url, **HASTY)
        with pytest.raises(Unreachable):
            rows.snapshot(DIGEST)
        with pytest.raises(Unreachable):
            rows.branches(DIGEST, count=5)
        assert len(server.requests) < 20
    visits = [
        {"origin": "u", "visit": 5, "date": "2024-01-01T00:00:00+00:00", "type": "git", "status": "full"}
    ] * 100
    with hostile(js(visits)) as server, pytest.raises(Unreachable, match="out of order"):
        catalog(server.url, **HASTY).visits("u", limit=1000)
    for link in ("<>; rel=next", "<http://[/>; rel=next", "<" + "x" * 50_000 + ">; rel=next"):
        with hostile(js([], Link=link)) as server, pytest.raises(Unreachable, match="nowhere"):
            catalog(server.url, **HASTY).search_origins(OriginQuery())


def test_a_list_of_origins_out_of_order_is_not_used() -> None:
    origin = {"url": "https://example.org/", "id": 7, "type": "git"}
    with hostile(js([origin, origin])) as server, pytest.raises(Unreachable, match="out of order"):
        catalog(server.url, **HASTY).origins()
    with hostile([js([origin]), js([])]) as server:
        assert catalog(server.url, **HASTY).origins() == [Origin(7, "https://example.org/", ("git",))]


def test_a_forged_snapshot_is_not_given() -> None:
    branch = {"target": "22" * 20, "target_type": "revision"}
    page = js({"id": "11" * 20, "branches": {"main": branch}, "next_branch": None})
    forbidden = js({"exception": "ForbiddenExc", "reason": "no"}, status="403 Forbidden")
    with hostile([forbidden, page]) as server, pytest.raises(Unreachable, match="does not hash"):
        catalog(server.url, **HASTY).snapshot(DIGEST)
    with hostile(raw(b"snapshot 0\0")) as server, pytest.raises(Unreachable, match="does not hash"):
        catalog(server.url, **HASTY).snapshot(DIGEST)


# --- silence ---


def test_a_server_that_says_nothing_is_given_up() -> None:
    def silent(connection: socket.socket, head: str) -> None:
        connection.recv(1)

    options = {"timeout": 0.2, "retries": 1, "patience": 1.0}
    with hostile(silent) as server:
        begin = time.monotonic()
        with pytest.raises(Unreachable, match="asked 2 times"):
            catalog(server.url, **options).counters()
        assert time.monotonic() - begin < 5


def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "GRACE", 2)

    def drip(connection: socket.socket, head: str) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        )
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    def drip_head(connection: socket.socket, head: str) -> None:
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    for send in (drip, drip_head):
        with hostile(send) as server:
            begin = time.monotonic()
            with pytest.raises(Unreachable):
                catalog(server.url, timeout=0.3, retries=0).counters()
            assert time.monotonic() - begin < 60


def test_a_slow_taker_is_not_taken_for_a_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "GRACE", 1)
    body = b"".join(samples.flow(4 << 20))
    id = ObjectId(Kind.CONTENT, git_digest("blob", body))
    with hostile(raw(git_header("blob", len(body)) + body)) as server:
        got = 0
        for number, piece in enumerate(objects(server.url, timeout=0.2, retries=0).stream(id)):
            got += len(piece)
            if number < 10:
                time.sleep(0.1)
        assert got == len(body)


def test_a_connection_that_dies_is_tried_again() -> None:
    with hostile([b"", b"", raw(GOOD)]) as server:
        assert objects(server.url, timeout=2.0, retries=3).read([ID]) == {ID: BODY}
        assert len(server.requests) == 3
    with hostile([b"", b"", raw(GOOD)]) as server, pytest.raises(Unreachable, match="asked 2 times"):
        objects(server.url, **HASTY).read([ID])


def test_closing_ends_questions_under_way() -> None:
    def silent(connection: socket.socket, head: str) -> None:
        connection.recv(1)

    with hostile(silent) as server:
        reader = objects(server.url, timeout=30.0, retries=5)
        outcome: list[BaseException] = []

        def ask() -> None:
            try:
                reader.read([ID])
            except ValueError as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        _until(server, 1)
        reader.close()
        thread.join(5)
        assert not thread.is_alive()
        assert "closed" in str(outcome[0])


def _until(server: Hostile, count: int) -> None:
    end = time.monotonic() + 5
    while len(server.requests) < count and time.monotonic() < end:
        time.sleep(0.01)


def test_abandoned_streams_let_their_connections_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OPEN_MAX", 2)
    body = b"".join(samples.flow(8 << 20))
    id = ObjectId(Kind.CONTENT, git_digest("blob", body))
    with hostile(raw(git_header("blob", len(body)) + body)) as server:
        reader = objects(server.url, **HASTY)
        for _ in range(5):
            next(reader.stream(id))
        one, two = reader.stream(id), reader.stream(id)
        next(one), next(two)
        with pytest.raises(Unreachable, match="in use"):
            next(reader.stream(id))
        del one
        assert next(reader.stream(id))
