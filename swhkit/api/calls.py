"""What a handler gets: who asks, for what, in which archive; and the one place where links are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from swhkit.api.metrics import Metrics
from swhkit.archive import Archive
from swhkit.desk import Desk

#: Characters that stay as they are in the path of a link (RFC 3986: sub-delims and what a segment may have).
_SAFE = "/~:@!$&'()*+,;="
_PLAIN = re.compile(r"[A-Za-z0-9_:]*", re.ASCII)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class User(msgspec.Struct, frozen=True):
    """Who asks, by the token that was shown. ``permissions`` are names as the public API has them; ``staff`` is one."""

    name: str
    email: str = ""
    permissions: frozenset[str] = frozenset()

    def may(self, permission: str, *, staff: bool = True) -> bool:
        """Whether this user has ``permission``; who is staff has all, but where ``staff`` is False."""
        return permission in self.permissions or (staff and "staff" in self.permissions)


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
    """The archive, links, parameters of the path (decoded) and of the query, the body of a POST, who asks (None:
    nobody we know), what the server counts of itself, and the desk that takes requests (None: none are taken).

    ``headers`` are those of the request for routes that read them (``Route.reads_headers``), else empty: names in lower
    case, the values of a repeated one joined by ``, ``.
    """

    archive: Archive
    links: Links
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Body | None = None
    method: str = "GET"
    user: User | None = None
    metrics: Metrics | None = None
    desk: Desk | None = None
    headers: Mapping[str, str] = NO_HEADERS

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


def _quoted(value: str | int) -> str:
    # Most parameters are hex digits, or these behind the name of an algorithm: they need no second look.
    text = str(value)
    return text if _PLAIN.fullmatch(text) else quote_raw(text)


def quote_raw(text: str) -> str:
    """A decoded path, percent-encoded again."""
    return quote(text.encode("utf-8", "surrogateescape"), safe=_SAFE)


def _query_text(value: str | int | bytes) -> str:
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    return quote(data, safe="/;:")
