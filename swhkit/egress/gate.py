"""Who may be connected to, and how much may come and go."""

from __future__ import annotations

import threading

import msgspec

from swhkit.errors import InvalidUrl, LimitExceeded
from swhkit.net import Network, Target, port_of
from swhkit.net.urls import PORTS, host_and_port

#: How many destinations one visit may name.
_DESTINATIONS = 1000


class Refused(Exception):
    """A destination that may not be connected to; the text is one sentence."""


class Gate:
    """Judges the destinations of one visit, each once: a name keeps the addresses it had. For use by many threads."""

    def __init__(self, network: Network, target: Target, limit: int, limit_name: str) -> None:
        self._network, self._target = network, target
        self._limit, self._limit_name = limit, limit_name
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Target | str] = {}
        self.bytes = 0
        self.refused: list[str] = []

    @property
    def tunnelled(self) -> str:
        """The scheme that what goes through a tunnel is judged as."""
        return "rsync" if self._target.scheme == "rsync" else "https"

    def judge(self, scheme: str, place: str) -> Target:
        """The target at ``place`` (``HOST`` or ``HOST:PORT``), with the addresses to connect to.

        Raises ``Refused``, and ``Unavailable`` when the host cannot be found.
        """
        with self._lock:
            known = self._known.get((scheme, place))
        if known is None:
            known = self._judged(scheme, place)
            with self._lock:
                known = self._known.setdefault((scheme, place), known)
                if isinstance(known, str) and known not in self.refused:
                    self.refused.append(known)
        if isinstance(known, str):
            raise Refused(known)
        return known

    def _judged(self, scheme: str, place: str) -> Target | str:
        if len(self._known) >= _DESTINATIONS:
            return f"more than {_DESTINATIONS} servers were asked for"
        url = f"{scheme}://{place}/"
        try:
            host, port = host_and_port(place, url)
            ours = host == self._target.host and self._network.allows(scheme)
            if ours and (port or PORTS[scheme]) in (port_of(self._target), PORTS[scheme]):
                return msgspec.structs.replace(self._target, url=url, scheme=scheme, port=port)
            return self._network.with_cli(False).check(url)
        except InvalidUrl as error:
            return str(error)

    def count(self, size: int) -> None:
        """Take note of so many bytes that come or go. Raises ``LimitExceeded`` from the limit on."""
        with self._lock:
            self.bytes += size
        if error := self.exceeded():
            raise error

    def exceeded(self) -> LimitExceeded | None:
        """The error that ends the visit once more has come and gone than may."""
        if self.bytes <= self._limit:
            return None
        return LimitExceeded(
            f"{self._target.host}: more than {self._limit} bytes have come ({self._limit_name}), so it was stopped"
        )
