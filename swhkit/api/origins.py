"""``origin/``: origins by URL, their visits. URLs stand raw in the path and are greedy: the order of routes counts."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import clean
from swhkit.api.parameters import boolean, integer, origin_urls, soft_integer
from swhkit.api.routing import Route

VISITS_MAX = 100


def origin(call: Call) -> Data:
    """An origin."""
    return Data(shapes.origin(call.links, query.origin(call.archive, origin_urls(call.parameters["url"]))))


def visits(call: Call) -> Data:
    """The visits of an origin, newest first."""
    count = soft_integer(call.query, "per_page", 10, 1, VISITS_MAX)
    before = integer(call.query, "last_visit")
    found = query.visits(call.archive, origin_urls(call.parameters["url"]), before, count)
    following = None
    if len(found) == count:
        following = call.link(
            "origin-visits",
            {"url": found[-1].origin},
            last_visit=found[-1].number,
            per_page=count if "per_page" in call.query else None,
        )
    return Data([shapes.visit(call.links, visit, listed=True) for visit in found], following)


def latest(call: Call) -> Data:
    """The latest visit of an origin."""
    visit_type = call.query.get("visit_type")
    found = query.latest_visit(
        call.archive,
        origin_urls(call.parameters["url"]),
        visit_type=None if visit_type is None else clean(visit_type),
        require_snapshot=boolean(call.query, "require_snapshot"),
    )
    return Data(shapes.visit(call.links, found))


def visit(call: Call) -> Data:
    """A visit of an origin by its number."""
    urls = origin_urls(call.parameters["url"])
    # Python reads only so many digits; no visit has a number of twenty.
    number = int(call.parameters["visit"][:20])
    return Data(shapes.visit(call.links, query.visit(call.archive, urls, number)))


ROUTES = (
    Route("origin", "origin/{url:url}/get/", origin),
    Route("origin-visits", "origin/{url:url}/visits/", visits),
    Route("origin-visit-latest", "origin/{url:url}/visit/latest/", latest),
    Route("origin-visit", "origin/{url:url}/visit/{visit:number}/", visit),
)
