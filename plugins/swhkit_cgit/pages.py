"""What is needed of the pages of cgit and gitweb.

They are strangers' pages, of any size, and are read in time that grows with their size alone. The parser of Python's own
``html.parser`` takes a minute for 50 kB of ``<a <a <a``; what is looked for here is in tags that are whole.
"""

from __future__ import annotations

import datetime
import html
import re
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime

import msgspec

#: A tag whose quotes are closed, and the text up to the next one. Possessive throughout: nothing is tried twice.
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*+)((?:[^<>\"']++|\"[^\"<>]*+\"|'[^'<>]*+')*+)>([^<]*+)")
_ATTRIBUTE = re.compile(
    r"(?<![^\s\"'/])([A-Za-z][A-Za-z0-9-]*+)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"']++))"
)
#: Characters of a tag's attributes; longer tags are passed over.
_LONGEST = 8192
_SPACE = re.compile(r"\s")


class Row(msgspec.Struct):
    """A repository of an index: the ``address`` of its page, its ``name`` and when it was last changed, if that is told."""

    address: str
    name: str = ""
    changed: datetime.datetime | None = None


class Index(msgspec.Struct):
    """``rows`` of a page of an index; ``following`` is the address of the next page, None on the last."""

    rows: list[Row]
    following: str | None = None


class Summary(msgspec.Struct):
    """What the page of a repository says: ``urls`` for cloning, and when it was last ``changed``."""

    urls: list[str]
    changed: datetime.datetime | None = None


def cgit_index(page: str) -> Index:
    """A page of the index of cgit."""
    found = Index([])
    in_name, pager, at_current = False, "", False
    for tag, attributes, _ in _tags(page):
        kind, address = attributes.get("class", ""), attributes.get("href", "")
        if tag in ("td", "ul", "div"):
            in_name = kind in ("toplevel-repo", "sublevel-repo")
            pager = pager or (tag if kind == "pager" else "")
        elif pager and tag == f"/{pager}":
            pager = ""
        elif tag == "a" and pager:
            if at_current and found.following is None:
                found.following = address
            at_current = at_current or kind == "current"
        elif tag == "a" and in_name:
            found.rows.append(Row(address))
            in_name = False
        elif tag == "span" and kind.startswith("age-") and found.rows:
            found.rows[-1].changed = _iso(attributes.get("title", ""))
    return found


def cgit_summary(page: str) -> Summary:
    """The page of a repository of cgit."""
    links = (attributes for tag, attributes, _ in _tags(page) if tag == "a")
    return Summary([_encoded(link.get("href", "")) for link in links if link.get("rel") == "vcs-git"])


def gitweb_index(page: str) -> Index:
    """The OPML that gitweb has of its repositories."""
    outlines = (attributes for tag, attributes, _ in _tags(page) if tag == "outline")
    return Index([Row(told["htmlurl"], told.get("title", "")) for told in outlines if "htmlurl" in told])


def gitweb_summary(page: str) -> Summary:
    """The page of a repository of gitweb."""
    found, row = Summary([]), ""
    for tag, attributes, text in _tags(page):
        if tag == "tr":
            row = attributes.get("id") or attributes.get("class", "")
        elif row == "metadata_url" and tag == "td" and "://" in text:
            found.urls.append(_encoded(text.strip()))
        elif row == "metadata_lchange" and tag == "span":
            found.changed = found.changed or _rfc(text.strip())
    return found


def _tags(page: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """The tags of a page, each with its attributes and the text that follows it; names in lower case, ``/td`` for an end."""
    for closing, name, attributes, text in _TAG.findall(page):
        if len(attributes) <= _LONGEST:
            found = {
                key.lower(): html.unescape(one or two or three)
                for key, one, two, three in _ATTRIBUTE.findall(attributes)
            }
            yield closing + name.lower(), found, html.unescape(text)


def _encoded(url: str) -> str:
    return _SPACE.sub("%20", url)


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
