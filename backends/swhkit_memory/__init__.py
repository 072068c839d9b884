"""Stores in memory: what the contracts are read against, and what tests of other parts run on.

Everything is gone with the process, and nothing is shared with another one.
"""

from __future__ import annotations

import msgspec

from swhkit.jobs import Jobs
from swhkit.plugin import Provider, hookimpl
from swhkit.requests import Requests
from swhkit.storage import Catalog, ObjectStore


@hookimpl
def swhkit_object_stores() -> list[Provider]:
    """The object store ``memory``."""
    return [Provider("memory", "objects in memory, for tests", "swhkit_memory:open_objects", shared=False)]


@hookimpl
def swhkit_catalogs() -> list[Provider]:
    """The catalog ``memory``."""
    return [Provider("memory", "a catalog in memory, for tests", "swhkit_memory:open_catalog", shared=False)]


@hookimpl
def swhkit_requests() -> list[Provider]:
    """The request store ``memory``."""
    return [Provider("memory", "requests in memory, for tests", "swhkit_memory:open_requests", shared=False)]


@hookimpl
def swhkit_jobs() -> list[Provider]:
    """The job store ``memory``."""
    return [Provider("memory", "jobs in memory, for tests", "swhkit_memory:open_jobs", shared=False)]


def open_objects(config: msgspec.Struct, create: bool) -> ObjectStore:  # noqa: ARG001 - the signature is the hook's
    """A new, empty object store; there is never one to be found."""
    from swhkit_memory.objects import MemoryObjects

    return MemoryObjects()


def open_catalog(config: msgspec.Struct, create: bool) -> Catalog:  # noqa: ARG001 - the signature is the hook's
    """A new, empty catalog; there is never one to be found."""
    from swhkit_memory.catalog import MemoryCatalog

    return MemoryCatalog()


def open_requests(config: msgspec.Struct, create: bool) -> Requests:  # noqa: ARG001 - the signature is the hook's
    """A new, empty request store; there is never one to be found."""
    from swhkit_memory.requests import MemoryRequests

    return MemoryRequests()


def open_jobs(config: msgspec.Struct, create: bool) -> Jobs:  # noqa: ARG001 - the signature is the hook's
    """A new, empty job store; there is never one to be found."""
    from swhkit_memory.jobs import MemoryJobs

    return MemoryJobs()
