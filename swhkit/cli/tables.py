"""Tables and moments, as commands print them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

import click

from swhkit.cli.main import printable


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows below their headings, each column as wide as it has to be."""
    cells = [list(columns), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell(value: object) -> str:
    """One value: a moment by the minute (UTC), ``-`` for none."""
    if value is None:
        return "-"
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    return printable(str(value))
