"""Who a request comes from, and under which name they called us, when proxies stand in front.

What a proxy says of a client is believed only from addresses that the configuration trusts. The chain of hops is read
from the right: it ends at the first address that is not such a proxy, because what stands left of it is whatever that
client wrote. ``X-Forwarded-For`` counts where there is one, else ``Forwarded`` (RFC 7239).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

import msgspec

Network = IPv4Network | IPv6Network
#: A host with or without a port, as it may stand in a link.
HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", re.ASCII)
#: An address as proxies write it: bare, or with a port, or an IPv6 one in brackets.
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9A-Fa-f:.]+)", re.ASCII)
#: One element of ``Forwarded`` up to the next comma, and one of its pairs; quoted texts may have commas. Linear in time:
#: nothing is given back, and a quote that is never closed reaches to the end.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
_PAIR = re.compile(r'\s*+([A-Za-z]++)=(?:"((?:[^"\\]|\\.)*+)"\s*+|([^";]*+))(?:;|\Z)')
_SCHEMES = ("http", "https")
#: Hops that are followed, characters of ``Forwarded`` that are read, and of one address.
_HOPS, _LENGTH, _LONGEST = 32, 16_384, 100


class Headers(Protocol):
    """The headers of a request, several of one name perhaps."""

    def getall(self, name: str, default: list[str], /) -> Sequence[str]:
        """All values of a name, in any case, in the order in which they came."""


class Client(msgspec.Struct, frozen=True):
    """Who asks: an IP ``address`` (``unknown`` without one), and the scheme and host that a trusted proxy says were
    asked for (None: it says nothing). Who is ``hidden`` came through a proxy that is not trusted, or does not tell: the
    address is the proxy's, and opens no doors."""

    address: str
    scheme: str | None = None
    host: str | None = None
    hidden: bool = False


class _Hop(msgspec.Struct, frozen=True):
    """What one proxy says: who asked it (None: it does not tell), by which scheme and host."""

    address: str | None
    scheme: str | None = None
    host: str | None = None


class Clients:
    """Tells clients behind the ``trusted`` proxies (addresses and networks as text) apart.

    Raises ``ValueError`` for what is no network.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = Networks(trusted)

    def of(self, peer: str | None, headers: Headers) -> Client:
        """The client of a request that ``peer``, the other end of the connection, has sent."""
        address = canonical(peer or "")
        if address is None:
            return Client("unknown")
        if address not in self._trusted:
            return Client(address, hidden=_are_forwarded(headers))
        client = self._through(address, _hops(headers))
        hidden = client.address == address and _are_forwarded(headers)
        return msgspec.structs.replace(client, hidden=True) if hidden else client

    def trusts(self, peer: str | None) -> bool:
        """Whether ``peer``, the other end of a connection, is one of the trusted proxies."""
        return (canonical(peer or "") or "") in self._trusted

    def _through(self, address: str, hops: Iterable[_Hop]) -> Client:
        """Follow the hops, nearest first, as far as they are trusted."""
        scheme = host = None
        for hop in hops:
            # The hop nearest to the client knows best what the client asked for.
            scheme, host = hop.scheme or scheme, hop.host or host
            if hop.address is None:
                break
            address = hop.address
            if address not in self._trusted:
                break
        return Client(address, scheme, host)


class Networks:
    """A few networks, for the question whether an address is in one of them. Raises ``ValueError`` for what is none."""

    def __init__(self, ranges: Sequence[str]) -> None:
        self._networks: list[Network] = [ip_network(text) for text in ranges]
        self._held = lru_cache(maxsize=4096)(self._holds)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._held(address)

    def _holds(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)


@lru_cache(maxsize=4096)
def canonical(text: str) -> str | None:
    """An IP address in its usual form, without port and zone; IPv4 inside IPv6 is IPv4. None if it is none."""
    address = _parsed(text.partition("%")[0])
    return None if address is None else str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _hops(headers: Headers) -> Iterator[_Hop]:
    """What the proxies say, the nearest first."""
    chain = _listed(headers, "X-Forwarded-For")
    if not chain and (elements := _elements(headers)):
        yield from map(_element, reversed(elements))
        return
    schemes, hosts = _listed(headers, "X-Forwarded-Proto"), _listed(headers, "X-Forwarded-Host")
    for number, node in enumerate(reversed(chain or [""]), start=1):
        # A proxy either appends to these two as well, or keeps the one value that it was given or has set.
        yield _Hop(_node(node), _scheme(_nth(schemes, number)), _host(_nth(hosts, number)))


def _are_forwarded(headers: Headers) -> bool:
    return bool(headers.getall("X-Forwarded-For", []) or headers.getall("Forwarded", []))


def _listed(headers: Headers, name: str) -> list[str]:
    """The last values of a header that is a list."""
    values = headers.getall(name, [])
    return [part.strip() for part in ",".join(values).rsplit(",", _HOPS)[-_HOPS:]] if values else []


def _nth(values: Sequence[str], number: int) -> str:
    """The ``number``-th value from the right, the first one if there are fewer; empty if there is none."""
    return values[-min(number, len(values))] if values else ""


def _elements(headers: Headers) -> list[str]:
    text = ",".join(headers.getall("Forwarded", []))
    return _ELEMENT.findall(text)[-_HOPS:] if len(text) <= _LENGTH else []


def _element(text: str) -> _Hop:
    pairs: dict[str, str] = {}
    position = 0
    while (found := _PAIR.match(text, position)) is not None:
        value = found[3].strip() if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        pairs.setdefault(found[1].lower(), value)
        position = found.end()
    if position != len(text):  # a client may have left a quote open, to make its own words of the proxy's
        return _Hop(None)
    return _Hop(_node(pairs.get("for", "")), _scheme(pairs.get("proto", "")), _host(pairs.get("host", "")))


def _node(text: str) -> str | None:
    if len(text) > _LONGEST:
        return None
    found = _NODE.fullmatch(text.partition("%")[0])
    return canonical(found[1] or found[2] or found[3]) if found else None


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in _SCHEMES else None


def _host(text: str) -> str | None:
    return text if HOST.fullmatch(text) else None
