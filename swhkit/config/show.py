"""Settings as text: what is in force and where it came from, and the commented file that ``init`` writes.

Both are made from the structs themselves, so a key cannot be missing from them.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from swhkit.config import Configuration, ForgeEntry, ForgeList, Part, PartOf, PartTable, Settings
from swhkit.config.decode import default_of, is_masked, is_struct, special_of, unwrap
from swhkit.net import without_secret
from swhkit.plugin import Provider
from swhkit.registry import Registry
from swhkit.units import Notation

MASK = "***"
_PLAIN = re.compile(r"[A-Za-z/.][A-Za-z0-9/._+-]*|[0-9]+(\.[0-9]+)?(s|m|h|d|B|KiB|MiB|GiB|TiB)", re.ASCII)
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"}

HEADER = """\
# The configuration of swhkit. All keys are here. A key behind a bare # is a default: take the # away to change it.
# Relative paths are relative to this file. Durations: 90s 5m 6h 1d. Sizes: 64KiB 100MiB 4GiB. Bare numbers are
# seconds and bytes. ${NAME} is taken from the environment; $${ is a plain ${.
"""


def effective(configuration: Configuration) -> str:
    """All settings as YAML; each value has a comment that says where it came from. Secrets are masked."""
    return "\n".join(_values(configuration.settings, "", 0, configuration.sources)) + "\n"


def _values(value: msgspec.Struct, path: str, depth: int, sources: Mapping[str, str]) -> Iterator[str]:
    for field in msgspec.structs.fields(type(value)):
        key = f"{path}.{field.encode_name}" if path else field.encode_name
        yield from _entry(field.encode_name, getattr(value, field.name), field.type, key, depth, sources)


def _entry(
    name: str, value: Any, shape: Any, path: str, depth: int, sources: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, Part):
        yield f"{indent}{name}:"
        if isinstance(special_of(shape), PartOf):
            yield from _entry("backend", value.provider.name, str, f"{path}.backend", depth + 1, sources)
        yield from _values(value.config, path, depth + 1, sources)
    elif isinstance(special_of(shape), ForgeList):
        yield f"{indent}{name}:" if value else f"{indent}{name}: []  # {sources.get(path, 'default')}"
        for number, entry in enumerate(value):
            yield from _forge(entry, f"{path}[{number}]", depth, sources)
    elif isinstance(value, dict) and isinstance(special_of(shape), PartTable):
        yield f"{indent}{name}:" if value else f"{indent}{name}: {{}}  # {sources.get(path, 'default')}"
        for key, part in value.items():
            yield from _entry(key, part, Part, f"{path}.{key}", depth + 1, sources)
    elif isinstance(value, msgspec.Struct) and is_struct(type(value)):
        yield f"{indent}{name}:"
        yield from _values(value, path, depth + 1, sources)
    else:
        yield f"{indent}{name}: {written(value, shape, path)}  # {_source(path, sources)}"


def _forge(entry: ForgeEntry, path: str, depth: int, sources: Mapping[str, str]) -> Iterator[str]:
    """One item of a list of mappings: its first line has the dash."""
    indent, lines = (
        "  " * depth,
        [*_values(entry.keys, path, 0, sources), *_values(entry.part.config, path, 0, sources)],
    )
    for number, line in enumerate(lines):
        yield f"{indent}{'  ' if number else '- '}{line}"


def _source(path: str, sources: Mapping[str, str]) -> str:
    """Where a value came from; of a list or mapping, where its key is."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", sources.get(path, "default"))


def written(value: Any, shape: Any, path: str) -> str:
    """One value on one line, in its notation. Secrets, and passwords in URLs, are masked."""
    _, notes = unwrap(shape)
    if value is None:
        return "null"
    if is_masked(path, notes):
        return json.dumps(MASK)
    notation = next((n for n in notes if isinstance(n, Notation)), None)
    if notation is not None:
        value = notation.write(value)
    return _flow(msgspec.to_builtins(value, enc_hook=str))


def _flow(value: Any) -> str:
    """Plain data in YAML's flow style."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        items = (
            f"{_flow(str(k))}: {json.dumps(MASK) if is_masked(str(k), ()) else _flow(v)}"
            for k, v in value.items()
        )
        return "{" + ", ".join(items) + "}"
    if not isinstance(value, str):
        return json.dumps(value)
    value = without_secret(value).replace("${", "$${")
    return value if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED else _quoted(value)


def _quoted(text: str) -> str:
    """A double-quoted YAML text; what does not print is written as an escape."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char.isprintable() and char not in '"\\':
        return char
    return f"\\U{ord(char):08X}" if ord(char) > 0xFFFF else json.dumps(char)[1:-1]


