"""Webhooks of GitHub."""

from __future__ import annotations

import pytest
from webhook_samples import HELLO, SECRET, VECTOR, body, delivery, signed

from swhkit.plugin import Pong, Webhook, WebhookConfig, WebhookContext, WebhookRefused
from swhkit.testing import WebhookContract
from swhkit.testing.webhooks import Delivery, Signed
from swhkit_github.webhook import GitHub

URL = "https://github.com/Codertocat/Hello-World"
PUSHES = [f"github/push-{n}" for n in range(7)]
OTHERS = ["create", "delete", "fork", "issues", "public", "release", "repository", "star"]


class TestGitHub(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return GitHub(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("github", "github/push-5", URL)

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-hub-signature-256", "sha256=")

    @pytest.mark.parametrize("payload", PUSHES)
    def test_real_pushes(self, webhook: Webhook, context: WebhookContext, payload: str) -> None:
        one = delivery("github", payload, URL)
        assert webhook.parse(context, one.headers, one.body) == [one.expected]

    @pytest.mark.parametrize("number", range(4))
    def test_real_pings(self, webhook: Webhook, context: WebhookContext, number: int) -> None:
        one = delivery("github", f"github/ping-{number}", URL, x_github_event="ping")
        assert webhook.parse(context, one.headers, one.body) == Pong("pong")

    def test_a_ping_may_come_as_a_form(self, webhook: Webhook, context: WebhookContext) -> None:
        headers = {
            "user-agent": "GitHub-Hookshot/1",
            "x-github-event": "ping",
            "content-type": "application/x-www-form-urlencoded",
        }
        assert webhook.parse(context, headers, b"payload=%7B%7D") == Pong()

    @pytest.mark.parametrize("event", OTHERS)
    def test_other_real_events_are_refused(
        self, webhook: Webhook, context: WebhookContext, event: str
    ) -> None:
        one = delivery("github", f"github/{event}-0", URL, x_github_event=event)
        with pytest.raises(WebhookRefused) as refused:
            webhook.parse(context, one.headers, one.body)
        assert str(refused.value) == (
            "Event sent by GitHub webhook is not a push one, request has not been processed."
        )

    def test_a_private_repository(self, webhook: Webhook, context: WebhookContext) -> None:
        data = body("github/push-5").replace(b'"private": false', b'"private": true')
        one = delivery("github", data, URL)
        with pytest.raises(WebhookRefused) as refused:
            webhook.parse(context, one.headers, one.body)
        assert str(refused.value) == (
            f"Repository {URL} is private and cannot be cloned without authentication."
        )

    def test_the_vector_of_the_documentation(self, webhook: Webhook) -> None:
        assert webhook.signed({"x-hub-signature-256": f"sha256={VECTOR}"}, HELLO, SECRET)
        assert not webhook.signed({"x-hub-signature-256": f"sha256={VECTOR}"}, HELLO + b"!", SECRET)
        assert not webhook.signed({"x-hub-signature": f"sha256={VECTOR}"}, HELLO, SECRET)

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
        assert webhook.delivery({**good.headers, "user-agent": "curl/8"}) is None
        assert webhook.delivery({**good.headers, "x-github-delivery": "x" * 201}) is None
        assert webhook.delivery({**good.headers, "x-github-delivery": "a\tb"}) is None
