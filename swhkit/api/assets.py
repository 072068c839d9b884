"""The files that pages need, served by ourselves: a style sheet and an icon, each with a URL that its bytes are part of."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
#: Names of the files, and their types.
ASSETS = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


@lru_cache
def asset(name: str) -> bytes:
    """The bytes of a file."""
    return (FOLDER / name).read_bytes()


@lru_cache
def address(name: str) -> str:
    """The path of a file below the root of the site: it changes when the file does, so that it can be kept for ever."""
    return f"/static/{name}?v={hashlib.sha256(asset(name)).hexdigest()[:16]}"
