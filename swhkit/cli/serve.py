"""``swhkit serve``: the web API of the archive, and workers beside it, until it is told to stop."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from swhkit.archive import Archive
from swhkit.cli.common import configuration, open_archive, request_store, settings
from swhkit.config import ServerSettings
from swhkit.desk import Desk, open_desk
from swhkit.errors import SwhkitError
from swhkit.publish import recover
from swhkit.requests import Requests
from swhkit.units import parse_listen
from swhkit.worker.service import Service, unshared

_log = logging.getLogger(__name__)
#: Seconds that a start waits for others who publish, or hold their locks and do not move.
_PATIENCE = 5.0


@click.command("serve")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(0, 64),
    help="How many jobs to work on at a time, instead of jobs.workers; 0 for none.",
)
@click.pass_context
def command(ctx: click.Context, listen: str | None, workers: int | None) -> None:
    """Serve the web API, and work on jobs beside it.

    Prints its URL once it takes connections. SIGTERM and Ctrl-C end it; requests under way have ten seconds.
    """
    host, port = _address(listen or settings(ctx).server.listen)
    archive = open_archive(ctx, write=True, create=False)
    if archive.writable:
        _recover(archive)
    opener = functools.partial(request_store, ctx)
    if (store := opener()) is not None:  # what is wrong with it is said now
        store.close()
    desk = _desk(ctx, archive)
    slots = 0 if desk is None else settings(ctx).jobs.workers if workers is None else workers
    _serve(archive, settings(ctx).server, opener, host, port, desk, _service(ctx, slots))


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


def _desk(ctx: click.Context, archive: Archive) -> Desk | None:
    """Where requests are taken; None for an archive that takes nothing, or whose disk does not."""
    if not archive.writable:
        return None
    try:
        desk = open_desk(archive, configuration(ctx))
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _log.warning("requests are not taken, and no jobs done: %s%s", error.strerror or error, place)
        return None
    ctx.call_on_close(desk.close)
    return desk


def _service(ctx: click.Context, slots: int) -> Service | None:
    """The workers beside the server; None for none."""
    if not slots:
        return None
    if (reason := unshared(settings(ctx))) is not None:
        _log.warning("there are no workers: %s", reason)
        return None
    file: Path | None = configuration(ctx).file
    options: list[str | Path] = [] if file is None else ["--config", file]
    verbose = ["--verbose"] if ctx.find_root().params.get("verbose") else []
    return Service(slots, [*options, *verbose])


def _serve(
    archive: Archive,
    server: ServerSettings,
    opener: Callable[[], Requests | None],
    host: str,
    port: int,
    desk: Desk | None,
    workers: Service | None,
) -> None:
    # aiohttp takes a while to import: only now.
    from swhkit.api.app import make_app
    from swhkit.api.clients import Clients
    from swhkit.api.server import log_accesses, run, serve
    from swhkit.api.throttling import Limits

    throttling = server.throttling
    limits = Limits(msgspec.structs.asdict(throttling.rates), throttling.factor, throttling.exempt_networks)
    clients = Clients(server.trusted_proxies)

    def ready(url: str) -> None:
        click.echo(url)
        if workers is not None:
            workers.start()

    try:
        app = make_app(
            archive,
            public_url=server.public_url,
            requests=opener,
            limits=limits,
            clients=clients,
            metrics_networks=server.metrics_networks,
            desk=desk,
        )
        if server.access_log:
            log_accesses()
        run(serve(app, host, port, ready, workers.stop if workers is not None else _nothing))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise click.ClickException(
            f"cannot listen on {host} port {port}: {reason}; --listen takes another address"
        ) from None
    finally:
        if workers is not None:
            workers.join()


def _nothing() -> None:
    """What an end without workers has to do."""
