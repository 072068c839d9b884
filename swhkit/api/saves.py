"""``origin/save/``: requests to save code, what became of them, and their review."""

from __future__ import annotations

import datetime

from swhkit import saving
from swhkit.api import bodies
from swhkit.api.answers import Data
from swhkit.api.calls import Call, User
from swhkit.api.desks import desk_of
from swhkit.api.errors import BadInput, ValidationError, clean
from swhkit.api.paging import never_cached
from swhkit.api.parameters import integer, kept_number, scheme_mended, soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import TEXT, array, choice, ref
from swhkit.api.shapes import moment
from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.requests.saves import Artifact, SaveRequest, SaveStatus
from swhkit.saving import Asker, Standing

#: Permissions whose bearers need no review; staff has both by rank.
PRIVILEGES = ("swh.ambassador", "swh.web.api.save_origin")
LISTED, LISTED_MAX = 100, 1_000
_DECISIONS = ("accept", "reject")


def origin(call: Call) -> Data:
    """Requests to save an origin: ask by POST, see what became of it by GET.

    Types are ``bzr``, ``cvs``, ``git``, ``hg``, ``svn`` and ``tarball``; ``archives`` (files of a package, which are
    listed in the body) for those whose requests need no review. POST answers with the request, which is an earlier one as
    long as that has not been worked on; GET with an array of all of them, newest first. A ``pending``
    request waits for somebody to decide on it; the task of an accepted one (``save_task_status``) goes from ``pending``
    over ``scheduled`` and ``running`` to ``succeeded`` or ``failed``; ``not yet scheduled`` and ``succeed`` are older words
    for the first and the last but one.

    400 for a type or URL that cannot be saved, 403 for an origin that is not wanted here, 404 where nobody has asked.
    """
    url = scheme_mended(clean(call.parameters["url"])).replace(" ", "%20")
    return _origin(call, url, clean(call.parameters["type"]))


def origin_by_query(call: Call) -> Data:
    """The same by query parameters, which suit URLs that have a query themselves.

    A POST may also have ``visit_type`` and ``origin_url`` in its body.
    """
    fields = call.query
    if call.method == "POST" and not {"visit_type", "origin_url"} <= fields.keys():
        given = bodies.parsed(call.body)
        if isinstance(given, dict):
            fields = {**{k: v for k, v in given.items() if isinstance(v, str)}, **fields}
    for name in ("visit_type", "origin_url"):
        if not fields.get(name):
            raise ValidationError(name, "This field is required.")
    visit_type = clean(fields["visit_type"])
    if visit_type not in saving.TYPES:
        raise ValidationError("visit_type", f'"{visit_type}" is not a valid choice.')
    return _origin(call, clean(fields["origin_url"]), visit_type)


def _origin(call: Call, url: str, visit_type: str) -> Data:
    desk, now = desk_of(call), datetime.datetime.now(datetime.UTC)
    if call.method == "POST":
        request = saving.save(
            desk, url, visit_type, asker=asker_of(call.user), artifacts=_artifacts(call, visit_type), now=now
        )
        return _answer(call, desk, request, now)
    found = _known(desk, url, visit_type)
    if not found:
        raise NotHeld(f"No save requests found for visit of type {visit_type} on origin with url {url}.")
    return Data(_shapes(call, desk, found, now), headers=never_cached())


def _known(desk: Desk, url: str, visit_type: str) -> list[SaveRequest]:
    """The requests for an origin. Raises ``InvalidInput`` where there can be none."""
    saves = desk.requests.saves
    try:
        saving.check_type(visit_type, privileged=True)
        return saves.of(saving.checked_url(desk.network(trusted=False), url), visit_type)
    except InvalidInput:
        if found := saves.of(url, visit_type):  # asked for at the shell, which may name any place
            return found
        raise


def request(call: Call) -> Data:
    """A request to save an origin by its number, and what became of it."""
    desk = desk_of(call)
    id = call.parameters["id"]
    found = desk.requests.saves.get(kept_number(id))
    if found is None:
        raise NotHeld(f"No save request found for id {id}.")
    return _answer(call, desk, found, datetime.datetime.now(datetime.UTC))


def review(call: Call) -> Data:
    """The requests to save origins that wait for review, newest first.

    An addition of swhkit. It takes the permission ``swh.ambassador``, or staff. The ``Link`` header leads to older ones.
    """
    desk = desk_of(call)
    limit = soft_integer(call.query, "per_page", LISTED, 1, LISTED_MAX)
    found = desk.requests.saves.latest(SaveStatus.PENDING, before=integer(call.query, "before"), limit=limit)
    following = None
    if len(found) == limit:
        following = call.here("save-review", before=found[-1].id, per_page=limit)
    now = datetime.datetime.now(datetime.UTC)
    return Data(_shapes(call, desk, found, now), following, headers=never_cached())


def decide(call: Call) -> Data:
    """Accept or reject a request that waits for review.

    An addition of swhkit. It takes the permission ``swh.ambassador``, or staff. What is accepted is visited now, and needs
    no review from then on. ``note`` is shown with the request. 400 for a request that was decided on already.
    """
    desk, now = desk_of(call), datetime.datetime.now(datetime.UTC)
    given = bodies.parsed(call.body)
    fields = given if isinstance(given, dict) else {}
    decision, note = fields.get("decision"), fields.get("note", "")
    if decision not in _DECISIONS:
        raise ValidationError("decision", 'Expected "accept" or "reject".')
    if not isinstance(note, str) or len(note) > 10_000:
        raise ValidationError("note", "Expected a text of up to 10000 characters.")
    id, user = kept_number(call.parameters["id"]), None if call.user is None else call.user.name
    found = saving.decide(desk, id, accept=decision == "accept", user=user, note=clean(note), now=now)
    return _answer(call, desk, found, now)


