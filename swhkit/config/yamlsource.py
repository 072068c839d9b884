"""YAML text as nodes that know their place. Bounded: no input takes longer than a second or grows beyond its limits.

Only plain data exists: texts, numbers, booleans, null, lists and mappings with text keys. Tags that ask for Python
objects, merge keys, and aliases beyond a count are refused. ``${NAME}`` in a text is taken from the environment
(``$${`` is a plain ``${``); what came from there is text whatever it looks like, and is never parsed as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from swhkit.errors import ConfigError

#: Limits of one file: bytes, nesting, aliases, and nodes once every alias is expanded.
MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_ALIASES = 50
MAX_NODES = 100_000
#: Nodes as they stand in the text: bounds the time the parser takes.
MAX_WRITTEN = 20_000


class Bounds(msgspec.Struct, frozen=True):
    """What a text may have: bytes, levels of nesting, aliases, nodes as they are written, and once every alias is
    expanded."""

    size: int = MAX_BYTES
    depth: int = MAX_DEPTH
    aliases: int = MAX_ALIASES
    written: int = MAX_WRITTEN
    made: int = MAX_NODES


#: The bounds of a configuration.
FILE = Bounds()

Value = str | int | float | bool | list["Node"] | dict[str, "Node"] | None

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Node(msgspec.Struct, frozen=True):
    """A value and where it was written. ``place`` begins error texts (``swhkit.yaml:3``); for the value of a key it
    is the key's. ``variables`` are the names of the environment that went into it."""

    value: Value
    place: str
    variables: tuple[str, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with the configuration; ``path`` is the dotted path of the key, or empty."""

    place: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"


def plain(data: bytes, name: str, bounds: Bounds) -> Any:
    """The same as plain Python values, for what is no configuration: a ``${NAME}`` in it stands for itself.

    Raises ``ConfigError``, for whatever is wrong.
    """
    root, problems = parse(data, name, None, bounds)
    if problems:
        raise ConfigError(str(problems[0]))
    return _plain(root)


def _plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    return node.value


def parse(
    data: bytes, name: str, environment: Mapping[str, str] | None, bounds: Bounds = FILE
) -> tuple[Node, list[Problem]]:
    """The root node (null for an empty file) and the problems that leave the rest readable: duplicate keys, missing
    variables. Raises ``ConfigError`` for what is not acceptable YAML at all; ``name`` stands for the file there.

    Without an ``environment`` nothing is taken from it.
    """
    if len(data) > bounds.size:
        raise ConfigError(
            f"{name}:1: the file is larger than {bounds.size >> 20} MiB, which no configuration needs"
        )
    try:
        text = data.decode("utf-8-sig")
        _measure(text, name, bounds)
        root = yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}:{line}: the file is not UTF-8; save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{name}:{_line(error.problem_mark)}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}:1: not valid YAML: {str(error).splitlines()[0]}") from None
    reader = _Reader(name, environment, bounds)
    if root is None:
        return Node(None, f"{name}:1"), []
    return reader.node(root, "", f"{name}:{_line(root.start_mark)}", 0), reader.problems


def _measure(text: str, name: str, bounds: Bounds) -> None:
    """Refuse what would be costly to compose, by looking at the parser's events, which come one by one."""
    depth = written = aliases = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        written += isinstance(event, yaml.NodeEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        for count, limit, what in (
            (depth, bounds.depth, "levels of nesting"),
            (written, bounds.written, "values"),
            (aliases, bounds.aliases, "aliases"),
        ):
            if count > limit:
                raise ConfigError(
                    f"{name}:{_line(event.start_mark)}: more than {limit} {what}; write it more plainly"
                )


class _Reader:
    """Turns composed nodes into ours; aliases are expanded, so it counts what it makes."""

    def __init__(self, name: str, environment: Mapping[str, str] | None, bounds: Bounds) -> None:
        self.name, self._bounds = name, bounds
        self.environment = environment
        self.problems: list[Problem] = []
        self._made = 0

    def node(self, source: yaml.Node, path: str, place: str, depth: int) -> Node:
        self._made += 1
        if self._made > self._bounds.made or depth > self._bounds.depth:
            raise ConfigError(f"{place}: aliases expand to more than is allowed; write it more plainly")
        if isinstance(source, yaml.MappingNode) and source.tag == f"{_TAG}map":
            return Node(dict(self._entries(source, path, depth)), place)
        if isinstance(source, yaml.SequenceNode) and source.tag == f"{_TAG}seq":
            items = [
                self.node(item, f"{path}[{i}]", f"{self.name}:{_line(item.start_mark)}", depth + 1)
                for i, item in enumerate(source.value)
            ]
            return Node(list(items), place)
        if isinstance(source, yaml.ScalarNode):
            return self._scalar(source, path, place)
        raise ConfigError(f"{place}: the tag {source.tag} is not allowed: only plain YAML data is read")

    def _entries(self, source: yaml.MappingNode, path: str, depth: int) -> Iterator[tuple[str, Node]]:
        seen: dict[str, int] = {}
        for key, value in source.value:
            line = _line(key.start_mark)
            place = f"{self.name}:{line}"
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                raise ConfigError(
                    f"{place}: keys must be plain words; merge keys and other structures are not read"
                )
            child = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen:
                message = f"the key is there twice, first in line {seen[key.value]}; remove one"
                self.problems.append(Problem(place, child, message))
                continue
            seen[key.value] = line
            yield key.value, self.node(value, child, place, depth + 1)

    def _scalar(self, source: yaml.ScalarNode, path: str, place: str) -> Node:
        kind, text = source.tag.removeprefix(_TAG), str(source.value)
        if kind == "null":
            return Node(None, place)
        if kind == "bool":
            return Node(text.lower() in ("yes", "true", "on"), place)
        if kind in ("int", "float"):
            return Node(_number(text), place)
        if kind not in ("str", "timestamp", "value", "merge"):
            raise ConfigError(f"{place}: the tag {source.tag} is not allowed: only plain YAML data is read")
        return self._expanded(text, path, place)

    def _expanded(self, text: str, path: str, place: str) -> Node:
        if self.environment is None:
            return Node(text, place)
        environment = self.environment
        names: list[str] = []
        taken = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal taken
            if match[1]:
                return "${"
            name = match[2] or ""
            if not _NAME.fullmatch(name):
                message = f"{match[0]!r} names no variable; write ${{NAME}}, or $${{ for a plain ${{"
            elif name not in environment:
                message = f"the environment variable {name} is not set"
            else:
                names.append(name)
                taken += len(environment[name])
                if taken > MAX_BYTES:
                    raise ConfigError(
                        f"{place}: {path}: more than {MAX_BYTES >> 20} MiB come from the environment"
                    )
                return environment[name]
            self.problems.append(Problem(place, path, message))
            return ""

        return (
            Node(_VARIABLE.sub(replace, text), place, tuple(dict.fromkeys(names)))
            if "${" in text
            else Node(text, place)
        )


def _number(text: str) -> int | float | str:
    """A YAML number; forms that hardly anybody means as one (``1:30``, ``010``) stay text."""
    plain = text.replace("_", "")
    try:
        if re.fullmatch(r"[-+]?0[0-9]+", plain) or len(plain) > 100:
            return text
        if re.fullmatch(r"[-+]?(0[xob][0-9a-fA-F]+|[0-9]+)", plain):
            return int(plain, 0)
        return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", plain.lower()))
    except ValueError:
        return text


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1
