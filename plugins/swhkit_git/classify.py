"""What git's words on stderr mean for a visit.

Git has one exit code for everything that goes wrong with a remote; only its texts (in the C locale) tell a repository
that is not there from a server that is away, from one that cannot read its own objects.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from swhkit.plugin import NotFound, Unavailable, without_secrets

_LONGEST = 400


class Failure(Enum):
    """What has failed, by what there is to do about it."""

    GONE = auto()  #: the repository is not there, or not for everybody
    REDIRECT = auto()  #: an HTTP redirect, which git was told not to follow
    AWAY = auto()  #: no connection, or the server turns us away: later, perhaps
    REFUSED = auto()  #: this machine, or git's own safeguards, refuse: trying in another way must not help
    NOT_OURS = auto()  #: the server does not have (or no longer gives) one object that it named
    LACKING = auto()  #: what came is not whole together with what we said to have
    BROKEN = auto()  #: the server could not make or send the pack, or anything else


#: Our index-pack has ended without a word: it was killed here (memory, a limit of file sizes).
_KILLED = re.compile(r"\A(?:(?!(?:fatal|error): ).*\n)*fatal: fetch-pack: invalid index-pack output\s*\Z")
#: The first that matches counts. What the far side says of itself stands after ``remote:``, git's own words do not.
_TEXTS: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    (Failure.REFUSED, _KILLED),
    (
        Failure.REFUSED,
        re.compile(
            r"SHA1 COLLISION|part of a collision attack|transport '.*' not allowed"
            r"|^(?:fatal|error): .*(?:No space left on device|Disk quota exceeded|Cannot allocate memory)"
            r"|^(?:fatal|error): .*(?:File too large|index-pack died of signal)"
            r"|^fatal: Out of memory",
            re.MULTILINE,
        ),
    ),
    (Failure.REDIRECT, re.compile(r"requested URL returned error: 30[12378]\b")),
    (
        Failure.GONE,
        re.compile(
            r"requested URL returned error: (?:401|403|404|410|451)\b|^fatal: repository '.*' not found"
            r"|^fatal: could not read (?:Username|Password)|^fatal: Authentication failed"
            r"|^remote: [Rr]epository (?:not found|unavailable)"
            r"|^(?:remote: )?(?:ERROR:|fatal: remote error:) .*(?:not found|not be found|unavailable)",
            re.MULTILINE,
        ),
    ),
    (
        Failure.AWAY,
        re.compile(
            r"requested URL returned error: \d|Could not resolve|unable to look up|[Ff]ailed to connect"
            r"|[Uu]nable to connect|Couldn't connect|Connection (?:refused|timed out)|[Oo]peration timed out"
            r"|Network is unreachable|No route to host|SSL|TLS|certificate|Host key verification failed"
            r"|Permission denied \(|does not appear to be a git repository|repository not exported"
            r"|^(?:ssh|kex_exchange_identification|client_loop): |^Connection (?:closed|reset) by "
            r"|^Timeout, server .* not responding|^Received disconnect from ",
            re.MULTILINE,
        ),
    ),
    (
        Failure.NOT_OURS,
        re.compile(
            r"not our ref|couldn't find remote ref [0-9a-f]{40}|not allow request for unadvertised object"
        ),
    ),
    (
        Failure.LACKING,
        re.compile(
            r"did not send all necessary objects|unresolved deltas|prerequisite commit"
            r"|^(?:error|fatal): (?:[Mm]issing \w+|bad object|Failed to traverse|[Cc]ould not read [0-9a-f]{40})",
            re.MULTILINE,
        ),
    ),
)
_NAMED = re.compile(r"(?:not our ref|remote ref|unadvertised object) ([0-9a-f]{40})\b")
_NOISE = re.compile(
    r"^(?:warning:|hint:|Please make sure you have|and the repository exists|fatal: Could not read from remote)"
    r"|unable to read askpass"
)
#: What ssh, and git of a full disk, say, and what there is to do about it.
_ADVICE = (
    (
        _KILLED,
        "git was killed on this machine while it indexed what came (signal 9 for memory, 25 for file sizes)",
    ),
    (
        re.compile(
            r"^(?:fatal|error): .*(?:No space left on device|Disk quota exceeded|File too large)",
            re.MULTILINE,
        ),
        "what came could not be written on this machine: make room, then visit it again",
    ),
    (
        re.compile(r"^Host key verification failed", re.MULTILINE),
        "ssh does not know the server's host key, or knows another: check the key, and put it into the known_hosts"
        " file (your own, or that of loaders.git.ssh_config)",
    ),
    (
        re.compile(r"Permission denied \(", re.MULTILINE),
        "the server takes none of the keys that ssh has here: your own and your agent's where you load at the"
        " shell, or those of loaders.git.ssh_config",
    ),
)


def failure_of(stderr: str) -> Failure:
    """What the words of a git that has failed say."""
    for failure, pattern in _TEXTS:
        if pattern.search(stderr):
            return failure
    return Failure.BROKEN


def named_object(stderr: str) -> bytes | None:
    """The 20-byte digest of the object a server says it does not have, if it says so."""
    match = _NAMED.search(stderr)
    return bytes.fromhex(match[1]) if match else None


def words_of(stderr: str) -> str:
    """Git's words as one short line for a person; credentials in URLs are masked."""
    lines = [" ".join(line.split()) for line in without_secrets(stderr).splitlines()]
    said = list(dict.fromkeys(filter(None, lines)))
    telling = [line for line in said if not _NOISE.search(line)] or said
    text = "; ".join(telling[:3]) or "git said nothing"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def visit_error(url: str, stderr: str) -> NotFound | Unavailable:
    """The error that ends a visit of ``url`` for which git has failed with these words."""
    failure, words, url = failure_of(stderr), words_of(stderr), without_secrets(url)
    if failure is Failure.GONE:
        return NotFound(f"{url}: there is no repository that everybody may read ({words})")
    for pattern, advice in _ADVICE:
        if pattern.search(stderr):
            return Unavailable(f"{url}: {advice} ({_line_of(stderr, pattern)})")
    return Unavailable(f"{url}: git could not read the repository ({words})")


def _line_of(stderr: str, pattern: re.Pattern[str]) -> str:
    """The line that tells, shortened."""
    return words_of(next((line for line in stderr.splitlines() if pattern.search(line)), stderr))
