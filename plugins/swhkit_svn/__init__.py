"""Loads Subversion repositories: over http(s), ``svn://``, ``svn+ssh://``, from local repositories and dump files.

A visit reads one stream: the dump that Subversion's own tools write (``dump`` parses it), replays it into a tree that is
edited in place (``state``), and yields what each revision changed. Nothing is checked out, nothing of the origin is
run, and nothing the stream says is trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from swhkit.plugin import Duration, Provider, Size, hookimpl, url_form

#: How a dump begins (notes/dump-load-format.txt), and what a compressed one begins with (RFC 1952).
DUMP_MAGIC, GZIP_MAGIC = b"SVN-fs-dump-format-version: ", b"\x1f\x8b"
#: How the names of dump files end.
DUMP_NAMES = (".svndump", ".svndump.gz", ".svn.dump", ".svn.dump.gz")


class SvnConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of Subversion repositories.

    ``retries``: how often a server that does not answer is asked again, after 1, 2, 4 … seconds. ``externals``: how
    many different externals (``svn:externals``) one visit may fetch; 0 fetches none. ``external_size`` and
    ``external_time``: what one of them may bring and take; a larger or slower one is left out, and the visit is
    partial. ``ssh_config``: an OpenSSH client configuration (``ssh -F``) with keys, known hosts, ports. Without it ssh
    uses your own ``~/.ssh`` and agent for what is loaded at the shell, and no key for anything else.
    """

    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    externals: Annotated[int, msgspec.Meta(ge=0)] = 1000
    external_size: Size = 1 << 30
    external_time: Duration = 600.0
    ssh_config: Path | None = None


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``svn``."""
    return [Provider("svn", "Subversion repositories and dump files", "swhkit_svn.loader:make", SvnConfig)]


@hookimpl
def swhkit_visit_type(url: str) -> str | None:
    """``svn`` for what looks like a Subversion repository or dump, by its form or (a local path) by what is there."""
    form = url_form(url)
    if form is None:
        return None
    if form.local is not None:
        return "svn" if _is_local(form.local) else None
    if form.scheme in ("svn", "svn+ssh"):
        return "svn"
    if form.scheme not in ("http", "https", "ftp") or form.path.rstrip("/").endswith((".git", ".bundle")):
        return None
    if form.path.endswith(DUMP_NAMES):
        return "svn"
    if form.scheme == "ftp":
        return None
    if form.host == "svn.code.sf.net":
        return "svn" if form.path.startswith("/p/") else None
    return "svn" if form.host.startswith("svn.") or "svn" in form.path.split("/") else None


def _is_local(path: Path) -> bool:
    """Whether a repository, a folder inside one, or a dump lies at ``path``."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                begin = file.read(len(DUMP_MAGIC))
            return begin == DUMP_MAGIC or (begin.startswith(GZIP_MAGIC) and path.name.endswith(DUMP_NAMES))
        return repository_at(path) is not None
    except OSError:
        return False


def repository_at(path: Path) -> Path | None:
    """The root of the local repository that ``path`` names or leads into (folders of a repository are not on disk)."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            found = (folder / "format").is_file() and (folder / "db").is_dir() and (folder / "locks").is_dir()
            return folder if found else None
    return None
