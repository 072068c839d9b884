"""Lists the projects of a Pagure, such as https://pagure.io: all of them, or those of some namespaces."""

import datetime
from collections.abc import Iterator
from typing import Annotated

import msgspec

from swhkit.plugin import ForgeContext, Provider, Repository, by_body, hookimpl


class PagureConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Listing of a Pagure."""

    namespaces: Annotated[tuple[str, ...], msgspec.Meta(description="Namespaces; none lists all projects.")] = ()
    forks: Annotated[bool, msgspec.Meta(description="Whether forks are listed.")] = False


@hookimpl
def swhkit_forges() -> list[Provider]:
    return [Provider("pagure", "Pagure", f"{__name__}:PagureForge", PagureConfig)]


class Parent(msgspec.Struct):
    fullname: str


class Project(msgspec.Struct):
    id: int
    full_url: str
    parent: Parent | None = None


class PagureForge:
    def __init__(self, config: PagureConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        return False  # it is not documented what date_modified counts

    def repositories(self, context: ForgeContext, since: datetime.datetime | None) -> Iterator[Repository]:
        api = context.client.at("/api/0")
        for namespace in self.config.namespaces or (None,):
            params = {"per_page": 100, "namespace": namespace, "fork": None if self.config.forks else False}
            found = api.each("/projects", Project, params=params, within="projects", paging=by_body("pagination.next"))
            for project, document in found:
                if self.config.forks or project.parent is None:
                    yield Repository(
                        key=str(project.id),
                        url=project.full_url,
                        fork=project.parent is not None,
                        metadata=document,
                        metadata_format="pagure-project-json",
                    )
