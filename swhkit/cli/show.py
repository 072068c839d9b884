"""``swhkit show``: what a SWHID names, for people, or as the web API tells it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from swhkit import query
from swhkit.api import shapes
from swhkit.archive import Archive
from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.reading import api, links, listing_lines, paragraphs, shown
from swhkit.cli.reading import swhid as parse
from swhkit.model import Branch, BranchType, Person, Timestamp
from swhkit.swhid import Kind, ObjectId

#: More than any snapshot has: a snapshot is shown whole.
_ALL = (1 << 31) - 1


@click.command("show")
@click.argument("swhid", metavar="SWHID")
@json_option
@click.pass_context
def command(ctx: click.Context, swhid: str, as_json: bool) -> None:
    """Show what a SWHID names.

    Names and messages are shown with control characters escaped. --json prints what the web API answers; a snapshot
    has all its branches then.
    """
    id = parse(swhid)
    archive = open_archive(ctx, write=False)
    if as_json:
        emit_json(_json(ctx, archive, id))
        return
    for line in _TEXTS[id.kind](archive, id):
        click.echo(line)


def _json(ctx: click.Context, archive: Archive, id: ObjectId) -> object:
    if id.kind is Kind.SNAPSHOT:
        page = query.branches(archive, id.digest, count=_ALL)
        return shapes.snapshot(links(ctx), id.digest, page)
    if id.kind is Kind.CONTENT:
        return api(ctx, archive, "content", {"q": f"sha1_git:{id.hex}"})
    return api(ctx, archive, id.kind.word, {"id": id.hex})


def _content(archive: Archive, id: ObjectId) -> Iterator[str]:
    row = query.content(archive, "sha1_git", id.digest)
    yield f"content    {id}"
    yield f"length     {row.length}"
    yield f"status     {row.status}" + (f" ({shown(row.reason.encode())})" if row.reason else "")
    for name, digest in shapes.checksums(row).items():
        yield f"{name:<10} {digest}"


def _directory(archive: Archive, id: ObjectId) -> Iterator[str]:
    rows = query.listing(archive, id.digest)
    yield f"directory  {id}"
    yield f"entries    {len(rows)}"
    yield from listing_lines(rows)


def _revision(archive: Archive, id: ObjectId) -> Iterator[str]:
    revision = query.revision(archive, id.digest)
    yield f"revision   {id}"
    yield f"directory  {ObjectId(Kind.DIRECTORY, revision.directory)}"
    for parent in revision.parents:
        yield f"parent     {ObjectId(Kind.REVISION, parent)}"
    yield f"type       {revision.type}" + (", synthetic" if revision.synthetic else "")
    yield from _signature("author", revision.author, revision.date)
    yield from _signature("committer", revision.committer, revision.committer_date)
    for key, value in revision.extra_headers:
        yield f"header     {shown(key)} {shown(value)}"
    yield from _message(revision.message)


def _release(archive: Archive, id: ObjectId) -> Iterator[str]:
    release = query.release(archive, id.digest)
    yield f"release    {id}"
    yield f"name       {shown(release.name)}"
    target = None if release.target is None else ObjectId(release.target_type, release.target)
    yield f"target     {target or 'none'}"
    yield from _signature("author", release.author, release.date)
    yield from _message(release.message)


def _snapshot(archive: Archive, id: ObjectId) -> Iterator[str]:
    found = query.branches(archive, id.digest, count=_ALL)
    yield f"snapshot   {id}"
    yield f"branches   {len(found.page.branches)}"
    for name, branch in found.page.branches.items():
        yield f"{_branch(branch):<50} {shown(name)}"


def _branch(branch: Branch | None) -> str:
    if branch is None:
        return "dangling"
    if branch.type is BranchType.ALIAS:
        return f"alias {shown(branch.target)}"
    kind = branch.type.kind
    assert kind is not None
    return str(ObjectId(kind, branch.target))


def _signature(role: str, person: Person | None, date: Timestamp | None) -> Iterator[str]:
    if person is not None:
        yield f"{role:<10} {shown(person.fullname)}"
    if date is not None:
        exact = f"{date.seconds} {date.offset.decode('ascii', 'backslashreplace')}"
        yield f"{'':<10} {shapes.date(date) or exact}"


def _message(message: bytes | None) -> Iterator[str]:
    if message:
        yield ""
        yield from paragraphs(message)


_TEXTS = {
    Kind.CONTENT: _content,
    Kind.DIRECTORY: _directory,
    Kind.REVISION: _revision,
    Kind.RELEASE: _release,
    Kind.SNAPSHOT: _snapshot,
}
