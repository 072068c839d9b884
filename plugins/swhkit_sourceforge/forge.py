"""Repositories of SourceForge: its sitemap names the projects, and its REST API (https://sourceforge.net/p/forge/
documentation/API/) the tools of each, some of which are repositories. Those of CVS and Bazaar can only be read any more;
a page of each project tells its modules or branches.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

import msgspec

from swhkit.plugin import ForgeClient, ForgeContext, NotFound, Repository, Unavailable, in_parts
from swhkit_sourceforge.settings import SourceforgeConfig

#: An entry of a sitemap (https://www.sitemaps.org/protocol.html): its address, and perhaps the day of its latest change.
_ENTRY = re.compile(
    r"<loc>\s*([^<\s]{1,2000})\s*</loc>(?:\s*<lastmod>\s*(\d{4}-\d\d-\d\d)[^<]{0,40}</lastmod>)?", re.ASCII
)
#: A page of a project, ``/p/engine/`` or ``/p/engine/wiki/``, or of one within it, ``/p/engine/parts/wiki/``: the
#: neighbourhood (``p`` is the one for all) and the short name. ``projects`` are other views of the same.
_PAGE = re.compile(
    r"/(?!projects/)([A-Za-z0-9_-]+/[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+(?=/[^/]+/$))?)/.*", re.ASCII
)
_SITEMAP = "/allura_sitemap/sitemap.xml"
#: A project whose name can be a part of a host name (RFC 1123, section 2.1).
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_KINDS = ("git", "hg", "svn", "cvs", "bzr")
#: The command that a page has for each module of a CVS repository; and what a page (of Loggerhead) has for a branch at
#: its own address, and for each branch below it.
_MODULE = re.compile(r"/cvsroot/([^<\s]{1,200}) co -P ([^<]{1,200}?)\s*<", re.ASCII)
_ONE_BRANCH = "To get this branch, use:"
_BRANCH = re.compile(r"<a href=\"([^\"<>/?#]{1,200})/files\">")


class _Tool(msgspec.Struct):
    name: str
    mount_point: str
    url: str
    clone_url_https_anon: str | None = None
    clone_url_ro: str | None = None


class _Project(msgspec.Struct):
    """``tools`` is None in answers about what is no project."""

    id: str = msgspec.field(name="_id", default="")
    shortname: str = ""
    private: bool = False
    tools: list[_Tool] | None = None
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
            yield from in_parts(
                self.config.projects, lambda name: self._of(context, f"p/{quote(name)}", None)
            )
            return
        day = "" if since is None else f"{since.astimezone(datetime.UTC):%Y-%m-%d}"
        known = set[str]()
        for sitemap, changed in self._entries(context.client, _SITEMAP, "</sitemapindex>"):
            if changed and changed < day:
                continue
            for path, latest in self._changed(context.client, sitemap, day).items():
                if path not in known:
                    known.add(path)
                    try:
                        yield from self._of(context, path, latest)
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
                found[page[1]] = max(changed, found.get(page[1], ""))
        return found

    def _of(self, context: ForgeContext, path: str, changed: str | None) -> Iterator[Repository]:
        project, document = context.client.get_document(f"/rest/{path}", _Project)
        if not project.id or not project.shortname or project.tools is None:
            # The page that named one within another may have been of a tool: /p/engine/wiki/Home/.
            no_project = NotFound if path.count("/") == 2 else Unavailable
            raise no_project(f"{context.url}/rest/{path}: the answer is no project")
        if project.private:
            return
        for tool in [tool for tool in project.tools if tool.name in _KINDS]:
            for name, url in self._places(context, project, tool):
                yield Repository(
                    key=f"{project.id}/{tool.mount_point}{name and '/'}{name}",
                    url=url,
                    visit_type=tool.name,
                    last_update=_midnight(changed),
                    archived=project.status != "active",
                    metadata=document,
                    metadata_format="sourceforge-project-json",
                )

    def _places(self, context: ForgeContext, project: _Project, tool: _Tool) -> Iterator[tuple[str, str]]:
        """What of a tool is an origin: the name of each within the tool (empty: the tool itself), and its address."""
        if tool.name in ("cvs", "bzr"):
            try:
                yield from self._legacy(context.client, project.shortname, tool.name)
            except NotFound as error:
                context.log.info("%s", error)
            return
        # https is not there for hg (https://sourceforge.net/p/forge/feature-requests/727/)
        plain = f"{'http' if tool.name == 'hg' else 'https'}://{tool.name}.code.sf.net{tool.url.rstrip('/')}"
        yield "", tool.clone_url_https_anon or tool.clone_url_ro or plain

    def _legacy(self, client: ForgeClient, project: str, kind: str) -> Iterator[tuple[str, str]]:
        if not _LABEL.fullmatch(project):  # projects within projects are younger than these repositories
            return
        base = self.config.legacy.replace("{project}", project).replace("{kind}", kind)
        if kind == "cvs":
            yield from _modules(client.at(base).get_text("/"), project)
        else:
            page = client.at(base).get_text(f"/bzr/{project}", end="</html>")
            yield from _branches(page, f"{base}/bzr/{project}")


def _modules(page: str, project: str) -> Iterator[tuple[str, str]]:
    """The modules that the page of a CVS repository tells of."""
    for root, module in _MODULE.findall(page):
        if root == project:
            yield module, f"rsync://a.cvs.sourceforge.net/cvsroot/{project}/{quote(module)}"


def _branches(page: str, url: str) -> Iterator[tuple[str, str]]:
    """The branches that the page of a Bazaar repository at ``url`` tells of."""
    if _ONE_BRANCH in page:
        yield "", url
        return
    for branch in _BRANCH.findall(page):
        yield unquote(branch), f"{url}/{branch}"


def _midnight(day: str | None) -> datetime.datetime | None:
    """The beginning of a day (``2024-01-31``); None for one that never was."""
    try:
        return datetime.datetime.fromisoformat(f"{day}T00:00:00+00:00")
    except ValueError:
        return None
