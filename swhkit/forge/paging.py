"""Ways from one page of a listing to the next. Each is a function of the page that has come; your own may be, too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import msgspec

#: ``<target>; parameters`` of a Link header (RFC 8288), as often as it has them.
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_RELATIONS = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a listing: the ``url`` that was asked for, ``headers`` (names in lower case), what the ``body`` is, and the
    ``items`` in it, each as the bytes it came in."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    items: Sequence[msgspec.Raw] = ()

    @property
    def text(self) -> str:
        """The body, read as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def value(self, name: str) -> Any:
        """The value of a key of the body (``paging.next``: one within another); None if there is none."""
        found: Any = msgspec.json.decode(self.body)
        for word in name.split("."):
            found = found.get(word) if isinstance(found, dict) else None
        return found


#: The URL of the page after the given one, absolute or relative to it; None after the last.
Paging = Callable[[Fetched], str | None]


def by_link(page: Fetched) -> str | None:
    """The ``Link`` header with ``rel="next"`` (RFC 8288): GitHub, GitLab, Gitea."""
    for target, parameters in _LINK.findall(page.headers.get("link", "")):
        found = _RELATIONS.search(parameters)
        if found and "next" in (found[1] or found[2] or "").lower().split():
            return urljoin(page.url, str(target))
    return None


def by_header(header: str = "X-Next-Page", parameter: str = "page") -> Paging:
    """A header with the number or cursor of the next page, which is the value of a ``parameter``: GitLab."""

    def following(page: Fetched) -> str | None:
        value: str = page.headers.get(header.lower(), "").strip()
        return with_parameters(page.url, {parameter: value}) if value else None

    return following


def by_body(name: str = "next", parameter: str | None = None) -> Paging:
    """A key of the body (``next``, ``pagination.next``) that has the URL of the next page: Bitbucket, Pagure; or, with
    ``parameter``, the cursor that is its value."""

    def following(page: Fetched) -> str | None:
        value = page.value(name)
        if value is None or value == "" or value is False:
            return None
        if parameter is not None:
            return with_parameters(page.url, {parameter: str(value)})
        return urljoin(page.url, str(value))

    return following


def by_number(parameter: str = "page", *, first: int = 1, step: int = 1) -> Paging:
    """Numbers (or offsets) that ascend by ``step`` until a page is empty. A short page is not the last one: servers have
    limits of their own for how much is on one."""

    def following(page: Fetched) -> str | None:
        number = dict(parse_qsl(urlsplit(page.url).query)).get(parameter, str(first))
        if not page.items or not number.isdecimal():
            return None
        return with_parameters(page.url, {parameter: str(int(number) + step)})

    return following


def with_parameters(url: str, parameters: Mapping[str, object]) -> str:
    """``url`` with these parameters in its query, in place of those with the same names. True and False are ``true`` and
    ``false``; those that are None are left out."""
    parts = urlsplit(url)
    kept = [
        (key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in parameters
    ]
    given = [
        (key, str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in parameters.items()
        if value is not None
    ]
    return parts._replace(query=urlencode([*kept, *given])).geturl()
