"""How git starts ssh."""

from __future__ import annotations

import shlex

from swhkit.plugin import SshKeys, Target, ssh_command
from swhkit.plugin import ssh_environment as agent_environment


def ssh_environment(target: Target, keys: SshKeys) -> dict[str, str]:
    """The environment in which git reaches a checked ssh target, at the address that was checked (git(1))."""
    # A shell reads the command; the variant spares git a trial run of it.
    return agent_environment(keys) | {
        "GIT_SSH_COMMAND": shlex.join(ssh_command(target, keys)),
        "GIT_SSH_VARIANT": "ssh",
    }
