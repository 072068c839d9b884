"""``swhkit serve``: the web API of the archive, until it is told to stop."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import click
import msgspec

from swhkit.archive import Archive
from swhkit.cli.common import open_archive, request_store, settings
from swhkit.config import ServerSettings
from swhkit.errors import SwhkitError
from swhkit.publish import recover
from swhkit.requests import Requests
from swhkit.units import parse_listen

_log = logging.getLogger(__name__)
#: Seconds that a start waits for others who publish, or hold their locks and do not move.
_PATIENCE = 5.0


@click.command("serve")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
@click.pass_context
def command(ctx: click.Context, listen: str | None) -> None:
    """Serve the web API.

    Prints its URL once it takes connections. SIGTERM and Ctrl-C end it; requests under way have ten seconds.
    """
    host, port = _address(listen or settings(ctx).server.listen)
    archive = open_archive(ctx, write=True, create=False)
    if archive.writable:
        _recover(archive)
    opener = functools.partial(request_store, ctx)
    if (store := opener()) is not None:  # what is wrong with it is said now
        store.close()
    _serve(archive, settings(ctx).server, opener, host, port)


def _address(text: str) -> tuple[str, int]:
    try:
        host, _, port = parse_listen(text).rpartition(":")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None
    return host.strip("[]"), int(port)


def _recover(archive: Archive) -> None:
    """End what a dead load left. What can't be ended now does not keep anybody from reading."""
    try:
        for ended in recover(archive, _PATIENCE):
            _log.warning("visit %d of %s had died; it is %s now", ended.number, ended.url, ended.status)
    except (OSError, SwhkitError) as error:  # a full disk keeps nobody from reading
        _log.warning("dead visits could not be recovered: %s", error)


def _serve(
    archive: Archive, server: ServerSettings, opener: Callable[[], Requests | None], host: str, port: int
) -> None:
    # aiohttp takes a while to import: only now.
    from swhkit.api.app import make_app
    from swhkit.api.clients import Clients
    from swhkit.api.server import log_accesses, run, serve
    from swhkit.api.throttling import Limits

    throttling = server.throttling
    limits = Limits(msgspec.structs.asdict(throttling.rates), throttling.factor, throttling.exempt_networks)
    clients = Clients(server.trusted_proxies)
    try:
        app = make_app(
            archive,
            public_url=server.public_url,
            requests=opener,
            limits=limits,
            clients=clients,
            metrics_networks=server.metrics_networks,
        )
        if server.access_log:
            log_accesses()
        run(serve(app, host, port, click.echo))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {reason}; --listen takes another address"
        ) from None
