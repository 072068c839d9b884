"""How ssh is started: without questions, without leaving anything behind, and with whose keys.

What a person typed at the shell is fetched as that person: with their own ``~/.ssh`` (OpenSSH takes the home folder
from the password database, not from HOME) and their ssh-agent. Everything else gets the keys that the configuration
gives it and no others: else a stranger's request would be answered with the operator's keys.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from swhkit.net import Target

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


class SshKeys(msgspec.Struct, frozen=True):
    """What ssh may prove itself with: ``config`` is an OpenSSH client configuration that was given deliberately;
    ``own``: whether also what the user has whose process this is."""

    config: Path | None = None
    own: bool = False


def ssh_command(target: Target, keys: SshKeys) -> list[str]:
    """``ssh`` and its options for a checked target, the port included, at the address that was checked (ssh(1),
    ssh_config(5)). What follows is to be ``--``, the host by its name, and the command."""
    options = [*_OPTIONS, *_pinned(target)]
    if target.port is not None:
        options.append(f"Port={target.port}")
    given: list[str] = []
    if keys.config is not None:
        given = ["-F", str(keys.config)]
    elif not keys.own:
        given = ["-F", "none"]
        options += _NO_KEYS
    return ["ssh", *given, *(f"-o{option}" for option in options)]


def ssh_environment(keys: SshKeys) -> dict[str, str]:
    """What ssh needs in its environment: the user's agent, where it may be asked."""
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    return {"SSH_AUTH_SOCK": agent} if keys.own and agent.startswith("/") else {}


def _pinned(target: Target) -> list[str]:
    """Options to connect to the address that was checked, and to expect there the host key of the name."""
    pins = sorted(target.addresses, key=lambda address: ":" in address)
    if not pins or target.host is None or target.host in pins:
        return []
    alias = target.host if target.port in (None, 22) else f"[{target.host}]:{target.port}"
    return [f"HostName={pins[0]}", f"HostKeyAlias={alias}"]
