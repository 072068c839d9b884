"""Origins: by URL, by number, listed, searched.

Only another swhkit gives its origins numbers. Where there are none, an origin has one made from its URL, above 2^62, the
same everywhere and always; and lists are counted: the n-th origin listed has the number n there.
"""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote

from swhkit.errors import InvalidInput, Unreachable
from swhkit.manifest import origin_digest
from swhkit.model import Origin
from swhkit.storage import FoundOrigin, OriginPage, OriginQuery
from swhkit_remote.answers import NoEndpoint, NotThere, Refused
from swhkit_remote.client import Client
from swhkit_remote.memory import Memory
from swhkit_remote.paging import PAGES_MAX, next_query
from swhkit_remote.shapes import FoundJson, OriginJson

#: Numbers made from URLs begin here.
MADE = 1 << 62
HUGE = 1 << 63
#: Origins that the web API lists, and finds, at once.
PAGE, FOUND_MAX = 1000, 1000
#: Origins met, and places in lists, that are remembered.
REMEMBERED = 100_000
_SEARCH = "swh_api_origin_search"

Query = dict[str, str | int]


def quoted(url: str) -> str:
    """An origin URL in a path: its slashes stay, everything that could end or change the path is escaped."""
    return quote(url.encode("utf-8", "surrogateescape"), safe="/:@!$&'()*+,;=~")


def made_number(url: str) -> int:
    """The number of an origin where the archive gives none: 62 bits of the SHA-1 of its URL, above ``MADE``."""
    return MADE | (int.from_bytes(origin_digest(url)[:8]) >> 2)


