"""Which addresses belong to the public internet, and those a host has."""

from __future__ import annotations

import ipaddress
import re
import socket

from swhkit.errors import InvalidUrl, Unavailable
from swhkit.net.urls import shown

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: IANA's special-purpose registries, written out: what Python says is "global" has changed between patch releases.
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(n)
    for n in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
#: Inside it: IETF assignments with Teredo and ORCHID, documentation, 6to4 (which embeds any IPv4 address).
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
#: Outside it, but as good as the IPv4 address in the last 32 bits: mapped ones, and NAT64 (RFC 6052).
_EMBEDDING_V6 = tuple(ipaddress.IPv6Network(n) for n in ("::ffff:0:0/96", "64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Whether an IP address (text) belongs to the public internet. A text that is none does not."""
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(value, ipaddress.IPv6Address):
        if value.scope_id is not None:
            return False
        if not any(value in network for network in _EMBEDDING_V6):
            return value in _GLOBAL_V6 and not any(value in network for network in _SPECIAL_V6)
        value = ipaddress.IPv4Address(int(value) & 0xFFFFFFFF)
    return not any(value in network for network in _SPECIAL_V4)


def as_address(host: str) -> _Address | None:
    """The address that a host is written as, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def public_addresses(host: str, port: int | None, url: str, resolve: bool) -> tuple[str, ...]:
    """The addresses of ``host``. Raises ``InvalidUrl`` unless all are public, ``Unavailable`` if it has none."""
    address = as_address(host)
    if address is not None:
        found: tuple[str, ...] = (str(address),)
    elif re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        # 127.1, 2130706433, 0177.0.0.1, 0x7f.1: programs read them as addresses, each in its way.
        raise InvalidUrl(f"{shown(url)}: write the address {host} as four decimal numbers")
    elif host == "localhost" or host.endswith(".localhost"):
        found = ("127.0.0.1",)
    else:
        found = _resolved(host, port, url) if resolve else ()
    private = [text for text in found if not is_public(text)]
    if private:
        raise InvalidUrl(
            f"{shown(url)}: its host is at the private address {private[0]}, which is not allowed here"
        )
    return found


def _resolved(host: str, port: int | None, url: str) -> tuple[str, ...]:
    try:
        records = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{shown(url)}: the host {host} cannot be found: {error}") from error
    found = tuple(dict.fromkeys(str(record[4][0]) for record in records))
    if not found:
        raise Unavailable(f"{shown(url)}: the host {host} has no address")
    return found
