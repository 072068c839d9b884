"""``swhkit cat``: the bytes of an object, in pieces, to stdout."""

from __future__ import annotations

import contextlib
import sys

import click

from swhkit import query
from swhkit.cli.common import open_archive
from swhkit.cli.reading import swhid as parse
from swhkit.swhid import Kind


@click.command("cat")
@click.argument("swhid", metavar="SWHID")
@click.pass_context
def command(ctx: click.Context, swhid: str) -> None:
    """Write the bytes of a content to stdout, exactly as they are.

    Of a directory, revision, release or snapshot the manifest is written: what is hashed, without git's header.
    Damaged bytes are never written to their end: the exit code is 1 then.
    """
    id = parse(swhid)
    archive = open_archive(ctx, write=False)
    if id.kind is Kind.CONTENT:
        _, pieces = query.content_bytes(archive, "sha1_git", id.digest)
    else:
        _, pieces = query.body(archive, id)
    out = sys.stdout.buffer
    with contextlib.closing(pieces):
        for piece in pieces:
            out.write(piece)
    out.flush()
