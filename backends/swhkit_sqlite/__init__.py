"""Stores in SQLite files: a catalog and a request store for any archive, an object store in one file to carry away.

Configuration::

    archive:
      objects: {backend: sqlite, path: archive/objects.sqlite}
      catalog: {backend: sqlite, path: archive/catalog.sqlite, cache: 256MiB}
      requests: {backend: sqlite, path: archive/requests.sqlite}
      jobs: {backend: sqlite, path: archive/jobs.sqlite}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from swhkit.jobs import Jobs
from swhkit.plugin import Provider, Size, hookimpl
from swhkit.requests import Requests
from swhkit.storage import Catalog, ObjectStore

_File = msgspec.Meta(description="The file; its folder is made if it is not there.")
_Cache = msgspec.Meta(ge=1 << 20, description="Memory for the pages of the file, for the writing connection.")


class SqliteObjectsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects in one SQLite file."""

    path: Annotated[Path, _File] = Path("archive/objects.sqlite")
    cache: Annotated[Size, _Cache] = 8 << 20


class SqliteCatalogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A catalog in one SQLite file."""

    path: Annotated[Path, _File] = Path("archive/catalog.sqlite")
    cache: Annotated[Size, _Cache] = 64 << 20


class SqliteRequestsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests and access tokens in one SQLite file that only its owner may read."""

    path: Annotated[Path, _File] = Path("archive/requests.sqlite")


class SqliteJobsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs in one SQLite file."""

    path: Annotated[Path, _File] = Path("archive/jobs.sqlite")


@hookimpl
def swhkit_object_stores() -> list[Provider]:
    """The object store ``sqlite``."""
    summary = "objects, zstd-compressed, in one SQLite file"
    return [Provider("sqlite", summary, "swhkit_sqlite:open_objects", SqliteObjectsConfig)]


@hookimpl
def swhkit_catalogs() -> list[Provider]:
    """The catalog ``sqlite``."""
    return [
        Provider("sqlite", "a catalog in one SQLite file", "swhkit_sqlite:open_catalog", SqliteCatalogConfig)
    ]


@hookimpl
def swhkit_requests() -> list[Provider]:
    """The request store ``sqlite``."""
    summary = "requests and access tokens in one SQLite file"
    return [Provider("sqlite", summary, "swhkit_sqlite:open_requests", SqliteRequestsConfig)]


@hookimpl
def swhkit_jobs() -> list[Provider]:
    """The job store ``sqlite``."""
    return [Provider("sqlite", "jobs in one SQLite file", "swhkit_sqlite:open_jobs", SqliteJobsConfig)]


def open_objects(config: SqliteObjectsConfig, create: bool) -> ObjectStore:
    """The object store at ``config.path``. Raises ``NotHeld`` if it is not there and ``create`` is false,
    ``Corrupt`` if it is damaged, ``InvalidInput`` if it is another program's or a newer swhkit's."""
    from swhkit_sqlite.objects import SqliteObjects

    return SqliteObjects(Path(config.path), create, config.cache)


def open_catalog(config: SqliteCatalogConfig, create: bool) -> Catalog:
    """The catalog at ``config.path``. Raises as ``open_objects``."""
    from swhkit_sqlite.catalog import SqliteCatalog

    return SqliteCatalog(Path(config.path), create, config.cache)


def open_requests(config: SqliteRequestsConfig, create: bool) -> Requests:
    """The request store at ``config.path``. Raises as ``open_objects``."""
    from swhkit_sqlite.requests import SqliteRequests

    return SqliteRequests(Path(config.path), create)


def open_jobs(config: SqliteJobsConfig, create: bool) -> Jobs:
    """The job store at ``config.path``. Raises as ``open_objects``."""
    from swhkit_sqlite.jobs import SqliteJobs

    return SqliteJobs(Path(config.path), create)
