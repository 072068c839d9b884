"""The contract of ``Webhook``: what a delivery must come to, whatever a stranger has made of it."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import pytest

from swhkit.errors import Unavailable
from swhkit.webhook import Pong, VisitRequest, Webhook, WebhookContext, WebhookRefused

#: What is put in the place of each value of a payload, one after the other.
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 20, 1 << 62, 1.5e300),
    *("", " ", "x", "\n", "\x00", "/../..", "\u202e", "javascript:alert(1)", "x" * 100_000),
    *([], ["x"], [[]], {}, {"x": "y"}, {"": None}),
)
#: Bodies that are no payload of anybody's.
BODIES: tuple[bytes, ...] = (
    *(
        b"",
        b" ",
        b"null",
        b"true",
        b"0",
        b'""',
        b"[]",
        b"{}",
        b"{",
        b"[{}]",
        b"nonsense",
        b"\x00",
        b"\xff\xfe",
    ),
    *(b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"repository":' * 100_000),
    *(b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 100_000, b'"\\ud800"', b'{"\\udfff": "\\ud800x"}'),
    *(b"payload=%7B%7D", b"<xml/>", b"\xef\xbb\xbf{}", b'{"repository": {}} {}', b'{"repository": "\xff"}'),
)
_CHECKED = "secret of the contract"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, and what it asks for. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes
    expected: VisitRequest


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with the proof of ``secret`` in ``header``. ``covers_body``: another body needs another proof."""

    headers: Mapping[str, str]
    body: bytes
    secret: str
    header: str
    covers_body: bool = True


