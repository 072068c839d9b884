"""How the server of a repository is started over ssh, and what it means when ssh fails."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote, urlsplit

from swhkit.plugin import InvalidUrl, SshKeys, Target, ssh_command

#: What ssh says when it is ssh that has failed, and not the server that it was to start.
_AWAY = re.compile(
    r"Could not resolve|Connection (?:refused|timed out|reset|closed)|No route to host|Network is unreachable"
    r"|Host key verification failed|Permission denied \(|Too many authentication failures"
    r"|^(?:ssh|kex_exchange_identification|client_loop): |^Timeout, server |^Received disconnect from ",
    re.MULTILINE,
)


def server_command(target: Target, keys: SshKeys) -> list[str]:
    """The command that starts ``hg serve`` at a checked ssh target, at the address that was checked."""
    user, at, _ = urlsplit(target.url).netloc.rpartition("@")
    place = f"{unquote(user.partition(':')[0])}{at}{target.host}"
    server = f"hg -R {shlex.quote(_path(target))} serve --stdio"
    return [*ssh_command(target, keys), "-T", "--", place, server]


def is_away(stderr: str) -> bool:
    """Whether no connection came about, by what was said."""
    return _AWAY.search(stderr) is not None


def _path(target: Target) -> str:
    """The path on the other side: one slash belongs to the URL, a second begins an absolute path."""
    path = target.scp.partition(":")[2] if target.scp else unquote(urlsplit(target.url).path)[1:]
    if path.startswith("-"):
        raise InvalidUrl(f"{target.url}: a path that begins with '-' is not given to another machine")
    return path or "."
