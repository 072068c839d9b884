"""``origin/save/webhook/``: forges tell that something was pushed, and a visit is asked for.

The order matters. What costs nothing and needs no parsing comes first: is there such a webhook, does the sender know the
secret, was this delivery answered before? What the payload names is trusted in nothing: it goes through all that any
request to save an origin goes through.
"""

from __future__ import annotations

import datetime

import msgspec

from swhkit import saving
from swhkit.api.answers import Data
from swhkit.api.auth import Forbidden
from swhkit.api.calls import Call
from swhkit.api.desks import desk_of
from swhkit.api.errors import NoResource, ParseError
from swhkit.api.paging import never_cached
from swhkit.api.routing import Route
from swhkit.api.saves import shape
from swhkit.api.schemas import array, ref
from swhkit.api.shapes import moment
from swhkit.desk import Desk
from swhkit.errors import PluginError
from swhkit.requests.saves import Answered
from swhkit.webhook import NotJson, Pong, VisitRequest, Webhook
from swhkit.webhook.lookups import asking

_KEYS = (
    "id",
    "request_url",
    "origin_url",
    "visit_type",
    "save_request_date",
    "save_request_status",
    "save_task_status",
)


def webhook(call: Call) -> Data:
    """Save a repository that something was pushed to: the address for webhooks of forges.

    Forges are ``bitbucket``, ``forgejo``, ``gitea``, ``github``, ``gitlab``, ``gogs`` and ``sourceforge``, and those of
    further plugins. The body is what the forge sends, as JSON; events that are no pushes are refused (400), a ping is
    answered by ``{"message": "pong"}``. What is answered else is the request to save the repository. A second push within
    an hour leads to a visit when the hour is over, and further ones until then to that same visit.
    ``save_task_next_run`` is null for a request that waits for review. A delivery that comes again gets its first answer
    again.

    Where the webhook has a secret, a delivery without its proof is 403. So is a repository that is not wanted here.
    """
    desk, name = desk_of(call), call.parameters["forge"]
    found = _webhook(desk, name)
    body = b"" if call.body is None else call.body.data
    _check_proof(found, desk.webhook_secret(name), call, body)
    delivery = found.delivery(call.headers)
    before = None if delivery is None else desk.requests.saves.answered(name, delivery)
    if before is not None:
        return Data(msgspec.json.decode(before.body), headers=never_cached())
    asked = _parsed(found, desk, call, body)
    if isinstance(asked, Pong):
        return Data({"message": asked.message}, headers=never_cached())
    answers = [_saved(call, desk, name, one) for one in asked]
    answer: object = answers[0] if len(answers) == 1 else answers
    if delivery is not None:
        answer = _noted(desk, name, delivery, answer)
    return Data(answer, headers=never_cached())


def _webhook(desk: Desk, name: str) -> Webhook:
    try:
        found = desk.webhook(name)
    except PluginError as error:
        # Who delivers has done nothing wrong.
        raise RuntimeError(f"the webhook {name} cannot be used") from error
    if found is None:
        raise NoResource(name)
    return found


def _check_proof(found: Webhook, secret: str | None, call: Call, body: bytes) -> None:
    if secret is not None and not found.signed(call.headers, body, secret):
        raise Forbidden(
            f"The delivery does not prove that its sender knows the secret of the {found.label} webhook."
        )


def _parsed(found: Webhook, desk: Desk, call: Call, body: bytes) -> list[VisitRequest] | Pong:
    try:
        return found.parse(asking(desk.network(trusted=False)), call.headers, body)
    except NotJson as error:
        raise ParseError(str(error)) from None


def _saved(call: Call, desk: Desk, name: str, asked: VisitRequest) -> dict[str, object]:
    now = datetime.datetime.now(datetime.UTC)
    request = saving.save(desk, asked.url, asked.visit_type, webhook=name, now=now)
    standing = saving.standing(desk, request, now)
    shown = shape(call, request, standing)
    return {**{key: shown[key] for key in _KEYS}, "save_task_next_run": moment(standing.next_run)}


def _noted(desk: Desk, name: str, delivery: str, answer: object) -> object:
    """The answer that is kept for a delivery: of two that came at the same time the first."""
    noted = Answered(
        webhook=name,
        delivery=delivery,
        date=datetime.datetime.now(datetime.UTC),
        status=200,
        body=msgspec.json.encode(answer),
    )
    return msgspec.json.decode(desk.requests.saves.note_answer(noted).body)


_ANSWER = {"anyOf": [ref("WebhookAnswer"), ref("Pong"), array(ref("WebhookAnswer"))]}

ROUTES = (
    Route(
        "save-webhook",
        "origin/save/webhook/{forge:word}/",
        webhook,
        methods=("POST",),
        category="Request archival",
        answer=_ANSWER,
        body={"type": "object"},
        body_types=("application/json",),
        refusals=(400, 403),
        about={"forge": "the kind of forge that sends it"},
        reads_headers=True,
    ),
)
