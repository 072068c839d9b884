"""Repositories that a cgit (https://git.zx2c4.com/cgit/) or a gitweb (of git itself) shows. Neither has an API."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from urllib.parse import quote, unquote, urljoin, urlsplit

from swhkit.plugin import Fetched, ForgeContext, InvalidInput, NotFound, Repository, Unavailable
from swhkit_cgit.pages import Row, best, cgit_index, cgit_summary, gitweb_index, gitweb_summary
from swhkit_cgit.settings import WebConfig


class _WebForge:
    """What both have in common: where repositories are cloned from."""

    def __init__(self, config: WebConfig) -> None:
        if config.clone_url is not None and "{path}" not in config.clone_url:
            raise InvalidInput(
                f"clone_url: {config.clone_url!r} has no {{path}} where a repository's path is to be"
            )
        self.config = config

    def _written(self, path: str) -> str | None:
        """The clone URL of a repository as the settings have it."""
        return self.config.clone_url and self.config.clone_url.replace("{path}", quote(path))


class CgitForge(_WebForge):
    """Lists a cgit: its index, and the page of each repository for where it is cloned from."""

    def incremental(self) -> bool:
        """The index says when each was changed."""
        return True

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it. Where a page has no URL, the page's own is it: cgit serves clones there."""
        for page in context.client.texts("/", paging=_following, end="</html>"):
            for row in cgit_index(page.text).rows:
                if since is not None and row.changed is not None and row.changed < since:
                    continue
                address = urljoin(page.url, row.address)
                path = _path(context.url, address)
                try:
                    url = self._written(path) or self._shown(context, address)
                except NotFound as error:
                    context.log.info("%s", error)
                else:
                    yield Repository(key=path, url=url, last_update=row.changed)

    def _shown(self, context: ForgeContext, address: str) -> str:
        summary = cgit_summary(context.client.get_text(address, end="</html>"))
        return best(summary.urls) or address.partition("?")[0].rstrip("/")


def _following(page: Fetched) -> str | None:
    following = cgit_index(page.text).following
    return None if following is None else urljoin(page.url, following)


def _path(url: str, address: str) -> str:
    """The path of a repository below the index."""
    parts = urlsplit(address)
    whole = unquote(parts.path + (f"?{parts.query}" if parts.query else ""))
    return whole.removeprefix(unquote(urlsplit(url).path)).strip("/")


class GitwebForge(_WebForge):
    """Lists a gitweb: its OPML, which leaves out what is empty, and the page of each repository for the rest."""

    def incremental(self) -> bool:
        """When something was changed stands on the page of each only."""
        return False

    def repositories(
        self,
        context: ForgeContext,
        since: datetime.datetime | None,  # noqa: ARG002 (the contract has it)
    ) -> Iterator[Repository]:
        """As the contract has it. Raises ``Unavailable`` if no page says where its repository is cloned from."""
        rows = gitweb_index(context.client.get_text("", params={"a": "opml"}, end="</opml>")).rows
        found = False
        for row in rows:
            try:
                repository = self._repository(context, row)
            except NotFound as error:
                context.log.info("%s", error)
                continue
            found = found or repository is not None
            if repository is not None:
                yield repository
        if rows and not found:
            raise Unavailable(f"{context.url}: its pages do not say where to clone from; set clone_url")

    def _repository(self, context: ForgeContext, row: Row) -> Repository | None:
        written = self._written(row.name)
        if written is not None:
            return Repository(key=row.name, url=written)
        summary = gitweb_summary(context.client.get_text(urljoin(context.url, row.address), end="</html>"))
        url = best(summary.urls)
        return None if url is None else Repository(key=row.name, url=url, last_update=summary.changed)
