"""``swhkit load``: visit origins now, in this process."""

from __future__ import annotations

import datetime
import json
import logging
from pathlib import Path

import click
import msgspec

from swhkit import assemble, freshness, visit
from swhkit.archive import Archive
from swhkit.cli.common import as_url, configuration, emit_json, json_option, open_archive, request_store
from swhkit.cli.main import printable
from swhkit.cli.progress import shown
from swhkit.config import Configuration
from swhkit.errors import InvalidInput, SwhkitError
from swhkit.interrupts import Cancelled, ended_by_signals
from swhkit.model import GOOD, VisitStatus
from swhkit.net import Network, without_secret
from swhkit.registry import Registry
from swhkit.requests import Requests
from swhkit.visit import Report

_LOG = logging.getLogger(__name__)
#: The visit type of packages, and the setting that their archives are listed in.
_PACKAGES, _ARTIFACTS = "tar", "artifacts"


class Request(msgspec.Struct, frozen=True):
    """One visit that was asked for; ``guessed`` says that nobody named its type."""

    url: str
    visit_type: str
    guessed: bool


@click.command("load")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option(
    "--type", "visit_type", metavar="TYPE", help="The visit type; guessed from the URL's form without it."
)
@click.option(
    "--option", "options", metavar="K=JSON", multiple=True, help="A setting of the loader; may be repeated."
)
@click.option(
    "--artifacts",
    metavar="FILE.json",
    type=click.Path(path_type=Path),
    help="The archives of a package, for visit type tar.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    urls: tuple[str, ...],
    visit_type: str | None,
    options: tuple[str, ...],
    artifacts: Path | None,
    as_json: bool,
) -> int:
    """Visit origins now and archive them.

    URL is a repository's or archive's address or, here only, a path of this machine (its origin is then the file://
    URL). All URLs are checked before the first is visited. FILE.json has a list of objects with time, url, version
    and length, and perhaps filename and checksums: the archives that the one URL is the home of. Exit codes: 0 all
    visits are full; 1 one failed or was not found; 3 none failed, one is partial; 2 the request is wrong and nothing
    was visited.
    """
    found = configuration(ctx)
    network = assemble.network(found.settings, from_cli=True)
    if artifacts is not None:
        visit_type = _type_of_packages(visit_type, urls)
    requests = [_request(url, visit_type, network, found.registry) for url in urls]
    settings = _options(options)
    if artifacts is not None:
        settings[_ARTIFACTS] = _list_in(found, artifacts)
    for request in requests:
        assemble.make_loader(found, request.visit_type, settings)
    archive = open_archive(ctx, write=True)
    store = _requests(ctx)
    reports = []
    try:
        with ended_by_signals() as asked:
            for request in requests:
                if request.guessed:
                    click.echo(
                        f"{printable(without_secret(request.url))}: visit type {request.visit_type} (guessed)",
                        err=True,
                    )
                reports.append(_visit(found, archive, request, network, settings))
                _tell_plugins(found, archive, reports[-1])
                _note_freshness(found, archive, store, reports[-1])
                if not as_json:
                    click.echo(_line(reports[-1]))
                if asked.is_set():
                    raise Cancelled
    finally:
        if as_json:
            emit_json([_fields(report) for report in reports])
    return _exit_code(reports)


def _request(text: str, visit_type: str | None, network: Network, registry: Registry) -> Request:
    target = network.check(as_url(text), resolve=False)
    chosen = visit_type or registry.visit_type(target.url)
    if chosen is None:
        known = ", ".join(sorted(registry.loaders()))
        raise InvalidInput(
            f"{without_secret(text)}: its form does not tell the visit type; name it with --type ({known})"
        )
    return Request(target.url, chosen, visit_type is None)


def _options(options: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--option {option}: expected KEY=JSON, such as --option retries=3")
        settings[key] = value
    return settings


def _type_of_packages(visit_type: str | None, urls: tuple[str, ...]) -> str:
    """The visit type that takes a list of archives. Raises ``InvalidInput`` if another was asked for."""
    if visit_type not in (None, _PACKAGES):
        raise InvalidInput(f"--artifacts: lists of archives are for visit type {_PACKAGES}, not {visit_type}")
    if len(urls) > 1:
        raise InvalidInput("--artifacts: the archives are those of one origin, so give one URL")
    return _PACKAGES


def _list_in(found: Configuration, file: Path) -> str:
    """The JSON text of a list of archives, if the loader takes it. Raises ``InvalidInput`` naming entry and field."""
    try:
        text = file.read_text(encoding="utf-8")
        if not isinstance(json.loads(text), list):
            raise InvalidInput("expected a list of objects")
        assemble.make_loader(found, _PACKAGES, {_ARTIFACTS: text})
    except OSError as error:
        raise InvalidInput(f"--artifacts {file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"--artifacts {file}: is no JSON ({error})") from None
    except InvalidInput as error:
        first, *more = str(error).splitlines()
        first = first.removeprefix(f"--option {_ARTIFACTS}:").removeprefix(_ARTIFACTS).strip()
        others = f" (and {len(more)} more)" if more else ""
        raise InvalidInput(f"--artifacts {file}: {first}{others}") from None
    return text


def _visit(
    found: Configuration, archive: Archive, request: Request, network: Network, settings: dict[str, str]
) -> Report:
    loader = assemble.make_loader(found, request.visit_type, settings)
    limits = found.settings.limits
    with shown(without_secret(request.url)) as progress:
        return visit.run(
            archive,
            loader,
            request.url,
            request.visit_type,
            network=network,
            limits=limits,
            progress=progress,
        )


def _tell_plugins(found: Configuration, archive: Archive, report: Report) -> None:
    ended = archive.catalog.visit(report.origin, report.visit)
    if ended is not None and ended.status.final:
        found.registry.visit_finished(ended, report)


def _requests(ctx: click.Context) -> Requests | None:
    """The request store, if there is one that can be used: no visit needs it."""
    try:
        store = request_store(ctx)
    except (SwhkitError, OSError) as error:
        _LOG.warning("how fresh the origins are is not written down: %s", error)
        return None
    if store is not None:
        ctx.call_on_close(store.close)
    return store


def _note_freshness(
    found: Configuration, archive: Archive, requests: Requests | None, report: Report
) -> None:
    """A visit counts for the schedule, too, whoever had it made. It is good without that."""
    if requests is None:
        return
    now = datetime.datetime.now(datetime.UTC)
    try:
        freshness.note(archive, requests, found, report.origin, report.visit_type, now)
    except (SwhkitError, OSError) as error:
        _LOG.warning("how fresh %s is was not written down: %s", without_secret(report.origin), error)


def _line(report: Report) -> str:
    """One visit for a person: what became of it, where it is, what is new."""
    new = ", ".join(f"{count:,} {kind}" for kind, count in report.new.items() if count)
    parts = [f"{report.status.value}, {report.load_status.value}", f"visit {report.visit} of {report.origin}"]
    if report.snapshot:
        parts.append(f"{report.snapshot} with {report.branches:,} branches; new: {new or 'nothing'}")
    if report.error:
        parts.append(report.error)
    return printable(f"{': '.join(parts)} ({report.seconds:.1f} s)")


def _fields(report: Report) -> dict[str, object]:
    """What ``--json`` prints of a visit."""
    fields: dict[str, object] = msgspec.to_builtins(report)
    del fields["retry_after"]  # of use only to who visits again by itself
    return fields


def _exit_code(reports: list[Report]) -> int:
    statuses = {report.status for report in reports}
    if statuses.difference(GOOD):
        return 1
    return 3 if VisitStatus.PARTIAL in statuses else 0
