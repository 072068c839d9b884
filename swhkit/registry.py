"""The plugins that are there and what they provide.

Plugins come from the entry-point group ``swhkit.v1`` of installed distributions and from loose ``.py`` files of
``plugins_dir``. One that cannot be used (it does not import, names a hook that does not exist, describes nonsense)
is recorded and logged, and becomes an error only when the configuration needs it. Two providers of one kind and
name are an error for whoever asks for that kind.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import msgspec
import pluggy

from swhkit import hookspecs
from swhkit.errors import PluginError
from swhkit.model import Visit
from swhkit.plugin import GROUP, PROJECT, Provider
from swhkit.requests.schedule import State

log = logging.getLogger(__name__)

PartKind = Literal["object store", "catalog", "request store", "job store", "loader", "forge", "webhook"]
#: The hook that lists the providers of each kind.
HOOKS: dict[PartKind, str] = {
    "object store": "swhkit_object_stores",
    "catalog": "swhkit_catalogs",
    "request store": "swhkit_requests",
    "job store": "swhkit_jobs",
    "loader": "swhkit_loaders",
    "forge": "swhkit_forges",
    "webhook": "swhkit_webhooks",
}
_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Source(msgspec.Struct, frozen=True):
    """Where a plugin comes from: an entry point's name and distribution, or a file's stem and the file. ``load``
    imports it."""

    name: str
    origin: str
    version: str | None
    load: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.origin} {self.version}" if self.version else self.origin


class Plugin(msgspec.Struct):
    """A plugin and its state. ``error`` is one line, None when all is well; ``providers`` is what it describes."""

    source: Source
    error: str | None = None
    providers: list[tuple[PartKind, Provider]] = []


def installed() -> Iterator[Source]:
    """The plugins of installed distributions, by name of distribution and entry point."""
    found = importlib.metadata.entry_points(group=GROUP)
    for point in sorted(found, key=lambda p: (p.dist.name.lower() if p.dist else "", p.name)):
        dist = point.dist
        yield Source(point.name, dist.name if dist else "unknown", dist.version if dist else None, point.load)


def loose(folder: Path) -> Iterator[Source]:
    """The plugins that are ``.py`` files of a folder; those that begin with ``_`` or ``.`` are left alone.

    Raises ``PluginError`` if the folder cannot be read.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix == ".py" and p.name[0] not in "._")
    except OSError as error:
        raise PluginError(
            f"plugins_dir {folder} cannot be read: {error.strerror}; make it or correct the key"
        ) from None
    for file in files:
        yield Source(file.stem, str(file), None, functools.partial(_import_file, file))


