"""``swhkit plugins``: what is installed, what it provides, and what cannot be used."""

from __future__ import annotations

from typing import Any

import click

from swhkit.cli.common import emit_json, json_option, source
from swhkit.cli.main import printable
from swhkit.registry import HOOKS, Plugin, Registry

_COLUMNS = ("kind", "name", "summary", "distribution", "version", "state")


@click.command("plugins")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the plugins and what they provide.

    A plugin that cannot be used is listed with the reason; it is an error only where the configuration names it.
    """
    rows = _rows(source(ctx).registry())
    if as_json:
        emit_json(rows)
    else:
        _print_table(rows)


def _rows(registry: Registry) -> list[dict[str, Any]]:
    clashes = {clash for kind in HOOKS for clash in registry.clashes(kind)}
    rows = [row for plugin in registry.plugins for row in _rows_of(plugin)]
    for row in rows:
        about = f"both provide a {row['kind']} named {row['name']!r};"
        row["state"] = next((f"clash: {c}" for c in sorted(clashes) if about in c), row["state"])
    return sorted(rows, key=lambda row: (row["kind"] == "plugin", row["kind"], row["name"]))


def _rows_of(plugin: Plugin) -> list[dict[str, Any]]:
    """One row for each provider; one of kind ``plugin`` for a plugin that is broken or provides none."""
    parts: list[tuple[str, str, str]] = [(kind, part.name, part.summary) for kind, part in plugin.providers]
    return [
        {
            "kind": kind,
            "name": name,
            "summary": summary,
            "distribution": plugin.source.origin,
            "version": plugin.source.version,
            "state": f"failed: {plugin.error}" if plugin.error else "ok",
        }
        for kind, name, summary in parts or [("plugin", plugin.source.name, "")]
    ]


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [list(_COLUMNS), *([printable(row[column] or "") for column in _COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        click.echo("swhkit: no plugin is installed; install swhkit with pip, or name a plugins_dir", err=True)
