"""The life of a request to add a forge, once a moderator has accepted it: scheduled, listed, its first origin loaded."""

from __future__ import annotations

import datetime
from weakref import WeakKeyDictionary

from swhkit import assemble
from swhkit.crawling.forges import job_of, next_due
from swhkit.desk import Desk
from swhkit.errors import InvalidUrl, SwhkitError
from swhkit.queueing import ASKED
from swhkit.requests.forges import ActorRole, ForgeRequest, ForgeStatus
from swhkit.requests.schedule import VISIT_EVERY, KnownForge, NewForge, ToldBy
from swhkit.units import parse_web_address

#: Who moves a request on its own.
ACTOR = "swhkit"
#: Origins of a forge that are looked at in one tick, to find one that was loaded.
_LOOK = 200
#: Where the look goes on in the next tick: request → key. Of each desk, in this process.
_LOOKED: WeakKeyDictionary[Desk, dict[int, str]] = WeakKeyDictionary()


def move(desk: Desk, now: datetime.datetime) -> None:
    """Move each request that can be moved. Of two processes that do it at once, one does."""
    for request in desk.requests.forge_requests.with_status(ForgeStatus.ACCEPTED):
        _schedule(desk, request, now)
    listed = desk.requests.forge_requests.with_status(ForgeStatus.SCHEDULED)
    waiting = desk.requests.forge_requests.with_status(ForgeStatus.FIRST_LISTING_DONE)
    if not listed and not waiting:
        return
    forges = {(forge.kind, forge.url): forge for forge in desk.requests.schedule.forges()}
    for request in listed:
        forge = forges.get(_place(request))
        if forge is not None and forge.listed is not None:
            _move(desk, request, ForgeStatus.FIRST_LISTING_DONE, _listed_text(desk, forge), now)
    for request in waiting:
        forge = forges.get(_place(request))
        if forge is not None and (url := _loaded(desk, request, forge)) is not None:
            _move(desk, request, ForgeStatus.FIRST_ORIGIN_LOADED, f"{url} is archived.", now)


def _schedule(desk: Desk, request: ForgeRequest, now: datetime.datetime) -> None:
    schedule = desk.requests.schedule
    try:
        new = _forge_of(desk, request)
    except SwhkitError as error:
        _move(desk, request, ForgeStatus.UNSUCCESSFUL, f"The forge cannot be listed: {error}", now)
        return
    known = {(forge.kind, forge.url): forge for forge in schedule.forges()}
    forge = known.get((new.kind, new.url))
    if forge is None or not forge.enabled:  # what the configuration or the shell says of one stands
        forge = schedule.set_forge(new, now)
    text = f"It is listed every so often already, as forge {forge.id}."
    if forge.listed is None:
        desk.jobs.enqueue([job_of(desk, forge, now, ASKED)], now)
        schedule.set_forge_due(forge.id, next_due(desk, forge, now))
        text = f"Its first listing was enqueued; it is forge {forge.id}."
    _move(desk, request, ForgeStatus.SCHEDULED, text, now)


def _forge_of(desk: Desk, request: ForgeRequest) -> NewForge:
    """The forge that a request means, if it can be listed. Raises ``SwhkitError`` that says why it cannot."""
    try:
        kind, url = _place(request)
        parse_web_address(url)
    except ValueError as error:
        raise InvalidUrl(str(error)) from None
    desk.network(trusted=False).check(url, resolve=False)
    assemble.make_forge(desk.configuration, kind, url, {})
    return NewForge(kind=kind, url=url, source=ToldBy.REQUEST, visit_every=VISIT_EVERY)


def _place(request: ForgeRequest) -> tuple[str, str]:
    return request.forge_type.strip().lower(), request.forge_url.strip().rstrip("/")


def _listed_text(desk: Desk, forge: KnownForge) -> str:
    found = desk.requests.schedule.count_listed(forge.id)["enabled"]
    return f"The forge was listed: {found} repositories."


def _loaded(desk: Desk, request: ForgeRequest, forge: KnownForge) -> str | None:
    """The URL of an origin of a forge that was visited well, if there is one among those whose turn it is."""
    cursors = _LOOKED.setdefault(desk, {})
    schedule, after = desk.requests.schedule, cursors.get(request.id, "")
    page = schedule.listed(forge.id, after=after, limit=_LOOK, enabled=True)
    rows = schedule.freshness_of((origin.url, origin.visit_type) for origin in page)
    loaded = next((url for (url, _), row in rows.items() if row.succeeded is not None), None)
    if loaded is None:
        cursors[request.id] = page[-1].key if len(page) == _LOOK else ""
    else:
        cursors.pop(request.id, None)
    return loaded


def _move(
    desk: Desk, request: ForgeRequest, status: ForgeStatus, text: str, now: datetime.datetime
) -> ForgeRequest | None:
    return desk.requests.forge_requests.update(
        request.id,
        expected=request.status,
        status=status,
        actor=ACTOR,
        role=ActorRole.MODERATOR,
        text=text,
        date=now,
    )
