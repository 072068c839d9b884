"""What the form of a URL tells, for guesses at what is there. Nothing is judged, nothing connected to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec


class UrlForm(msgspec.Struct, frozen=True):
    """The parts of a URL or of a local path, as they are written.

    ``scheme`` is in lower case (``file`` for a path), ``host`` without a final dot, ``path`` as it stands, without
    query; ``local`` is the absolute path of this machine that is meant, None for all else.
    """

    scheme: str
    host: str
    path: str
    local: Path | None = None

    @property
    def segments(self) -> list[str]:
        """The names in the path."""
        return [segment for segment in self.path.split("/") if segment]


def url_form(url: str) -> UrlForm | None:
    """The form of a URL or absolute path; None for what is neither, or is malformed."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    if parts.scheme not in ("", "file"):
        return UrlForm(parts.scheme, host, parts.path)
    path = unquote(parts.path) if parts.scheme else url
    if not path.startswith("/") or "\0" in path:
        return None
    return UrlForm("file", "", path, Path(path))
