"""``swhkit config``: what is in force, and whether it is right. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import click

from swhkit.cli.common import configuration
from swhkit.config import Configuration, Part
from swhkit.config.show import effective
from swhkit.errors import PluginError
from swhkit.registry import PartKind


@click.group("config")
def command() -> None:
    """Show or check the configuration."""


@command.command("show")
@click.pass_context
def show(ctx: click.Context) -> None:
    """Print all settings as YAML, each with where it came from.

    A comment behind each value says default, FILE:LINE, or environment. Secrets are masked.
    """
    click.echo(effective(configuration(ctx)), nl=False)


@command.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say OK, or all that is wrong (exit 2).

    The plugins that the configuration names are imported; no store is opened.
    """
    found = configuration(ctx)
    if errors := list(_unusable(found)):
        raise PluginError("\n".join(errors))
    click.echo(
        f"OK: {found.file}" if found.file else "OK: there is no file, all settings have their defaults"
    )


def _unusable(found: Configuration) -> Iterator[str]:
    """A sentence for each part that is named and does not import."""
    archive = found.settings.archive
    parts: list[tuple[PartKind, Part]] = [("object store", archive.objects), ("catalog", archive.catalog)]
    parts += [("loader", part) for part in found.settings.loaders.values()]
    for kind, part in parts:
        try:
            found.registry.factory(kind, part.provider)
        except PluginError as error:
            yield str(error)
