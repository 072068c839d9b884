"""How ssh is started: without questions, without leaving anything behind, and with whose keys.

What a person typed at the shell is fetched as that person: with their own ``~/.ssh`` and their ssh-agent. Everything
else gets the keys that the configuration gives it and no others.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from swhkit.plugin import Target

_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=30",
    "ServerAliveInterval=30",
    "ServerAliveCountMax=4",
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


def ssh_command(target: Target, config: Path | None, *, own: bool) -> tuple[list[str], dict[str, str]]:
    """The ssh that reaches a checked target at the address that was checked, up to the host; and its environment.

    ``config`` is an OpenSSH client configuration that was given deliberately; ``own``: whether ssh may prove itself
    with what the user has whose process this is.
    """
    command, options = ["ssh"], [*_OPTIONS, *_pinned(target)]
    if config is not None:
        command += ["-F", str(config)]
    elif not own:
        command += ["-F", "none"]
        options += _NO_KEYS
    command += [f"-o{option}" for option in options]
    if target.port:
        command += ["-p", str(target.port)]
    user = unquote(urlsplit(target.url).username or "")
    if user:
        command += ["-l", user]
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    environment = {"SSH_AUTH_SOCK": agent} if own and agent.startswith("/") else {}
    return [*command, "--", target.host or ""], environment


def _pinned(target: Target) -> list[str]:
    """Options to connect to the address that was checked, and to expect there the host key of the name."""
    pins = sorted(target.addresses, key=lambda address: ":" in address)
    if not pins or target.host is None or target.host in pins:
        return []
    alias = target.host if target.port in (None, 22) else f"[{target.host}]:{target.port}"
    return [f"HostName={pins[0]}", f"HostKeyAlias={alias}"]
