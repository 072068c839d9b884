"""How Subversion starts ssh: without questions, without leaving anything behind, and with whose keys.

What a person typed at the shell is fetched as that person: with their own ``~/.ssh`` and their ssh-agent. Everything
else gets the keys that the configuration gives it and no others.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from swhkit.plugin import Target

#: Seconds: for the connection with its handshake, and between two signs of life of which several may be missed.
_CONNECT, _ALIVE, _MISSED = 30, 30, 4
_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={_CONNECT}",
    f"ServerAliveInterval={_ALIVE}",
    f"ServerAliveCountMax={_MISSED}",
    "LogLevel=ERROR",
    "ControlMaster=no",
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


class Keys(msgspec.Struct, frozen=True):
    """What ssh may prove itself with: ``config`` is an OpenSSH client configuration that was given deliberately;
    ``own``: whether also what the user has whose process this is."""

    config: Path | None = None
    own: bool = False


def ssh_environment(target: Target, keys: Keys) -> dict[str, str]:
    """The environment in which Subversion reaches a checked ``svn+ssh`` target, at the address that was checked."""
    command = ["ssh", "-q"]
    options = [*_OPTIONS, *_pinned(target)]
    if target.port is not None:
        options.append(f"Port={target.port}")
    if keys.config is not None:
        command += ["-F", str(keys.config)]
    elif not keys.own:
        command += ["-F", "none"]
        options += _NO_KEYS
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    environment = {"SSH_AUTH_SOCK": agent} if keys.own and agent.startswith("/") else {}
    words = [*command, *(f"-o{option}" for option in options), "--"]
    return environment | {"SVN_SSH": " ".join(_quoted(word) for word in words)}


def _quoted(word: str) -> str:
    """A word as Subversion takes a command apart (``apr_tokenize_to_argv``): backslashes escape."""
    return "".join(f"\\{char}" if char in " \\'\"\t" else char for char in word)


def _pinned(target: Target) -> list[str]:
    """Options to connect to the address that was checked, and to expect there the host key of the name."""
    pins = sorted(target.addresses, key=lambda address: ":" in address)
    if not pins or target.host is None or target.host in pins:
        return []
    alias = target.host if target.port in (None, 22) else f"[{target.host}]:{target.port}"
    return [f"HostName={pins[0]}", f"HostKeyAlias={alias}"]
