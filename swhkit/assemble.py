"""Puts the parts together that the configuration names: an archive of its stores, a loader with its settings.

The only place where a provider's factory is called.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from swhkit.archive import Archive
from swhkit.config import Configuration, Part, Settings
from swhkit.config.decode import Decoder, node_of
from swhkit.config.yamlsource import MAX_BYTES, Node, Problem, parse
from swhkit.errors import ConfigError, InvalidInput, NotHeld
from swhkit.files import make_folder
from swhkit.forge import Forge
from swhkit.jobs import Jobs
from swhkit.net import Network
from swhkit.plugin import Loader, Provider
from swhkit.registry import PartKind, Registry
from swhkit.requests import Requests
from swhkit.storage import CatalogReader, ObjectReader
from swhkit.webhook import Webhook


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
    try:
        return open_requests_store(settings, registry, create=create)
    except NotHeld:
        return None


def open_requests_store(settings: Settings, registry: Registry, *, create: bool) -> Requests:
    """As ``open_requests``, but raises ``NotHeld`` if the store is not there and ``create`` does not make it."""
    return cast(Requests, _open("request store", settings.archive.requests, registry, create))


def open_jobs(settings: Settings, registry: Registry, *, create: bool) -> Jobs:
    """The job store of the settings. Raises ``NotHeld`` if it is not there and ``create`` does not make it,
    ``PluginError`` if the backend cannot be used."""
    return cast(Jobs, _open("job store", settings.archive.jobs, registry, create))


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


def make_webhook(configuration: Configuration, name: str) -> Webhook:
    """The webhook of that name. Raises ``PluginError`` if there is none."""
    provider = configuration.registry.provider("webhook", name)
    part = configuration.settings.webhooks.get(name)
    config = provider.config() if part is None else part.config
    return cast(Webhook, configuration.registry.factory("webhook", provider)(config))


def make_forge(configuration: Configuration, kind: str, url: str, options: Mapping[str, object]) -> Forge:
    """A new forge plugin for the instance at ``url``: with the settings of its entry in ``forges``, or else with ``options``
    (as they were written; ``${NAME}`` in them is taken from the environment).

    Raises ``PluginError`` for a kind that there is not, ``ConfigError`` for an option that it does not take.
    """
    registry = configuration.registry
    provider = registry.provider("forge", kind)
    entries = configuration.settings.forges
    parts = [entry.part for entry in entries if (entry.keys.kind, entry.keys.url) == (kind, url)]
    config = parts[0].config if parts else _forge_config(configuration, provider, options)
    return cast(Forge, registry.factory("forge", provider)(config))


def _forge_config(
    configuration: Configuration, provider: Provider, options: Mapping[str, object]
) -> msgspec.Struct:
    node, problems = parse(
        json.dumps(dict(options)).encode(), f"options of the forge {provider.name}", os.environ
    )
    decoder = Decoder(configuration.base)
    config = decoder.struct(node, provider.config)
    if config is None or problems or decoder.problems:
        raise ConfigError("\n".join(map(str, [*problems, *decoder.problems])))
    return config


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
