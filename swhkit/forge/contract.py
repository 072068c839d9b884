"""What a forge plugin meets: a ``Forge`` lists ``Repository`` after ``Repository``, through the client of its context."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from typing import Annotated, Protocol

import msgspec

from swhkit.forge.client import ForgeClient
from swhkit.units import Secret

#: A moment in JSON (RFC 3339) that says in which time zone: what forges have for dates.
Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """One repository that a forge tells of.

    ``key`` is the forge's own id of it (as text), which stays when the repository is renamed; ``url`` is what it is cloned
    from, and so its origin. ``last_update``: when something was last pushed, as the forge says (with a time zone).
    ``metadata``: the forge's own description, byte for byte as one document of ``metadata_format``.
    """

    key: str
    url: str
    visit_type: str = "git"
    last_update: datetime.datetime | None = None
    archived: bool = False
    fork: bool = False
    metadata: bytes | None = None
    metadata_format: str = ""


class ForgeContext(msgspec.Struct, frozen=True, kw_only=True):
    """All that a forge plugin has: the ``url`` of the instance (without a slash at its end), a ``client`` that pages,
    waits, retries and remembers, and a ``log``."""

    url: str
    client: ForgeClient
    log: logging.Logger


class ForgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that forges with an API have as a rule; their configuration types may extend it."""

    token: Annotated[
        Secret | None,
        msgspec.Meta(description="An access token; it is sent to the forge's own API alone."),
    ] = None
    wikis: Annotated[bool, msgspec.Meta(description="Whether repositories of wikis are listed, too.")] = False
    forks: Annotated[bool, msgspec.Meta(description="Whether forks are listed.")] = True
    archived: Annotated[
        bool, msgspec.Meta(description="Whether repositories that are archived on the forge are listed.")
    ] = True

    def select(self, repository: Repository, wiki: str | None = None) -> Iterator[Repository]:
        """The repository, unless these settings leave it out, and that of its ``wiki`` (a URL) if they ask for it."""
        if (repository.fork and not self.forks) or (repository.archived and not self.archived):
            return
        yield repository
        if self.wikis and wiki:
            yield Repository(
                key=f"{repository.key}/wiki",
                url=wiki,
                visit_type=repository.visit_type,
                last_update=repository.last_update,
                archived=repository.archived,
                fork=repository.fork,
            )


class Forge(Protocol):
    """Lists the repositories of one instance, or of a part of it. Made anew for each listing by its provider's factory."""

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """Yield every repository that everybody may read; with ``since``, at least those that were updated after it
        (all of them, where the forge cannot tell).

        A listing that ends by itself was complete: raise ``Unavailable`` rather than leave a page out, ``NotFound`` when
        the instance (or the part of it) is not there. Repeated keys are fine.
        """

    def incremental(self) -> bool:
        """Whether ``since`` makes a listing shorter."""
