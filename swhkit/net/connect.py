"""Connections to the very addresses that were checked, for our own clients and for programs that are given a URL."""

from __future__ import annotations

import socket
import time

from swhkit.net.addresses import as_address
from swhkit.net.policy import Target
from swhkit.net.urls import PORTS

#: How many of a host's addresses are tried, and the seconds one may take.
_TRIED, _SECONDS = 8, 30.0


def port_of(target: Target) -> int:
    """The port to connect to; that of the scheme where the URL gives none."""
    return target.port or PORTS[target.scheme]


def dial(target: Target, deadline: float | None = None) -> socket.socket:
    """A TCP connection to the first of a target's checked addresses that answers; by name where none was resolved.

    ``deadline`` is a ``time.monotonic()``. The socket keeps the time-out of the attempt. Raises ``OSError``.
    """
    first: OSError | None = None
    for place in target.addresses[:_TRIED] or (target.host or "",):
        left = _SECONDS if deadline is None else min(_SECONDS, deadline - time.monotonic())
        if left <= 0:
            break
        try:
            return socket.create_connection((place, port_of(target)), left)
        except OSError as error:
            first = first or error
    raise first or TimeoutError("its time was up")


def pinned_url(target: Target) -> str:
    """The URL to give to a program that looks names up itself: its host is the address that was checked.

    For protocols that do not name the host again once connected (svn, git, pserver, bzr, rsync). IPv4 is preferred:
    the program is given one address only, and fewer machines are without it. Where nothing was resolved (private
    addresses are allowed, or the host is an address) it is the target's own URL. Raises ``ValueError`` for http and
    https, whose servers and certificates go by the name: send these through ``swhkit.egress``.
    """
    if target.scheme in ("http", "https"):
        raise ValueError(f"{target.scheme} servers go by their name")
    if not target.addresses or target.host is None or as_address(target.host) is not None:
        return target.url
    address = min(target.addresses, key=lambda address: ":" in address)
    place = f"[{address}]" if ":" in address else address
    head, _, rest = target.url.partition("://")
    end = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    userinfo, at, _ = rest[:end].rpartition("@")
    port = f":{target.port}" if target.port else ""
    return f"{head}://{userinfo}{at}{place}{port}{rest[end:]}"
