"""Revisions by origin, branch and time, and logs that begin with what was read before: forms that older clients use."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from swhkit import query
from swhkit.api import revisions, shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput
from swhkit.api.parameters import git_hash, number
from swhkit.api.routing import Handler, Parameter, Route
from swhkit.api.schemas import Schema, array, ref
from swhkit.errors import NotHeld

_SECONDS = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def log_after(call: Call) -> Data:
    """The log of a revision, after some revisions that were read before it.

    The ids of those are separated by slashes; they come first, in that order, and do not count. All else is as in
    ``revision/(sha1_git)/log/``.
    """
    earlier = [git_hash(digits) for digits in call.parameters["earlier"].split("/")]
    return revisions.log_of(call, git_hash(call.parameters["id"]), earlier)


def revision(call: Call) -> Data:
    """A revision by the number of an origin, a branch, and a time.

    Without a branch it is that of ``HEAD``; aliases and releases are followed. The time is an ISO 8601 date, with or
    without time of day and offset (UTC if there is none), or the seconds since 1970: the visit with a snapshot that began
    closest to it counts, of two equally close ones the later. Without a time it is the latest full or partial visit with a
    snapshot. The name of the branch ends at the first ``/ts/`` or ``/directory/``, and before a last ``/log/``.

    404 where the origin, the visit, the branch or the revision is missing; 400 for a time that is none.
    """
    return revisions.revision_of(call, _digest(call))


def log(call: Call) -> Data:
    """The log of the revision that the number of an origin, a branch and a time lead to.

    What branch and time may be says ``revision/origin/``; all else is as in ``revision/(sha1_git)/log/``.
    """
    return revisions.log_of(call, _digest(call))


def directory(call: Call) -> Data:
    """What a path names in the revision that the number of an origin, a branch and a time lead to.

    What branch and time may be says ``revision/origin/``; all else is as in ``revision/(sha1_git)/directory/``. Entries
    also have ``file_url``, ``dir_url`` or ``rev_url``, which lead on along the path.
    """
    digest = _digest(call)
    path = call.parameters.get("path", "").encode("utf-8", "surrogateescape").strip(b"/")
    found = query.in_revision(call.archive, digest, path)
    shape = revisions.shape_in(call, digest, path, found)
    if isinstance(found.content, list):
        shape["content"] = [_entry(call, listed, path) for listed in found.content]
    return Data(shape)


def _entry(call: Call, listed: query.Listed, path: bytes) -> shapes.Json:
    """An entry with the address at which this very resource shows it."""
    below = b"/".join(part for part in (path, listed.entry.name) if part)
    parameters = {**call.parameters, "path": below.decode("utf-8", "surrogateescape")}
    name = _name("directory-path", "branch" in parameters, "ts" in parameters)
    url = call.link(name, parameters)
    return {
        **shapes.entry(call.links, listed),
        **({} if url is None else {f"{listed.entry.type}_url": url}),
    }


def _digest(call: Call) -> bytes:
    id, name, ts = (
        number(call.parameters["id"]),
        call.parameters.get("branch", "HEAD"),
        call.parameters.get("ts"),
    )
    at = None if ts is None else moment(ts)
    try:
        return query.revision_at(call.archive, id, shapes.untext(name), at)
    except NotHeld:
        asked = f"(origin_id: {id}, branch_name: {name}, ts: {ts})"
        raise NotHeld(f"Revision with {asked} not found.") from None


def moment(text: str) -> datetime.datetime:
    """An ISO 8601 date or moment, UTC unless it has an offset, or seconds since 1970. Raises ``BadInput``."""
    try:
        if _SECONDS.fullmatch(text):
            return _EPOCH + datetime.timedelta(seconds=float(text))
        found = datetime.datetime.fromisoformat(text)
        aware = found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found
        return aware.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            f"Invalid timestamp {text[:100]}: give an ISO 8601 date or the seconds since 1970"
        ) from None


def _name(kind: str, branch: bool, ts: bool) -> str:
    return "-".join(["revision-origin", *["branch"] * branch, *["ts"] * ts, *[kind] * bool(kind)])


_REVISION, _LOG, _IN = ref("Revision"), array(ref("Revision")), ref("InRevision")
#: Kind of answer, end of the path, handler, query, schema. The longest ends come first: branches and paths are greedy.
_ENDS: tuple[tuple[str, str, Handler, tuple[Parameter, ...], Schema], ...] = (
    ("directory-path", "directory/{path:path}/", directory, (), _IN),
    ("directory", "directory/", directory, (), _IN),
    ("log", "log/", log, revisions.LOG_PARAMETERS, _LOG),
    ("", "", revision, (), _REVISION),
)


def _routes() -> Iterator[Route]:
    """Every combination of branch, time and end."""
    for branch, ts in ((True, True), (True, False), (False, True), (False, False)):
        start = "revision/origin/{id:number}/" + "branch/{branch:branch}/" * branch + "ts/{ts:moment}/" * ts
        for kind, end, handler, parameters, schema in _ENDS:
            yield Route(
                _name(kind, branch, ts),
                start + end,
                handler,
                category="Revision",
                query=parameters,
                answer=schema,
                refusals=(400, 404) if ts or kind == "log" else (404,),
                paged=kind == "log",
                doc="/".join(["revision/origin", *[kind.partition("-")[0]] * bool(kind)]),
            )


ROUTES = (
    *_routes(),
    Route(
        "revision-log-after",
        "revision/{id:hex}/prev/{earlier:hexes}/log/",
        log_after,
        category="Revision",
        query=revisions.LOG_PARAMETERS,
        answer=array(ref("Revision")),
        paged=True,
    ),
)
