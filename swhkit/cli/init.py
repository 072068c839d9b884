"""``swhkit init``: an empty archive and a configuration with every key explained."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from swhkit import assemble, config
from swhkit.config.show import template
from swhkit.errors import InvalidInput
from swhkit.files import sync_folder
from swhkit.registry import Registry


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Make an archive and a commented configuration.

    DIR (default: the current folder) gets swhkit.yaml, in which every key stands with its default, and the empty
    stores below it. A swhkit.yaml that is there is never touched.
    """
    file = folder / config.FILE_NAME
    if os.path.lexists(file):
        raise InvalidInput(f"{file} is there already; choose another folder, or remove it to begin anew")
    registry = Registry.load()
    text = template(registry)
    folder.mkdir(parents=True, exist_ok=True)
    root, problems = config.parse(text.encode(), str(file), {})
    found = config.decode(config.Source(root, problems, file, file.absolute().parent), registry)
    assemble.open_archive(found.settings, registry, create=True).close()
    requests = assemble.open_requests(found.settings, registry, create=True)
    if requests is not None:
        requests.close()
    _write_new(file, text)
    _tell(file, folder)


def _write_new(file: Path, text: str) -> None:
    """Write a file that must not exist, wholly or not at all. Raises ``InvalidInput`` if it has appeared."""
    handle, temporary = tempfile.mkstemp(prefix=".swhkit-", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fchmod(opened.fileno(), 0o644)
            os.fsync(opened.fileno())
        os.link(temporary, file)
        sync_folder(file.parent)
    except FileExistsError:
        raise InvalidInput(f"{file} has just been made by somebody else; nothing was changed") from None
    finally:
        Path(temporary).unlink()


def _tell(file: Path, folder: Path) -> None:
    click.echo(f"An archive is ready; its configuration is {file}. Next:")
    if folder.resolve() != Path.cwd():
        click.echo(f"  cd {folder}")
    click.echo("  swhkit load https://github.com/pallets/click")
    click.echo("  swhkit serve")
