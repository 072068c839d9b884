"""Loads CVS modules: from folders of this machine, by rsync, and from ``cvs pserver``.

A module's history is made of the RCS files below it (``,v``): each has the revisions of one file, and those that were
committed together become one revision of ours (``changesets``). Nothing of the origin is run, and no ``cvs`` program
is needed: RCS files are read by ``rcs``, keywords expanded by ``keywords``, and a server is asked by ``pserver``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from swhkit.plugin import Duration, Provider, Size, hookimpl, url_form

#: How many entries of a folder are looked at to see RCS files in it.
_LOOKED_AT = 1000


class CvsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of CVS modules."""

    max_transfer: Annotated[
        Size, msgspec.Meta(description="A visit fails when rsync or pserver would bring more than this.")
    ] = 16 << 30
    answer_time: Annotated[
        Duration, msgspec.Meta(description="A server has to go on with its answer within this time.")
    ] = 300.0


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``cvs``."""
    return [Provider("cvs", "CVS modules", "swhkit_cvs.loader:make", CvsConfig)]


@hookimpl
def swhkit_visit_type(url: str) -> str | None:
    """``cvs`` for ``pserver://``, for ``rsync://`` of a CVS host or root, and for a local folder of RCS files."""
    form = url_form(url)
    if form is None:
        return None
    if form.local is not None:
        return "cvs" if _has_rcs_files(form.local) else None
    if form.scheme == "pserver":
        return "cvs"
    if form.scheme != "rsync":
        return None
    named = any(segment in ("cvs", "cvsroot", "CVSROOT") for segment in form.segments[:-1])
    return "cvs" if named or "cvs" in form.host.split(".") else None


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
