"""``origin/save/bulk/``: requests to save many origins at once."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Mapping, Sequence

from swhkit import saving
from swhkit.api import bodies
from swhkit.api.answers import Data
from swhkit.api.auth import Forbidden, Unauthorized, check_permission
from swhkit.api.calls import Body, Call, User
from swhkit.api.desks import desk_of
from swhkit.api.errors import ParseError, UnsupportedMediaType, clean
from swhkit.api.paging import never_cached
from swhkit.api.parameters import soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import TEXT, array, choice, ref
from swhkit.api.shapes import moment
from swhkit.config import yamlsource
from swhkit.errors import ConfigError, NotHeld
from swhkit.requests.saves import BulkRequest
from swhkit.saving import BulkRefused, BulkRow

PERMISSION = "swh.web.api.save_bulk"
LISTED, LISTED_MAX = 1000, 10_000
#: Beyond this there are no pages.
_PAGES = 1 << 40
#: What a YAML body may have; an origin is five values.
_YAML = yamlsource.Bounds(size=bodies.LIMIT, written=500_000, made=500_000)
_FIELDS = ("origin_url", "visit_type")


def submit(call: Call) -> Data:
    """Ask to save many origins at once.

    The body lists them: as CSV without a line of headers, URL in the first column and visit type in the second (which is
    what a body without content type is, too), or as a JSON or YAML array of objects with ``origin_url`` and
    ``visit_type``. Types are ``bzr``, ``cvs``, ``hg``, ``git``, ``svn`` and ``tarball-directory``. Repeated ones count
    once. One bad origin refuses all.

    It takes the permission ``swh.web.api.save_bulk``. Refusals are ``{"status": "rejected", "reason": …}``, with
    ``rejected_origins`` where some of the origins are bad.
    """
    try:
        check_permission(call.user, PERMISSION)
        desk, user, now = desk_of(call), _user(call), datetime.datetime.now(datetime.UTC)
        made = saving.submit(desk, _origins(call.body), user=user.name, now=now)
    except (Unauthorized, Forbidden, ParseError) as error:
        refusal: dict[str, object] = {"status": "rejected", "reason": clean(str(error))}
        return Data(refusal, headers={**never_cached(), **error.headers}, status=error.status)
    except BulkRefused as error:
        return Data(_refused(error), headers=never_cached(), status=400)
    accepted = {"status": "accepted", "request_id": made.id, "request_info_url": _info_url(call, made)}
    return Data(accepted, headers=never_cached())


def listing(call: Call) -> Data:
    """The bulk requests of the user who asks, newest first.

    It takes the permission ``swh.web.api.save_bulk``.
    """
    desk, user = desk_of(call), _user(call)
    page, count = _page(call)
    saves = desk.requests.saves
    found = saves.bulks(user.name, offset=(page - 1) * count, limit=count)
    total = saves.count_bulks(user.name)
    data = [
        {
            "request_id": one.id,
            "request_date": moment(one.date),
            "request_info_url": _info_url(call, one),
        }
        for one in found
    ]
    return _paged(call, "save-bulk-requests", data, total)


def feedback(call: Call) -> Data:
    """What became of each origin of a bulk request, by URL.

    Visits from before the request are not shown. It takes the permission ``swh.web.api.save_bulk``, and the request has to
    be one of the user's own; staff may read all.
    """
    user = _user(call)
    if not user.may(PERMISSION):
        raise Forbidden("This API endpoint requires a special user permission.")
    desk, id = desk_of(call), call.parameters["id"].lower()
    found = desk.requests.saves.bulk(id)
    if found is None:
        raise NotHeld(f"Save bulk request with id {id} not found!")
    if found.user != user.name and not user.may("staff"):
        raise Forbidden(f"Save bulk request with id {id} was not created with your user account!")
    page, count = _page(call)
    rows = saving.rows(desk, found, offset=(page - 1) * count, limit=count)
    total = desk.requests.saves.count_bulk_origins(id)
    return _paged(call, "save-bulk-request", [_row(call, row) for row in rows], total)


def _user(call: Call) -> User:
    if call.user is None:
        raise Unauthorized("This API endpoint requires authentication.")
    return call.user


def _origins(body: Body | None) -> object:
    """What a body lists. Raises ``ParseError``, ``UnsupportedMediaType``."""
    if body is None or not body.data.strip():
        return []
    kind = body.content_type.partition(";")[0].strip().lower()
    if kind in ("", "text/csv"):
        return _csv(body.data)
    if kind == "application/json":
        return bodies.parsed(body)
    if kind == "application/yaml":
        return _yaml(body.data)
    raise UnsupportedMediaType(f'Unsupported media type "{clean(body.content_type)}" in request.')


def _csv(data: bytes) -> list[dict[str, str]]:
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "backslashreplace")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if any(line)]
    except csv.Error as error:
        raise ParseError(f"CSV parse error - {error}") from None
    return [{name: value.strip() for name, value in zip(_FIELDS, line, strict=False)} for line in lines]


def _yaml(data: bytes) -> object:
    try:
        return yamlsource.plain(data, "body", _YAML)
    except ConfigError as error:
        raise ParseError(f"YAML parse error - {error}") from None


def _refused(error: BulkRefused) -> dict[str, object]:
    data: dict[str, object] = {"status": "rejected", "reason": str(error)}
    if error.rejected:
        data["rejected_origins"] = [
            {"origin": one.origin, "rejection_reason": one.reason} for one in error.rejected
        ]
    return data


def _info_url(call: Call, request: BulkRequest) -> str | None:
    return call.links.to("save-bulk-request", id=request.id)


def _row(call: Call, row: BulkRow) -> dict[str, object]:
    words = {True: "successful", False: "failed", None: None}
    snapshot = None if row.snapshot is None else f"swh:1:snp:{row.snapshot.hex()}"
    return {
        "origin_url": row.origin.url,
        "visit_type": row.origin.visit_type,
        "status": row.origin.status.value,
        "last_scheduling_date": moment(row.scheduled),
        "last_visit_date": moment(row.visited),
        "last_visit_status": words[row.successful],
        "last_snapshot_swhid": snapshot,
        "rejection_reason": row.origin.reason,
        "browse_url": _browse_url(call, row) if snapshot else None,
    }


def _browse_url(call: Call, row: BulkRow) -> str | None:
    return call.link("browse-origin", {}, origin_url=row.origin.url)


def _page(call: Call) -> tuple[int, int]:
    page = soft_integer(call.query, "page", 1, 1, _PAGES)
    return page, soft_integer(call.query, "per_page", LISTED, 1, LISTED_MAX)


def _paged(call: Call, route: str, data: Sequence[Mapping[str, object]], total: int) -> Data:
    page, count = _page(call)
    following = call.here(route, page=page + 1, per_page=count) if page * count < total else None
    previous = call.here(route, page=page - 1, per_page=count) if page > 1 else None
    return Data(data, following, previous, headers=never_cached())


_CATEGORY = "Request archival"
_ORIGIN = {
    "type": "object",
    "properties": {"origin_url": TEXT, "visit_type": choice(saving.BULK_TYPES)},
    "required": list(_FIELDS),
}
_PARAMETERS = (
    Parameter("page", "the number of the page, from 1 on", {"type": "integer", "default": 1}),
    Parameter(
        "per_page",
        f"how many a page has: 1 to {LISTED_MAX}, the nearest of which counts",
        {"type": "integer", "default": LISTED},
    ),
)
ROUTES = (
    Route(
        "save-bulk",
        "origin/save/bulk/",
        submit,
        methods=("POST",),
        category=_CATEGORY,
        answer=ref("BulkAccepted"),
        body=array(_ORIGIN),
        body_types=("text/csv", "application/json", "application/yaml"),
        refusals=(400, 401, 403),
        refused={status: ref("BulkRejected") for status in (400, 401, 403)},
    ),
    Route(
        "save-bulk-requests",
        "origin/save/bulk/requests/",
        listing,
        category=_CATEGORY,
        query=_PARAMETERS,
        answer=array(ref("BulkRequest")),
        refusals=(400, 401, 403),
        permission=PERMISSION,
        paged=True,
    ),
    Route(
        "save-bulk-request",
        "origin/save/bulk/request/{id:uuid}/",
        feedback,
        category=_CATEGORY,
        query=_PARAMETERS,
        answer=array(ref("BulkOrigin")),
        refusals=(400, 401, 403, 404),
        paged=True,
    ),
)
