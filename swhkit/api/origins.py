"""``origin/``: origins by URL, their visits. URLs stand raw in the path and are greedy: the order of routes counts."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import clean
from swhkit.api.parameters import boolean, integer, number, origin_urls, soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import FLAG, array, ref

VISITS_MAX = 100


def origin(call: Call) -> Data:
    """An origin by its URL.

    The URL stands in the path as it is, or percent-encoded, which one with a ``?`` has to be. It must be the very one
    that was archived: a slash more or less is another origin.
    """
    return Data(shapes.origin(call.links, query.origin(call.archive, origin_urls(call.parameters["url"]))))


def visits(call: Call) -> Data:
    """The visits of an origin, newest first.

    ``last_visit`` is a number: visits with lower ones follow. The ``Link`` header leads to the next page whenever this one
    is full, so the last page may be empty. ``snapshot`` is null for visits that ended without one, or have not ended.
    """
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
    """The latest visit of an origin, of any status.

    With ``require_snapshot`` the latest that ended with a snapshot. 404 also where the origin has no such visit.
    """
    visit_type = call.query.get("visit_type")
    found = query.latest_visit(
        call.archive,
        origin_urls(call.parameters["url"]),
        visit_type=None if visit_type is None else clean(visit_type),
        require_snapshot=boolean(call.query, "require_snapshot"),
    )
    return Data(shapes.visit(call.links, found))


def visit(call: Call) -> Data:
    """A visit of an origin by its number, which counts from 1."""
    urls = origin_urls(call.parameters["url"])
    return Data(shapes.visit(call.links, query.visit(call.archive, urls, number(call.parameters["visit"]))))


_CATEGORY = "Origin"
VISITS_PARAMETERS = (
    Parameter(
        "per_page",
        f"how many visits a page has: 1 to {VISITS_MAX}, the nearest of which counts",
        {"type": "integer", "default": 10},
    ),
    Parameter("last_visit", "the number of the visit to go on after", {"type": "integer"}),
)
ROUTES = (
    Route(
        "origin",
        "origin/{url:origin}/get/",
        origin,
        category=_CATEGORY,
        answer=ref("Origin"),
        refusals=(404,),
        doc="origin",
    ),
    Route(
        "origin-visits",
        "origin/{url:origin}/visits/",
        visits,
        category=_CATEGORY,
        query=VISITS_PARAMETERS,
        answer=array(ref("ListedVisit")),
        paged=True,
    ),
    Route(
        "origin-visit-latest",
        "origin/{url:origin}/visit/latest/",
        latest,
        category=_CATEGORY,
        query=(
            Parameter(
                "require_snapshot",
                "whether it must have ended with a snapshot",
                {**FLAG, "default": "false"},
            ),
            Parameter("visit_type", "only visits of this type"),
        ),
        answer=ref("Visit"),
        scope="swh_api_origin_visit_latest",
    ),
    Route(
        "origin-visit",
        "origin/{url:origin}/visit/{visit:number}/",
        visit,
        category=_CATEGORY,
        answer=ref("Visit"),
        refusals=(404,),
    ),
)
