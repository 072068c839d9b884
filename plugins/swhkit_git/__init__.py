"""Loads git repositories: over http(s), ``git://`` and ssh, from local directories and from bundle files.

The objects are git's own, byte for byte, in the packs that git's own fetch wrote; nothing is checked out, and no code
or configuration of the origin is run. What counts as a branch is decided in ``refs``, what is told to the server and
asked of it in ``fetch``, what git's words mean in ``classify``.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from swhkit.plugin import Provider, hookimpl, url_form

#: Hosts where a path of two segments is a repository (and on any ``gitlab.`` host, where more are groups).
FORGES = frozenset(
    {
        "bitbucket.org",
        "codeberg.org",
        "framagit.org",
        "git.sr.ht",
        "gitea.com",
        "gitee.com",
        "github.com",
        "gitlab.com",
        "salsa.debian.org",
    }
)
#: What bundle files begin with (gitformat-bundle(5)).
BUNDLES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
#: ``user@host:path``, or ``host:path.git``: how git alone writes what is reached by ssh.
_SCP = re.compile(r"[^/@:\[\]]+@[^/@:\[\]]+:(?!//|:).+|[^/@:\[\]]+:(?!//|:).+\.git/?")


class GitConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of git repositories.

    ``likely_tips``: how many tips of other origins are offered to a server where the origin itself is new, so that a
    fork costs only its own commits. ``fetches``: how many fetches one visit may make to get around branches that the
    server cannot send. ``listing_time``: seconds within which a server must have listed its branches. ``ssh_config``:
    an OpenSSH client configuration (``ssh -F``) with keys, known hosts, ports. Without it ssh uses your own ``~/.ssh``
    and agent for what is loaded at the shell, and no key for anything else.
    """

    likely_tips: int = 2000
    fetches: int = 64
    listing_time: float = 600.0
    ssh_config: Path | None = None


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``git``."""
    return [Provider("git", "git repositories and bundles", "swhkit_git.loader:make", GitConfig)]


@hookimpl(tryfirst=True)
def swhkit_visit_type(url: str) -> str | None:
    """``git`` for what looks like a git repository, by its form or (a local path) by what is there.

    Asked before the others: on a forge of git a project may be called ``svn``.
    """
    if _SCP.fullmatch(url):
        return "git"
    form = url_form(url)
    if form is None:
        return None
    if form.local is not None:
        return "git" if _is_local(form.local) else None
    if form.scheme not in ("git", "http", "https", "ssh", "git+ssh"):
        return None
    path = form.path.rstrip("/")
    if form.scheme in ("git", "git+ssh") or path.endswith((".git", ".bundle")):
        return "git"
    depth = len(form.segments)
    in_groups = depth >= 2 and form.host.startswith("gitlab.") and "/-/" not in path
    return "git" if in_groups or (depth == 2 and form.host in FORGES) else None


def _is_local(path: Path) -> bool:
    """Whether a repository, a work tree, or a bundle file lies at ``path``."""
    try:
        if path.suffix == ".bundle" and path.is_file():
            with path.open("rb") as file:
                return file.read(len(BUNDLES[0])) in BUNDLES
        if (path / ".git").exists():
            return True
        return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
    except OSError:
        return False