def _import_file(file: Path) -> ModuleType:
    """The module of a loose file, registered as ``swhkit_loose_STEM`` so that ``__name__`` can be imported again."""
    name = "swhkit_loose_" + re.sub(r"\W", lambda match: f"_{ord(match[0]):x}_", file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class Registry:
    """What the plugins of ``sources`` provide. They are imported here, once; their targets only when used."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.plugins = [self._register(source) for source in sources]

    @classmethod
    def load(cls, plugins_dir: Path | None = None) -> Registry:
        """The registry of this installation. Raises ``PluginError`` if ``plugins_dir`` cannot be read."""
        sources = list(installed())
        return cls([*sources, *loose(plugins_dir)] if plugins_dir is not None else sources)

    def object_stores(self) -> dict[str, Provider]:
        """Object stores by name. Raises ``PluginError`` on a clash, as do those that follow."""
        return self._by_name("object store")

    def catalogs(self) -> dict[str, Provider]:
        """Catalogs by name."""
        return self._by_name("catalog")

    def request_stores(self) -> dict[str, Provider]:
        """Request stores by name."""
        return self._by_name("request store")

    def of_kind(self, kind: PartKind) -> dict[str, Provider]:
        """The providers of a kind by name."""
        return self._by_name(kind)

    def loaders(self) -> dict[str, Provider]:
        """Loaders by visit type."""
        return self._by_name("loader")

    def provider(self, kind: PartKind, name: str) -> Provider:
        """The provider of that kind and name. Raises ``PluginError`` that says what there is instead."""
        known = self._by_name(kind)
        if name in known:
            return known[name]
        for plugin in self.plugins:
            if plugin.error and name == plugin.source.name:
                raise PluginError(f"the plugin {name} ({plugin.source}) cannot be used: {plugin.error}")
        raise PluginError(f"there is no {kind} named {name!r}{guess(name, known)}; {self._available(known)}")

    def factory(self, kind: PartKind, provider: Provider) -> Callable[..., Any]:
        """Import what makes the part. Raises ``PluginError`` if that fails."""
        module, _, attribute = provider.factory.partition(":")
        try:
            made = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            log.debug("the factory %s failed to import", provider.factory, exc_info=True)
            whose = self._whose(kind, provider)
            raise PluginError(
                f"the {kind} {provider.name!r} of {whose} cannot be used: {provider.factory}: {_one_line(error)}"
            ) from error
        if not callable(made):
            raise PluginError(
                f"the {kind} {provider.name!r} cannot be used: {provider.factory} is not callable"
            )
        return cast(Callable[..., Any], made)

    def visit_type(self, url: str) -> str | None:
        """The visit type that the first plugin with an opinion sees in the URL's form, or None."""
        for answer in self._each("swhkit_visit_type", url=url):
            if isinstance(answer, str):
                return answer
        return None

    def visit_finished(self, visit: Visit, report: object) -> None:
        """Tell every plugin that a visit has ended. Their errors are logged."""
        for _ in self._each("swhkit_visit_finished", visit=visit, report=report):
            pass

    def origin_state_changed(self, origin: str, visit_type: str, before: State | None, after: State) -> None:
        """Tell every plugin that the state of an origin has changed. Their errors are logged."""
        arguments = {"origin": origin, "visit_type": visit_type, "before": before, "after": after}
        for _ in self._each("swhkit_origin_state_changed", **arguments):
            pass

    def clashes(self, kind: PartKind) -> list[str]:
        """One sentence for each name that two plugins claim."""
        first: dict[str, Plugin] = {}
        found = []
        for plugin in self.plugins:
            for name in (p.name for k, p in plugin.providers if k == kind):
                other = first.setdefault(name, plugin)
                if other is not plugin:
                    found.append(
                        f"{other.source} and {plugin.source} both provide a {kind} named {name!r}; uninstall one of them"
                    )
        return found

    def _by_name(self, kind: PartKind) -> dict[str, Provider]:
        if clashes := self.clashes(kind):
            raise PluginError("; ".join(clashes))
        return {p.name: p for plugin in self.plugins for k, p in plugin.providers if k == kind}

    def _available(self, known: Iterable[str]) -> str:
        names = ", ".join(sorted(known)) or "none; is swhkit installed with its plugins?"
        broken = ", ".join(f"{p.source.name} ({p.source})" for p in self.plugins if p.error)
        return f"available: {names}" + (f" (not loaded: {broken}; see `swhkit plugins`)" if broken else "")

    def _whose(self, kind: PartKind, provider: Provider) -> str:
        owners = (str(p.source) for p in self.plugins if (kind, provider) in p.providers)
        return next(owners, "an unknown plugin")

    def _each(self, hook: str, **arguments: object) -> Iterator[object]:
        """Call every implementation in pluggy's order; one that raises is logged and passed over."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                yield implementation.function(*[arguments[name] for name in implementation.argnames])
            except Exception:
                log.exception("the hook %s of the plugin %s failed", hook, implementation.plugin_name)

    def _register(self, source: Source) -> Plugin:
        plugin = Plugin(source)
        module: object = None
        try:
            module = source.load()
            self._manager.register(module, name=f"{source.origin}:{source.name}")
            self._refuse_unknown_hooks(module)
            plugin.providers = list(self._described(module))
        except (Exception, SystemExit) as error:
            log.debug("the plugin %s (%s) failed", source.name, source, exc_info=True)
            plugin.error = _one_line(error)
            log.warning("the plugin %s (%s) cannot be used: %s", source.name, source, plugin.error)
            if module is not None and self._manager.get_name(module) == f"{source.origin}:{source.name}":
                self._manager.unregister(module)
        return plugin

    def _refuse_unknown_hooks(self, module: object) -> None:
        known = [name for name in vars(hookspecs) if name.startswith("swhkit_")]
        for caller in self._manager.get_hookcallers(module) or []:
            optional = all(i.optionalhook for i in caller.get_hookimpls() if i.plugin is module)
            if not caller.has_spec() and not optional:
                raise PluginError(f"{caller.name} is no hook of swhkit{guess(caller.name, known)}")

    def _described(self, module: object) -> Iterator[tuple[PartKind, Provider]]:
        for kind, hook in HOOKS.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin is module:
                    yield from ((kind, _checked(provider, hook)) for provider in implementation.function())


def _checked(provider: object, hook: str) -> Provider:
    """``provider`` itself if it is a description the core can use. Raises ``PluginError``."""
    if not isinstance(provider, Provider):
        raise PluginError(f"{hook} returned {type(provider).__name__}, not a list of swhkit.plugin.Provider")
    if not isinstance(provider.name, str) or not _NAME.fullmatch(provider.name):
        raise PluginError(
            f"{hook} returned the name {provider.name!r}; a name is lower-case letters, digits, _ and -"
        )
    if not isinstance(provider.factory, str) or not _FACTORY.fullmatch(provider.factory):
        raise PluginError(
            f"{hook}: the factory of {provider.name!r} is {provider.factory!r}, not 'module:callable'"
        )
    config = provider.config
    if not (isinstance(config, type) and issubclass(config, msgspec.Struct)):
        raise PluginError(f"{hook}: the config of {provider.name!r} is no msgspec.Struct type")
    if "backend" in config.__struct_encode_fields__:
        raise PluginError(
            f"{hook}: the config of {provider.name!r} has a field 'backend', a word the core uses"
        )
    return provider


def guess(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` with the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else text[:399] + "…"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
