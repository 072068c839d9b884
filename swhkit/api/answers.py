"""What a handler answers: data, bytes to be saved, a finished document, or another address."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swhkit.query import Pieces


class Data(msgspec.Struct, frozen=True):
    """An answer in JSON, YAML or HTML, as the client likes. ``next`` and ``previous`` are URLs of neighbouring pages;
    ``headers`` are further ones; ``view`` names the template of its HTML page."""

    data: object
    next: str | None = None
    previous: str | None = None
    headers: Mapping[str, str] = {}
    view: str = "data.html"
    status: int = 200


class Blob(msgspec.Struct, frozen=True):
    """An answer of bytes to be saved as a file: ``length`` bytes in ``pieces``; ``disposition`` is the header's value.

    ``etag`` is what these bytes are a function of (the digest of an object): under it they never change.
    """

    length: int
    pieces: Pieces
    disposition: str
    etag: str | None = None


class Document(msgspec.Struct, frozen=True):
    """An answer that has one form only (a page, a badge, metrics): its bytes and its ``Content-Type``."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] = {}
    status: int = 200


class Page(msgspec.Struct, frozen=True):
    """An answer that is made of a template, and has that form only: a page, a badge. ``values`` is what it shows."""

    template: str
    values: Mapping[str, object]
    media_type: str = "text/html; charset=utf-8"
    status: int = 200


class Redirect(msgspec.Struct, frozen=True):
    """What was asked for has another address: an absolute or site-relative URL, fit for a header."""

    location: str
    status: int = 302


Answer = Data | Blob | Document | Page | Redirect
