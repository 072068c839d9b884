"""``swhkit status``: how the archive keeps up, or how fresh one origin is."""

from __future__ import annotations

import click

from swhkit import query, status
from swhkit.api.status import forge_data, origin_data
from swhkit.cli.common import desk_if_any, emit_json, json_option, open_archive
from swhkit.cli.forge import print_forges
from swhkit.cli.main import printable
from swhkit.cli.tables import cell, print_table


@click.command("status")
@click.argument("url", required=False)
@json_option
@click.pass_context
def command(ctx: click.Context, url: str | None, as_json: bool) -> None:
    """Tell how the archive keeps up: jobs, requests, origins, forges.

    With URL: how fresh this origin is, for each type of visits. Its state is ok, stale (a newer visit should have been made
    by now), gone, failing, or unknown before its first visit.
    """
    desk = desk_if_any(ctx)
    if url is not None:
        found = status.of_origin(desk, url)
        if not found:
            archive = desk.archive if desk is not None else open_archive(ctx, write=False)
            query.origin(archive, [url])  # raises what says that it is not known
        _print_origin(found, as_json)
        return
    state = status.overall(desk)
    if as_json:
        emit_json(
            {
                "jobs": state.jobs,
                "add_forge_requests": state.add_forge,
                "origins": state.origins,
                "forges": [forge_data(forge) for forge in state.forges],
            }
        )
        return
    for name, counts in (
        ("jobs", state.jobs),
        ("requests to add a forge", state.add_forge),
        ("origins", state.origins),
    ):
        click.echo(f"{name}: {', '.join(f'{n:,} {word}' for word, n in counts.items() if n) or 'none'}")
    if state.forges:
        click.echo()
        print_forges(state.forges)


def _print_origin(found: list[status.OriginState], as_json: bool) -> None:
    if as_json:
        emit_json([origin_data(one) for one in found])
        return
    columns = ("type", "state", "since", "visited", "succeeded", "failures", "due", "job")
    print_table(
        columns,
        [
            (
                one.row.visit_type,
                one.state,
                one.row.since,
                one.row.visited,
                one.row.succeeded,
                one.row.failures,
                one.row.due,
                one.job,
            )
            for one in found
        ],
    )
    for one in found:
        if one.row.reason:
            click.echo(printable(f"{cell(one.row.visit_type)}: {one.row.reason}"))
