"""``swhkit token``: who may do what over the web API. A secret is shown once, and kept as a digest only."""

from __future__ import annotations

import datetime
from typing import Any

import click

from swhkit.cli.common import emit_json, json_option, open_archive, request_store
from swhkit.cli.main import printable
from swhkit.errors import InvalidInput, NotHeld
from swhkit.requests import PERMISSIONS, Requests, Token, digest_of, new_secret

_COLUMNS = ("name", "user", "email", "permissions", "created", "last_used", "revoked")


@click.group("token")
def command() -> None:
    """Make, list or revoke access tokens of the web API."""


@command.command("create")
@click.argument("name")
@click.option("--user", required=True, metavar="USER", help="Whose token it is. A user may have several.")
@click.option("--email", required=True, metavar="ADDRESS", help="The user's e-mail address.")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    metavar="NAME",
    help=f"What it allows; may be repeated. One of {', '.join(PERMISSIONS)}.",
)
@json_option
@click.pass_context
def create(
    ctx: click.Context, name: str, user: str, email: str, permissions: tuple[str, ...], as_json: bool
) -> None:
    """Make an access token and print its secret.

    The secret is printed this once, alone on stdout; the archive keeps no more than its SHA-256. A client sends it as
    `Authorization: Bearer SECRET`.
    """
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    try:
        token = Token(name=name, user=user, email=email, permissions=frozenset(permissions), created=now)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    secret, store = new_secret(), _store(ctx, create=True)
    if store is None or not store.add_token(token, digest_of(secret)):
        raise InvalidInput(f"there is, or was, a token named {name}: choose another name")
    if as_json:
        emit_json({**_row(token), "secret": secret})
        return
    click.echo(secret)
    click.echo("swhkit: keep it safe, it cannot be shown again", err=True)


@command.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List all tokens, oldest first, revoked ones included."""
    store = _store(ctx, create=False)
    rows = [_row(token) for token in store.tokens()] if store is not None else []
    if as_json:
        emit_json(rows)
    elif rows:
        _print_table(rows)


@command.command("revoke")
@click.argument("name")
@click.pass_context
def revoke(ctx: click.Context, name: str) -> None:
    """Take a token back, for good. A server that runs refuses it within seconds."""
    store = _store(ctx, create=False)
    if store is None or not store.revoke_token(name, datetime.datetime.now(datetime.UTC)):
        raise NotHeld(f"there is no token named {name}; `swhkit token list` shows all")


def _store(ctx: click.Context, *, create: bool) -> Requests | None:
    """The request store of an archive that is there, closed when the command ends. Raises ``NotHeld``."""
    open_archive(ctx, write=False)
    store = request_store(ctx, create=create)
    if store is not None:
        ctx.call_on_close(store.close)
    return store


def _row(token: Token) -> dict[str, Any]:
    return {name: getattr(token, name) for name in _COLUMNS} | {"permissions": sorted(token.permissions)}


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [list(_COLUMNS), *([_cell(row[column]) for column in _COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list):
        return " ".join(value) or "-"
    return printable(str(value)) if value is not None else "-"
