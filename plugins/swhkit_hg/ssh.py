"""How the server of a repository is started over ssh: without questions, and with whose keys.

What a person typed at the shell is fetched as that person: with their own ``~/.ssh`` and their ssh-agent. Everything
else gets the keys that the configuration gives it and no others.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from swhkit.plugin import InvalidUrl, Target

#: Seconds: for the connection with its handshake, and between two signs of life of which several may be missed.
_CONNECT, _ALIVE, _MISSED = 30, 30, 4
_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={_CONNECT}",
    f"ServerAliveInterval={_ALIVE}",
    f"ServerAliveCountMax={_MISSED}",
    "LogLevel=ERROR",  # no banner of the server
    "ControlMaster=no",  # a connection that is shared would outlive the visit
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
)
_NO_KEYS = (
    "IdentityFile=none",
    "IdentityAgent=none",
    "GSSAPIAuthentication=no",
    "HostbasedAuthentication=no",
)
#: What ssh says when it is ssh that has failed, and not the server that it was to start.
_AWAY = re.compile(
    r"Could not resolve|Connection (?:refused|timed out|reset|closed)|No route to host|Network is unreachable"
    r"|Host key verification failed|Permission denied \(|Too many authentication failures"
    r"|^(?:ssh|kex_exchange_identification|client_loop): |^Timeout, server |^Received disconnect from ",
    re.MULTILINE,
)


def ssh_command(target: Target, config: Path | None, own: bool) -> tuple[list[str], dict[str, str]]:
    """The command that starts ``hg serve`` at a checked ssh target, and its environment.

    ``config`` is an OpenSSH client configuration that was given deliberately; ``own``: whether also what the user has
    counts. The connection goes to the address that was checked.
    """
    command, options = ["ssh", "-T"], [*_OPTIONS, *_pinned(target)]
    if config is not None:
        command += ["-F", str(config)]
    elif not own:
        command += ["-F", "none"]
        options += _NO_KEYS
    parts = urlsplit(target.url)
    if target.port is not None:
        options.append(f"Port={target.port}")
    user, at, _ = parts.netloc.rpartition("@")
    place = f"{unquote(user.partition(':')[0])}{at}{target.host}"
    server = f"hg -R {shlex.quote(_path(target))} serve --stdio"
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    environment = {"SSH_AUTH_SOCK": agent} if own and agent.startswith("/") else {}
    return [*command, *(f"-o{option}" for option in options), "--", place, server], environment


def is_away(stderr: str) -> bool:
    """Whether no connection came about, by what was said."""
    return _AWAY.search(stderr) is not None


def _path(target: Target) -> str:
    """The path on the other side: one slash belongs to the URL, a second begins an absolute path."""
    path = target.scp.partition(":")[2] if target.scp else unquote(urlsplit(target.url).path)[1:]
    if path.startswith("-"):
        raise InvalidUrl(f"{target.url}: a path that begins with '-' is not given to another machine")
    return path or "."


def _pinned(target: Target) -> list[str]:
    """Options to connect to the address that was checked, and to expect there the host key of the name."""
    pins = sorted(target.addresses, key=lambda address: ":" in address)
    if not pins or target.host is None or target.host in pins:
        return []
    alias = target.host if target.port in (None, 22) else f"[{target.host}]:{target.port}"
    return [f"HostName={pins[0]}", f"HostKeyAlias={alias}"]
