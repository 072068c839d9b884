"""Routes: the table from which requests are dispatched, links are made and documentation is generated.

A ``Route`` is one line of it. Paths are templates whose parameters have types: ``content/{q:content}/raw/``. They are
matched against the path with its percent-escapes decoded; bytes that are not UTF-8 stay as lone surrogates.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import msgspec

from swhkit.api.answers import Answer
from swhkit.api.calls import Call, quote_raw
from swhkit.api.pathtypes import TYPES, PathType

BASE = "/api/1/"

#: Types whose values are redirected to lower case.
_LOWERED = ("content", "hex", "hexes")
_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")

Handler = Callable[[Call], Answer]

#: The JSON schema of any text.
TEXT: Mapping[str, object] = MappingProxyType({"type": "string"})


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter as it is documented: its ``name``, one line of ``summary``, and its JSON ``schema``
    (https://json-schema.org/draft/2020-12: type, default, minimum …)."""

    name: str
    summary: str
    schema: Mapping[str, object] = TEXT
    required: bool = False


class Route(msgspec.Struct, frozen=True):
    """One resource: ``name``, ``path`` template below ``root``, ``handler``, ``methods`` (``GET`` brings HEAD and OPTIONS).

    The handler's docstring is the documentation; its first line the summary. What else is told of a route:
    ``category`` it is listed under (empty: not listed), ``query`` parameters, the JSON schema of a 200 ``answer``
    (``{"$ref": "#/components/schemas/NAME"}`` for those of ``schemas``), of a POST's ``body``, and statuses of its own
    errors, the ``refusals``. ``scope`` names the limit its requests count in (None: they do not), ``permission`` what
    a user must have. ``binary`` answers ignore ``Accept``; they are of ``media_type``, and those of the refusals that
    are ``pictured`` are of it, too. ``statuses`` are those of good answers. ``paged`` answers have ``Link`` headers;
    ``headers`` are further ones, with one line on each. ``about`` says what a parameter of the path is where its type
    does not say it well enough. ``doc`` names the page of documentation where that is not the path without its
    parameters; routes may share one. ``older`` forms, which clients of earlier days ask for, stand last in lists.
    ``body_types`` are the media types of a POST's body, where they are not those of JSON and forms; ``refused`` are the
    schemas of refusals in a form of the route's own, by status. A handler that ``reads_headers`` is given those of a POST.
    """

    name: str
    path: str
    handler: Handler
    methods: tuple[str, ...] = ("GET",)
    binary: bool = False
    root: str = BASE
    category: str = ""
    query: tuple[Parameter, ...] = ()
    answer: Mapping[str, object] = {}
    body: Mapping[str, object] = {}
    refusals: tuple[int, ...] = (400, 404)
    scope: str | None = "swh_api"
    permission: str | None = None
    media_type: str = "application/octet-stream"
    statuses: tuple[int, ...] = (200,)
    paged: bool = False
    headers: Mapping[str, str] = {}
    about: Mapping[str, str] = {}
    doc: str = ""
    pictured: tuple[int, ...] = ()
    older: bool = False
    body_types: tuple[str, ...] = ()
    refused: Mapping[int, Mapping[str, object]] = {}
    reads_headers: bool = False

    @property
    def documented(self) -> str:
        """The name of its page of documentation: the path without its parameters (``revision/log``)."""
        return self.doc or "/".join(part for part in self.path.split("/") if part and "{" not in part)

    @property
    def text(self) -> list[str]:
        """The paragraphs of its documentation; the first is the summary."""
        return inspect.cleandoc(self.handler.__doc__ or "").split("\n\n")

    @property
    def types(self) -> dict[str, PathType]:
        """The parameters of the path with their types, in their order."""
        return {name: TYPES[kind] for name, kind in _PARAMETER.findall(self.path)}

    @property
    def redirected(self) -> bool:
        """Whether ids in upper case lead to the address in lower case."""
        return any(kind in _LOWERED for _, kind in _PARAMETER.findall(self.path))

    @property
    def summary(self) -> str:
        """One line on what it answers."""
        return " ".join(self.text[0].split())

    @property
    def template(self) -> str:
        """The path as a format string."""
        return self.root + _PARAMETER.sub(r"{\1}", self.path)


@lru_cache
def allowed(methods: tuple[str, ...]) -> tuple[str, ...]:
    """All methods that a route with these is asked by, in the order of the ``Allow`` header."""
    extra = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    return tuple(m for m in ("GET", "POST", "HEAD", "OPTIONS") if m in {*methods, *extra})


class Match(msgspec.Struct, frozen=True):
    """A path that leads to a route. ``lowered`` is the path in lower case where ids had to be changed."""

    route: Route
    parameters: dict[str, str]
    lowered: str | None = None


class Router:
    """Finds the route of a path: one without parameters, else the first in the table that matches."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self.templates = {route.name: route.template for route in routes}
        # Those without parameters fit themselves alone: one look finds them.
        self._fixed: dict[str, Match] = {}
        # The others by the first word below /api/1/, and all beside it together: a request meets the few that may fit.
        self._by_word: dict[str, list[tuple[re.Pattern[str], Route, dict[str, str]]]] = {}
        for route in routes:
            types = dict(_PARAMETER.findall(route.path))
            if not types:
                self._fixed.setdefault(route.root + route.path, Match(route, {}))
                continue
            word = BASE + route.path.partition("/")[0] if route.root == BASE else ""
            self._by_word.setdefault(word, []).append((_pattern(route), route, types))

    def match(self, path: str) -> Match | None:
        """The route of a decoded path; None if there is none."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        word = BASE + path[len(BASE) :].partition("/")[0] if path.startswith(BASE) else ""
        for pattern, route, types in self._by_word.get(word, ()):
            found = pattern.fullmatch(path)
            if found is not None:
                return _matched(route, found, types)
        return None


def _pattern(route: Route) -> re.Pattern[str]:
    parts = _PARAMETER.split(route.root + route.path)
    texts = [re.escape(part) for part in parts[::3]]
    groups = [
        f"(?P<{name}>{TYPES[kind].pattern})" for name, kind in zip(parts[1::3], parts[2::3], strict=True)
    ]
    return re.compile("".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)), re.DOTALL)


def _matched(route: Route, found: re.Match[str], types: Mapping[str, str]) -> Match:
    parameters = found.groupdict()
    lower = {n: v.lower() for n, v in parameters.items() if types[n] in _LOWERED}
    if all(parameters[name] == value for name, value in lower.items()):
        return Match(route, parameters)
    parameters.update(lower)
    quoted = {name: quote_raw(value) for name, value in parameters.items()}
    return Match(route, parameters, route.template.format(**quoted))
