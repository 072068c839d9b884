"""Repositories of a Gitea or Forgejo (https://docs.gitea.com/api/), or of a Gogs, whose API it comes from.

Pages are counted, not followed by their ``Link``: that has the address the instance believes to have, which is often wrong.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, Moment, Repository, by_number, in_parts
from swhkit_gitea.settings import GiteaConfig

_BY_NUMBER: Mapping[str, object] = MappingProxyType({"sort": "id", "order": "asc"})
_BY_UPDATE: Mapping[str, object] = MappingProxyType({"sort": "updated", "order": "desc"})


class _Owner(msgspec.Struct):
    id: int


class _Repository(msgspec.Struct):
    """What is needed of a repository. ``internal``: only for who has an account; ``unlisted``: Gogs's word for hidden."""

    id: int
    clone_url: str
    private: bool
    fork: bool
    updated_at: Moment | None = None
    internal: bool = False
    unlisted: bool = False
    archived: bool = False
    has_wiki: bool = False


class GiteaForge:
    """Lists an instance of Gitea or Forgejo."""

    #: What a search needs to find everything.
    everything: Mapping[str, object] = MappingProxyType({"private": "false", "exclusive": "true"})
    #: Whether it can be told to sort.
    sorts = True

    def __init__(self, config: GiteaConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        """Gitea sorts by what was updated, Gogs does not."""
        return self.sorts

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it."""
        headers = {"Authorization": f"token {self.config.token}"} if self.config.token else {}
        api = context.client.at("/api/v1", headers)
        since = since if self.sorts else None
        order = _BY_NUMBER if since is None else _BY_UPDATE
        common = {"limit": 50, "page": 1, **self.everything, **(order if self.sorts else {})}
        if not self.config.owners:
            yield from self._found(api, common, since)

        def of(name: str) -> Iterator[Repository]:
            owner = api.get_json(f"/users/{quote(name, safe='')}", _Owner)
            return self._found(api, {**common, "uid": owner.id}, since)

        yield from in_parts(self.config.owners, of)

    def _found(
        self, api: ForgeClient, params: Mapping[str, object], since: datetime.datetime | None
    ) -> Iterator[Repository]:
        found = api.each("/repos/search", _Repository, params=params, within="data", paging=by_number())
        for told, document in found:
            if since is not None and told.updated_at is not None and told.updated_at < since:
                return
            if not (told.private or told.internal or told.unlisted):
                yield from self._selected(told, document)

    def _selected(self, told: _Repository, document: bytes) -> Iterator[Repository]:
        return self.config.select(
            Repository(
                key=str(told.id),
                url=told.clone_url,
                last_update=told.updated_at,
                archived=told.archived,
                fork=told.fork,
                metadata=document,
                metadata_format="gitea-repository-json",
            ),
            f"{told.clone_url.removesuffix('.git')}.wiki.git" if told.has_wiki else None,
        )


class GogsForge(GiteaForge):
    """Lists an instance of Gogs, which finds nothing without a word to search for (``_`` fits each), and knows no order."""

    everything = MappingProxyType({"q": "_"})
    sorts = False