def template(registry: Registry) -> str:
    """A configuration file with every key explained and its default commented out. Raises ``PluginError``."""
    return HEADER + "\n".join(_keys(Settings, registry, 0)) + "\n"


def _keys(shape: type[msgspec.Struct], registry: Registry, depth: int) -> Iterator[str]:
    for field in msgspec.structs.fields(shape):
        special = special_of(field.type)
        plain = unwrap(field.type)[0]
        if depth == 0:
            yield ""
        yield from _comment(description(field), depth)
        if isinstance(special, PartOf):
            yield from _part(field.encode_name, special, registry, depth)
        elif isinstance(special, PartTable):
            yield from _table(field.encode_name, special, registry, depth)
        elif isinstance(special, ForgeList):
            yield from _forges(field.encode_name, registry, depth)
        elif is_struct(plain):
            yield f"{'  ' * depth}{field.encode_name}:"
            yield from _keys(plain, registry, depth + 1)
        else:
            yield from _default(field, depth, "#")


def _part(name: str, special: PartOf, registry: Registry, depth: int) -> Iterator[str]:
    providers = registry.of_kind(special.kind)
    standard = registry.provider(special.kind, special.standard["backend"])
    yield from _comment("Backends: " + "; ".join(_summary(p) for p in providers.values()) + ".", depth)
    yield f"{'  ' * depth}{name}:"
    yield f"#{'  ' * (depth + 1)}backend: {standard.name}"
    yield from _about(standard, depth + 1)
    for field in msgspec.structs.fields(standard.config):
        yield from _comment(description(field), depth + 1)
        if field.encode_name in special.standard:
            yield f"#{'  ' * (depth + 1)}{field.encode_name}: {_flow(special.standard[field.encode_name])}"
        else:
            yield from _default(field, depth + 1, "#")


def _forges(name: str, registry: Registry, depth: int) -> Iterator[str]:
    yield from _comment("Kinds: " + "; ".join(map(_summary, registry.of_kind("forge").values())) + ".", depth)
    yield from _comment(
        'Such as: [{kind: gitea, url: "https://codeberg.org", every: 1d, visit_every: 7d}]', depth
    )
    yield f"#{'  ' * depth}{name}: []"


def _table(name: str, special: PartTable, registry: Registry, depth: int) -> Iterator[str]:
    # Who names a webhook wants it, and is warned if it has no secret.
    mark = "#" if special.kind == "webhook" else ""
    yield f"{'  ' * depth}{name}:"
    for provider in registry.of_kind(special.kind).values():
        yield from _comment(f"{provider.summary}.".replace("..", "."), depth + 1)
        fields = msgspec.structs.fields(provider.config)
        yield f"{mark}{'  ' * (depth + 1)}{provider.name}:" + ("" if fields else "   # it has no keys")
        yield from _about(provider, depth + 2)
        for field in fields:
            yield from _comment(description(field), depth + 2)
            yield from _default(field, depth + 2, "#")


def _about(provider: Provider, depth: int) -> Iterator[str]:
    """The docstring of a provider's config struct, where its fields have no descriptions of their own."""
    fields = msgspec.structs.fields(provider.config)
    if fields and not any(map(description, fields)):
        yield from _comment(provider.config.__doc__ or "", depth)


def _default(field: msgspec.structs.FieldInfo, depth: int, mark: str) -> Iterator[str]:
    indent = "  " * depth
    if field.required:
        yield f"{indent}# {field.encode_name}: (no default)"
        return
    value = default_of(field)
    yield f"{mark}{indent}{field.encode_name}: {written(value, field.type, field.encode_name)}"


def _summary(provider: Provider) -> str:
    keys = ", ".join(field.encode_name for field in msgspec.structs.fields(provider.config))
    return f"{provider.name} ({provider.summary.rstrip('.')}; keys: {keys or 'none'})"


def description(field: msgspec.structs.FieldInfo) -> str:
    """What the field's annotation says about it; for a section, the docstring of its struct."""
    plain, notes = unwrap(field.type)
    for note in notes:
        if isinstance(note, msgspec.Meta) and note.description:
            return note.description
    return (plain.__doc__ or "").strip() if is_struct(plain) and plain.__doc__ else ""


def _comment(text: str, depth: int) -> Iterator[str]:
    indent = "  " * depth + "# "
    yield from textwrap.wrap(
        " ".join(text.replace("``", "`").split()), 112, initial_indent=indent, subsequent_indent=indent
    )
