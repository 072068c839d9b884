"""Nodes into the frozen structs that describe settings: every problem is found, each with its place and its key.

The types decide: a ``pathlib.Path`` is relative to the folder of the file, a type of ``swhkit.units`` is written in its
notation, text that came from the environment may stand for a number. What has no rule here is left to msgspec.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from swhkit.config.yamlsource import Node, Problem
from swhkit.registry import Registry, guess
from swhkit.units import Notation

S = TypeVar("S", bound=msgspec.Struct)
_FAILED = object()
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


class Special:
    """An annotation of a field that decodes itself (a part with its backend, the table of loaders)."""

    def default(self) -> Node:
        """What stands for an absent key."""
        raise NotImplementedError

    def decode(self, decoder: Decoder, node: Node, path: str) -> object:
        """The value, or anything when problems were reported to the decoder."""
        raise NotImplementedError


class Decoder:
    """Collects ``problems`` and, for every key that was written, its place (``sources``: dotted path → place)."""

    #: The mark of a value that is not to be used: its problem was reported.
    failed = _FAILED

    def __init__(self, base: Path, registry: Registry | None = None) -> None:
        self.base = base
        self.registry = registry
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}

    def problem(self, node: Node, path: str, message: str) -> object:
        """Report; returns the mark of a value that is not to be used."""
        self.problems.append(Problem(node.place, path, message))
        return _FAILED

    def struct(self, node: Node, shape: type[S], path: str = "") -> S | None:
        """The struct that a mapping (or nothing: all defaults) describes; None when problems were reported."""
        values = self.fields(node, shape, path)
        return self.build(values, shape, node, path)

    def fields(self, node: Node, shape: type[msgspec.Struct], path: str = "") -> dict[str, Any]:
        """The values of those keys of ``shape`` that are written in ``node``, by field name."""
        entries = self._mapping(node, path)
        fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
        values: dict[str, Any] = {}
        for key, child in entries.items():
            if key not in fields:
                near = guess(key, fields) or _listing("; the keys here are", fields)
                self.problem(child, _join(path, key), f"unknown key{near}")
            else:
                values[fields[key].name] = self.value(child, fields[key].type, _join(path, key))
        return values

    def build(self, values: Mapping[str, Any], shape: type[S], node: Node, path: str = "") -> S | None:
        """The struct of ``values``, the others being defaults; None when something is missing or wrong."""
        complete = dict(values)
        for field in msgspec.structs.fields(shape):
            if field.name in complete:
                continue
            child = _join(path, field.encode_name)
            if special := special_of(field.type):
                complete[field.name] = special.decode(self, special.default(), child)
            elif not field.required:
                complete[field.name] = self._rooted(default_of(field))
            elif (plain := unwrap(field.type)[0]) and is_struct(plain):
                complete[field.name] = self.value(Node(None, "default"), plain, child)
            else:
                complete[field.name] = self.problem(node, child, "the key is missing, and it has no default")
        if any(value is _FAILED for value in complete.values()):
            return None
        try:
            return shape(**complete)
        except (ValueError, TypeError) as error:
            self.problem(node, path, str(error))
            return None

    def value(self, node: Node, shape: Any, path: str) -> Any:
        """The value of a key of the given type, or a mark that must not be used when a problem was reported."""
        if special := special_of(shape):
            return special.decode(self, node, path)
        plain, notes = unwrap(shape)
        if node.value is None and accepts_null(shape):
            self._note(node, path)
            return None
        if is_struct(plain):
            made = self.struct(node, plain, path)
            return _FAILED if made is None else made
        self._note(node, path)
        if plain is Path:
            return self._path(node, path)
        for notation in (n for n in notes if isinstance(n, Notation)):
            try:
                node = Node(notation.read(node.value), node.place, node.variables)
            except ValueError as error:
                return self.problem(node, path, str(error))
        metas = [n for n in notes if isinstance(n, msgspec.Meta)]
        masked = is_masked(path, notes)
        origin, arguments = get_origin(plain), get_args(plain)
        if origin in (list, tuple) and len(set(arguments) - {Ellipsis}) == 1:
            return self._items(node, origin, arguments[0], metas, path)
        if origin is dict and arguments[0] is str:
            return self._table(node, arguments[1], path)
        return self._leaf(node, plain, metas, path, masked)

    def _items(self, node: Node, container: Any, item: Any, metas: list[msgspec.Meta], path: str) -> Any:
        if not isinstance(node.value, list):
            return self.problem(node, path, f"expected a list, got {describe(node.value)}")
        values = [self.value(child, item, f"{path}[{i}]") for i, child in enumerate(node.value)]
        if any(value is _FAILED for value in values):
            return _FAILED
        try:
            for meta in metas:
                msgspec.convert(values, Annotated[list[Any], meta])
        except msgspec.ValidationError as error:
            return self.problem(node, path, _plain(str(error)))
        return container(values)

    def _table(self, node: Node, item: Any, path: str) -> Any:
        values = {
            key: self.value(child, item, _join(path, key)) for key, child in self._mapping(node, path).items()
        }
        return _FAILED if any(value is _FAILED for value in values.values()) else values

    def _leaf(self, node: Node, shape: Any, metas: list[msgspec.Meta], path: str, masked: bool) -> Any:
        for meta in metas:
            shape = Annotated[shape, meta]
        try:
            return msgspec.convert(plain_of(node), shape, strict=not node.variables, dec_hook=self._convert)
        except msgspec.ValidationError as error:
            culprit, deeper = _locate(node, str(error))
            message = _plain(str(error))
            found = (
                culprit.value if isinstance(culprit.value, str | int | float | bool) and not masked else None
            )
            choices = (
                [str(c) for c in get_args(plain)] if get_origin(plain := unwrap(shape)[0]) is Literal else []
            )
            if choices:
                message = f"expected one of {', '.join(choices)}"
            if found is not None:
                message += f" (it is {_shown(found)})" if "got" in message else f", got {_shown(found)}"
            message += guess(found, choices) if isinstance(found, str) else ""
            return self.problem(culprit, path + deeper, message)

    def _path(self, node: Node, path: str) -> Any:
        if not isinstance(node.value, str) or not node.value or "\0" in node.value:
            return self.problem(node, path, f"expected a path, got {describe(node.value)}")
        return self._rooted(Path(node.value))

    def _rooted(self, value: Any) -> Any:
        """A default or written value with the paths in it absolute. ``~`` is the home folder."""
        if isinstance(value, msgspec.Struct):
            names = type(value).__struct_fields__
            return msgspec.structs.replace(
                value, **{name: self._rooted(getattr(value, name)) for name in names}
            )
        try:
            return self.base / value.expanduser() if isinstance(value, Path) else value
        except RuntimeError:
            return self.base / value

    def _convert(self, shape: Any, value: Any) -> Any:
        if shape is Path and isinstance(value, str):
            return self._rooted(Path(value))
        raise ValueError(f"expected {getattr(shape, '__name__', shape)}, got {describe(value)}")

    def _mapping(self, node: Node, path: str) -> dict[str, Node]:
        if isinstance(node.value, dict):
            return node.value
        if node.value is not None:
            self.problem(node, path, f"expected keys with values below it, got {describe(node.value)}")
        return {}

    def _note(self, node: Node, path: str) -> None:
        names = ", ".join(node.variables)
        self.sources[path] = f"environment {names} ({node.place})" if names else node.place


def unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type without ``Annotated`` and ``| None``, and all annotations on the way."""
    notes: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            notes += tuple(more)
        elif get_origin(annotation) in (Union, types.UnionType):
            others = [a for a in get_args(annotation) if a is not types.NoneType]
            if len(others) != 1:
                return annotation, notes
            annotation = others[0]
        else:
            return annotation, notes


