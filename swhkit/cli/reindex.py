"""``swhkit reindex``: make anew what can be derived from the objects."""

from __future__ import annotations

import click
import msgspec

from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.progress import counting
from swhkit.publish import recover
from swhkit.reindex import Reindexed, reindex
from swhkit.scratch import scratch_folder


@click.command("reindex")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Rebuild what can be derived from the objects.

    Content rows, persons and counters. Rows whose bytes are not held are removed, and snapshots below which something
    is lost are no longer trusted: the next visit of their origins fetches it again. Origins and visits cannot be
    derived: keep copies of the catalog.
    """
    archive = open_archive(ctx, write=True, create=False)
    archive.writer()
    recover(archive)
    with scratch_folder("reindex") as scratch, counting("reindex") as tell:
        done = reindex(archive, scratch, tell)
    if as_json:
        emit_json(msgspec.to_builtins(done))
    else:
        _print(done)


def _print(done: Reindexed) -> None:
    click.echo(
        f"content rows: {done.added:,} added, {done.corrected:,} corrected, {done.removed:,} removed; "
        f"{done.persons:,} persons added"
    )
    if done.damaged:
        click.echo(f"{done.damaged:,} damaged objects passed over; `swhkit check --full` names them")
    if done.distrusted:
        click.echo(
            f"{done.distrusted:,} snapshots lack something: load their origins again "
            "(`swhkit check --full` names them)"
        )
