"""What is needed of the pages of cgit and gitweb."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

_SPACE = re.compile(r"\s")


class _Page(HTMLParser):
    """A page that is read to its end when it is made. ``start`` gets each tag with its attributes, ``text`` what follows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.start(tag, {name: value or "" for name, value in attrs})

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError


class Row:
    """A repository of an index: the address of its page, and when it was last changed, if that is told."""

    def __init__(self, address: str, name: str = "") -> None:
        self.address, self.name = address, name
        self.changed: datetime.datetime | None = None


class CgitIndex(_Page):
    """``rows`` of an index of cgit; ``following`` is the address of the next page, None on the last."""

    def __init__(self, page: str) -> None:
        self.rows: list[Row] = []
        self.following: str | None = None
        self._in_name = self._in_pager = self._at_current = False
        super().__init__(page)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        kind, address = attributes.get("class", ""), attributes.get("href", "")
        if tag in ("td", "ul", "div", "table"):
            self._in_name = kind in ("toplevel-repo", "sublevel-repo")
            self._in_pager = self._in_pager or kind == "pager"
        elif tag == "a" and self._in_pager:
            if self._at_current and self.following is None:
                self.following = address
            self._at_current = self._at_current or kind == "current"
        elif tag == "a" and self._in_name:
            self.rows.append(Row(address))
            self._in_name = False
        elif tag == "span" and kind.startswith("age-") and self.rows:
            self.rows[-1].changed = _iso(attributes.get("title", ""))


class CgitSummary(_Page):
    """``urls`` that the page of a repository has for cloning."""

    def __init__(self, page: str) -> None:
        self.urls: list[str] = []
        super().__init__(page)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "a" and attributes.get("rel") == "vcs-git":
            self.urls.append(_SPACE.sub("%20", attributes.get("href", "")))


class GitwebIndex(_Page):
    """``rows`` of the OPML that gitweb has of its repositories."""

    def __init__(self, page: str) -> None:
        self.rows: list[Row] = []
        super().__init__(page)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "outline" and attributes.get("htmlurl"):
            self.rows.append(Row(attributes["htmlurl"], attributes.get("title", "")))


class GitwebSummary(_Page):
    """``urls`` that the page of a repository has for cloning, and when it was last ``changed``."""

    def __init__(self, page: str) -> None:
        self.urls: list[str] = []
        self.changed: datetime.datetime | None = None
        self._row = self._said = ""
        super().__init__(page)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "tr":
            self._row = attributes.get("id") or attributes.get("class", "")
        self._said = ""

    def handle_data(self, data: str) -> None:
        self._said += data

    def handle_endtag(self, tag: str) -> None:
        said, self._said = self._said.strip(), ""
        if tag == "td" and self._row == "metadata_url" and "://" in said:
            self.urls.append(_SPACE.sub("%20", said))
        elif self._row == "metadata_lchange" and self.changed is None:
            self.changed = _rfc(said)


def best(urls: Sequence[str]) -> str | None:
    """The URL that most can clone from: https before http before the first."""
    for scheme in ("https://", "http://", ""):
        for url in urls:
            if url.startswith(scheme):
                return url
    return None


def _iso(text: str) -> datetime.datetime | None:
    """``2024-01-31 12:00:00 +0100``."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None


def _rfc(text: str) -> datetime.datetime | None:
    """``Wed, 31 Jan 2024 12:00:00 +0100``."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
