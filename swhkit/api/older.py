"""Origins and visits by number: forms of the web API that older clients use."""

from __future__ import annotations

from swhkit import query
from swhkit.api import older_shapes, shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.origins import VISITS_MAX, VISITS_PARAMETERS
from swhkit.api.parameters import integer, number, origin_urls, soft_integer
from swhkit.api.routing import Route
from swhkit.api.schemas import array, ref


def typed_origin(call: Call) -> Data:
    """An origin by the type of its visits and its URL.

    404 also where the origin is known, but no visit of that type. Newer clients ask for ``origin/(origin_url)/get/``.
    """
    found = query.typed_origin(call.archive, call.parameters["type"], origin_urls(call.parameters["url"]))
    return Data(older_shapes.origin(call.links, found))


def origin(call: Call) -> Data:
    """An origin by its number.

    Numbers differ from archive to archive; ``origin/(origin_url)/get/`` takes the URL. ``type`` is that of the first
    visit.
    """
    found = query.numbered_origin(call.archive, number(call.parameters["id"]))
    return Data(older_shapes.origin(call.links, found))


def visits(call: Call) -> Data:
    """The visits of an origin by its number, newest first.

    As ``origin/(origin_url)/visits/``, but ``origin`` and ``id`` are the number of the origin.
    """
    count = soft_integer(call.query, "per_page", 10, 1, VISITS_MAX)
    before = integer(call.query, "last_visit")
    known, found = query.numbered_visits(call.archive, number(call.parameters["id"]), before, count)
    following = None
    if len(found) == count:
        following = call.link(
            "origin-number-visits",
            {"id": str(known.id)},
            last_visit=found[-1].number,
            per_page=count if "per_page" in call.query else None,
        )
    return Data([older_shapes.visit(call.links, known, visit, listed=True) for visit in found], following)


def visit(call: Call) -> Data:
    """A visit of an origin, both by number, with all branches that it found.

    ``occurrences`` has them by name, as ``snapshot/`` gives them; it is empty for a visit without a snapshot.
    """
    numbers = number(call.parameters["id"]), number(call.parameters["visit"])
    known, found, page = query.numbered_visit(call.archive, *numbers)
    shape = older_shapes.visit(call.links, known, found)
    return Data({**shape, "occurrences": {} if page is None else shapes.branches(call.links, page)})


ROUTES = (
    Route(
        "origin-typed",
        "origin/{type:visit_type}/url/{url:typed_url}/",
        typed_origin,
        category="Origin",
        answer=ref("OlderOrigin"),
        refusals=(404,),
    ),
    Route(
        "origin-number",
        "origin/{id:number}/",
        origin,
        category="Origin",
        answer=ref("OlderOrigin"),
        refusals=(404,),
    ),
    Route(
        "origin-number-visits",
        "origin/{id:number}/visits/",
        visits,
        category="Origin",
        query=VISITS_PARAMETERS,
        answer=array(ref("OlderListedVisit")),
        paged=True,
    ),
    Route(
        "origin-number-visit",
        "origin/{id:number}/visit/{visit:number}/",
        visit,
        category="Origin",
        answer=ref("OlderVisit"),
        refusals=(404,),
    ),
)
