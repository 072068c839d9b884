"""``swhkit forge``: forges that are listed every so often, listing one now, and deciding on requests to add one."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from swhkit import assemble, status
from swhkit.api.status import forge_data
from swhkit.cli.common import (
    configuration,
    desk_if_any,
    emit_json,
    json_option,
    open_desk,
    shell_user,
    utc_now,
)
from swhkit.cli.main import printable
from swhkit.cli.progress import shown
from swhkit.cli.tables import cell, print_table
from swhkit.config import Configuration
from swhkit.config.secrets import literal_secrets
from swhkit.crawling import Crawled, crawl, next_due
from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.interrupts import ended_by_signals
from swhkit.net import without_secret
from swhkit.requests.forges import TRANSITIONS, ActorRole, ForgeRequest, ForgeStatus
from swhkit.requests.schedule import LIST_EVERY, VISIT_EVERY, KnownForge, ListingStatus, NewForge, ToldBy
from swhkit.units import format_duration, parse_duration, parse_web_address

#: The least time between two listings, or two visits (seconds), as in the configuration.
_LEAST = 60.0
#: Listings that are shown of one forge, and requests that are shown at all.
_LISTINGS, _REQUESTS = 10, 100


class _Interval(click.ParamType[float]):
    """A duration such as ``12h``."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error for what is none."""
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds < _LEAST:
            self.fail("expected at least 1m", param, ctx)
        return seconds


@click.group("forge")
def command() -> None:
    """Have forges listed, and decide on requests to add one."""


@command.command("add")
@click.argument("kind")
@click.argument("url")
@click.option(
    "--every", type=_Interval(), default=LIST_EVERY, metavar="T", help="Time between two listings (1d)."
)
@click.option(
    "--visit-every",
    type=_Interval(),
    default=VISIT_EVERY,
    metavar="T",
    help="Time between two visits of what it lists (7d).",
)
@click.option(
    "--option",
    "options",
    metavar="K=JSON",
    multiple=True,
    help="A setting of the kind; a secret as '${NAME}' of the environment. May be repeated.",
)
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    kind: str,
    url: str,
    every: float,
    visit_every: float,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Have the forge at URL listed every so often, and what it lists visited.

    A forge that is known already is changed. It is listed by a worker, or at once by `swhkit forge crawl`.
    """
    found = configuration(ctx)
    url, settings = _address(url), _options(options)
    _check_options(found, kind, url, settings)
    desk = open_desk(ctx)
    desk.network(trusted=True).check(url, resolve=False)
    new = NewForge(
        kind=kind,
        url=url,
        source=ToldBy.CLI,
        every=every,
        visit_every=visit_every,
        options=settings,
        trusted=True,
    )
    forge = desk.requests.schedule.set_forge(new, utc_now())
    if as_json:
        emit_json(forge_data(status.of_forge(desk, forge)))
        return
    click.echo(f"forge {forge.id}: {kind} {printable(url)}, listed every {format_duration(every)}")


def _address(text: str) -> str:
    try:
        return parse_web_address(text)
    except ValueError as error:
        raise InvalidInput(f"{without_secret(text)}: {error}") from None


def _options(options: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise InvalidInput("--option: expected KEY=JSON, such as --option token='${GITHUB_TOKEN}'")
        try:
            settings[key] = json.loads(value)
        except (ValueError, RecursionError):
            settings[key] = value
    return settings


def _check_options(found: Configuration, kind: str, url: str, settings: dict[str, Any]) -> None:
    """Raise ``InvalidInput`` for a forge of the configuration, a secret in plain text, or what the kind does not take."""
    provider = found.registry.provider("forge", kind)
    if any((entry.keys.kind, entry.keys.url) == (kind, url) for entry in found.settings.forges):
        raise InvalidInput(f"{url} stands in the configuration, under forges; change it there")
    if secrets := literal_secrets(settings, provider.config):
        raise InvalidInput(
            f"--option {secrets[0]}: a secret is not kept, nor typed where others can see it; put it into the "
            f"environment and write --option {secrets[0]}='${{NAME}}'"
        )
    assemble.make_forge(found, kind, url, settings)


@command.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List all forges with their latest listing."""
    desk = desk_if_any(ctx)
    states = status.overall(desk).forges
    if as_json:
        emit_json([forge_data(state) for state in states])
    elif states:
        print_forges(states)


def print_forges(states: list[status.ForgeState]) -> None:
    """A table of forges."""
    columns = ("id", "kind", "url", "source", "origins", "latest listing", "status", "due")
    print_table(
        columns,
        [
            (
                state.forge.id,
                state.forge.kind,
                state.forge.url,
                state.forge.source,
                state.enabled,
                state.listing and state.listing.started,
                state.listing and state.listing.status,
                state.forge.due if state.forge.enabled else "not listed",
            )
            for state in states
        ],
    )


@command.command("crawl")
@click.argument("forge", metavar="ID|URL")
@click.option(
    "--full/--incremental", "full", default=None, help="All of it, or what changed; else all of it weekly."
)
@json_option
@click.pass_context
def crawl_(ctx: click.Context, forge: str, full: bool | None, as_json: bool) -> int:
    """List a forge now, in this process, and have what it lists visited.

    Visits are made by a worker. Exit codes: 0 the listing is complete; 3 it is partial; 1 it failed.
    """
    desk = open_desk(ctx, create=False)
    known = _known(desk, forge)
    now = utc_now()
    with ended_by_signals(), shown(known.url) as progress:
        crawled = crawl(desk, known.id, full, now, progress=progress)
    if crawled.status is ListingStatus.COMPLETE:
        desk.requests.schedule.set_forge_due(known.id, next_due(desk, known, now))
    if as_json:
        emit_json(msgspec.to_builtins(crawled))
    else:
        click.echo(printable(_summary(known, crawled)))
    return {ListingStatus.COMPLETE: 0, ListingStatus.PARTIAL: 3}.get(crawled.status, 1)


