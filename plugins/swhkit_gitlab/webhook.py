"""Deliveries of GitLab webhooks (https://docs.gitlab.com/user/project/integrations/webhook_events/)."""

from __future__ import annotations

from swhkit.plugin import (
    AnyProof,
    Pushed,
    PushWebhook,
    StandardProof,
    TokenProof,
    WebhookContext,
    text_at,
    value_at,
)

#: The ``visibility_level`` of what everybody may clone; 0 is private, 10 is for who has an account there.
PUBLIC = 20


class GitLab(PushWebhook):
    """``Push Hook`` and ``Tag Push Hook`` events.

    The secret is a *secret token*, which is sent, or a *signing token* (``whsec_…``), which signs. A delivery is known by
    its ``webhook-id`` or ``Idempotency-Key``, the same in every retry (GitLab 17.4). Before that there is only
    ``X-Gitlab-Event-UUID``, which events that one request to GitLab causes may share.
    """

    label = "GitLab"
    agent = "GitLab/"
    event_header = "x-gitlab-event"
    proof = AnyProof((TokenProof("x-gitlab-token"), StandardProof()))
    delivery_headers = ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")

    def is_push(self, event: str) -> bool:
        """Pushes of branches and of tags."""
        return "Push Hook" in event

    def pushed(self, context: WebhookContext, payload: object) -> Pushed:
        """The repository, which is private unless its level says otherwise or there is none."""
        del context
        repository = value_at(payload, "repository")
        level = repository.get("visibility_level", PUBLIC) if isinstance(repository, dict) else PUBLIC
        return Pushed(text_at(repository, "git_http_url"), "git", level != PUBLIC)
