"""Puts the parts together that the configuration names: an archive of its stores, a loader with its settings.

The only place where a provider's factory is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from swhkit.archive import Archive
from swhkit.config import Configuration, Part, Settings
from swhkit.config.decode import Decoder, node_of
from swhkit.config.yamlsource import MAX_BYTES, Node, Problem
from swhkit.errors import InvalidInput, NotHeld
from swhkit.files import make_folder
from swhkit.net import Network
from swhkit.plugin import Loader, Provider
from swhkit.registry import PartKind, Registry
from swhkit.requests import Requests
from swhkit.storage import CatalogReader, ObjectReader


def open_archive(
    settings: Settings, registry: Registry, *, write: bool = True, create: bool = False
) -> Archive:
    """The archive of the settings. ``write=False`` gives one without a stage, so that nothing can be loaded into it.

    ``create`` makes stores that are not there (and implies ``write``). Raises ``NotHeld`` if one is missing
    otherwise, ``PluginError`` if a backend cannot be used. What was opened before an error is closed again.
    """
    archive = settings.archive
    objects = cast(ObjectReader, _open("object store", archive.objects, registry, create))
    try:
        catalog = cast(CatalogReader, _open("catalog", archive.catalog, registry, create))
        try:
            return Archive(
                objects, catalog, _stage(archive.stage, objects, catalog) if write or create else None
            )
        except BaseException:
            catalog.close()
            raise
    except BaseException:
        objects.close()
        raise


def open_requests(settings: Settings, registry: Registry, *, create: bool = False) -> Requests | None:
    """The request store of the settings; None if it is not there and ``create`` does not make it.

    Raises ``PluginError`` if the backend cannot be used.
    """
    part = settings.archive.requests
    factory = registry.factory("request store", part.provider)
    try:
        return cast(Requests, factory(part.config, create))
    except NotHeld:
        return None


def _open(kind: PartKind, part: Part, registry: Registry, create: bool) -> object:
    factory = registry.factory(kind, part.provider)
    try:
        return factory(part.config, create)
    except NotHeld as error:
        raise NotHeld(f"{error}, or name the configuration of another archive with --config") from None


def _stage(folder: Path, objects: object, catalog: object) -> Path | None:
    """The stage's folder, made if both stores take things; None for stores that are only read."""
    if not (hasattr(objects, "adopt") and hasattr(catalog, "publish")):
        return None
    make_folder(folder, 0o700)
    return folder


def network(settings: Settings, *, from_cli: bool) -> Network:
    """The address policy, for what a person typed (``from_cli``) or for what came over the network."""
    policy = settings.network
    return Network(
        private_addresses=policy.private_addresses,
        schemes=policy.schemes,
        local_paths=policy.local_paths,
        from_cli=from_cli,
    )


def make_loader(
    configuration: Configuration, visit_type: str, options: Mapping[str, str] | None = None
) -> Loader:
    """A new loader of that type. ``options`` (key → JSON, or plain text) are laid over ``loaders: {TYPE: …}``.

    Raises ``PluginError`` for a type that no loader has, ``InvalidInput`` for an option it does not take.
    """
    registry = configuration.registry
    provider = registry.provider("loader", visit_type)
    config = _loader_config(configuration, provider, options or {})
    return cast(Loader, registry.factory("loader", provider)(config))


def _loader_config(configuration: Configuration, provider: Provider, options: Mapping[str, str]) -> Any:
    """The loader's config struct: what the file says, overlaid with the options, whose paths are relative to here."""
    part = configuration.settings.loaders.get(provider.name)
    if part is not None and not options:
        return part.config
    nodes = Node(
        {key: node_of(_json(key, text), f"--option {key}") for key, text in options.items()}, "--option"
    )
    typed, written = Decoder(Path.cwd()), Decoder(configuration.base)
    values = written.fields(part.node, provider.config) if part is not None else {}
    values |= typed.fields(nodes, provider.config)
    config = typed.build(values, provider.config, nodes) if not typed.problems else None
    if typed.problems:
        raise InvalidInput("\n".join(_told(provider, problem) for problem in typed.problems))
    return config


def _told(provider: Provider, problem: Problem) -> str:
    """The text of a problem with an option; the place names its key already, so only what is deeper is added."""
    key, _, _ = problem.path.partition(".")
    if problem.place == "--option":
        return f"loaders.{provider.name}.{problem.path}: {problem.message}" if key else problem.message
    deeper = problem.path.removeprefix(problem.place.removeprefix("--option ")).lstrip(".")
    return (
        f"{problem.place}: {deeper}: {problem.message}" if deeper else f"{problem.place}: {problem.message}"
    )


def _json(key: str, text: str) -> Any:
    """JSON, or the text itself where it is none (so that ``depth=5m`` needs no quotes)."""
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"--option {key}: the value is longer than {MAX_BYTES} characters")
    try:
        return json.loads(text)
    except RecursionError:
        raise InvalidInput(f"--option {key}: the value is nested too deeply") from None
    except ValueError:
        return text
