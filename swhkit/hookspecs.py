"""The hooks. A plugin implements any of them; arguments are opt-in, so a spec can grow.

Hooks that return descriptions are called once in each process, when the registry is first used; they must be quick and
import nothing heavy. Two descriptions of one kind with the same name are an error that names both distributions.
"""

from __future__ import annotations

import pluggy

from swhkit.model import Visit
from swhkit.plugin import PROJECT, Provider

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def swhkit_object_stores() -> list[Provider]:
    """Object stores. ``factory(config, create) -> ObjectStore`` (or a mere ``ObjectReader``): ``create`` (bool) says
    whether a store that is not there is made; otherwise ``NotHeld`` is raised."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_catalogs() -> list[Provider]:
    """Catalogs. ``factory(config, create) -> Catalog`` (or a mere ``CatalogReader``), as for object stores."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_requests() -> list[Provider]:
    """Request stores: access tokens. ``factory(config, create) -> Requests``, as for object stores."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_loaders() -> list[Provider]:
    """Loaders; ``name`` is the visit type. ``factory(config) -> Loader``; ``config`` has the keys of ``loaders: {NAME: …}``
    overlaid with those given by ``--option``."""
    raise AssertionError("a specification is never called")


@hookspec(firstresult=True)
def swhkit_visit_type(url: str) -> str | None:
    """Guess the visit type of ``url`` from its form alone (no connection is made); None leaves it to the next plugin."""


@hookspec
def swhkit_visit_finished(visit: Visit, report: object) -> None:
    """A visit has ended, in the process that ran it, after everything is durable. Errors are logged, never undo."""
