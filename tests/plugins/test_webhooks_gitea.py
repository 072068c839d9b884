"""Webhooks of Gitea, Forgejo and Gogs: one payload, three sets of headers."""

from __future__ import annotations

import pytest
from webhook_samples import HELLO, SECRET, VECTOR, body, delivery, signed

from swhkit.plugin import Webhook, WebhookConfig, WebhookContext, WebhookRefused
from swhkit.testing import WebhookContract
from swhkit.testing.webhooks import Delivery, Signed
from swhkit_gitea.webhook import Forgejo, Gitea, Gogs

EXAMPLE, HELLO_WORLD = (
    "http://localhost:3000/example/example.git",
    "http://try.gitea.io/gogits/hello-world.git",
)


def public(payload: str) -> bytes:
    """A payload of a private repository, made public."""
    data = body(payload)
    assert b'"private": true' in data
    return data.replace(b'"private": true', b'"private": false')


class TestGitea(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return Gitea(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("gitea", "gitea/push-event", EXAMPLE)

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-gitea-signature")

    def test_another_real_push(self, webhook: Webhook, context: WebhookContext) -> None:
        one = delivery("gitea", public("gitea/push"), HELLO_WORLD)
        assert webhook.parse(context, one.headers, one.body) == [one.expected]

    def test_a_private_repository(self, webhook: Webhook, context: WebhookContext) -> None:
        one = delivery("gitea", "gitea/push", HELLO_WORLD)
        with pytest.raises(WebhookRefused, match=f"Repository {HELLO_WORLD} is private and cannot be cloned"):
            webhook.parse(context, one.headers, one.body)

    @pytest.mark.parametrize("payload", ["tag_create", "branch_create"])
    def test_other_real_events_are_refused(
        self, webhook: Webhook, context: WebhookContext, payload: str
    ) -> None:
        one = delivery("gitea", f"gitea/{payload}", HELLO_WORLD, x_gitea_event="create")
        with pytest.raises(WebhookRefused, match="Event sent by Gitea webhook is not a push one"):
            webhook.parse(context, one.headers, one.body)

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "f6266f16-1bf3-46a5-9ea4-602e06ead473"


class TestForgejo(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return Forgejo(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("forgejo", "gitea/push-event", EXAMPLE)

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-forgejo-signature")

    def test_the_elder_signature_counts_where_there_is_no_other(self, webhook: Webhook) -> None:
        assert webhook.signed({"x-gitea-signature": VECTOR}, HELLO, SECRET)
        both = {"x-gitea-signature": VECTOR, "x-forgejo-signature": "0" * 64}
        assert not webhook.signed(both, HELLO, SECRET)

    def test_what_gitea_sends_is_of_another_forge(self, webhook: Webhook, context: WebhookContext) -> None:
        one = delivery("gitea", "gitea/push-event", EXAMPLE)
        with pytest.raises(WebhookRefused, match="was not sent by a Forgejo webhook"):
            webhook.parse(context, one.headers, one.body)

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "9b3f6a3e-2b7c-4a0e-8f2a-3f6d0c6b4f11"


class TestGogs(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return Gogs(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("gogs", "gogs/push-event", "http://localhost:3000/unknwon/webhooks.git")

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-gogs-signature")

    def test_another_real_push(self, webhook: Webhook, context: WebhookContext) -> None:
        one = delivery("gogs", public("gogs/push"), "http://try.gogs.io/gogits/hello-world.git")
        assert webhook.parse(context, one.headers, one.body) == [one.expected]

    @pytest.mark.parametrize("payload", ["tag_create", "branch_create"])
    def test_other_real_events_are_refused(
        self, webhook: Webhook, context: WebhookContext, payload: str
    ) -> None:
        one = delivery("gogs", f"gogs/{payload}", EXAMPLE, x_gogs_event="create")
        with pytest.raises(WebhookRefused, match="Event sent by Gogs webhook is not a push one"):
            webhook.parse(context, one.headers, one.body)

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "b1f1d0a3-6a4d-4b0e-9a0d-3d1f9ac5a3b7"
