"""Somebody asks to save an origin: what is decided, and whether it is a request of its own."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.requests.saves import Artifact, NewSave, Prefix, SaveRequest, SaveStatus
from swhkit.saving.employing import employ, own_jobs
from swhkit.saving.prefixes import Prefixes
from swhkit.saving.rules import ARCHIVES, check_artifacts, check_type, checked_url
from swhkit.saving.standing import PENDING, SCHEDULED, standing
from swhkit.saving.turns import turn

#: The least time between two visits of an origin that the webhook of a forge asks for.
HOURLY = datetime.timedelta(minutes=60)
BLOCKED = (
    'The "save code now" request has been rejected because the provided origin url is not allowed '
    "to be archived."
)


class Rejected(InvalidInput):
    """An origin that this archive does not want; the request was written down as rejected."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks. What a ``privileged`` one asks for needs no review, and may be archive files."""

    name: str
    email: str = ""
    privileged: bool = False


def save(
    desk: Desk,
    url: str,
    visit_type: str,
    *,
    asker: Asker | None = None,
    artifacts: Sequence[Artifact] = (),
    webhook: str = "",
    trusted: bool = False,
    now: datetime.datetime,
) -> SaveRequest:
    """Ask to save an origin; the request may be an earlier one that still stands for the same.

    ``visit_type`` is a word of the web API. ``trusted``: a person at the shell asks, who needs no review. ``webhook``: the
    forge whose webhook asks; its second request within an hour of the one before is put off until the hour is over, and
    further ones until then are that one. Two who ask at once get one request, in one process or in several.

    Raises ``InvalidInput`` for a type, URL or artifact that cannot be had, ``Rejected`` for an origin that is not wanted.
    """
    privileged = trusted or (asker is not None and asker.privileged)
    check_type(visit_type, privileged=privileged)
    network = desk.network(trusted=trusted)
    url = checked_url(network, url)
    if visit_type == ARCHIVES:
        check_artifacts(network, artifacts)
    else:
        artifacts = ()
    wanted = NewSave(
        url=url,
        visit_type=visit_type,
        date=now,
        status=SaveStatus.ACCEPTED,
        user=None if asker is None else asker.name,
        webhook=webhook,
        artifacts=tuple(artifacts),
        trusted=trusted,
    )
    with turn(desk, url, visit_type):
        status = Prefixes.of(desk).decision(url)
        if status is None and asker is not None and asker.privileged:
            desk.requests.saves.set_prefix(Prefix(prefix=url, accepted=True, date=now, user=asker.name))
        if status is None:
            otherwise = SaveStatus(desk.settings.save_code_now.otherwise)
            status = SaveStatus.ACCEPTED if privileged else otherwise
        if status is SaveStatus.ACCEPTED:
            return _accepted(desk, wanted)
        return _not_accepted(desk, msgspec.structs.replace(wanted, status=status))


def decide(
    desk: Desk, id: int, *, accept: bool, user: str | None, note: str = "", now: datetime.datetime
) -> SaveRequest:
    """Accept or reject a request that is pending. What is accepted is visited, and needs no review from then on.

    Raises ``NotHeld`` for an unknown request, ``InvalidInput`` for one that was decided on.
    """
    saves = desk.requests.saves
    request = saves.get(id)
    if request is None:
        raise NotHeld(f"No save request found for id {id}.")
    with turn(desk, request.url, request.visit_type):
        status = SaveStatus.ACCEPTED if accept else SaveStatus.REJECTED
        changed = saves.decide(id, status, date=now, user=user, note=note)
        request = saves.get(id) or request
        if not changed:
            raise InvalidInput(f"Save request {id} is not pending: it was {request.status} already.")
        if not accept:
            return request
        saves.set_prefix(Prefix(prefix=request.url, accepted=True, date=now, user=user))
        return employ(desk, request, now)


