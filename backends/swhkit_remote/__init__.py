"""A reader of another archive over its web API: of another swhkit, or of the public Software Heritage archive.

Every object is hashed on arrival, so that a wrong byte is never passed on. Nothing is kept, nothing can be loaded.
Configuration::

    archive:
      objects: {backend: remote, url: "https://archive.softwareheritage.org/api/1/", token: "${SWH_TOKEN}"}
      catalog: {backend: remote, url: "https://archive.softwareheritage.org/api/1/", token: "${SWH_TOKEN}"}
"""

from __future__ import annotations

from swhkit.plugin import Provider, hookimpl
from swhkit.storage import CatalogReader, ObjectReader
from swhkit_remote.settings import RemoteConfig


@hookimpl
def swhkit_object_stores() -> list[Provider]:
    """The object reader ``remote``."""
    summary = "objects of another archive, over its web API; read-only"
    return [Provider("remote", summary, "swhkit_remote:open_objects", RemoteConfig)]


@hookimpl
def swhkit_catalogs() -> list[Provider]:
    """The catalog reader ``remote``."""
    summary = "the catalog of another archive, over its web API; read-only"
    return [Provider("remote", summary, "swhkit_remote:open_catalog", RemoteConfig)]


def open_objects(config: RemoteConfig, create: bool) -> ObjectReader:  # noqa: ARG001 - the signature is the hook's
    """The objects of the archive at ``config.url``. Nobody is connected to before the first question."""
    from swhkit_remote.client import Client
    from swhkit_remote.objects import RemoteObjects

    return RemoteObjects(Client.of(config))


def open_catalog(config: RemoteConfig, create: bool) -> CatalogReader:  # noqa: ARG001 - the signature is the hook's
    """The catalog of the archive at ``config.url``. Nobody is connected to before the first question."""
    from swhkit_remote.catalog import RemoteCatalog
    from swhkit_remote.client import Client

    return RemoteCatalog(Client.of(config))
