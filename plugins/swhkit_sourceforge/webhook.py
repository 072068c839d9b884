"""Deliveries of Allura, which SourceForge runs (https://forge-allura.apache.org/p/allura/wiki/Webhooks/).

They say which repository was pushed to, but not where it is cloned from, nor what system it is of: the project is asked
(https://sourceforge.net/p/forge/documentation/Allura%20API/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from swhkit.plugin import HmacProof, Pushed, PushWebhook, Unavailable, WebhookContext, text_at, value_at
from swhkit_sourceforge.settings import SourceforgeWebhookConfig

_FULL_NAME = re.compile(r"/p/([A-Za-z0-9][A-Za-z0-9._-]*)/.+", re.ASCII)
#: Where a project's main repository is mounted.
_MOUNT_POINT = "code"


class SourceForge(PushWebhook):
    """Pushes to the ``code`` of a project. Allura has no event but a push, no ids of deliveries, and signs with SHA-1."""

    label = "SourceForge"
    agent = "Allura Webhook (https://allura.apache.org/)"
    proof = HmacProof(("x-allura-signature",), prefix="sha1=", digest="sha1")

    def __init__(self, config: SourceforgeWebhookConfig) -> None:
        super().__init__(config)
        self._rest = config.rest

    def is_ours(self, headers: Mapping[str, str]) -> bool:
        """Allura says no more and no less."""
        return headers.get("user-agent") == self.agent

    def is_push(self, event: str) -> bool:
        """Always."""
        del event
        return True

    def pushed(self, context: WebhookContext, payload: object) -> Pushed:
        """What the project's tool at this place says."""
        name = text_at(payload, "repository", "full_name")
        match = None if name is None else _FULL_NAME.fullmatch(name)
        if name is None or match is None:
            return Pushed(None)
        try:
            project = context.get_json(f"{self._rest}/p/{match[1]}")
        except Unavailable:
            return Pushed(None)
        tools = value_at(project, "tools")
        for tool in tools if isinstance(tools, list) else []:
            if value_at(tool, "mount_point") == _MOUNT_POINT and (text_at(tool, "url") or "").endswith(name):
                url = text_at(tool, "clone_url_https_anon") or text_at(tool, "clone_url_ro")
                return Pushed(url, text_at(tool, "name"), bool(value_at(project, "private")))
        return Pushed(None)
