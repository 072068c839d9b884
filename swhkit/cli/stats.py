"""``swhkit stats``: how much the archive holds."""

from __future__ import annotations

import click

from swhkit.cli.common import emit_json, json_option, open_archive


@click.command("stats")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Count what the archive holds, kind by kind."""
    counters = open_archive(ctx, write=False).catalog.counters()
    if as_json:
        emit_json(counters)
        return
    width = max(len(str(value)) for value in counters.values())
    for name, value in sorted(counters.items()):
        click.echo(f"{name:<16} {value:>{width}}")
