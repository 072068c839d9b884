"""Repositories of SourceForge: its sitemap names the projects, and its REST API (https://sourceforge.net/p/forge/
documentation/API/) the tools of each, some of which are repositories."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, NotFound, Repository
from swhkit_sourceforge.settings import SourceforgeConfig

#: An entry of a sitemap (https://www.sitemaps.org/protocol.html): its address, and perhaps the day of its latest change.
_ENTRY = re.compile(
    r"<loc>\s*([^<\s]{1,2000})\s*</loc>(?:\s*<lastmod>\s*(\d{4}-\d\d-\d\d)[^<]{0,40}</lastmod>)?", re.ASCII
)
#: A page of a project: its neighbourhood (``p`` is the one for all) and its short name. ``projects`` are other views.
_PAGE = re.compile(r"/(?!projects/)([A-Za-z0-9_-]+)/([A-Za-z0-9._-]+)/.*", re.ASCII)
_KINDS = ("git", "hg", "svn", "cvs", "bzr")


class _Tool(msgspec.Struct):
    name: str
    mount_point: str
    url: str
    clone_url_https_anon: str | None = None
    clone_url_ro: str | None = None


class _Project(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    shortname: str
    private: bool
    tools: list[_Tool]
    status: str = "active"


class SourceforgeForge:
    """Lists the instance."""

    def __init__(self, config: SourceforgeConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        """The sitemap has the day on which a project was changed."""
        return not self.config.projects

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        """As the contract has it. A project that the sitemap still has and the API has not is gone."""
        if self.config.projects:
            for name in self.config.projects:
                yield from self._of(context.client, f"p/{quote(name, safe='')}", None)
            return
        day = "" if since is None else f"{since.astimezone(datetime.UTC):%Y-%m-%d}"
        known = set[str]()
        for sitemap, changed in self._entries(context.client, "/sitemap.xml", "</sitemapindex>"):
            if changed and changed < day:
                continue
            for path, latest in self._changed(context.client, sitemap, day).items():
                if path not in known:
                    known.add(path)
                    try:
                        yield from self._of(context.client, path, latest)
                    except NotFound as error:
                        context.log.info("%s", error)

    def _entries(self, client: ForgeClient, url: str, end: str) -> Iterator[tuple[str, str]]:
        """The addresses that a sitemap has, each with the day of its latest change; empty where it has none."""
        yield from _ENTRY.findall(client.get_text(url, end=end))

    def _changed(self, client: ForgeClient, sitemap: str, day: str) -> dict[str, str]:
        """The projects of a sitemap by their paths, each with the day of its latest change, from ``day`` on."""
        found = dict[str, str]()
        for location, changed in self._entries(client, sitemap, "</urlset>"):
            page = _PAGE.fullmatch(urlsplit(location).path)
            if page is not None and (not changed or changed >= day):
                path = f"{page[1]}/{page[2]}"
                found[path] = max(changed, found.get(path, ""))
        return found

    def _of(self, client: ForgeClient, path: str, changed: str | None) -> Iterator[Repository]:
        project, document = client.get_document(f"/rest/{path}", _Project)
        for tool in project.tools if not project.private else []:
            if tool.name in _KINDS:
                yield Repository(
                    key=f"{project.id}/{tool.mount_point}",
                    url=_clone_url(project.shortname, tool),
                    visit_type=tool.name,
                    last_update=_midnight(changed),
                    archived=project.status != "active",
                    metadata=document,
                    metadata_format="sourceforge-project-json",
                )


def _midnight(day: str | None) -> datetime.datetime | None:
    """The beginning of a day (``2024-01-31``); None for one that never was."""
    try:
        return datetime.datetime.fromisoformat(f"{day}T00:00:00+00:00")
    except ValueError:
        return None


def _clone_url(project: str, tool: _Tool) -> str:
    """What the API says, or else where SourceForge has repositories of the kind."""
    if tool.name == "cvs":
        return f"rsync://a.cvs.sourceforge.net/cvsroot/{project}/"
    if tool.name == "bzr":
        return f"http://{project}.bzr.sourceforge.net/bzr/{project}"
    plain = f"https://{tool.name}.code.sf.net{tool.url.rstrip('/')}"
    return tool.clone_url_https_anon or tool.clone_url_ro or plain
