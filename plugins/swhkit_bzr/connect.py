"""Reaches a server that speaks Bazaar's protocol: one of our own for what it can read, else the origin's.

``brz serve`` is started for local branches and for those on a web server, whose files it reads as they are. It serves
read-only and opens nothing outside of what it was told to serve: where a branch points elsewhere (a reference, a
branch it is stacked on) it says so, and we judge that URL ourselves. ``bzr://`` servers are spoken to directly, at
the address that was checked, and those behind ssh through the ssh program.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import cast
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.plugin import (
    MissingProgram,
    Target,
    Unavailable,
    VisitContext,
    egress,
    pinned_url,
    without_secrets,
)
from swhkit_bzr import BzrConfig
from swhkit_bzr.smart import Connection
from swhkit_bzr.ssh import ssh_command

_BZR_PORT = 4155
#: Plugins that come with brz and are not wanted: all but the one for the oldest formats, ``weave_fmt``.
_PLUGINS = (
    "bash_completion", "changelog_merge", "commitfromnews", "cvs", "darcs", "email", "fastimport", "flake8", "fossil",
    "github", "gitlab", "hg", "launchpad", "mtn", "netrc_credential_store", "news_merge", "po_merge", "propose",
    "pypi", "quilt", "repodebug", "rewrite", "stats", "svn", "upload", "webdav", "zsh_completion",
)  # fmt: skip
#: Seconds for a connection, and after which a server of our own may think that we have gone.
_CONNECT, _IDLE = 30.0, 10 * 86400


class Place(msgspec.Struct, frozen=True):
    """Where a branch is: ``target`` was checked, ``path`` is what its server knows the branch by.

    ``old``: the server knows too little of the protocol (before Bazaar 2.5), one of ours is to read its files.
    """

    target: Target
    path: bytes
    old: bool = False

    @property
    def url(self) -> str:
        """The URL for texts."""
        return without_secrets(self.target.url)


def place_of(target: Target, *, old: bool = False) -> Place:
    """The place of a checked target. Raises ``Unavailable`` for URLs that no branch has."""
    if target.path is not None:
        return Place(target, os.fsencode(target.path), old)
    parts = urlsplit(target.url)
    if parts.query or parts.fragment:
        raise Unavailable(f"{without_secrets(target.url)}: the URL of a branch has no '?' or '#'")
    return Place(target, unquote_to_bytes(parts.path) or b"/", old)


class Connector:
    """Makes the connections of one visit; they stay open until ``stack`` is closed."""

    def __init__(self, context: VisitContext, config: BzrConfig, stack: ExitStack) -> None:
        self._context, self._config, self._stack = context, config, stack
        self._proxies: dict[str, str] = {}

    def connect(self, place: Place) -> Connection:
        """A connection to the server of a place. Raises ``Unavailable``."""
        target = place.target
        if target.scheme == "bzr" and not place.old:
            return _dialled(self._context, self._config, target, self._stack)
        if target.scheme in ("ssh", "bzr+ssh"):
            serve = [
                "bzr",
                "serve",
                "--inet",
                "--directory=/",
                "--allow-writes",
            ]  # as servers expect it, word for word
            command, environment = ssh_command(
                target, self._config.ssh_config, own=self._context.network.from_cli
            )
            return self._child([*command, *serve], environment)
        parts = urlsplit(target.url)
        environment = brz_environment(self._context)
        if target.path is not None:
            return self._child(_serve("/"), environment)
        if target.scheme == "bzr":
            return self._child(_serve(f"bzr://{urlsplit(pinned_url(target)).netloc}/"), environment)
        proxy = self._proxy(parts.netloc, target)
        environment |= {"http_proxy": proxy, "https_proxy": proxy}
        return self._child(_serve(f"{parts.scheme}://{parts.netloc}/"), environment)

    def _child(self, command: list[str], environment: Mapping[str, str]) -> Connection:
        try:
            child = self._stack.enter_context(self._context.runner.start(command, env=environment))
        except MissingProgram as error:
            also = ", elsewhere: pip install breezy" if command[0] == "brz" else ""
            raise MissingProgram(f"{error}{also}") from None
        source = cast(io.BufferedReader, child.stdout)
        return Connection(source, child.stdin, lambda: child.stderr() if child.ended(0.5) else "")

    def _proxy(self, server: str, target: Target) -> str:
        """The URL of the proxy that children go through to a web server, which connects to what was checked alone."""
        if server not in self._proxies:
            limit, deadline = self._context.limits.max_pack_size, self._context.runner.deadline
            proxy = egress(self._context.network, target, limit=limit, deadline=deadline)
            self._proxies[server] = self._stack.enter_context(proxy).url
        return self._proxies[server]


def brz_environment(context: VisitContext) -> dict[str, str]:
    """What every brz of ours is started with: no plugins, settings or logs of anybody, no program for ssh.

    Debian's brz looks for its own Python beside the first ``python3`` on the PATH: the folder of brz has to come
    first, since a virtual environment has no Breezy.
    """
    home = str(context.runner.home)
    folders = [f for f in os.environ.get("PATH", os.defpath).split(os.pathsep) if f.startswith("/")]
    path = os.pathsep.join([*folders, str(Path(sys.executable).parent)])
    if found := shutil.which("brz", path=path):
        path = os.pathsep.join([str(Path(found).parent), path])
    return {
        "PATH": path,
        "BRZ_HOME": home,
        "BRZ_LOG": os.devnull,
        "BRZ_PLUGIN_PATH": "-user:-site",
        "BRZ_DISABLE_PLUGINS": ":".join(_PLUGINS),
        "BRZ_SSH": "/nonexistent/ssh",
        "BRZ_PROGRESS_BAR": "none",
        "LC_ALL": "C.UTF-8",
    }


def _serve(directory: str) -> list[str]:
    return ["brz", "serve", "--inet", f"--client-timeout={_IDLE}", f"--directory={directory}"]


def _dialled(context: VisitContext, config: BzrConfig, target: Target, stack: ExitStack) -> Connection:
    """A TCP connection to the first of the checked addresses that answers."""
    left = context.limits.visit_time
    if context.runner.deadline is not None:
        left = context.runner.deadline - time.monotonic()
    error: OSError = TimeoutError("its time was up")
    for address in target.addresses or (target.host or "",):
        if left <= 0:
            break
        try:
            there = socket.create_connection((address, target.port or _BZR_PORT), min(_CONNECT, left))
        except OSError as failure:
            error = failure
            continue
        stack.enter_context(closing(there))
        there.settimeout(min(config.answer_time, left))
        alarm = threading.Timer(
            left, there.shutdown, [socket.SHUT_RDWR]
        )  # a server may send a byte now and then
        stack.callback(alarm.cancel)
        alarm.daemon = True
        alarm.start()
        source = stack.enter_context(there.makefile("rb"))
        sink = stack.enter_context(there.makefile("wb"))
        return Connection(source, sink, lambda: "")
    raise Unavailable(f"{without_secrets(target.url)}: no connection ({error.strerror or error})")
