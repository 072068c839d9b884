"""Routes, what a handler gets and returns, and the one function that makes links.

A ``Route`` is one line of the table from which requests are dispatched, links are made and documentation can be
generated. Paths are templates below ``/api/1/`` whose parameters have types: ``content/{q:content}/raw/``. They are
matched against the path with its percent-escapes decoded; bytes that are not UTF-8 stay as lone surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

import msgspec

from swhkit.archive import Archive
from swhkit.query import Pieces

BASE = "/api/1/"
#: What a parameter of each type matches. Ids match in any case, so that they can be redirected.
TYPES = {
    # The look-behind does what a second repetition would, without its quadratic time.
    "content": r"[0-9A-Za-z_:]+(?<=[0-9A-Fa-f])",
    "hex": r"[0-9A-Fa-f]+",
    "swhid": r"(?:swh|SWH):[0-9]+:[A-Za-z]+:[0-9A-Fa-f]+(?:;.*)?",
    "number": r"[0-9]+",
    "url": r".+",
    "path": r".+",
    "hashes": r"[^/]*",
}
#: Types whose values are redirected to lower case.
_LOWERED = ("content", "hex")
_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")
#: Characters that stay as they are in the path of a link (RFC 3986: sub-delims and what a segment may have).
_SAFE = "/~:@!$&'()*+,;="


class Data(msgspec.Struct, frozen=True):
    """An answer in JSON or YAML. ``next`` is the URL of the following page."""

    data: object
    next: str | None = None


class Blob(msgspec.Struct, frozen=True):
    """An answer of bytes to be saved as a file: ``length`` bytes in ``pieces``; ``disposition`` is the header's value."""

    length: int
    pieces: Pieces
    disposition: str


Answer = Data | Blob


class Body(msgspec.Struct, frozen=True):
    """The body of a request: its ``Content-Type`` header (may be empty) and its bytes."""

    content_type: str
    data: bytes


class Links(msgspec.Struct, frozen=True):
    """Makes URLs. ``base`` is scheme and host (empty: site-relative); ``templates`` has a format string a route."""

    base: str
    templates: Mapping[str, str]

    def to(self, route: str, **parameters: str | int) -> str | None:
        """The URL of a route by its name; None if nothing answers there, so that no link ever leads nowhere."""
        template = self.templates.get(route)
        if template is None:
            return None
        return self.base + template.format(**{name: _quoted(value) for name, value in parameters.items()})


class Call(msgspec.Struct, frozen=True):
    """What a handler gets: the archive, links, parameters of the path (decoded) and of the query, the body of a POST."""

    archive: Archive
    links: Links
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Body | None = None
    method: str = "GET"

    def here(self, route: str, **query: str | int | bytes | None) -> str | None:
        """The URL of a route with the parameters of this call's path and ``query`` (None: left out), sorted by name."""
        return self.link(route, self.parameters, **query)

    def link(
        self, route: str, parameters: Mapping[str, str], **query: str | int | bytes | None
    ) -> str | None:
        """The URL of a route with any parameters and a query string, sorted by name."""
        url = self.links.to(route, **parameters)
        pairs = sorted((name, value) for name, value in query.items() if value is not None)
        text = "&".join(f"{name}={_query_text(value)}" for name, value in pairs)
        return f"{url}?{text}" if url and text else url


Handler = Callable[[Call], Answer]


class Route(msgspec.Struct, frozen=True):
    """One resource: ``name``, ``methods`` (``GET`` brings HEAD and OPTIONS), ``path`` template, ``handler``.

    The first line of the handler's docstring is the route's summary. ``binary`` answers ignore ``Accept``.
    """

    name: str
    path: str
    handler: Handler
    methods: tuple[str, ...] = ("GET",)
    binary: bool = False

    @property
    def summary(self) -> str:
        """One line on what it answers."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]

    @property
    def template(self) -> str:
        """The path as a format string."""
        return BASE + _PARAMETER.sub(r"{\1}", self.path)


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
    """Finds the route of a path; the first in the table that matches counts."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self.templates = {route.name: route.template for route in routes}
        self._by_word: dict[str, list[tuple[re.Pattern[str], Route, dict[str, str]]]] = {}
        for route in routes:
            types = dict(_PARAMETER.findall(route.path))
            word = route.path.partition("/")[0]
            self._by_word.setdefault(word, []).append((_pattern(route.path), route, types))

    def match(self, path: str) -> Match | None:
        """The route of a decoded path, which begins with ``BASE``; None if there is none."""
        rest = path[len(BASE) :]
        for pattern, route, types in self._by_word.get(rest.partition("/")[0], ()):
            found = pattern.fullmatch(rest)
            if found is not None:
                return _matched(route, found, types)
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    texts = [re.escape(part) for part in parts[::3]]
    groups = [f"(?P<{name}>{TYPES[kind]})" for name, kind in zip(parts[1::3], parts[2::3], strict=True)]
    return re.compile("".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)), re.DOTALL)


def _matched(route: Route, found: re.Match[str], types: Mapping[str, str]) -> Match:
    parameters = found.groupdict()
    lower = {n: v.lower() for n, v in parameters.items() if types[n] in _LOWERED}
    if all(parameters[name] == value for name, value in lower.items()):
        return Match(route, parameters)
    parameters.update(lower)
    quoted = {name: _quote_raw(value) for name, value in parameters.items()}
    return Match(route, parameters, route.template.format(**quoted))


def _quoted(value: str | int) -> str:
    # Most parameters are hex digits: they need no second look.
    text = str(value)
    return text if text.isascii() and text.isalnum() else quote(text, safe=_SAFE)


def _quote_raw(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=_SAFE)


def _query_text(value: str | int | bytes) -> str:
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return quote(data, safe="/;:")
