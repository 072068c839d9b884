"""Real payloads of webhooks, and what forges send with them."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from swhkit.plugin import VisitRequest
from swhkit.testing.webhooks import Delivery, Signed

FOLDER = Path(__file__).parent / "data/webhooks"
#: The secret and body of GitHub's documentation
#: (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries), and their HMAC-SHA-256.
SECRET, HELLO = "It's a Secret to Everybody", b"Hello, World!"
VECTOR = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

JSON = {"content-type": "application/json"}
#: What each forge sends with a push.
HEADERS: dict[str, dict[str, str]] = {
    "bitbucket": {
        "user-agent": "Bitbucket-Webhooks/2.0",
        "x-event-key": "repo:push",
        "x-hook-uuid": "5ee3ac1d-8a0a-4b2f-a3a5-7d0bd8a9a0f3",
        "x-request-uuid": "e5d4bd8e-4d43-4c9f-a6cf-05c36aa4c15a",
        "x-attempt-number": "1",
    },
    "forgejo": {
        "user-agent": "Go-http-client/1.1",
        "x-forgejo-event": "push",
        "x-forgejo-event-type": "push",
        "x-forgejo-delivery": "9b3f6a3e-2b7c-4a0e-8f2a-3f6d0c6b4f11",
        "x-gitea-event": "push",
        "x-gitea-delivery": "9b3f6a3e-2b7c-4a0e-8f2a-3f6d0c6b4f11",
        "x-gogs-event": "push",
        "x-github-event": "push",
    },
    "gitea": {
        "user-agent": "Go-http-client/1.1",
        "x-gitea-event": "push",
        "x-gitea-event-type": "push",
        "x-gitea-delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473",
        "x-gogs-event": "push",
        "x-gogs-delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473",
        "x-github-event": "push",
    },
    "github": {
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-hook-id": "292430182",
        "accept": "*/*",
    },
    "gitlab": {
        "user-agent": "GitLab/17.4.1",
        "x-gitlab-event": "Push Hook",
        "x-gitlab-event-uuid": "13792a34-cac6-4fda-95a8-c58e00a3954e",
        "x-gitlab-instance": "https://gitlab.example.org",
        "idempotency-key": "f5e57a0f-2d2a-4a4c-9b2b-5c7c1f6d6f3e",
    },
    "gogs": {
        "user-agent": "GogsServer",
        "x-gogs-event": "push",
        "x-gogs-delivery": "b1f1d0a3-6a4d-4b0e-9a0d-3d1f9ac5a3b7",
    },
    "sourceforge": {"user-agent": "Allura Webhook (https://allura.apache.org/)"},
}
HEADERS = {name: {**JSON, **headers} for name, headers in HEADERS.items()}
#: All forges in alphabetical order.
FORGES = sorted(HEADERS)


def body(name: str) -> bytes:
    """A payload by its path below the folder, without the ending."""
    return (FOLDER / f"{name}.json").read_bytes()


def delivery(forge: str, payload: str | bytes, url: str, visit_type: str = "git", **headers: str) -> Delivery:
    """A delivery of a push; ``headers`` with ``_`` for ``-``."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data = payload if isinstance(payload, bytes) else body(payload)
    return Delivery(headers={**HEADERS[forge], **given}, body=data, expected=VisitRequest(url, visit_type))


def signed(good: Delivery, header: str, prefix: str = "", digest: str = "sha256") -> Signed:
    """``good`` with the HMAC of its body, made here without the code that is tested."""
    proof = prefix + hmac.new(SECRET.encode(), good.body, getattr(hashlib, digest)).hexdigest()
    return Signed(headers={**good.headers, header: proof}, body=good.body, secret=SECRET, header=header)