class WebhookContract:
    """Subclass it and supply the fixtures ``webhook``, ``good`` and ``signed``; ``context`` if the plugin asks the web."""

    @pytest.fixture
    def webhook(self) -> Webhook:
        """The webhook, as its factory makes it."""
        raise NotImplementedError("supply a fixture named webhook")

    @pytest.fixture
    def good(self) -> Delivery:
        """A delivery whose body is a JSON object, that asks for one visit."""
        raise NotImplementedError("supply a fixture named good")

    @pytest.fixture
    def signed(self) -> Signed | None:
        """A delivery with a proof; None if the forge proves nothing."""
        raise NotImplementedError("supply a fixture named signed")

    @pytest.fixture
    def context(self) -> WebhookContext:
        """What the plugin may ask."""
        return WebhookContext(_unavailable)

    @pytest.fixture
    def proven(self, signed: Signed | None) -> Signed:
        """A delivery with a proof."""
        if signed is None:
            pytest.skip("this forge proves nothing")
        return signed

    def test_a_good_delivery_asks_for_its_visit(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        assert webhook.label
        assert webhook.parse(context, good.headers, good.body) == [good.expected]

    def test_a_charset_does_no_harm(self, webhook: Webhook, context: WebhookContext, good: Delivery) -> None:
        headers = {**good.headers, "content-type": "Application/JSON; charset=utf-8"}
        assert webhook.parse(context, headers, good.body) == [good.expected]

    @pytest.mark.parametrize(
        "type",
        ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "\udcff", "x" * 9000],
    )
    def test_other_types_are_refused(
        self, webhook: Webhook, context: WebhookContext, good: Delivery, type: str
    ) -> None:
        with pytest.raises(WebhookRefused, match=webhook.label) as refused:
            webhook.parse(context, {**good.headers, "content-type": type}, good.body)
        assert "it should be 'application/json'" in str(refused.value)

    def test_without_its_headers_it_was_sent_by_somebody_else(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        with pytest.raises(WebhookRefused, match="was not sent by"):
            webhook.parse(context, {"content-type": "application/json"}, good.body)
        assert webhook.delivery({}) is None

    def test_each_header_may_lack_or_be_strange(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        for name in good.headers:
            rest = {key: value for key, value in good.headers.items() if key != name}
            for headers in (rest, *({**good.headers, name: text} for text in ("", "\udcff", "x" * 9000))):
                _tried(webhook, context, headers, good.body)
                assert isinstance(webhook.delivery(headers), str | None)

    @pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:30]))
    def test_what_is_no_payload_is_refused(
        self, webhook: Webhook, context: WebhookContext, good: Delivery, body: bytes
    ) -> None:
        with pytest.raises(WebhookRefused):
            webhook.parse(context, good.headers, body)

    def test_what_breaks_off_or_is_in_another_charset_is_refused(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        text = good.body.decode()
        whole = good.body.rstrip()
        cut = [whole[: len(whole) * n // 20] for n in range(20)]
        for body in (*cut, whole[:-1], text.encode("utf-16"), text.encode("utf-32"), good.body + b"\xff"):
            with pytest.raises(WebhookRefused):
                webhook.parse(context, good.headers, body)

    def test_each_field_may_lack_or_be_strange(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        refused = 0
        for payload in _mutated(json.loads(good.body)):
            refused += _tried(webhook, context, good.headers, json.dumps(payload).encode()) is None
        assert refused, "the payload counts for something"

    def test_answers_may_be_strange_or_lack(self, webhook: Webhook, good: Delivery) -> None:
        for answer in STRANGE:
            _tried(webhook, WebhookContext(partial(_answer, answer)), good.headers, good.body)
        _tried(webhook, WebhookContext(_unavailable), good.headers, good.body)

    def test_it_is_asked_by_many_threads(
        self, webhook: Webhook, context: WebhookContext, good: Delivery
    ) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: webhook.parse(context, good.headers, good.body), range(200)))
        assert found == [[good.expected]] * 200

    def test_the_id_of_a_delivery_does_not_change(self, webhook: Webhook, good: Delivery) -> None:
        first = webhook.delivery(good.headers)
        assert first is None or first
        assert webhook.delivery(dict(good.headers)) == first

    def test_no_proof_is_none(self, webhook: Webhook, good: Delivery) -> None:
        assert not webhook.signed(good.headers, good.body, _CHECKED)
        assert not webhook.signed({}, b"", _CHECKED)
        assert not webhook.signed({}, b"", "")

    def test_a_proof_is_believed_and_nothing_else_in_its_place(
        self, webhook: Webhook, proven: Signed
    ) -> None:
        assert webhook.signed(proven.headers, proven.body, proven.secret)
        for headers in _forged(proven):
            assert not webhook.signed(headers, proven.body, proven.secret)

    def test_a_proof_is_of_one_secret(self, webhook: Webhook, proven: Signed) -> None:
        for secret in (*("", " ", "\x00", "é"), proven.secret + " ", proven.secret[:-1], proven.secret * 2):
            assert not webhook.signed(proven.headers, proven.body, secret)

    def test_a_proof_is_of_one_body(self, webhook: Webhook, proven: Signed) -> None:
        flipped = bytes([proven.body[0] ^ 1]) + proven.body[1:]
        for body in (b"", flipped, proven.body[:-1], proven.body + b"\n", proven.body * 2):
            believed = webhook.signed(proven.headers, body, proven.secret)
            assert believed is not proven.covers_body

    def test_nothing_is_parsed_for_a_proof(self, webhook: Webhook, good: Delivery) -> None:
        for body in BODIES:
            assert not webhook.signed(good.headers, body, _CHECKED)


def _forged(signed: Signed) -> Iterator[dict[str, str]]:
    """The headers of a delivery with everything in the place of its proof that somebody may try."""
    proof = signed.headers[signed.header]
    yield {name: value for name, value in signed.headers.items() if name != signed.header}
    sha1 = hmac.new(signed.secret.encode(), signed.body, hashlib.sha1).hexdigest()
    weaker = (sha1, f"sha1={sha1}")
    tried = (
        *("", " ", "abc", "=", "sha256=", "sha1=", "null", "\udcff", "é" * 64, "0" * 64, "x" * 100_000),
        *(
            proof[:-1],
            proof[1:],
            proof[:7],
            proof + "0",
            f" {proof}",
            f"{proof} ",
            f"{proof}, {proof}",
            proof * 2,
        ),
        *(proof.removeprefix("sha256="), f"sha256={proof}", *weaker),
        *(proof[:n] + chr(ord(proof[n]) ^ 1) + proof[n + 1 :] for n in range(len(proof))),
    )
    for value in tried:
        if value != proof:
            yield {**signed.headers, signed.header: value}
    if proof not in weaker:
        rest = {name: value for name, value in signed.headers.items() if name != signed.header}
        yield {**rest, "x-hub-signature": f"sha1={sha1}"}


def _mutated(payload: Any, whole: Any = None, path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """``payload`` with each of its values dropped, and replaced by everything strange."""
    whole = payload if whole is None else whole
    for key in list(payload) if isinstance(payload, dict) else range(len(payload)):
        for value in STRANGE:
            yield _with(whole, (*path, key), value)
        yield _without(whole, (*path, key))
        if isinstance(payload[key], dict | list):
            yield from _mutated(payload[key], whole, (*path, key))


def _with(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    # Only what lies on the way is copied: payloads are large.
    changed = copy.copy(whole)
    changed[path[0]] = value if len(path) == 1 else _with(whole[path[0]], path[1:], value)
    return changed


def _without(whole: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.copy(whole)
    if len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _without(whole[path[0]], path[1:])
    return changed


def _tried(
    webhook: Webhook, context: WebhookContext, headers: Mapping[str, str], body: bytes
) -> list[VisitRequest] | Pong | None:
    """What a delivery asks for, which is what it should be; None for one that is refused. Nothing else is raised."""
    found: list[VisitRequest] | Pong | str
    try:
        found = webhook.parse(context, headers, body)
    except WebhookRefused as refused:
        found = str(refused)
    assert found
    if isinstance(found, str):
        assert len(found) < 10_000, "what a stranger wrote is repeated without end"
        return None
    if isinstance(found, Pong):
        return found
    for asked in found:
        assert isinstance(asked, VisitRequest)
        assert asked.url
        assert isinstance(asked.url, str)
        assert asked.visit_type
        assert isinstance(asked.visit_type, str)
    return found


def _answer(answer: Any, url: str) -> Any:
    assert url.startswith(("http://", "https://"))
    return answer


def _unavailable(url: str) -> Any:
    raise Unavailable(f"{url}: there is no answer")