def _not_accepted(desk: Desk, wanted: NewSave) -> SaveRequest:
    """A request that waits for review, or is written down as rejected. One of a kind is enough."""
    latest = _latest(desk, wanted)
    same = latest is not None and latest.status is wanted.status and latest.decided is None
    request = latest if latest is not None and same else desk.requests.saves.add(wanted)
    if wanted.status is SaveStatus.REJECTED:
        raise Rejected(BLOCKED)
    return request


def _accepted(desk: Desk, wanted: NewSave) -> SaveRequest:
    saves, now = desk.requests.saves, wanted.date
    latest = _latest(desk, wanted)
    if latest is not None and latest.status is SaveStatus.PENDING:
        saves.decide(latest.id, SaveStatus.ACCEPTED, date=now, user=wanted.user)
        latest = employ(desk, saves.get(latest.id) or latest, now)
        if _stands_for(latest, wanted):
            return latest
    if latest is not None and wanted.webhook:
        put_off = _put_off(desk, wanted)
        if isinstance(put_off, SaveRequest):
            return put_off
        wanted = put_off
    if latest is not None and wanted.not_before is None and _is_to_come(desk, latest, now):
        if _stands_for(latest, wanted):
            return _sooner(desk, latest, wanted)
        # The job that is to come will do for both.
        wanted = msgspec.structs.replace(wanted, artifacts=_joined(latest.artifacts, wanted.artifacts))
    return employ(desk, saves.add(wanted), now)


def _latest(desk: Desk, wanted: NewSave) -> SaveRequest | None:
    found = desk.requests.saves.of(wanted.url, wanted.visit_type, limit=1)
    return found[0] if found else None


def _is_to_come(desk: Desk, request: SaveRequest, now: datetime.datetime) -> bool:
    """Whether the visit of a request has not begun."""
    if request.status is not SaveStatus.ACCEPTED:
        return False
    return request.job is None or standing(desk, request, now).task_status in (PENDING, SCHEDULED)


def _has_job(desk: Desk, request: SaveRequest) -> bool:
    """Whether the job of a request that is to come was made, and is not lost."""
    return own_jobs(desk, [request]) != [None]


def _stands_for(latest: SaveRequest, wanted: NewSave) -> bool:
    """Whether a visit that is to come is what is wanted, too."""
    known = set(latest.artifacts)
    return latest.trusted >= wanted.trusted and known.issuperset(wanted.artifacts)


def _sooner(desk: Desk, latest: SaveRequest, wanted: NewSave) -> SaveRequest:
    """The request that is to come; the visit that a webhook's was put off for begins now, for somebody waits for it."""
    put_off = latest.not_before is not None and latest.not_before > wanted.date
    if not _has_job(desk, latest):
        return employ(desk, latest, wanted.date)
    if put_off and not wanted.webhook:
        now = wanted.date
        sooner = msgspec.structs.replace(latest, not_before=now, webhook="")
        return msgspec.structs.replace(
            employ(desk, sooner, now), not_before=latest.not_before, webhook=latest.webhook
        )
    return latest


def _put_off(desk: Desk, wanted: NewSave) -> NewSave | SaveRequest:
    """A webhook's request: put off if there was one within the hour, the one that is put off already if there is."""
    earlier = desk.requests.saves.of(wanted.url, wanted.visit_type)
    told = next((one for one in earlier if one.webhook and one.status is SaveStatus.ACCEPTED), None)
    if told is None or wanted.date - told.date >= HOURLY:
        return wanted
    if told.not_before is not None and _is_to_come(desk, told, wanted.date):
        return told if _has_job(desk, told) else employ(desk, told, wanted.date)
    return msgspec.structs.replace(wanted, not_before=told.date + HOURLY)


def _joined(one: Sequence[Artifact], other: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """Both lists of archive files; of two with one URL the latter counts."""
    return tuple({artifact.url: artifact for artifact in (*one, *other)}.values())
