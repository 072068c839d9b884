"""The hooks. A plugin implements any of them; arguments are opt-in, so a spec can grow.

Hooks that return descriptions are called once in each process, when the registry is first used; they must be quick and
import nothing heavy. Two descriptions of one kind with the same name are an error that names both distributions.
"""

from __future__ import annotations

import pluggy

from swhkit.model import Visit
from swhkit.plugin import PROJECT, Provider
from swhkit.requests.schedule import State

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
    """Request stores: access tokens, requests to save and to add forges, schedules. ``factory(config, create) ->
    Requests``, as for object stores."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_jobs() -> list[Provider]:
    """Job stores. ``factory(config, create) -> Jobs``, as for object stores."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_loaders() -> list[Provider]:
    """Loaders; ``name`` is the visit type. ``factory(config) -> Loader``; ``config`` has the keys of ``loaders: {NAME: …}``
    overlaid with those given by ``--option``."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_forges() -> list[Provider]:
    """Kinds of forges; ``name`` is the ``kind``. ``factory(config) -> Forge``; ``config`` has the keys of an entry of
    ``forges:`` but for those that all have."""
    raise AssertionError("a specification is never called")


@hookspec
def swhkit_webhooks() -> list[Provider]:
    """Webhooks; ``name`` is the last part of the URL they are posted to. ``factory(config) -> Webhook``; ``config``, which
    has the keys of ``webhooks: {NAME: …}``, is a ``WebhookConfig`` or a subclass of it."""
    raise AssertionError("a specification is never called")


@hookspec(firstresult=True)
def swhkit_visit_type(url: str) -> str | None:
    """Guess the visit type of ``url`` from its form alone (no connection is made); None leaves it to the next plugin."""


@hookspec
def swhkit_visit_finished(visit: Visit, report: object) -> None:
    """A visit has ended, in the process that ran it, after everything is durable. Errors are logged, never undo."""


@hookspec
def swhkit_origin_state_changed(origin: str, visit_type: str, before: State | None, after: State) -> None:
    """The state of an origin (``ok``, ``stale``, ``gone``, ``failing``) is another than before; None before is an
    origin that had none. Called once for each change, in the worker that found it, after it was written down. Errors are
    logged."""
