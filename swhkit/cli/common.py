"""What commands share: the configuration of this call, the archive it names, and JSON on stdout."""

from __future__ import annotations

import datetime
import getpass
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from swhkit import assemble, config, desk
from swhkit.archive import Archive
from swhkit.config import Configuration, Settings
from swhkit.desk import Desk
from swhkit.errors import InvalidInput
from swhkit.registry import Registry
from swhkit.requests import Requests

_KEY = "swhkit.configuration"

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """The option ``--json``; the command's parameter is ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(
        function
    )


def source(ctx: click.Context) -> config.Source:
    """The configuration file of this call as nodes. Raises ``ConfigError``."""
    named = ctx.find_root().params.get("config")
    return config.read(config.find(named))


def configuration(ctx: click.Context) -> Configuration:
    """The configuration of this call, read once. Raises ``ConfigError``, ``PluginError``."""
    meta = ctx.find_root().meta
    if _KEY not in meta:
        meta[_KEY] = config.decode(source(ctx))
    found = meta[_KEY]
    assert isinstance(found, Configuration)
    return found


def settings(ctx: click.Context) -> Settings:
    """The settings of this call."""
    return configuration(ctx).settings


def registry(ctx: click.Context) -> Registry:
    """The plugins of this call."""
    return configuration(ctx).registry


def open_archive(ctx: click.Context, *, write: bool, create: bool | None = None) -> Archive:
    """The archive of this call, closed when the command ends. With ``write``, stores that are not there are made,
    unless ``create`` says otherwise. Raises ``NotHeld`` if there is none."""
    found = configuration(ctx)
    make = write if create is None else create
    archive = assemble.open_archive(found.settings, found.registry, write=write, create=make)
    ctx.call_on_close(archive.close)
    return archive


def request_store(ctx: click.Context, *, create: bool = False) -> Requests | None:
    """The request store of this call, the caller's to close; None if it is not there and ``create`` does not make it."""
    found = configuration(ctx)
    return assemble.open_requests(found.settings, found.registry, create=create)


def open_desk(ctx: click.Context, *, create: bool = True) -> Desk:
    """The desk of this call's archive, closed when the command ends. ``create`` makes stores that are not there; raises
    ``NotHeld`` otherwise, and if there is no archive."""
    archive = open_archive(ctx, write=True, create=False)
    found = desk.open_desk(archive, configuration(ctx), create=create)
    ctx.call_on_close(found.close)
    return found


def desk_if_any(ctx: click.Context) -> Desk | None:
    """The desk of this call's archive, to be read; None if nobody has asked for anything yet. Raises ``NotHeld`` if there is
    no archive."""
    archive, found = open_archive(ctx, write=False), configuration(ctx)
    known = request_store(ctx)
    if known is None:
        return None
    known.close()
    opened = desk.open_desk(archive, found)  # one that has requests may lack the store of jobs
    ctx.call_on_close(opened.close)
    return opened


def utc_now() -> datetime.datetime:
    """This moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def shell_user() -> str:
    """Who sits at the shell."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody knows this user
        return "shell"


def as_url(text: str) -> str:
    """A path that is there becomes absolute, without dots; everything else stays for the address policy to judge."""
    if "://" in text or not text or "\0" in text:
        return text
    if Path(text).exists():
        return os.path.abspath(text)  # noqa: PTH100 (links stay: the name a person gave is the origin)
    if text.startswith(("/", "./", "../")):
        raise InvalidInput(f"{text}: there is no such path")
    return text


def emit_json(value: object) -> None:
    """Print one JSON document. Paths become texts, moments ISO 8601; what is no UTF-8 stays readable as escapes."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
