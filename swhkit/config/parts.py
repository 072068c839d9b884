"""Keys whose values are providers: one chosen by its name (``backend``), tables of them, and the list of forges."""

from __future__ import annotations

from typing import Annotated

import msgspec

from swhkit.config.decode import Decoder, Special, node_of
from swhkit.config.yamlsource import Node
from swhkit.errors import PluginError
from swhkit.plugin import Provider
from swhkit.registry import PartKind
from swhkit.requests.schedule import LIST_EVERY, VISIT_EVERY
from swhkit.units import Duration, WebAddress


class Part(msgspec.Struct, frozen=True):
    """A provider chosen by the configuration, with its decoded ``config``; ``node`` is what was written."""

    provider: Provider
    config: msgspec.Struct
    node: Node


class PartOf(Special):
    """A key whose value is ``{backend: NAME, …}``; the rest is decoded into the provider's config struct."""

    def __init__(self, kind: PartKind, **standard: str) -> None:
        self.kind: PartKind = kind
        self.standard = standard

    def default(self) -> Node:
        return node_of(self.standard, "default")

    def decode(self, decoder: Decoder, node: Node, path: str) -> object:
        if node.value is None:
            node = self.default()
        if not isinstance(node.value, dict):
            return decoder.problem(node, path, f"expected {{backend: NAME, …}}, such as {self.standard}")
        backend = node.value.get("backend", Node(self.standard["backend"], node.place))
        rest = Node({k: v for k, v in node.value.items() if k != "backend"}, node.place)
        name = decoder.value(backend, str, f"{path}.backend")
        if not isinstance(name, str):
            return name
        return _part(decoder, self.kind, name, rest, path, backend)


class PartTable(Special):
    """A key below which names of providers stand (``loaders``: visit types; ``webhooks``), each with what is decoded into
    the provider's config struct."""

    def __init__(self, kind: PartKind) -> None:
        self.kind: PartKind = kind

    def default(self) -> Node:
        return Node({}, "default")

    def decode(self, decoder: Decoder, node: Node, path: str) -> object:
        if not isinstance(node.value, dict | None):
            return decoder.problem(
                node, path, f"expected the names of {self.kind}s with their settings below"
            )
        entries = (node.value or {}).items()
        return {
            name: _part(decoder, self.kind, name, child, f"{path}.{name}", child) for name, child in entries
        }


def _part(decoder: Decoder, kind: PartKind, name: str, node: Node, path: str, named: Node) -> object:
    registry = decoder.registry
    if registry is None:
        raise AssertionError("parts are decoded with a registry")
    try:
        provider = registry.provider(kind, name)
    except PluginError as error:
        return decoder.problem(named, path, str(error))
    config = decoder.struct(node, provider.config, path)
    return decoder.failed if config is None else Part(provider, config, node)


class ForgeKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that every entry of ``forges`` has, beside those of its kind."""

    kind: str
    url: Annotated[WebAddress, msgspec.Meta(description="The address of the instance.")]
    every: Annotated[Duration, msgspec.Meta(ge=60, description="Time between two listings.")] = LIST_EVERY
    visit_every: Annotated[
        Duration | None,
        msgspec.Meta(
            ge=60,
            description="Time between two visits of what it lists; null: when the forge tells of changes.",
        ),
    ] = VISIT_EVERY


class ForgeEntry(msgspec.Struct, frozen=True):
    """One forge of the configuration: the keys all have, and the part with those of its kind."""

    keys: ForgeKeys
    part: Part


class ForgeList(Special):
    """The key ``forges``: a list of ``{kind: NAME, url: URL, …}``; what not all have is decoded into the config struct of
    the kind."""

    def default(self) -> Node:
        return Node([], "default")

    def decode(self, decoder: Decoder, node: Node, path: str) -> object:
        if not isinstance(node.value, list | None):
            return decoder.problem(node, path, "expected a list of {kind: NAME, url: URL, …}")
        if node.value:
            decoder.sources[path] = node.place
        entries = [
            self._entry(decoder, child, f"{path}[{number}]") for number, child in enumerate(node.value or [])
        ]
        known: set[tuple[str, str]] = set()
        for entry, child in zip(entries, node.value or [], strict=True):
            if isinstance(entry, ForgeEntry):
                if (entry.keys.kind, entry.keys.url) in known:
                    return decoder.problem(child, path, f"{entry.keys.url} is listed twice; remove one")
                known.add((entry.keys.kind, entry.keys.url))
        return decoder.failed if decoder.failed in entries else entries

    def _entry(self, decoder: Decoder, node: Node, path: str) -> object:
        if not isinstance(node.value, dict):
            return decoder.problem(node, path, "expected {kind: NAME, url: URL, …}")
        common = {field.encode_name for field in msgspec.structs.fields(ForgeKeys)}
        shared = Node({k: v for k, v in node.value.items() if k in common}, node.place)
        rest = Node({k: v for k, v in node.value.items() if k not in common}, node.place)
        keys = decoder.struct(shared, ForgeKeys, path)
        if keys is None:
            return decoder.failed
        part = _part(decoder, "forge", keys.kind, rest, path, node.value.get("kind", node))
        return ForgeEntry(keys, part) if isinstance(part, Part) else decoder.failed
