"""Repositories of Bitbucket Cloud, by its REST API (https://developer.atlassian.com/cloud/bitbucket/rest/)."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, Moment, Repository, by_body, in_parts
from swhkit_bitbucket.settings import BitbucketConfig


class _Link(msgspec.Struct):
    href: str


class _Links(msgspec.Struct):
    html: _Link


class _Parent(msgspec.Struct):
    """What a repository was forked from."""


class _Repository(msgspec.Struct):
    """What is needed of a repository."""

    uuid: str
    links: _Links
    is_private: bool
    scm: str = "git"
    updated_on: Moment | None = None
    has_wiki: bool = False
    parent: _Parent | None = None


class BitbucketForge:
    """Lists bitbucket.org, or what has its API below ``/2.0``."""

    def __init__(self, config: BitbucketConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        """Workspaces can be had by the latest update; the listing of all is by date of creation."""
        return bool(self.config.workspaces)

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it; without workspaces, ``since`` makes no difference."""
        base = "https://api.bitbucket.org" if context.url == "https://bitbucket.org" else context.url
        api = context.client.at(f"{base}/2.0", self._headers())
        if not self.config.workspaces:
            yield from self._listed(api, "/repositories", None, None)
        order = "created_on" if since is None else "-updated_on"
        yield from in_parts(
            self.config.workspaces,
            lambda name: self._listed(api, f"/repositories/{quote(name, safe='{}')}", order, since),
        )

    def _listed(
        self, api: ForgeClient, url: str, order: str | None, since: datetime.datetime | None
    ) -> Iterator[Repository]:
        params = {"pagelen": 100, "sort": order}
        for told, document in api.each(
            url, _Repository, params=params, within="values", paging=by_body("next")
        ):
            if since is not None and told.updated_on is not None and told.updated_on < since:
                return
            if not told.is_private:
                yield from self._selected(told, document)

    def _headers(self) -> dict[str, str]:
        token = self.config.token
        if not token:
            return {}
        basic = base64.b64encode(token.encode()).decode("ascii")
        return {"Authorization": f"Basic {basic}" if ":" in token else f"Bearer {token}"}

    def _selected(self, told: _Repository, document: bytes) -> Iterator[Repository]:
        return self.config.select(
            Repository(
                key=told.uuid,
                url=f"{told.links.html.href}.git",
                visit_type=told.scm,
                last_update=told.updated_on,
                fork=told.parent is not None,
                metadata=document,
                metadata_format="bitbucket-repository-json",
            ),
            f"{told.links.html.href}.git/wiki" if told.has_wiki else None,
        )
