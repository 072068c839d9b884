"""``origin/search/`` and ``origins/``: many origins, in pages."""

from __future__ import annotations

from swhkit import query
from swhkit.api import older_shapes, positions, shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput, ValidationError, clean
from swhkit.api.parameters import boolean, integer, scheme_mended, soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import FLAG, array, ref
from swhkit.search import OriginPage, OriginQuery

FOUND, FOUND_MAX = 70, 1_000
LISTED, LISTED_MAX = 100, 10_000
#: Parameters that the address of the next page repeats.
_KEPT = ("limit", "visit_type", "with_content", "with_visit", "use_ql", "fields", "format")


def search(call: Call) -> Data:
    """Origins whose URLs have all words of a pattern.

    Words are separated by spaces; each occurs somewhere in the URL, in any order and any case. An empty pattern finds
    all origins. ``with_visit`` leaves out origins without any snapshot, ``with_content`` also those whose latest snapshot
    is empty. Origins come in the order in which they were first seen; the ``Link`` header leads to the next page, and
    ``X-Total-Count`` says how many there are in all, or ``None`` where counting would take too long. A page may be short
    of ``limit`` and still have a next one.

    Older clients give ``offset``, or ``regexp`` for a pattern that is a regular expression (RE2's, in any case); they get
    origins with their numbers. 400 for a parameter that is not valid, an expression that is not, or too complex, and a
    ``page_token`` that did not come from a ``Link`` header.
    """
    if boolean(call.query, "use_ql"):
        raise BadInput(
            "Syntax error in search query: there is no query language here, search for plain words"
        )
    wanted = _wanted(call)
    limit = soft_integer(call.query, "limit", FOUND, 1, FOUND_MAX)
    after, offset = 0, max(integer(call.query, "offset") or 0, 0)
    token = call.query.get("page_token")
    if token is not None:
        after, offset = positions.position(token)
    found = query.search(call.archive, wanted, after, offset, limit)
    older = "offset" in call.query or "regexp" in call.query
    if older:
        data = [older_shapes.origin(call.links, one.origin) for one in found.origins]
    else:
        data = [shapes.found_origin(call.links, one) for one in found.origins]
    following = _next(call, found, offset + limit if older and token is None else None, limit)
    return Data(data, following, headers={"X-Total-Count": str(found.total)})


def _wanted(call: Call) -> OriginQuery:
    pattern = scheme_mended(call.parameters["pattern"])
    expression = boolean(call.query, "regexp")
    visit_type = call.query.get("visit_type")
    return OriginQuery(
        words=() if expression else tuple(pattern.split()),
        regexp=clean(pattern) if expression else None,
        visit_type=None if visit_type is None else clean(visit_type),
        with_visit=boolean(call.query, "with_visit"),
        with_content=boolean(call.query, "with_content"),
    )


def _next(call: Call, found: OriginPage, offset: int | None, limit: int) -> str | None:
    """The next page: by ``offset`` for older clients, as long as pages are full; else by a token."""
    if found.next is None:
        return None
    kept = {name: call.query[name] for name in _KEPT if name in call.query}
    regexp = call.query.get("regexp")
    if offset is not None and len(found.origins) == limit:
        kept["limit"] = str(limit)
        return call.here("origin-search", **kept, offset=offset, regexp=regexp)
    token = positions.token(found.next, found.offset)
    return call.here(
        "origin-search", **kept, offset=call.query.get("offset"), regexp=regexp, page_token=token
    )


def origins(call: Call) -> Data:
    """All origins, in the order in which they were first seen.

    The ``Link`` header leads to the next page. Older clients give ``origin_from``, the number of the first origin they
    want: then origins have their numbers, and ``Link`` also leads to the previous page. 400 for a ``page_token`` that did
    not come from a ``Link`` header.
    """
    count = soft_integer(call.query, "origin_count", LISTED, 1, LISTED_MAX)
    if "origin_from" in call.query:
        return _numbered(call, count)
    token = call.query.get("page_token")
    after = 0 if token is None else positions.position(token)[0]
    found, more = query.origins(call.archive, after, count)
    following = None
    if more is not None:
        following = call.link("origins", {}, origin_count=count, page_token=positions.token(found[-1].id))
    return Data([shapes.origin(call.links, one) for one in found], following)


def _numbered(call: Call, count: int) -> Data:
    try:
        first = max(integer(call.query, "origin_from") or 1, 1)
    except ValidationError:
        raise BadInput("Please use the Link header to browse through result") from None
    found, more = query.origins(call.archive, first - 1, count)
    following, previous = None, None
    if more is not None:
        following = call.link("origins", {}, origin_count=count, origin_from=more)
    if found and found[0].id > 1:
        before = max(1, found[0].id - count)
        previous = call.link("origins", {}, origin_count=count, origin_from=before)
    return Data([older_shapes.origin(call.links, one) for one in found], following, previous)


_TOKEN = Parameter("page_token", "where the page begins, as a Link header has said")
_FLAG = {**FLAG, "default": "false"}
ROUTES = (
    Route(
        "origins",
        "origins/",
        origins,
        category="Origin",
        query=(
            Parameter(
                "origin_count",
                f"how many origins a page has: 1 to {LISTED_MAX}, the nearest of which counts",
                {"type": "integer", "default": LISTED},
            ),
            _TOKEN,
            Parameter(
                "origin_from", "the number of the first origin, for older clients", {"type": "integer"}
            ),
        ),
        answer=array({"anyOf": [ref("Origin"), ref("OlderOrigin")]}),
        refusals=(400,),
        paged=True,
    ),
    Route(
        "origin-search",
        "origin/search/{pattern:pattern}/",
        search,
        category="Origin",
        query=(
            Parameter(
                "limit",
                f"how many origins a page has: 1 to {FOUND_MAX}, the nearest of which counts",
                {"type": "integer", "default": FOUND},
            ),
            _TOKEN,
            Parameter("with_visit", "only origins that have a snapshot", _FLAG),
            Parameter("with_content", "only origins whose latest snapshot is not empty", _FLAG),
            Parameter("visit_type", "only origins that have had a visit of this type"),
            Parameter("use_ql", "whether the pattern is in a query language; there is none here", _FLAG),
            Parameter(
                "offset",
                "how many origins to skip, for older clients",
                {"type": "integer", "minimum": 0, "default": 0},
            ),
            Parameter("regexp", "whether the pattern is a regular expression, for older clients", _FLAG),
        ),
        answer=array({"anyOf": [ref("FoundOrigin"), ref("OlderOrigin")]}),
        refusals=(400,),
        scope="swh_api_origin_search",
        paged=True,
    ),
)
