"""What the core gives to plugins of webhooks: declarations, proofs, payloads of strangers."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from webhook_samples import HELLO, SECRET, VECTOR

from swhkit.errors import Unavailable
from swhkit.plugin import (
    HmacProof,
    Pong,
    Pushed,
    PushWebhook,
    TokenProof,
    VisitRequest,
    WebhookConfig,
    WebhookContext,
    WebhookRefused,
    decoded,
    text_at,
    value_at,
)
from swhkit.webhook import NotJson, secret_of

URL = "https://forge.example.org/u/p"
JSON = {"content-type": "application/json"}


class Plain(PushWebhook):
    """A forge that sends no header of its own."""

    label = "Plain"
    url_keys = ("url",)
    visit_type = "hg"
    pushes: Collection[str] = ("",)


class Named(Plain):
    """One that names events and pings."""

    label = "Named"
    event_header = "x-event"
    pushes = ("push", "tag")
    pings = ("hello",)
    private_keys = ("is", "private")
    delivery_headers = ("x-new-id", "x-old-id")


def nowhere(url: str) -> Any:
    raise Unavailable(url)


def parsed(webhook: PushWebhook, payload: Any, **headers: str) -> Any:
    given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return webhook.parse(WebhookContext(nowhere), given, json.dumps(payload).encode())


def test_a_few_declarations_are_enough() -> None:
    assert parsed(Plain(WebhookConfig()), {"url": URL}) == [VisitRequest(URL, "hg")]
    for event in ("push", "tag"):
        assert parsed(Named(WebhookConfig()), {"url": URL}, x_event=event) == [VisitRequest(URL, "hg")]
    assert parsed(Named(WebhookConfig()), None, x_event="hello") == Pong()


@pytest.mark.parametrize("private", [True, 1, "no", "false", ["x"], {"x": 1}])
def test_what_may_be_private_is(private: Any) -> None:
    with pytest.raises(WebhookRefused, match=f"Repository {URL} is private and cannot be cloned"):
        parsed(Named(WebhookConfig()), {"url": URL, "is": {"private": private}}, x_event="push")


@pytest.mark.parametrize("private", [False, None, 0, ""])
def test_what_is_public_is_not(private: Any) -> None:
    told = {"url": URL, "is": {"private": private}}
    assert parsed(Named(WebhookConfig()), told, x_event="push") == [VisitRequest(URL, "hg")]


def test_a_method_says_what_declarations_do_not() -> None:
    class Odd(Plain):
        def pushed(self, context: WebhookContext, payload: object) -> Pushed:
            return Pushed(text_at(payload, "url"), text_at(payload, "system"))

    assert parsed(Odd(WebhookConfig()), {"url": URL, "system": "svn"}) == [VisitRequest(URL, "svn")]
    with pytest.raises(WebhookRefused, match=f"Visit type could not be determined for repository {URL}."):
        parsed(Odd(WebhookConfig()), {"url": URL, "private": True})


def test_no_address_is_repeated_without_end_or_with_its_secret() -> None:
    with pytest.raises(WebhookRefused, match="Repository URL could not be extracted from Plain"):
        parsed(Plain(WebhookConfig()), {"url": "https://x/" + "x" * 4096})
    with pytest.raises(WebhookRefused) as refused:
        parsed(Plain(WebhookConfig()), {"url": "https://ada:hunter2@x/", "repository": {"private": 1}})
    assert "hunter2" not in str(refused.value)


def test_the_first_id_that_is_there_counts() -> None:
    webhook = Named(WebhookConfig())
    assert webhook.delivery({"x-event": "push", "x-new-id": "1", "x-old-id": "2"}) == "1"
    assert webhook.delivery({"x-event": "push", "x-new-id": "", "x-old-id": "2"}) == "2"
    assert webhook.delivery({"x-event": "push"}) is None
    assert webhook.delivery({"x-new-id": "1"}) is None
    for strange in ("\n", "\udcff", "x" * 201):
        assert webhook.delivery({"x-event": "push", "x-new-id": strange}) is None


def test_what_has_no_proof_proves_nothing() -> None:
    assert not Plain(WebhookConfig()).signed({"x-hub-signature-256": VECTOR}, HELLO, SECRET)
    assert HmacProof(("a", "b")).holds({"b": VECTOR}, HELLO, SECRET)
    assert not HmacProof(("a", "b")).holds({"a": "", "b": VECTOR}, HELLO, SECRET)
    assert not HmacProof(("a",), prefix="sha256=").holds({"a": VECTOR}, HELLO, SECRET)
    assert not HmacProof(("a",)).holds({"a": VECTOR.upper()}, HELLO, SECRET)
    assert TokenProof("a").holds({"a": SECRET}, b"", SECRET)
    assert not TokenProof("a").holds({"a": ""}, b"", "")


def test_settings_have_a_secret_or_none() -> None:
    assert secret_of(WebhookConfig()) is None
    assert secret_of(WebhookConfig(secret="hush")) == "hush"
    with pytest.raises(ValueError, match="an empty secret proves nothing"):
        WebhookConfig(secret="")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON parse error - Expecting value: line 1 column 1 (char 0)"),
        (b'{"a": 1', "JSON parse error - Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b"[" * 100_000, "JSON parse error - it is nested too deeply"),
        (b'{"a":' * 100_000, "JSON parse error - it is nested too deeply"),
        (b"1e400", "JSON parse error - Number out of range"),
        (b'"\xff"', "JSON parse error - "),
        ('{"a": "é"}'.encode("latin-1"), "JSON parse error - "),
        ('{"a": 1}'.encode("utf-16"), "JSON parse error - "),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_bodies_of_strangers(body: bytes, text: str) -> None:
    with pytest.raises(NotJson) as refused:
        decoded(body)
    assert str(refused.value).startswith(text)


def test_what_stands_below_keys() -> None:
    payload = {"a": {"b": "x", "c": "", "d": [1]}}
    assert text_at(payload, "a", "b") == "x"
    assert value_at(payload, "a", "d") == [1]
    for keys in (("a", "c"), ("a", "d"), ("a",), ("b",), ("a", "b", "c"), ("a", "d", "0")):
        assert text_at(payload, *keys) is None
    nothing: tuple[Any, ...] = (None, [], "abc", 5, True)
    for strange in nothing:
        assert value_at(strange, "a") is None
