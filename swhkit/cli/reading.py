"""What the reading commands share: SWHIDs as arguments, the API's JSON, and rows that are safe on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import click

from swhkit.api.answers import Data
from swhkit.api.calls import Call, Links
from swhkit.api.routing import Router
from swhkit.api.table import ROUTES
from swhkit.archive import Archive
from swhkit.cli.common import settings
from swhkit.cli.main import printable
from swhkit.escapes import escaped
from swhkit.query import Listed
from swhkit.swhid import Kind, ObjectId, parse_qualified

_KINDS = {"file": Kind.CONTENT, "dir": Kind.DIRECTORY, "rev": Kind.REVISION}


def swhid(text: str) -> ObjectId:
    """The object a SWHID names; qualifiers are checked for form and otherwise let be. Raises ``InvalidSwhid``."""
    return parse_qualified(text).core


def swhid_and_path(text: str) -> tuple[ObjectId, bytes]:
    """``SWHID[/path]``: the object and the path below it (empty: none). Raises ``InvalidSwhid``."""
    core, _, path = text.partition("/")
    if ";" in core:
        return swhid(text), b""
    return swhid(core), path.encode("utf-8", "surrogateescape").strip(b"/")


def api(ctx: click.Context, archive: Archive, route: str, parameters: Mapping[str, str]) -> object:
    """What the web API answers for a route: the same code without a server. Links begin with ``server.public_url``."""
    router = Router(ROUTES)
    found = next(known for known in router.routes if known.name == route)
    answer = found.handler(Call(archive, links(ctx, router), parameters, {}))
    assert isinstance(answer, Data)
    return answer.data


def links(ctx: click.Context, router: Router | None = None) -> Links:
    """Links as the server makes them; without a ``server.public_url`` they are relative to the site."""
    return Links(settings(ctx).server.public_url or "", (router or Router(ROUTES)).templates)


def shown(value: bytes | None) -> str:
    """A byte string in one line without anything that could steer a terminal."""
    return printable(escaped(value or b"").replace("\t", "\\t"))


def paragraphs(value: bytes | None) -> list[str]:
    """The lines of a message, indented, each safe as by ``shown``."""
    return [f"    {printable(line)}".rstrip() for line in escaped(value or b"").splitlines()]


def listing_lines(rows: list[Listed]) -> list[str]:
    """Columns mode, type, SWHID, length and name; the length is ``-`` where there is none."""
    return [
        f"{row.entry.perms:06o} {row.entry.type:<4} {ObjectId(_KINDS[row.entry.type], row.entry.target)} "
        f"{'-' if row.row is None else row.row.length:>10} {shown(row.entry.name)}"
        for row in rows
    ]
