"""The desk where requests are taken: an archive with its request store, its job store and its configuration.

Whoever decides on requests, runs tasks or answers for them is given one.
"""

from __future__ import annotations

import msgspec

from swhkit import assemble
from swhkit.archive import Archive
from swhkit.config import Configuration, Settings
from swhkit.jobs import Jobs
from swhkit.net import Network
from swhkit.registry import Registry
from swhkit.requests import Requests
from swhkit.webhook import Webhook, secret_of


class Desk(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """The stores are the desk's to close, the archive is not. A desk equals itself alone. ``made`` has the webhooks that
    were asked for."""

    archive: Archive
    requests: Requests
    jobs: Jobs
    configuration: Configuration
    made: dict[str, Webhook] = {}

    @property
    def settings(self) -> Settings:
        """What the configuration says."""
        return self.configuration.settings

    @property
    def registry(self) -> Registry:
        """The plugins."""
        return self.configuration.registry

    def network(self, *, trusted: bool) -> Network:
        """The address policy, for what a person at the shell asked for (``trusted``) or for what came from elsewhere."""
        return assemble.network(self.settings, from_cli=trusted)

    def webhook(self, name: str) -> Webhook | None:
        """The webhook of that name, which is made once; None if no plugin has it. Raises ``PluginError``."""
        if name not in self.made and name in self.registry.of_kind("webhook"):
            self.made.setdefault(name, assemble.make_webhook(self.configuration, name))
        return self.made.get(name)

    def webhook_secret(self, name: str) -> str | None:
        """The secret of that webhook; None if it takes deliveries without proof."""
        part = self.settings.webhooks.get(name)
        return None if part is None else secret_of(part.config)

    def close(self) -> None:
        """Close both stores."""
        self.jobs.close()
        self.requests.close()


def open_desk(archive: Archive, configuration: Configuration, *, create: bool = True) -> Desk:
    """The desk of an archive. ``create`` makes stores that are not there; otherwise raises ``NotHeld`` for these.

    Raises ``PluginError`` if a backend cannot be used.
    """
    settings, registry = configuration.settings, configuration.registry
    jobs = assemble.open_jobs(settings, registry, create=create)
    try:
        requests = assemble.open_requests_store(settings, registry, create=create)
    except BaseException:
        jobs.close()
        raise
    return Desk(archive, requests, jobs, configuration)
