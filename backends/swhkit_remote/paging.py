"""Pages of the other side: where the next one begins, and that they end.

A ``Link`` header has a whole address, perhaps of a host that only the other side knows, or of somebody else's. Only its
query is used, at the address that was asked before: nothing a ``Link`` says leads anywhere else.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from swhkit.errors import Unreachable
from swhkit_remote.pacing import Headers

#: Pages that one question may take; no honest list that is asked for whole has more.
PAGES_MAX = 100_000
_NEXT = re.compile(r"<([^<>]*)>\s*;\s*rel=\"?next\"?")


def next_query(headers: Headers, who: str) -> dict[str, str] | None:
    """The query of the next page, None on the last one. Raises ``Unreachable`` for a ``Link`` that is nonsense."""
    found = _NEXT.search(headers.get("Link") or "")
    if found is None:
        return None
    try:
        pairs = parse_qsl(urlsplit(found[1]).query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        pairs = []
    if not pairs:
        raise Unreachable(f"{who} names a next page that is nowhere")
    return dict(pairs)


class Progress:
    """Notices pages that go in circles. ``who`` names the other side."""

    def __init__(self, who: str) -> None:
        self._who, self._seen = who, set[object]()

    def step(self, place: object) -> None:
        """A next page begins at ``place``. Raises ``Unreachable`` if one began there before."""
        if place in self._seen or len(self._seen) >= PAGES_MAX:
            raise Unreachable(f"{self._who} sends its pages in circles: nothing of them was used")
        self._seen.add(place)
