"""Loads CVS modules: from folders of this machine, by rsync, and from ``cvs pserver``.

A module's history is made of the RCS files below it (``,v``): each has the revisions of one file, and those that were
committed together become one revision of ours (``changesets``). Nothing of the origin is run, and no ``cvs`` program
is needed: RCS files are read by ``rcs``, keywords expanded by ``keywords``, and a server is asked by ``pserver``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec

from swhkit.plugin import Provider, Size, hookimpl

#: How many entries of a folder are looked at to see RCS files in it.
_LOOKED_AT = 1000


class CvsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of CVS modules."""

    max_transfer: Annotated[
        Size, msgspec.Meta(description="A visit fails when rsync or pserver would bring more than this.")
    ] = 16 << 30
    answer_time: Annotated[
        float,
        msgspec.Meta(description="Seconds within which a pserver must go on with its answer.", gt=0),
    ] = 300.0


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``cvs``."""
    return [Provider("cvs", "CVS modules", "swhkit_cvs.loader:make", CvsConfig)]


@hookimpl
def swhkit_visit_type(url: str) -> str | None:
    """``cvs`` for ``pserver://``, for ``rsync://`` of a CVS host or root, and for a local folder of RCS files."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return None
    if parts.scheme in ("", "file"):
        path = url if not parts.scheme else unquote(parts.path)
        return "cvs" if path.startswith("/") and "\0" not in path and _has_rcs_files(Path(path)) else None
    if parts.scheme == "pserver":
        return "cvs"
    if parts.scheme != "rsync":
        return None
    segments = parts.path.strip("/").split("/")
    named = any(segment in ("cvs", "cvsroot", "CVSROOT") for segment in segments[:-1])
    return "cvs" if named or "cvs" in host.split(".") else None


def _has_rcs_files(path: Path) -> bool:
    """Whether there is an RCS file in the folder at ``path`` (or ``CVSROOT`` beside it and a folder at all)."""
    try:
        if not path.is_dir() or (path / ".git").exists():
            return False
        if (path.parent / "CVSROOT").is_dir():
            return True
        names = (entry.name for entry, _ in zip(path.iterdir(), range(_LOOKED_AT), strict=False))
        return any(name.endswith(",v") for name in names)
    except OSError:
        return False
