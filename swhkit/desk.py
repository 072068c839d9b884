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


class Desk(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """The stores are the desk's to close, the archive is not. A desk equals itself alone."""

    archive: Archive
    requests: Requests
    jobs: Jobs
    configuration: Configuration

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