def asker_of(user: User | None) -> Asker | None:
    """Who asks, and whether that needs review."""
    if user is None:
        return None
    return Asker(user.name, user.email, any(map(user.may, PRIVILEGES)))


def _artifacts(call: Call, visit_type: str) -> list[Artifact]:
    """The archive files that a body lists. An entry that is none is one without URL and version."""
    if visit_type != saving.ARCHIVES:
        return []
    given = bodies.parsed(call.body)
    listed = given.get("archives_data") if isinstance(given, dict) else None
    if listed is not None and not isinstance(listed, list):
        raise BadInput("Missing url or version for an artifact to load.")
    return [_artifact(entry) for entry in listed or ()]


def _artifact(entry: object) -> Artifact:
    fields = entry if isinstance(entry, dict) else {}
    url, version = fields.get("artifact_url"), fields.get("artifact_version")
    return Artifact(url if isinstance(url, str) else "", version if isinstance(version, str) else "")


def _answer(call: Call, desk: Desk, found: SaveRequest, now: datetime.datetime) -> Data:
    return Data(shape(call, found, saving.standing(desk, found, now)), headers=never_cached())


def _shapes(
    call: Call, desk: Desk, found: list[SaveRequest], now: datetime.datetime
) -> list[dict[str, object]]:
    standings = saving.standings(desk, found, now)
    return [shape(call, one, standing) for one, standing in zip(found, standings, strict=True)]


def shape(call: Call, request: SaveRequest, standing: Standing) -> dict[str, object]:
    """A request as the web API shows it. ``snapshot_url`` is there only where a snapshot is, ``next_run`` only where
    there is a job."""
    snapshot = None if standing.snapshot is None else standing.snapshot.hex()
    data: dict[str, object] = {
        "id": request.id,
        "origin_url": request.url,
        "visit_type": request.visit_type,
        # The same under the name it had in 2019, which Guix reads.
        "origin_type": request.visit_type,
        "save_request_date": request.date.isoformat(),
        "save_request_status": request.status.value,
        "save_task_status": standing.task_status,
        "visit_status": None if standing.visit_status is None else standing.visit_status.value,
        "visit_date": moment(standing.visit_date),
        "loading_task_id": -1 if request.job is None else request.job,
        "note": request.note or standing.note or "",
        "from_webhook": bool(request.webhook),
        "webhook_origin": request.webhook,
        "snapshot_swhid": None if snapshot is None else f"swh:1:snp:{snapshot}",
        "request_url": call.links.to("save-request", id=request.id),
    }
    if snapshot is not None:
        data["snapshot_url"] = call.links.to("snapshot", id=snapshot)
    if request.job is not None:
        data["next_run"] = moment(standing.next_run)
    return data


_CATEGORY = "Request archival"
_SCOPE = "swh_save_origin"
_ARCHIVES = {
    "type": "object",
    "properties": {
        "archives_data": array(
            {
                "type": "object",
                "properties": {"artifact_url": TEXT, "artifact_version": TEXT},
                "required": ["artifact_url", "artifact_version"],
            }
        )
    },
}
_TYPE = {"type": "string", "enum": list(saving.TYPES)}
_ANSWER = {"anyOf": [ref("SaveRequest"), array(ref("SaveRequest"))]}
_TYPE_WORDS = ", ".join(saving.TYPES)

ROUTES = (
    Route(
        "save-origin-by-query",
        "origin/save/",
        origin_by_query,
        methods=("GET", "POST"),
        category=_CATEGORY,
        query=(
            Parameter("visit_type", f"one of {_TYPE_WORDS}", _TYPE, required=True),
            Parameter("origin_url", "the URL of the origin", required=True),
        ),
        answer=_ANSWER,
        body=_ARCHIVES,
        refusals=(400, 403, 404),
        scope=_SCOPE,
    ),
    Route(
        "save-review",
        "origin/save/review/",
        review,
        category=_CATEGORY,
        query=(
            Parameter(
                "per_page",
                f"how many requests a page has: 1 to {LISTED_MAX}, the nearest of which counts",
                {"type": "integer", "default": LISTED},
            ),
            Parameter("before", "only requests with lower numbers", {"type": "integer"}),
        ),
        answer=array(ref("SaveRequest")),
        refusals=(400, 401, 403),
        permission=PRIVILEGES[0],
        paged=True,
    ),
    Route(
        "save-review-decide",
        "origin/save/review/{id:number}/",
        decide,
        methods=("POST",),
        category=_CATEGORY,
        answer=ref("SaveRequest"),
        body={
            "type": "object",
            "properties": {"decision": choice(_DECISIONS), "note": TEXT},
            "required": ["decision"],
        },
        refusals=(400, 401, 403, 404),
        permission=PRIVILEGES[0],
        about={"id": "the number of a request"},
    ),
    Route(
        "save-request",
        "origin/save/{id:number}/",
        request,
        category=_CATEGORY,
        answer=ref("SaveRequest"),
        refusals=(404,),
        scope=_SCOPE,
        about={"id": "the number of a request"},
    ),
    Route(
        "save-origin",
        "origin/save/{type:save_type}/url/{url:url}/",
        origin,
        methods=("GET", "POST"),
        category=_CATEGORY,
        answer=_ANSWER,
        body=_ARCHIVES,
        refusals=(400, 403, 404),
        scope=_SCOPE,
    ),
)
