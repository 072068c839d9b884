"""How Subversion starts ssh."""

from __future__ import annotations

from swhkit.plugin import SshKeys, Target, ssh_command
from swhkit.plugin import ssh_environment as agent_environment


def ssh_environment(target: Target, keys: SshKeys) -> dict[str, str]:
    """The environment in which Subversion reaches a checked ``svn+ssh`` target, at the address that was checked."""
    words = [*ssh_command(target, keys), "-q", "--"]
    return agent_environment(keys) | {"SVN_SSH": " ".join(_quoted(word) for word in words)}


def _quoted(word: str) -> str:
    """A word as Subversion takes a command apart (``apr_tokenize_to_argv``): backslashes escape."""
    return "".join(f"\\{char}" if char in " \\'\"\t" else char for char in word)
