"""``add-forge/``: requests to add a forge. People propose one, moderators decide, everybody sees what became of it.

Refusals that concern who asks are plain text, and reasons of bad fields are JSON in a text, as the public archive has it.
"""

from __future__ import annotations

import datetime
import hashlib
from urllib.parse import urlsplit

from swhkit.api import forge_forms as forms
from swhkit.api.answers import Data, Document
from swhkit.api.calls import Call, User
from swhkit.api.desks import desk_of
from swhkit.api.errors import BadInput
from swhkit.api.parameters import INTEGER_MAX, kept_number, soft_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import BOOLEAN, DATE, INTEGER, TEXT, array, choice, nullable, record
from swhkit.desk import Desk
from swhkit.requests.forges import (
    TRANSITIONS,
    ActorRole,
    ForgeEvent,
    ForgeRequest,
    ForgeStatus,
    NewForgeRequest,
)

#: Who may decide, and read what is not public.
MODERATOR = "swh.web.add_forge_now.moderator"
PAGE_MAX = 1000


def create(call: Call) -> Data | Document:
    """Propose a forge to be archived.

    A moderator looks at the request before the forge is listed. There is one request for a ``forge_url``: for another the
    answer is 409, with the number of the first. Who asks must show a token.
    """
    if call.user is None:
        return _told("You must be authenticated to create a new add-forge request", 403)
    desk, values = desk_of(call), forms.fields(call)
    problems: forms.Problems = {}
    request = NewForgeRequest(
        forge_type=forms.text(values, "forge_type", problems),
        forge_url=forms.url(values, problems),
        contact_email=forms.email(values, problems),
        contact_name=forms.text(values, "forge_contact_name", problems),
        contact_comment=forms.text(values, "forge_contact_comment", problems, required=False),
        forward_username=forms.flag(values, "submitter_forward_username", problems),
        submitter=call.user.name,
        submitter_email=call.user.email,
        date=datetime.datetime.now(datetime.UTC),
    )
    forms.refuse(problems)
    made = desk.requests.forge_requests.add(request)
    if isinstance(made, int):
        return Data(f"Request for forge already exists (id {made})", status=409)
    return Data(_full(desk, made), status=201)


def update(call: Call) -> Data | Document:
    """Decide on a request to add a forge, or remark on it.

    ``text`` is written into its history; with ``new_status`` the request moves there, if it may from where it is. Of
    moderators who move it at once, those are refused whose move no longer fits. Only moderators may do this.
    """
    if call.user is None:
        return _told("You must be authenticated to update a new add-forge request", 403)
    if not _moderates(call.user):
        return _told("You are not a moderator", 403)
    desk, id = desk_of(call), kept_number(call.parameters["id"])
    if desk.requests.forge_requests.get(id) is None:
        return _told("Invalid request id", 400)
    values, problems = forms.fields(call), forms.Problems()
    text = forms.text(values, "text", problems)
    status = forms.status(values, problems)
    forms.refuse(problems)
    return Data(_full(desk, _moved(desk, id, status, call.user.name, text)))


def _moved(desk: Desk, id: int, status: ForgeStatus | None, actor: str, text: str) -> ForgeRequest:
    """The request after the update. Who comes second is judged by what the first has made of it."""
    requests = desk.requests.forge_requests
    while True:
        current = requests.get(id)
        assert current is not None  # requests are never deleted
        if status is not None and status not in TRANSITIONS[current.status]:
            raise BadInput(
                f"New request status RequestStatus.{status} cannot be reached from current status {current.status}"
            )
        updated = requests.update(
            id,
            expected=None if status is None else current.status,
            status=status,
            actor=actor,
            role=ActorRole.MODERATOR,
            text=text,
            date=datetime.datetime.now(datetime.UTC),
        )
        if updated is not None:
            return updated


