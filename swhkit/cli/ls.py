"""``swhkit ls``: the entries of a directory, found from any object that leads to one."""

from __future__ import annotations

import click

from swhkit import query
from swhkit.api import shapes
from swhkit.archive import Archive
from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.reading import links, listing_lines, swhid_and_path
from swhkit.swhid import ObjectId


@click.command("ls")
@click.argument("place", metavar="SWHID[/PATH]")
@json_option
@click.pass_context
def command(ctx: click.Context, place: str, as_json: bool) -> None:
    """List a directory: mode, type, SWHID, length and name.

    A revision or release is followed to its directory, a snapshot to that of its HEAD. A path that names a file
    lists that one entry. --json prints what the web API answers for the directory.
    """
    id, path = swhid_and_path(place)
    rows = _listed(open_archive(ctx, write=False), id, path)
    if as_json:
        maker = links(ctx)
        emit_json([shapes.entry(maker, row) for row in rows])
        return
    for line in listing_lines(rows):
        click.echo(line)


def _listed(archive: Archive, id: ObjectId, path: bytes) -> list[query.Listed]:
    root = query.directory_of(archive, id).digest
    if not path:
        return query.listing(archive, root)
    found = query.entry(archive, root, path)
    return query.listing(archive, found.entry.target) if found.entry.type == "dir" else [found]
