"""Asks a web server what git cannot tell us: where it redirects to, when it wants to be asked again, and whether it has a
bundle there.

Git can follow redirects by itself, or not at all; it cannot ask us in between. So it is told not to, and when it
meets one, the same request is made here once, to the address that was checked, and only its head is read. A bundle
on a web server git 2.39 reads only as a file, so that is fetched here too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from swhkit.plugin import (
    Answer,
    Network,
    NotFound,
    Patience,
    Target,
    Unavailable,
    fetch,
    judge_redirect,
    without_secrets,
)
from swhkit_git import BUNDLES

_SUFFIX = "/info/refs"
_QUERY = "service=git-upload-pack"
_BEGIN = len(BUNDLES[0])
#: What some servers know git by.
_AGENT = {"User-Agent": "git/2 (swhkit)"}
#: Statuses of a server that is busy and says that it will pass.
_BUSY = (429, 503)
_ONCE = Patience(attempts=1)


def redirected(network: Network, target: Target, deadline: float | None = None) -> Target:
    """Where the repository at ``target`` is redirected to, checked.

    Raises ``Unavailable`` if that cannot be told, is no repository's address, or is where we may not go.
    """
    shown = without_secrets(target.url)
    with _asked(network, target, deadline) as answer:
        location = answer.location
    if location is None:
        raise Unavailable(f"{shown}: the server first redirects, then answers {answer.status}")
    parts = urlsplit(location)
    if parts.scheme not in ("http", "https") or not parts.path.endswith(_SUFFIX) or parts.query != _QUERY:
        raise Unavailable(f"{shown}: redirected to {location[:300]!r}, which is no git repository's address")
    url = parts._replace(path=parts.path.removesuffix(_SUFFIX), query="", fragment="").geturl()
    return judge_redirect(network, target, url)


def busy_for(network: Network, target: Target, deadline: float | None = None) -> float | None:
    """Seconds after which the server of the repository at ``target``, which has refused git for being busy, wants to be
    asked again; None if it does not say so."""
    try:
        with _asked(network, target, deadline) as answer:
            return answer.retry_after if answer.status in _BUSY else None
    except (NotFound, Unavailable):
        return None


def _asked(network: Network, target: Target, deadline: float | None) -> AbstractContextManager[Answer]:
    """The answer to what git asks for first."""
    place = urlsplit(target.url)
    asked = place._replace(path=f"{place.path.rstrip('/')}{_SUFFIX}", query=_QUERY, fragment="").geturl()
    return fetch(
        network,
        msgspec.structs.replace(target, url=asked),
        headers={**_AGENT, "Git-Protocol": "version=2"},
        deadline=deadline,
        follow=False,
        patience=_ONCE,
    )


def download_bundle(
    network: Network,
    target: Target,
    file: Path,
    limit: int,
    deadline: float | None,
    tell: Callable[[int], None],
) -> bool:
    """Whether a bundle is what a web server gives for ``target``; then it is in ``file``, of ``limit`` bytes at most.

    Redirects are followed, each checked. ``tell`` is told how many bytes have come. Raises ``Unavailable`` when it
    breaks off or leads to where we may not go, ``LimitExceeded``.
    """
    with fetch(network, target, headers=_AGENT, deadline=deadline, patience=_ONCE) as answer:
        if answer.status != 200:
            return False
        size, begin = 0, b""
        with file.open("wb") as output:
            for piece in answer.pieces(limit, "limits.max_pack_size"):
                if len(begin) < _BEGIN:
                    begin = (begin + piece)[:_BEGIN]
                    if not any(line.startswith(begin) for line in BUNDLES):
                        return False
                size += output.write(piece)
                tell(size)
    return begin in BUNDLES
