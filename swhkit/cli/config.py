"""``swhkit config``: what is in force, and whether it is right. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

import click

from swhkit import assemble
from swhkit.cli.common import configuration
from swhkit.cli.main import printable
from swhkit.config import Configuration, Part, ServerSettings
from swhkit.config.show import effective
from swhkit.errors import PluginError, SwhkitError
from swhkit.registry import PartKind
from swhkit.webhook import secret_of


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

    The plugins that the configuration names are imported; no store is opened but that of access tokens, and that only
    if other machines can reach the server. What lets strangers do more than you may want is a warning on stderr.
    """
    found = configuration(ctx)
    if errors := list(_unusable(found)):
        raise PluginError("\n".join(errors))
    for warning in _warnings(found):
        click.echo(f"swhkit: warning: {printable(warning)}", err=True)
    click.echo(
        f"OK: {found.file}" if found.file else "OK: there is no file, all settings have their defaults"
    )


def _unusable(found: Configuration) -> Iterator[str]:
    """A sentence for each part that is named and does not import."""
    archive = found.settings.archive
    parts: list[tuple[PartKind, Part]] = [("object store", archive.objects), ("catalog", archive.catalog)]
    parts += [("request store", archive.requests)]
    parts += [("loader", part) for part in found.settings.loaders.values()]
    parts += [("webhook", part) for part in found.settings.webhooks.values()]
    for kind, part in parts:
        try:
            found.registry.factory(kind, part.provider)
        except PluginError as error:
            yield str(error)


def _warnings(found: Configuration) -> Iterator[str]:
    """A sentence for each thing that an open server lacks, and for webhooks that anybody can be."""
    yield from _unproven(found)
    server = found.settings.server
    if not _is_open(server):
        return
    where = server.public_url or server.listen
    throttling = server.throttling
    if not throttling.factor:
        yield f"anybody who reaches {where} may ask without limit; server.throttling.factor sets one"
    for network in {"0.0.0.0/0", "::/0"}.intersection(throttling.exempt_networks):
        yield f"{network} in server.throttling.exempt_networks is everybody: nobody who reaches {where} is limited"
    if server.public_url is not None and not server.trusted_proxies:
        yield (
            "server.public_url says that there is a proxy in front, and server.trusted_proxies is empty: all clients "
            "are taken for the proxy, and counted as one or not at all; name its address there"
        )
    if (lack := _lack_of_tokens(found)) is not None:
        yield f"{lack}, so that everybody who reaches {where} is anonymous; `swhkit token create` makes one"


def _unproven(found: Configuration) -> Iterator[str]:
    """A sentence on webhooks that are named, so that deliveries of them are meant to come, and have no secret."""
    parts = found.settings.webhooks.items()
    names = [name for name, part in parts if secret_of(part.config) is None]
    if names:
        keys = ", ".join(f"webhooks.{name}.secret" for name in names)
        yield (
            f"webhooks take deliveries without proof that they come from the forge ({', '.join(names)}): anybody can have "
            f"visits asked for in its name; set {keys} to what the forge is told to sign with"
        )


def _is_open(server: ServerSettings) -> bool:
    """Whether other machines can reach the server."""
    host = server.listen.rpartition(":")[0].strip("[]")
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return not loopback or server.public_url is not None


def _lack_of_tokens(found: Configuration) -> str | None:
    """Why nobody can have a token that is good; None if somebody may."""
    try:
        store = assemble.open_requests(found.settings, found.registry)
        if store is None:
            return "there are no access tokens"
        try:
            alive = any(token.revoked is None for token in store.tokens())
        finally:
            store.close()
    except (OSError, SwhkitError) as error:
        return f"access tokens cannot be read ({error})"
    return None if alive else "there are no access tokens"
