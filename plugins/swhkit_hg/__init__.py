"""Loads Mercurial repositories: over http(s) and ssh, from local directories and from bundle files.

A repository comes as one stream, a bundle of deltas, whichever way: it is read as it is, and no clone is made of it.
Mercurial itself runs only where the repository is, as the server of a local one. No configuration, hook or extension
of a repository counts, and what it only points to (subrepositories, largefiles, LFS) is not followed.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from swhkit.plugin import Provider, hookimpl, url_form

#: Hosts that have Mercurial repositories, and nothing else.
HOSTS = frozenset({"foss.heptapod.net", "hg.mozilla.org", "heptapod.host", "hg.sr.ht"})
_MAGIC = (b"HG10", b"HG20")


class HgConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of Mercurial repositories.

    ``listing_time``: seconds within which a server must have listed its branches and bookmarks. ``ssh_config``: an
    OpenSSH client configuration (``ssh -F``) with keys, known hosts, ports. Without it ssh uses your own ``~/.ssh``
    and agent for what is loaded at the shell, and no key for anything else.
    """

    listing_time: float = 600.0
    ssh_config: Path | None = None


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``hg``."""
    return [Provider("hg", "Mercurial repositories and bundles", "swhkit_hg.loader:make", HgConfig)]


@hookimpl
def swhkit_visit_type(url: str) -> str | None:
    """``hg`` for what looks like a Mercurial repository, by its form or (a local path) by what is there."""
    form = url_form(url)
    if form is None:
        return None
    if form.local is not None:
        return "hg" if _is_local(form.local) else None
    if form.scheme not in ("http", "https", "ssh"):
        return None
    segments = form.segments
    if not segments or segments[-1].endswith((".git", ".bundle")):
        return None
    named = form.host in HOSTS or form.host.startswith("hg.") or segments[-1].endswith(".hg")
    return "hg" if named or "hg" in segments[:-1] else None


def _is_local(path: Path) -> bool:
    """Whether a repository or a bundle lies at ``path``."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(4) in _MAGIC
        return (path / ".hg" / "requires").is_file() or (path / ".hg" / "store").is_dir()
    except OSError:
        return False
