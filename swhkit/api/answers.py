"""What a handler answers: data, bytes to be saved, a finished document, or another address."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from swhkit.query import Pieces


class Data(msgspec.Struct, frozen=True):
    """An answer in JSON, YAML or HTML, as the client likes. ``next`` and ``previous`` are URLs of neighbouring pages;
    ``headers`` are further ones."""

    data: object
    next: str | None = None
    previous: str | None = None
    headers: Mapping[str, str] = {}


class Blob(msgspec.Struct, frozen=True):
    """An answer of bytes to be saved as a file: ``length`` bytes in ``pieces``; ``disposition`` is the header's value."""

    length: int
    pieces: Pieces
    disposition: str


class Document(msgspec.Struct, frozen=True):
    """An answer that has one form only (a page, a badge, metrics): its bytes and its ``Content-Type``."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] = {}


class Redirect(msgspec.Struct, frozen=True):
    """What was asked for has another address: an absolute or site-relative URL, fit for a header."""

    location: str
    status: int = 302


Answer = Data | Blob | Document | Redirect
