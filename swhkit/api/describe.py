"""JSON schemas in words and tables, for people: what the pages of documentation show of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from swhkit.api.schemas import COMPONENTS

_PREFIX = "#/components/schemas/"
_FORMATS = {"uri-reference": "URL", "date-time": "date", "binary": "bytes"}


class Key(msgspec.Struct, frozen=True):
    """A key of an object: its ``name``, what it holds in words, and whether it always is there."""

    name: str
    words: str
    required: bool


class Table(msgspec.Struct, frozen=True):
    """The keys of an object schema; ``name`` is empty for one without a name of its own."""

    name: str
    summary: str
    keys: tuple[Key, ...]


def words(schema: Mapping[str, object]) -> str:
    """A schema in a few words: ``list of Revision``, ``date or null``."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return reference.removeprefix(_PREFIX)
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return " or ".join(dict.fromkeys(words(one) for one in _schemas(schema[name])))
    if "enum" in schema:
        return " | ".join(str(value) for value in _values(schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kinds = schema.get("type", "anything")
    named = [_kind(str(kind), schema) for kind in (kinds if isinstance(kinds, list) else [kinds])]
    return " or ".join(named)


def bounds(schema: Mapping[str, object]) -> str:
    """What a schema says of a value beside its type: default, least, most; empty if it says nothing."""
    told = {
        "default": "default",
        "minimum": "at least",
        "maximum": "at most",
        "maxLength": "characters at most",
    }
    return ", ".join(f"{text} {schema[name]}" for name, text in told.items() if name in schema)


def tables(schema: Mapping[str, object]) -> list[Table]:
    """The tables of an object schema and of all that it names, each once, in the order of first mention."""
    found: dict[str, Table] = {}
    for name, one in _objects("", schema, set()):
        found.setdefault(name, _table(name, one))
    return list(found.values())


def _kind(kind: str, schema: Mapping[str, object]) -> str:
    if kind == "array":
        items = schema.get("items")
        return f"list of {words(items)}" if isinstance(items, Mapping) else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {words(values)}" if isinstance(values, Mapping) and values else "object"
    if kind == "string":
        return _FORMATS.get(str(schema.get("format")), "text")
    return {"integer": "number", "boolean": "true or false"}.get(kind, kind)


def _table(name: str, schema: Mapping[str, object]) -> Table:
    properties, required = schema["properties"], schema.get("required", ())
    assert isinstance(properties, Mapping)
    assert isinstance(required, (list, tuple))
    keys = tuple(Key(key, words(one), key in required) for key, one in properties.items())
    return Table(name, str(schema.get("description", "")), keys)


def _objects(
    name: str, schema: Mapping[str, object], seen: set[str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(_PREFIX)
        if name not in seen:
            seen.add(name)
            yield from _objects(name, COMPONENTS[name], seen)
        return
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        yield name, schema
        for key, one in properties.items():
            yield from _objects(f"{name}.{key}" if name else key, one, seen)
    for key in ("items", "additionalProperties"):
        one = schema.get(key)
        if isinstance(one, Mapping):
            yield from _objects(name, one, seen)
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for one in _schemas(schema.get(key, [])):
            yield from _objects(name, one, seen)


def _schemas(value: object) -> list[Mapping[str, object]]:
    return [one for one in _values(value) if isinstance(one, Mapping)]


def _values(value: object) -> list[object]:
    assert isinstance(value, (list, tuple))
    return list(value)