def _summary(forge: KnownForge, crawled: Crawled) -> str:
    counts = ("new", "renamed", "refused", "lost")
    told = ", ".join(f"{getattr(crawled, name):,} {name}" for name in counts if getattr(crawled, name))
    parts = [
        f"{crawled.status}, {'all of it' if crawled.is_full else 'what changed'}: {forge.url}",
        f"{crawled.repositories:,} repositories ({told or 'nothing new'}), {crawled.scheduled:,} visits enqueued",
    ]
    if crawled.error:
        parts.append(crawled.error)
    return ": ".join(parts)


@command.command("status")
@click.argument("forge", metavar="[ID|URL]", required=False)
@json_option
@click.pass_context
def status_(ctx: click.Context, forge: str | None, as_json: bool) -> None:
    """Show a forge with its latest listings; without argument, as list does."""
    if forge is None:
        ctx.invoke(list_, as_json=as_json)
        return
    desk = desk_if_any(ctx)
    if desk is None:
        raise _unknown(forge)
    state = status.of_forge(desk, _known(desk, forge))
    listings = desk.requests.schedule.listings(state.forge.id, _LISTINGS)
    if as_json:
        emit_json({**forge_data(state), "listings": msgspec.to_builtins(listings)})
        return
    print_forges([state])
    if listings:
        click.echo()
        columns = ("started", "ended", "what", "status", "repositories", "new", "lost", "error")
        print_table(
            columns,
            [
                (
                    listing.started,
                    listing.ended,
                    "all" if listing.is_full else "changes",
                    listing.status,
                    listing.repositories,
                    listing.new,
                    listing.lost,
                    listing.error,
                )
                for listing in listings
            ],
        )


def _known(desk: Desk, text: str) -> KnownForge:
    """The forge that a number or URL names. Raises ``NotHeld``; ``InvalidInput`` if there are several."""
    forges = desk.requests.schedule.forges()
    found = [forge for forge in forges if text in (str(forge.id), forge.url) or text.rstrip("/") == forge.url]
    if not found:
        raise _unknown(text)
    if len(found) > 1:
        ids = ", ".join(f"{forge.id} ({forge.kind})" for forge in found)
        raise InvalidInput(f"several forges have this URL: {ids}; name one by its number")
    return found[0]


def _unknown(text: str) -> NotHeld:
    return NotHeld(f"there is no forge {without_secret(text)}; `swhkit forge list` shows all")


@command.command("requests")
@click.argument("id", type=int, required=False)
@json_option
@click.pass_context
def requests(ctx: click.Context, id: int | None, as_json: bool) -> None:
    """List requests to add a forge, newest first; or show one with its history."""
    desk = desk_if_any(ctx)
    if id is not None:
        _show_request(desk, id, as_json)
        return
    found = [] if desk is None else desk.requests.forge_requests.latest(limit=_REQUESTS)
    if as_json:
        emit_json([msgspec.to_builtins(request) for request in found])
    elif found:
        columns = ("id", "status", "type", "url", "by", "date")
        print_table(
            columns, [(r.id, r.status, r.forge_type, r.forge_url, r.submitter, r.date) for r in found]
        )


def _show_request(desk: Desk | None, id: int, as_json: bool) -> None:
    request = _request(desk, id)
    assert desk is not None
    history = desk.requests.forge_requests.history(id)
    if as_json:
        emit_json({**msgspec.to_builtins(request), "history": msgspec.to_builtins(history)})
        return
    for name in request.__struct_fields__:
        click.echo(f"{name}: {cell(getattr(request, name))}")
    click.echo()
    columns = ("date", "by", "role", "status", "text")
    print_table(columns, [(line.date, line.actor, line.role, line.status, line.text) for line in history])


def _request(desk: Desk | None, id: int) -> ForgeRequest:
    found = None if desk is None else desk.requests.forge_requests.get(id)
    if found is None:
        raise NotHeld(f"there is no request {id} to add a forge; `swhkit forge requests` shows all")
    return found


@command.command("decide")
@click.argument("id", type=int)
@click.argument("status", type=click.Choice([str(s) for s in ForgeStatus], case_sensitive=False))
@click.option("--text", default="", metavar="TEXT", help="Why; moderators see it in the history.")
@click.pass_context
def decide(ctx: click.Context, id: int, status: str, text: str) -> None:
    """Move a request to add a forge to another status.

    Once it is ACCEPTED, a worker lists the forge.
    """
    desk, wanted = open_desk(ctx), ForgeStatus(status.upper())
    request = _request(desk, id)
    allowed = TRANSITIONS[request.status]
    if wanted not in allowed:
        possible = ", ".join(s for s in ForgeStatus if s in allowed) or "nothing: it is at its end"
        raise InvalidInput(f"request {id} is {request.status}; it can become {possible}")
    moved = desk.requests.forge_requests.update(
        id,
        expected=request.status,
        status=wanted,
        actor=shell_user(),
        role=ActorRole.MODERATOR,
        text=text,
        date=utc_now(),
    )
    if moved is None:
        raise InvalidInput(f"somebody else has just moved request {id}; look at it again")
    click.echo(f"request {id}: {moved.status}")
