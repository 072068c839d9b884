"""``swhkit save``: ask for a visit that a worker makes, and review what others have asked for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import click
import msgspec

from swhkit import saving
from swhkit.cli.common import as_url, emit_json, json_option, open_desk, shell_user, utc_now
from swhkit.cli.main import printable
from swhkit.desk import Desk
from swhkit.errors import InvalidInput
from swhkit.net import without_secret
from swhkit.requests.saves import SaveRequest, SaveStatus
from swhkit.saving import Standing

_LISTED = 100
#: Types that are asked for by another word than the one loaders go by.
_WORDS = {catalog: word for word, catalog in saving.TYPES.items() if word != saving.ARCHIVES}
_DECIDED = {True: "accepted", False: "rejected"}


class SaveGroup(click.Group):
    """A group in which ``save URL`` is ``save new URL``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what is no command of the group is the URL (or an option) of ``new``."""
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = ["new", *args]
        return super().parse_args(ctx, args)


@click.group("save", cls=SaveGroup)
def command() -> None:
    """Ask for visits, and decide on what others ask for.

    `swhkit save URL` is `swhkit save new URL`.
    """


@command.command("new")
@click.argument("url")
@click.option(
    "--type", "visit_type", metavar="TYPE", help="The visit type; guessed from the URL's form without it."
)
@json_option
@click.pass_context
def new(ctx: click.Context, url: str, visit_type: str | None, as_json: bool) -> None:
    """Ask for a visit, which a worker makes.

    It needs no review, since who may use this archive's shell asks. URL may be a path of this machine. Workers are those of
    `swhkit serve`, or `swhkit worker`; `swhkit load` visits here and now instead.
    """
    desk, now = open_desk(ctx), utc_now()
    desk.archive.writer()  # one that is only read takes no requests
    url = desk.network(trusted=True).check(as_url(url), resolve=False).url
    request = saving.save(
        desk, url, _type(desk, url, visit_type), trusted=True, now=now, asker=saving.Asker(shell_user())
    )
    _tell(desk, [request], now, as_json, alone=True)


@command.command("list")
@click.option(
    "--status",
    type=click.Choice([status.value for status in SaveStatus]),
    help="Only requests that were decided on so.",
)
@click.option("-n", "count", type=click.IntRange(1), default=_LISTED, metavar="N", help="At most so many.")
@click.option("--prefixes", is_flag=True, help="List prefixes instead, which need no review.")
@json_option
@click.pass_context
def list_(ctx: click.Context, status: str | None, count: int, prefixes: bool, as_json: bool) -> None:
    """List requests, newest first, or prefixes."""
    desk = open_desk(ctx)
    if prefixes:
        _tell_prefixes(desk, as_json)
        return
    wanted = None if status is None else SaveStatus(status)
    _tell(desk, desk.requests.saves.latest(wanted, limit=count), utc_now(), as_json)


@command.command("accept")
@click.argument("what", metavar="ID|PREFIX")
@click.option("--note", default="", metavar="TEXT", help="Shown with the request.")
@click.option("--forget", is_flag=True, help="Forget the prefix.")
@json_option
@click.pass_context
def accept(ctx: click.Context, what: str, note: str, forget: bool, as_json: bool) -> None:
    """Accept a request by its number, or all that begins with a prefix from now on.

    An accepted request is visited now, and its origin needs no review from then on.
    """
    _decide(ctx, what, True, note, forget, as_json)


@command.command("reject")
@click.argument("what", metavar="ID|PREFIX")
@click.option("--note", default="", metavar="TEXT", help="Shown with the request.")
@click.option("--forget", is_flag=True, help="Forget the prefix.")
@json_option
@click.pass_context
def reject(ctx: click.Context, what: str, note: str, forget: bool, as_json: bool) -> None:
    """Reject a request by its number, or all that begins with a prefix from now on."""
    _decide(ctx, what, False, note, forget, as_json)


def _decide(ctx: click.Context, what: str, accepted: bool, note: str, forget: bool, as_json: bool) -> None:
    desk, now = open_desk(ctx), utc_now()
    if what.isascii() and what.isdigit():
        if forget:
            raise InvalidInput("--forget is for prefixes; a request stays as it was decided on")
        id = int(what[:18])
        request = saving.decide(desk, id, accept=accepted, user=shell_user(), note=note, now=now)
        _tell(desk, [request], now, as_json, alone=True)
        return
    if note:
        raise InvalidInput("--note is for requests; a prefix has none")
    if forget:
        saving.remove_prefix(desk, what, accepted=accepted)
    else:
        saving.set_prefix(desk, what, accept=accepted, user=shell_user(), now=now)
    word = "forgotten" if forget else _DECIDED[accepted]
    if as_json:
        emit_json({"prefix": what, "status": word})
    else:
        click.echo(f"{printable(what)}: {word}")


def _type(desk: Desk, url: str, named: str | None) -> str:
    chosen = named or desk.registry.visit_type(url)
    if chosen is None:
        known = ", ".join(saving.words(privileged=False))
        raise InvalidInput(
            f"{without_secret(url)}: its form does not tell the visit type; name it with --type ({known})"
        )
    word = _WORDS.get(chosen, chosen)
    if word not in saving.words(privileged=False):
        known = ", ".join(saving.words(privileged=False))
        raise InvalidInput(
            f"{without_secret(url)}: visits of type {chosen} cannot be asked for, only {known}; "
            "`swhkit load` makes any"
        )
    if named is None:
        click.echo(f"{printable(without_secret(url))}: visit type {word} (guessed)", err=True)
    return word


def _tell(
    desk: Desk, requests: list[SaveRequest], now: datetime.datetime, as_json: bool, *, alone: bool = False
) -> None:
    """Print requests; ``alone`` is one that was just made or decided on."""
    found = zip(requests, saving.standings(desk, requests, now), strict=True)
    if as_json:
        rows = [_row(request, standing) for request, standing in found]
        emit_json(rows[0] if alone else rows)
    elif alone:
        for request, standing in found:
            click.echo(printable(_sentence(request, standing)))
    else:
        _print_table(_row(request, standing) for request, standing in found)


def _row(request: SaveRequest, standing: Standing) -> dict[str, Any]:
    snapshot = standing.snapshot
    return {
        "id": request.id,
        "origin_url": request.url,
        "visit_type": request.visit_type,
        "date": request.date,
        "user": request.user,
        "webhook": request.webhook,
        "status": request.status.value,
        "decided": request.decided,
        "decided_by": request.decided_by,
        "job": request.job,
        "task_status": standing.task_status,
        "next_run": standing.next_run,
        "visit_status": standing.visit_status,
        "visit_date": standing.visit_date,
        "snapshot": None if snapshot is None else f"swh:1:snp:{snapshot.hex()}",
        "note": request.note or standing.note or "",
    }


def _sentence(request: SaveRequest, standing: Standing) -> str:
    job = "" if request.job is None else f", job {request.job} is {standing.task_status}"
    note = f": {request.note}" if request.note else ""
    what = f"{request.visit_type} {without_secret(request.url)}"
    return f"request {request.id} ({what}) is {request.status.value}{job}{note}"


def _print_table(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        cells = (
            f"{row['id']:>6}",
            row["date"].strftime("%Y-%m-%d %H:%M"),
            f"{row['status']:<8}",
            f"{row['task_status']:<11}",
            f"{row['visit_type']:<8}",
            without_secret(row["origin_url"]),
            f"({row['note']})" if row["note"] else "",
        )
        click.echo(printable("  ".join(cells).rstrip()))


def _tell_prefixes(desk: Desk, as_json: bool) -> None:
    settings = desk.settings.save_code_now
    rows: list[dict[str, Any]] = [
        {"prefix": prefix, "accepted": accepted, "source": "configuration", "date": None, "user": None}
        for accepted, prefixes in ((True, settings.accept), (False, settings.reject))
        for prefix in prefixes
    ]
    for one in desk.requests.saves.prefixes():
        rows.append({**msgspec.structs.asdict(one), "source": "added"})
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        click.echo(printable(f"{_DECIDED[row['accepted']]}  {row['source']:<13}  {row['prefix']}"))
