"""Projects of a GitLab, by its REST API (https://docs.gitlab.com/ee/api/projects.html): of groups and users, or all."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, Moment, Repository, in_parts
from swhkit_gitlab.settings import GitlabConfig

#: ``last_activity_at`` is brought up to date once an hour at most.
_COARSE = datetime.timedelta(hours=1)


class _Parent(msgspec.Struct):
    """What a project was forked from."""


class _Project(msgspec.Struct):
    """What is needed of a project. Who has no token is told less, and of public projects alone."""

    id: int
    http_url_to_repo: str
    last_activity_at: Moment | None = None
    visibility: str | None = None
    repository_access_level: str = "enabled"
    wiki_access_level: str = "disabled"
    archived: bool = False
    forked_from_project: _Parent | None = None


class GitlabForge:
    """Lists an instance."""

    def __init__(self, config: GitlabConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        """Projects can be had by their latest activity."""
        return True

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it."""
        since = since and since.astimezone(datetime.UTC) - _COARSE
        headers = {"PRIVATE-TOKEN": self.config.token} if self.config.token else {}
        api = context.client.at("/api/v4", headers)
        listings = self._listings(since)
        yield from in_parts(listings, lambda url: self._listed(api, url, listings[url], since))

    def _listed(
        self, api: ForgeClient, url: str, order: Mapping[str, object], since: datetime.datetime | None
    ) -> Iterator[Repository]:
        params = {"visibility": "public", "per_page": 100, **order}
        # With a moment in it, a URL is not asked for again.
        remember = "last_activity_after" not in params
        for project, document in api.each(url, _Project, params=params, remember=remember):
            latest = project.last_activity_at
            if since is not None and remember and latest is not None and latest < since:
                return
            if self._is_public(project):
                yield from self._selected(project, document)

    def _listings(self, since: datetime.datetime | None) -> dict[str, dict[str, object]]:
        """The URLs that are listed, each with its order: by number, or by activity, the latest first."""
        by_id: dict[str, object] = {"order_by": "id", "sort": "asc"}
        by_activity: dict[str, object] = {"order_by": "last_activity_at", "sort": "desc"}
        order = by_id if since is None else by_activity
        shared: dict[str, object] = {"include_subgroups": "true", "with_shared": "false"}
        found = {f"/groups/{quote(name, safe='')}/projects": order | shared for name in self.config.groups}
        found |= {f"/users/{quote(name, safe='')}/projects": order for name in self.config.users}
        if found:
            return found
        if since is not None:
            by_id["last_activity_after"] = f"{since:%Y-%m-%dT%H:%M:%SZ}"
        return {"/projects": {"pagination": "keyset", **by_id}}

    def _is_public(self, project: _Project) -> bool:
        known = project.visibility or ("private" if self.config.token else "public")
        return known == "public" and project.repository_access_level in ("enabled", "public")

    def _selected(self, project: _Project, document: bytes) -> Iterator[Repository]:
        has_wiki = project.wiki_access_level in ("enabled", "public")
        url = project.http_url_to_repo
        return self.config.select(
            Repository(
                key=str(project.id),
                url=url,
                last_update=project.last_activity_at,
                archived=project.archived,
                fork=project.forked_from_project is not None,
                metadata=document,
                metadata_format="gitlab-project-json",
            ),
            f"{url.removesuffix('.git')}.wiki.git" if has_wiki else None,
        )