def accepts_null(annotation: Any) -> bool:
    """Whether null is a value of the type."""
    if get_origin(annotation) is Annotated:
        return accepts_null(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return any(accepts_null(a) for a in get_args(annotation))
    return annotation in (None, types.NoneType, Any)


def special_of(annotation: Any) -> Special | None:
    """The ``Special`` among the annotations, if any."""
    return next((n for n in unwrap(annotation)[1] if isinstance(n, Special)), None)


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """The default of a field that has one."""
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def is_masked(path: str, notes: Iterable[Any]) -> bool:
    """Whether a value is a secret: by its type, or by the name of its key."""
    key = path.rpartition(".")[2].lower()
    return any(isinstance(n, Notation) and n.masked for n in notes) or bool(
        re.search(r"token|secret|password|passwd", key)
    )


def plain_of(node: Node) -> Any:
    """The node as plain Python data."""
    if isinstance(node.value, dict):
        return {key: plain_of(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain_of(child) for child in node.value]
    return node.value


def node_of(value: Any, place: str) -> Node:
    """Plain Python data as a node, all of it in one place."""
    if isinstance(value, dict):
        return Node({str(key): node_of(child, place) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node([node_of(child, place) for child in value], place)
    return Node(value, place)


def describe(value: object) -> str:
    """What was found, in a person's words; never its contents."""
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    if value is None or value == "":
        return "nothing"
    return names.get(type(value), type(value).__name__)


def _locate(node: Node, message: str) -> tuple[Node, str]:
    """The node that msgspec's error path (``… - at `$.a[0]```) leads to, and that path."""
    match = re.search(r" - at `\$([^`]*)`", message)
    path = match[1] if match else ""
    for step in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        if isinstance(node.value, dict) and step[0] in node.value:
            node = node.value[step[0]]
        elif isinstance(node.value, list) and step[1] and int(step[1]) < len(node.value):
            node = node.value[int(step[1])]
    return node, path


def _plain(message: str) -> str:
    text = message.partition(" - at `$")[0]

    def words(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(word, word) for word in match[1].split(" | "))

    text = re.sub(r"`([^`]*)`", words, text)
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def _listing(intro: str, keys: Iterable[str]) -> str:
    return f"{intro} {', '.join(keys)}" if keys else "; there are no keys here"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def is_struct(shape: Any) -> bool:
    """Whether it is a struct type that is decoded field by field (tagged ones are left to msgspec)."""
    return (
        isinstance(shape, type) and issubclass(shape, msgspec.Struct) and shape.__struct_config__.tag is None
    )
