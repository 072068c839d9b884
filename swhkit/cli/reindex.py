"""``swhkit reindex``: make anew what can be derived from the objects."""

from __future__ import annotations

import click
import msgspec

from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.progress import counting
from swhkit.publish import recover
from swhkit.reindex import reindex


@click.command("reindex")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Rebuild what can be derived from the objects.

    Content rows, persons and counters. Rows whose bytes are not held are removed. Origins and visits cannot be
    derived: keep copies of the catalog.
    """
    archive = open_archive(ctx, write=True, create=False)
    archive.writer()
    recover(archive)
    with counting("reindex") as tell:
        done = reindex(archive, tell)
    if as_json:
        emit_json(msgspec.to_builtins(done))
        return
    click.echo(
        f"content rows: {done.added:,} added, {done.corrected:,} corrected, {done.removed:,} removed; "
        f"{done.persons:,} persons added; {done.damaged:,} damaged objects passed over"
        + (" (see `swhkit check --full`)" if done.damaged else "")
    )
