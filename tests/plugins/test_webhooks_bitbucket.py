"""Webhooks of Bitbucket."""

from __future__ import annotations

import json

import pytest
from webhook_samples import HELLO, SECRET, VECTOR, body, delivery, signed

from swhkit.plugin import Webhook, WebhookConfig, WebhookContext, WebhookRefused
from swhkit.testing import WebhookContract
from swhkit.testing.webhooks import Delivery, Signed
from swhkit_bitbucket.webhook import Bitbucket

PAGE = "https://bitbucket.org/brydzewski/foo"
PUSHES = ["push", "push_branch_create", "push_branch_delete", "push_tag_create"]


def public(payload: str) -> bytes:
    """A payload of a private repository, made public."""
    data = json.loads(body(f"bitbucket/{payload}"))
    assert data["repository"]["is_private"] is True
    data["repository"]["is_private"] = False
    return json.dumps(data).encode()


class TestBitbucket(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return Bitbucket(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("bitbucket", public("push_tag_create"), f"{PAGE}.git")

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-hub-signature", "sha256=")

    @pytest.mark.parametrize("payload", PUSHES)
    def test_real_pushes(self, webhook: Webhook, context: WebhookContext, payload: str) -> None:
        one = delivery("bitbucket", public(payload), f"{PAGE}.git")
        assert webhook.parse(context, one.headers, one.body) == [one.expected]

    @pytest.mark.parametrize("payload", [*PUSHES, "repo-push"])
    def test_private_repositories(self, webhook: Webhook, context: WebhookContext, payload: str) -> None:
        one = delivery("bitbucket", f"bitbucket/{payload}", PAGE)
        with pytest.raises(WebhookRefused, match=r"Repository \S+\.git is private and cannot be cloned"):
            webhook.parse(context, one.headers, one.body)

    def test_other_events_are_refused(self, webhook: Webhook, context: WebhookContext) -> None:
        one = delivery("bitbucket", "bitbucket/repo-fork", PAGE, x_event_key="repo:fork")
        with pytest.raises(WebhookRefused, match="Event sent by Bitbucket webhook is not a push one"):
            webhook.parse(context, one.headers, one.body)

    def test_the_signature_of_github_s_vector(self, webhook: Webhook) -> None:
        assert webhook.signed({"x-hub-signature": f"sha256={VECTOR}"}, HELLO, SECRET)
        assert not webhook.signed({"x-hub-signature-256": f"sha256={VECTOR}"}, HELLO, SECRET)

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "e5d4bd8e-4d43-4c9f-a6cf-05c36aa4c15a"
