"""Webhooks of GitLab."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from webhook_samples import SECRET, body, delivery

from swhkit.plugin import Webhook, WebhookConfig, WebhookContext, WebhookRefused
from swhkit.testing import WebhookContract
from swhkit.testing.webhooks import Delivery, Signed
from swhkit_gitlab.webhook import GitLab

#: Real payloads, their event, and where their repositories are cloned from.
PUSHES = [
    ("push", "Push Hook", "https://gitlab.com/gitlab-org/hello-world.git"),
    ("push_subgroup", "Push Hook", "https://gitlab.com/group1/group2/group3/grp2repo.git"),
    ("branch_delete", "Push Hook", "https://gitlab.com/gitlab-org/hello-world.git"),
    ("tag_create", "Tag Push Hook", "https://gitlab.com/gitlab-org/hello-world.git"),
    ("push-event", "Push Hook", "http://example.com/mike/diaspora.git"),
    ("tag-event", "Tag Push Hook", "http://example.com/jsmith/example.git"),
]
URL = PUSHES[0][2]


def levelled(payload: str, level: object) -> bytes:
    """A payload whose repository has another level of visibility; ``...`` is none."""
    data = json.loads(body(f"gitlab/{payload}"))
    assert data["repository"].pop("visibility_level") == 0
    if level is not ...:
        data["repository"]["visibility_level"] = level
    return json.dumps(data).encode()


#: A signing token, whose key is thirty-two bytes.
SIGNING = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def standard(
    body: bytes, id: str = "f5e57a0f", moment: float | None = None, key: bytes = bytes(range(32))
) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    stamp = str(int(time.time() if moment is None else moment))
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature}


class Contract(WebhookContract):
    """That of GitLab's webhook, but for what is a proof."""

    @pytest.fixture
    def webhook(self) -> Webhook:
        return GitLab(WebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("gitlab", levelled("push", 20), URL)


class TestGitLab(Contract):
    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        headers = {**good.headers, "x-gitlab-token": SECRET}
        return Signed(
            headers=headers, body=good.body, secret=SECRET, header="x-gitlab-token", covers_body=False
        )

    @pytest.mark.parametrize("level", [20, ...])
    @pytest.mark.parametrize(("payload", "event", "url"), PUSHES)
    def test_real_pushes(
        self, webhook: Webhook, context: WebhookContext, payload: str, event: str, url: str, level: object
    ) -> None:
        one = delivery("gitlab", levelled(payload, level), url, x_gitlab_event=event)
        assert webhook.parse(context, one.headers, one.body) == [one.expected]

    @pytest.mark.parametrize("level", [0, 10, None, "20", 30])
    def test_what_not_everybody_may_clone(
        self, webhook: Webhook, context: WebhookContext, level: object
    ) -> None:
        one = delivery("gitlab", levelled("push", level), URL)
        with pytest.raises(WebhookRefused, match=f"Repository {URL} is private and cannot be cloned"):
            webhook.parse(context, one.headers, one.body)

    @pytest.mark.parametrize("event", ["System Hook", "Merge Request Hook", "Push", ""])
    def test_other_events_are_refused(self, webhook: Webhook, context: WebhookContext, event: str) -> None:
        one = delivery("gitlab", "gitlab/system-push-event", URL, x_gitlab_event=event)
        with pytest.raises(WebhookRefused, match="Event sent by GitLab webhook is not a push one"):
            webhook.parse(context, one.headers, one.body)

    def test_a_secret_need_not_be_ascii(self, webhook: Webhook) -> None:
        assert webhook.signed({"x-gitlab-token": "gehé𝄞m"}, b"", "gehé𝄞m")
        assert not webhook.signed({"x-gitlab-token": "gehé𝄞"}, b"", "gehé𝄞m")

    def test_the_id_of_a_delivery(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) == "f5e57a0f-2d2a-4a4c-9b2b-5c7c1f6d6f3e"
        elder = {name: value for name, value in good.headers.items() if name != "idempotency-key"}
        assert webhook.delivery(elder) == "13792a34-cac6-4fda-95a8-c58e00a3954e"


class TestSigningTokens(Contract):
    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        headers = {**good.headers, **standard(good.body)}
        return Signed(headers=headers, body=good.body, secret=SIGNING, header="webhook-signature")

    def test_several_signatures(self, webhook: Webhook) -> None:
        """While a key is exchanged, there are those of both; and others may have been thought of since."""
        right = standard(b"x")
        wrong = standard(b"x", key=b"other")["webhook-signature"]
        for given in (f"{wrong} {right['webhook-signature']}", f"v2,x {right['webhook-signature']}"):
            assert webhook.signed({**right, "webhook-signature": given}, b"x", SIGNING)
        for given in (
            wrong,
            right["webhook-signature"].replace("v1,", "v2,"),
            right["webhook-signature"][3:],
            "v1,",
        ):
            assert not webhook.signed({**right, "webhook-signature": given}, b"x", SIGNING)

    @pytest.mark.parametrize("seconds", [-310, 310, -1e9])
    def test_an_old_delivery_proves_nothing(self, webhook: Webhook, seconds: float) -> None:
        assert not webhook.signed(standard(b"x", moment=time.time() + seconds), b"x", SIGNING)
        assert webhook.signed(
            standard(b"x", moment=time.time() + seconds / abs(seconds) * 250), b"x", SIGNING
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [("webhook-id", "other"), ("webhook-id", ""), ("webhook-timestamp", ""), ("webhook-timestamp", "x")],
    )
    def test_all_of_it_is_signed(self, webhook: Webhook, name: str, value: str) -> None:
        assert not webhook.signed({**standard(b"x"), name: value}, b"x", SIGNING)
        assert not webhook.signed(
            {**standard(b"x"), "webhook-timestamp": f"{time.time() + 1:.0f}"}, b"x", SIGNING
        )

    @pytest.mark.parametrize("secret", ["whsec_", "whsec_!", "whsec_abc", "", SIGNING.removeprefix("whsec_")])
    def test_a_secret_that_is_no_key(self, webhook: Webhook, secret: str) -> None:
        for key in (b"", bytes(range(32))):
            headers = standard(b"x", key=key)
            assert not webhook.signed(headers, b"x", secret)

    def test_the_id_that_is_signed_counts(self, webhook: Webhook) -> None:
        headers = {**standard(b"x"), "idempotency-key": "other"}
        headers |= {"user-agent": "GitLab/18.10.0", "x-gitlab-event": "Push Hook"}
        assert webhook.delivery(headers) == "f5e57a0f"
