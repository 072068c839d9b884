"""``swhkit log``: a revision and its ancestors, breadth-first as the web API lists them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from swhkit import query
from swhkit.api import shapes
from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.reading import links, paragraphs, shown
from swhkit.cli.reading import swhid as parse
from swhkit.model import Revision
from swhkit.swhid import Kind, ObjectId


@click.command("log")
@click.argument("swhid", metavar="SWHID")
@click.option(
    "-n", "limit", type=click.IntRange(min=1), default=10, show_default=True, help="At most so many."
)
@click.option("--oneline", is_flag=True, help="One line each: SWHID and first line of the message.")
@json_option
@click.pass_context
def command(ctx: click.Context, swhid: str, limit: int, oneline: bool, as_json: bool) -> None:
    """List a revision and its ancestors, breadth-first.

    A release or snapshot is followed to its revision. Ancestors that the archive does not hold are left out.
    """
    id = parse(swhid)
    archive = open_archive(ctx, write=False)
    found = query.log(archive, query.revision_of(archive, id).digest, limit)
    if as_json:
        persons = query.person_numbers(archive, (revision for _, revision in found))
        emit_json(shapes.revisions(links(ctx), found, persons))
        return
    for digest, revision in found:
        for line in _oneline(digest, revision) if oneline else _long(digest, revision):
            click.echo(line)


def _oneline(digest: bytes, revision: Revision) -> Iterator[str]:
    subject = (revision.message or b"").lstrip(b"\n").partition(b"\n")[0]
    yield f"{ObjectId(Kind.REVISION, digest)} {shown(subject)}".rstrip()


def _long(digest: bytes, revision: Revision) -> Iterator[str]:
    yield f"revision {ObjectId(Kind.REVISION, digest)}"
    if revision.author is not None:
        yield f"author   {shown(revision.author.fullname)}"
    yield f"date     {shapes.date(revision.date) or '-'}"
    yield ""
    yield from paragraphs(revision.message)
    yield ""
