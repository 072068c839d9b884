"""Loads Bazaar branches: from local folders, over http(s), ``bzr://`` and ssh.

What is in a branch is asked of ``brz serve``, Breezy's own server, which runs as a child of ours (or is the origin's):
its protocol, version 3, gives revisions, inventories and file texts as Bazaar keeps them, so that nothing is lost on
the way through another format. No code of Breezy's is run in our process, no plugin or configuration of anybody in
the child. ``smart`` speaks the protocol, ``connect`` reaches a server, ``branch`` finds what is there, ``history``
puts it in order, ``inventory``, ``texts`` and ``revision`` read it, ``loader`` yields it.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from swhkit.plugin import Provider, hookimpl, url_form

#: A first label that says what a host serves.
_HOST = re.compile(r"(?:bzr|bazaar)\.")
#: Hosts of git, where a folder called ``bzr`` is somebody's name.
_OTHERS = re.compile(r"git|(?:^|\.)(?:bitbucket|codeberg|salsa)\.")


class BzrConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of Bazaar branches.

    ``answer_time``: seconds within which a server must go on with an answer. ``ssh_config``: an OpenSSH client
    configuration (``ssh -F``) with keys, known hosts, ports. Without it ssh uses your own ``~/.ssh`` and agent for
    what is loaded at the shell, and no key for anything else.
    """

    answer_time: float = 600.0
    ssh_config: Path | None = None


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader of visit type ``bzr``."""
    return [Provider("bzr", "Bazaar branches", "swhkit_bzr.loader:make", BzrConfig)]


@hookimpl
def swhkit_visit_type(url: str) -> str | None:
    """``bzr`` for what looks like a Bazaar branch, by its form or (a local path) by what is there."""
    form = url_form(url)
    if form is None:
        return None
    if form.local is not None:
        return "bzr" if _is_local(form.local) else None
    if form.scheme in ("bzr", "bzr+ssh", "bzr+http", "bzr+https"):
        return "bzr"
    if form.scheme not in ("http", "https") or form.path.rstrip("/").endswith((".git", ".bundle")):
        return None
    in_folder = "bzr" in form.path.rstrip("/").split("/")[1:-1] and not _OTHERS.search(form.host)
    return "bzr" if _HOST.match(form.host) or in_folder else None


def _is_local(path: Path) -> bool:
    """Whether a Bazaar control directory lies at ``path``."""
    try:
        return (path / ".bzr" / "branch-format").is_file()
    except OSError:
        return False
