"""Webhooks of SourceForge, and what its REST API adds to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from webhook_samples import body, delivery, signed

from swhkit.plugin import Unavailable, VisitRequest, Webhook, WebhookContext, WebhookRefused
from swhkit.testing import WebhookContract
from swhkit.testing.webhooks import Delivery, Signed
from swhkit_sourceforge.settings import SourceforgeWebhookConfig
from swhkit_sourceforge.webhook import SourceForge

URL = "https://git.code.sf.net/p/example/code"
UNKNOWN = "Repository URL could not be extracted from SourceForge webhook payload."


def project(**changes: Any) -> dict[str, Any]:
    """What the REST API says of the project; ``tool_KEY`` changes the tool that is its code (None: drops the key)."""
    answer: dict[str, Any] = json.loads(body("sourceforge/project"))
    for key, value in changes.items():
        place = answer["tools"][-1] if key.startswith("tool_") else answer
        place[key.removeprefix("tool_")] = value
        if value is None:
            del place[key.removeprefix("tool_")]
    return answer


def answering(answer: object) -> WebhookContext:
    """A context in which the project's URL has this answer, and no other URL has any."""

    def get_json(url: str) -> object:
        if url != "https://sourceforge.net/rest/p/example":
            raise Unavailable(f"{url}: there is nothing")
        return answer

    return WebhookContext(get_json)


class TestSourceForge(WebhookContract):
    @pytest.fixture
    def webhook(self) -> Webhook:
        return SourceForge(SourceforgeWebhookConfig())

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery("sourceforge", "sourceforge/push", URL)

    @pytest.fixture
    def context(self) -> WebhookContext:
        return answering(project())

    @pytest.fixture
    def signed(self, good: Delivery) -> Signed:
        return signed(good, "x-allura-signature", "sha1=", "sha1")

    @pytest.fixture
    def parsed(self, webhook: Webhook, good: Delivery) -> Callable[[object], object]:
        """What the delivery comes to with an answer of the REST API."""
        return lambda answer: webhook.parse(answering(answer), good.headers, good.body)

    @pytest.mark.parametrize("name", ["hg", "svn"])
    def test_other_systems(self, parsed: Callable[[object], object], name: str) -> None:
        assert parsed(project(tool_name=name)) == [VisitRequest(URL, name)]

    def test_the_other_address(self, parsed: Callable[[object], object]) -> None:
        assert parsed(project(tool_clone_url_https_anon=None)) == [
            VisitRequest("git://git.code.sf.net/p/example/code", "git")
        ]

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (project(tools=[]), UNKNOWN),
            (project(tool_mount_point="git"), UNKNOWN),
            (project(tool_url="https://sourceforge.net/p/example/other/"), UNKNOWN),
            (project(tool_clone_url_https_anon=None, tool_clone_url_ro=None), UNKNOWN),
            (project(tool_name=None), f"Visit type could not be determined for repository {URL}."),
            (
                project(private=True),
                f"Repository {URL} is private and cannot be cloned without authentication.",
            ),
        ],
    )
    def test_what_the_project_may_lack(
        self, parsed: Callable[[object], object], answer: object, text: str
    ) -> None:
        with pytest.raises(WebhookRefused) as refused:
            parsed(answer)
        assert str(refused.value) == text

    @pytest.mark.parametrize(
        "name",
        [
            "/p/",
            "/p/../code/",
            "/p/a?b/code/",
            "/p/a/b",
            "p/example/code/",
            "//evil/p/example/code/",
            "/u/x/y/",
        ],
    )
    def test_names_that_are_none_ask_nobody_else(self, webhook: Webhook, good: Delivery, name: str) -> None:
        asked: list[str] = []

        def get_json(url: str) -> object:
            asked.append(url)
            return {}

        data = good.body.replace(b"/p/example/code/", name.encode())
        with pytest.raises(WebhookRefused, match="could not be extracted"):
            webhook.parse(WebhookContext(get_json), good.headers, data)
        assert asked in ([], ["https://sourceforge.net/rest/p/a"])

    def test_another_place_of_the_rest_api(self, good: Delivery) -> None:
        webhook = SourceForge(SourceforgeWebhookConfig(rest="http://127.0.0.1:1/rest"))
        asked: list[str] = []

        def get_json(url: str) -> object:
            asked.append(url)
            return project()

        assert webhook.parse(WebhookContext(get_json), good.headers, good.body) == [good.expected]
        assert asked == ["http://127.0.0.1:1/rest/p/example"]

    @pytest.mark.parametrize("agent", ["Allura Webhook", "Allura Webhook (https://allura.apache.org/) x"])
    def test_the_agent_is_exactly_this(
        self, webhook: Webhook, good: Delivery, context: WebhookContext, agent: str
    ) -> None:
        with pytest.raises(WebhookRefused, match="was not sent by a SourceForge webhook"):
            webhook.parse(context, {**good.headers, "user-agent": agent}, good.body)

    def test_there_are_no_ids(self, webhook: Webhook, good: Delivery) -> None:
        assert webhook.delivery(good.headers) is None
