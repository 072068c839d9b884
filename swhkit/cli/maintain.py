"""``swhkit maintain``: make the stores smaller and quicker."""

from __future__ import annotations

import click
import msgspec

from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.publish import recover


@click.command("maintain")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Make the stores smaller and quicker.

    Ends what dead processes left, merges packs (never dropping an object) and tidies the catalog. Reading and loading
    may go on meanwhile.
    """
    archive = open_archive(ctx, write=True, create=False)
    objects, catalog, _ = archive.writer()
    recovered = recover(archive)
    report, tidied = objects.maintain(), catalog.maintain()
    if as_json:
        emit_json(
            {
                "objects": msgspec.to_builtins(report),
                "catalog": tidied,
                "recovered": msgspec.to_builtins(recovered),
            }
        )
        return
    for visit in recovered:
        click.echo(f"recovered: visit {visit.number} of {visit.url} is {visit.status.value}")
    click.echo(f"objects: {report.summary}")
    click.echo(f"catalog: {tidied}")
