"""Repositories of GitHub, by its REST API (https://docs.github.com/en/rest): of owners, or all by their numbers."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, Moment, Repository, in_parts
from swhkit_github.settings import GithubConfig


class _Owner(msgspec.Struct):
    login: str
    type: str


class _Repository(msgspec.Struct):
    """What is needed of a repository; listings of all repositories leave out what has a default here."""

    id: int
    html_url: str
    private: bool
    fork: bool
    pushed_at: Moment | None = None
    archived: bool = False
    has_wiki: bool = False


class GithubForge:
    """Lists github.com, or a GitHub Enterprise Server, whose API is below ``/api/v3``."""

    def __init__(self, config: GithubConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        """The repositories of an owner can be had by their latest push; the listing of all is by number."""
        return bool(self.config.owners)

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it; without owners, ``since`` makes no difference."""
        headers = {"Accept": "application/vnd.github+json"}
        if self.config.token:
            headers["Authorization"] = f"Bearer {self.config.token}"
        base = "https://api.github.com" if context.url == "https://github.com" else f"{context.url}/api/v3"
        api = context.client.at(base, headers)
        if not self.config.owners:
            yield from self._listed(api, "/repositories", {"since": 0}, None)
        yield from in_parts(self.config.owners, lambda name: self._of(api, name, since))

    def _of(self, api: ForgeClient, name: str, since: datetime.datetime | None) -> Iterator[Repository]:
        owner = api.get_json(f"/users/{quote(name, safe='')}", _Owner)
        kind = "orgs" if owner.type == "Organization" else "users"
        # A full listing goes by what does not change meanwhile; else what is pushed to would change its page.
        sort, direction = ("created", "asc") if since is None else ("pushed", "desc")
        params = {"per_page": 100, "sort": sort, "direction": direction}
        url = f"/{kind}/{quote(owner.login, safe='')}/repos"
        yield from self._listed(api, url, params, since)

    def _listed(
        self, api: ForgeClient, url: str, params: Mapping[str, object], since: datetime.datetime | None
    ) -> Iterator[Repository]:
        for told, document in api.each(url, _Repository, params=params):
            if since is not None and told.pushed_at is not None and told.pushed_at < since:
                return
            if not told.private:
                yield from self.config.select(
                    Repository(
                        key=str(told.id),
                        url=told.html_url,
                        last_update=told.pushed_at,
                        archived=told.archived,
                        fork=told.fork,
                        metadata=document,
                        metadata_format="github-repository-json",
                    ),
                    f"{told.html_url}.wiki.git" if told.has_wiki else None,
                )