class Origins:
    """The part of the catalog on origins."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: URLs of origins met, by made number and by digest; and where pages of lists and searches begin.
        self._met: Memory[int | bytes, str] = Memory(REMEMBERED)
        self._numbers: Memory[str, int] = Memory(REMEMBERED)
        self._pages: Memory[int, str] = Memory(REMEMBERED)
        self._places: Memory[tuple[OriginQuery, int], Query] = Memory(REMEMBERED)
        #: Whether the archive's origins have numbers: remembered once it has said no.
        self._numbered = True

    def origin(self, url: str) -> Origin | None:
        """As the contract, by exact URL. ``id`` is the archive's number, or made from the URL where it has none."""
        self._client.check_open()
        if not url:
            return None
        try:
            told, _ = self._client.json(f"origin/{quoted(url)}/get/", OriginJson)
        except NotThere:
            return None
        return self._origin(told, ask=True) if told.url == url else None

    def origin_by_id(self, id: int) -> Origin | None:
        """As the contract. A number made from a URL is known only if the origin was met before."""
        self._client.check_open()
        if not 1 <= id < HUGE:
            return None
        if id >= MADE:
            url = self._met.find(id)
            return self.origin(url) if url is not None else None
        try:
            told, _ = self._client.json(f"origin/{id}/", OriginJson)
            return self._origin(told)
        except NotThere:
            return None
        except NoEndpoint:
            found = self.origins(id - 1, 1)
            return found[0] if found and found[0].id == id else None

    def origin_by_digest(self, digest: bytes) -> Origin | None:
        """Origins met before: the web API finds none by digest, and no other question depends on the answer."""
        self._client.check_open()
        url = self._met.find(digest)
        return self.origin(url) if url is not None else None

    def origins(self, after: int = 0, limit: int = 1000) -> list[Origin]:
        """As the contract; where the archive has no numbers, the number is the place in its list."""
        self._client.check_open()
        if limit <= 0 or after >= MADE:
            return []
        after = max(after, 0)
        if self._numbered:
            try:
                return self._by_number(after, limit)
            except (Refused, NoEndpoint):
                self._numbered = False
        return self._by_place(after, limit)

    def search_origins(
        self, query: OriginQuery, *, after: int = 0, offset: int = 0, limit: int = 70
    ) -> OriginPage:
        """What the archive finds, in its own order; ``after`` is the ``next`` of a page of the same search.

        Raises ``InvalidInput`` as the contract, for words and a regular expression at once, and for a page whose
        beginning is no longer remembered.
        """
        self._client.check_open()
        asked = _search_query(query)
        if limit <= 0:
            return OriginPage([], None, None, offset)
        offset = max(offset, 0)
        take = min(offset + limit, FOUND_MAX)
        place = self._search_place(query, after)
        path = f"origin/search/{quoted(query.regexp or ' '.join(query.words))}/"
        try:
            told, headers = self._client.json(
                path, tuple[FoundJson, ...], {**asked, **place, "limit": take}, scope=_SEARCH
            )
        except Refused as error:
            raise InvalidInput(str(error)) from None
        if len(told) > take:
            raise Unreachable(f"{self._client.url} found more origins than were asked for")
        skipped, following = min(offset, len(told)), next_query(headers, self._client.url)
        end = None
        if following is not None:
            end = max(after, 0) + max(len(told), 1)
            self._places.keep((query, end), {**following})
        total = headers.get("X-Total-Count") or ""
        return OriginPage(
            [self._found(one) for one in told[skipped:]],
            int(total) if total.isascii() and total.isdigit() and len(total) < 19 else None,
            end,
            offset - skipped,
        )

    # --- lists ---

    def _by_number(self, after: int, limit: int) -> list[Origin]:
        found: list[Origin] = []
        while len(found) < limit:
            count = min(PAGE, limit - len(found))
            told, _ = self._client.json(
                "origins/", tuple[OriginJson, ...], {"origin_from": after + 1, "origin_count": count}
            )
            if any(one.id is None for one in told):
                raise Refused(f"{self._client.url} has no numbers for its origins")
            page = [self._origin(one) for one in told]
            ids = [after, *(origin.id for origin in page)]
            if any(a >= b for a, b in pairwise(ids)) or len(page) > count:
                raise Unreachable(f"{self._client.url} lists its origins out of order")
            found += page
            if not page:
                break
            after = page[-1].id
        return found

    def _by_place(self, after: int, limit: int) -> list[Origin]:
        """The list from its ``after``-th origin on. Pages lie where the first walk found them."""
        found: list[Origin] = []
        for number in range(after // PAGE, PAGES_MAX):
            page = self._listed(number)
            if page is None:
                break
            start = max(after - number * PAGE, 0)
            for place, told in enumerate(page[start:], start + number * PAGE + 1):
                if len(found) < limit:
                    found.append(Origin(place, told.url, told.types))
            if len(found) >= limit or len(page) < PAGE:
                break
        return found

    def _listed(self, number: int) -> tuple[OriginJson, ...] | None:
        """Page ``number`` of the list; None beyond its end. Unknown places are walked to from the nearest known one."""
        known = number
        while known and self._pages.find(known) is None:
            known -= 1
        for page in range(known, number + 1):
            token = self._pages.find(page) if page else ""
            if token is None:
                return None
            query: Query = {"origin_count": PAGE, **({"page_token": token} if token else {})}
            told, headers = self._client.json("origins/", tuple[OriginJson, ...], query)
            following = (next_query(headers, self._client.url) or {}).get("page_token")
            if following is not None and (len(told) != PAGE or following == token):
                raise Unreachable(f"{self._client.url} lists its origins in uneven pages or in circles")
            if following is not None:
                self._pages.keep(page + 1, following)
        return told

    # --- searches ---

    def _search_place(self, query: OriginQuery, after: int) -> Query:
        """The query parameters by which a search goes on after so many origins."""
        if after <= 0:
            return {}
        place = self._places.find((query, after))
        if place is not None:
            return place
        raise InvalidInput(
            f"the search of {self._client.url} cannot be continued at {after}, which is no longer remembered: "
            f"begin it again"
        )

    def _found(self, told: FoundJson) -> FoundOrigin:
        return FoundOrigin(
            self._origin(told),
            told.nb_visits or 0,
            None if told.snapshot_id is None else bytes.fromhex(told.snapshot_id),
            told.last_visit_date,
            told.last_eventful_visit_date,
        )

    def _origin(self, told: OriginJson, *, ask: bool = False) -> Origin:
        """The origin with its number: as told, as met before, as the archive says if it is to be asked, or made."""
        number = told.id or self._numbers.find(told.url) or (self._asked_number(told) if ask else None)
        if number is None:
            number = made_number(told.url)
            self._met.keep(number, told.url)
        else:
            self._numbers.keep(told.url, number)
        self._met.keep(origin_digest(told.url), told.url)
        return Origin(number, told.url, told.types)

    def _asked_number(self, told: OriginJson) -> int | None:
        if not self._numbered or not told.types:
            return None
        try:
            found, _ = self._client.json(
                f"origin/{quoted(told.types[0])}/url/{quoted(told.url)}/", OriginJson
            )
        except NotThere:
            return None
        except (NoEndpoint, Refused):
            self._numbered = False
            return None
        return found.id if found.url == told.url else None


def _search_query(query: OriginQuery) -> Query:
    if query.regexp is not None and query.words:
        raise InvalidInput(
            "over the web API, origins are searched by words or by a regular expression, not by both"
        )
    flags = {
        "regexp": query.regexp is not None,
        "with_visit": query.with_visit,
        "with_content": query.with_content,
    }
    asked: Query = {name: "true" for name, wanted in flags.items() if wanted}
    if query.visit_type is not None:
        asked["visit_type"] = query.visit_type
    return asked