def latest(call: Call) -> Data:
    """Requests to add a forge, newest first.

    Everybody sees which forges were proposed and what became of it; moderators see the whole requests. With
    ``user_requests_only`` they are those of the user whose token is shown.
    """
    page = soft_integer(call.query, "page", 1, 1, INTEGER_MAX // PAGE_MAX)
    count = soft_integer(call.query, "per_page", 10, 1, PAGE_MAX)
    own = bool(soft_integer(call.query, "user_requests_only", 0, 0, 1)) and call.user is not None
    if call.desk is None:
        return Data([])
    submitter = call.user.name if own and call.user is not None else None
    requests, first = call.desk.requests.forge_requests, (page - 1) * count
    found = requests.latest(submitter=submitter, offset=first, limit=count)
    total = requests.count(submitter)

    def neighbour(number: int) -> str | None:
        return call.here(
            "add-forge-requests",
            page=number,
            per_page=count if "per_page" in call.query else None,
            user_requests_only=1 if own else None,
        )

    return Data(
        [_shown(call, call.desk, request) for request in found],
        next=neighbour(page + 1) if first + count < total else None,
        previous=neighbour(min(page - 1, max(-(-total // count), 1))) if page > 1 else None,
    )


def get(call: Call) -> Data:
    """A request to add a forge, with its history, oldest line first.

    Moderators see all of both; everybody else what the list shows, and when which status was reached.
    """
    found = (
        None
        if call.desk is None
        else call.desk.requests.forge_requests.get(kept_number(call.parameters["id"]))
    )
    if found is None or call.desk is None:
        raise BadInput("Request id does not exist")
    line = _whole_line if _moderates(call.user) else _public_line
    history = call.desk.requests.forge_requests.history(found.id)
    return Data({"request": _shown(call, call.desk, found), "history": [line(event) for event in history]})


def _moderates(user: User | None) -> bool:
    return user is not None and user.may(MODERATOR)


def _told(text: str, status: int) -> Document:
    return Document(text.encode(), _PLAIN, status=status)


def _shown(call: Call, desk: Desk, request: ForgeRequest) -> dict[str, object]:
    return _full(desk, request) if _moderates(call.user) else _public(request)


def _public(request: ForgeRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "forge_url": request.forge_url,
        "forge_type": request.forge_type,
        "status": str(request.status),
        "submission_date": _moment(request.date),
    }


def _full(desk: Desk, request: ForgeRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "inbound_email_address": _inbound(desk, request),
        "forge_domain": urlsplit(request.forge_url).hostname or "",
        "status": str(request.status),
        "submission_date": _moment(request.date),
        "submitter_name": request.submitter,
        "submitter_email": request.submitter_email,
        "submitter_forward_username": request.forward_username,
        "forge_type": request.forge_type,
        "forge_url": request.forge_url,
        "forge_contact_email": request.contact_email,
        "forge_contact_name": request.contact_name,
        "forge_contact_comment": request.contact_comment,
        "last_moderator": str(request.moderator),
        "last_modified_date": _moment(request.modified),
    }


def _inbound(desk: Desk, request: ForgeRequest) -> str:
    """The address that mail about a request would be sent to. It is always the same; nothing here receives mail."""
    host = urlsplit(desk.settings.server.public_url or "").hostname or "localhost"
    told = f"{request.id} {request.forge_url} {request.date.isoformat()}"
    return f"add-forge-now+{request.id}.{hashlib.sha256(told.encode()).hexdigest()[:16]}@{host}"


def _public_line(event: ForgeEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "date": _moment(event.date),
        "new_status": _word(event.status),
        "actor_role": str(event.role),
    }


def _whole_line(event: ForgeEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "message_source_url": None,
        "text": event.text,
        "actor": event.actor,
        "actor_role": str(event.role),
        "date": _moment(event.date),
        "new_status": _word(event.status),
    }


def _word(status: ForgeStatus | None) -> str | None:
    return None if status is None else str(status)


def _moment(date: datetime.datetime) -> str:
    return date.astimezone(datetime.UTC).replace(tzinfo=None).isoformat() + "Z"


_PLAIN = "text/plain; charset=utf-8"
_CATEGORY = "Add forge"
_STATUS = choice([str(status) for status in ForgeStatus])
_LISTED = {"id": INTEGER, "forge_url": TEXT, "forge_type": TEXT, "status": _STATUS, "submission_date": DATE}
_REST = {
    "inbound_email_address": TEXT,
    "forge_domain": TEXT,
    "submitter_name": TEXT,
    "submitter_email": TEXT,
    "submitter_forward_username": BOOLEAN,
    "forge_contact_email": TEXT,
    "forge_contact_name": TEXT,
    "forge_contact_comment": TEXT,
    "last_moderator": TEXT,
    "last_modified_date": DATE,
}
_FULL = record("A request to add a forge.", {**_LISTED, **_REST})
_EITHER = record("A request to add a forge; the optional keys are for moderators.", _LISTED, _REST)
_LINE = record(
    "A line of its history; the optional keys are for moderators.",
    {
        "id": INTEGER,
        "date": DATE,
        "new_status": nullable(_STATUS),
        "actor_role": choice([str(role) for role in ActorRole]),
    },
    {"message_source_url": nullable(TEXT), "text": TEXT, "actor": TEXT},
)


def _body(required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {name: forms.FIELDS[name] for name in (*required, *optional)},
        "required": list(required),
    }


ROUTES = (
    Route(
        "add-forge-create",
        "add-forge/request/create/",
        create,
        methods=("POST",),
        category=_CATEGORY,
        answer=_FULL,
        body=_body(
            ("forge_type", "forge_url", "forge_contact_email", "forge_contact_name"),
            ("forge_contact_comment", "submitter_forward_username"),
        ),
        statuses=(201,),
        refusals=(400, 409),
        media_type=_PLAIN,
        pictured=(403,),
    ),
    Route(
        "add-forge-update",
        "add-forge/request/{id:number}/update/",
        update,
        methods=("POST",),
        category=_CATEGORY,
        answer=_FULL,
        body=_body(("text",), ("new_status",)),
        refusals=(400,),
        about={"id": "The number of the request."},
        media_type=_PLAIN,
        pictured=(400, 403),
    ),
    Route(
        "add-forge-requests",
        "add-forge/request/list/",
        latest,
        category=_CATEGORY,
        query=(
            Parameter("page", "the number of the page", {"type": "integer", "default": 1, "minimum": 1}),
            Parameter(
                "per_page",
                f"how many requests a page has: 1 to {PAGE_MAX}, the nearest of which counts",
                {"type": "integer", "default": 10},
            ),
            Parameter(
                "user_requests_only", "1: only those of the user who asks", {"type": "integer", "default": 0}
            ),
        ),
        answer=array(_EITHER),
        refusals=(400,),
        paged=True,
    ),
    Route(
        "add-forge-request",
        "add-forge/request/{id:number}/get/",
        get,
        category=_CATEGORY,
        answer=record("A request and its history.", {"request": _EITHER, "history": array(_LINE)}),
        refusals=(400,),
        about={"id": "The number of the request."},
        doc="add-forge/request/get",
    ),
)
