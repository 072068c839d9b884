"""The catalog of another archive over its web API.

What the web API does not tell is an empty answer only where that claims nothing (no tips recorded as closed, no gaps
recorded that would excuse anything); lists that it cannot give raise ``InvalidInput``, which says so. Nothing is kept but
places in lists; a cache would stand before this reader, with the same protocol.
"""

from __future__ import annotations

from collections.abc import Iterable

from swhkit.errors import Unreachable
from swhkit.storage import COUNTERS
from swhkit.swhid import ObjectId
from swhkit_remote.client import Client
from swhkit_remote.contents import Contents
from swhkit_remote.facts import Facts
from swhkit_remote.origins import Origins
from swhkit_remote.shapes import Number
from swhkit_remote.snapshots import Snapshots
from swhkit_remote.visits import Visits


class RemoteCatalog(Contents, Snapshots, Origins, Visits, Facts):
    """A ``CatalogReader`` over the web API; see ``swhkit.storage`` for what each method promises."""

    def __init__(self, client: Client) -> None:
        for part in (Contents, Snapshots, Origins, Visits, Facts):
            part.__init__(self, client)

    def counters(self) -> dict[str, int]:
        """As the archive counts; 0 for what it does not count."""
        self._client.check_open()
        told, _ = self._client.json("stat/counters/", dict[str, Number])
        if not told.keys() & set(COUNTERS):
            raise Unreachable(f"{self._client.url} does not tell what it counts")
        return {name: told.get(name, 0) for name in COUNTERS}

    def closed(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """None: no graph was checked from here."""
        self._client.check_open()
        for _ in ids:
            pass
        return set()

    def likely_tips(self, url: str, limit: int) -> list[ObjectId]:
        """None, as ``closed``."""
        del url, limit
        self._client.check_open()
        return []

    def close(self) -> None:
        """As the contract."""
        self._client.close()
