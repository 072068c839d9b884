"""A forge for tests: a server on the loopback interface, the loose plugin that lists it, and desks that know both."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from servers import http_server

from swhkit import config
from swhkit.assemble import open_archive
from swhkit.desk import Desk, open_desk

NOW = datetime.datetime(2030, 1, 10, 12, tzinfo=datetime.UTC)

#: Lists ``URL/repos``; notes changes of states in the file ``changes`` beside it, a line each.
PLUGIN = '''
"""Lists the forge of the tests."""

import datetime
from pathlib import Path
from typing import Any

import msgspec

from swhkit.plugin import Provider, Repository, Secret, hookimpl

_CHANGES = Path(__file__).with_name("changes")


class FakeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Secret = ""
    owner: str = ""


class Fake:
    def __init__(self, config: FakeConfig) -> None:
        self.config = config

    def incremental(self) -> bool:
        return True

    def repositories(self, context, since):
        params = {} if since is None else {"since": since.isoformat()}
        if self.config.owner:
            params["owner"] = self.config.owner
        headers = {"Authorization": f"Bearer {self.config.token}"} if self.config.token else {}
        client = context.client.at("/api", headers)
        for told, document in client.each("/repos", dict[str, Any], params=params):
            if "raise" in told:
                raise RuntimeError(told["raise"])
            if "odd" in told:
                yield told["odd"]
                continue
            if "broken" in told:
                yield Repository(**{"key": "broken", "url": told["url"], **told["broken"]})
                continue
            updated = told.get("updated")
            yield Repository(
                key=told["key"],
                url=told["url"],
                visit_type=told.get("type", "git"),
                last_update=None if updated is None else datetime.datetime.fromisoformat(updated),
                metadata=document,
                metadata_format="fake-json",
            )


@hookimpl
def swhkit_forges():
    return [Provider(name="fake", factory=f"{__name__}:Fake", config=FakeConfig, summary="For tests.")]


@hookimpl
def swhkit_origin_state_changed(origin, visit_type, before, after):
    with _CHANGES.open("a") as file:
        file.write(f"{origin} {visit_type} {before} {after}\\n")
'''


class _Handler(BaseHTTPRequestHandler):
    """Answers ``/api/repos`` page by page."""

    forge: FakeForge

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        self.forge.asked.append(query)
        page = int(query.get("page", "1"))
        if page in self.forge.trouble:
            status, headers = self.forge.trouble[page]
            self._answer(status, {}, headers)
            return
        rows = self.forge.rows
        if "since" in query:
            rows = [row for row in rows if row.get("updated", "") >= query["since"]]
        start = (page - 1) * self.forge.page_size
        headers = {}
        if start + self.forge.page_size < len(rows):
            more = "&".join(f"{n}={v}" for n, v in query.items() if n not in ("page", "since"))
            headers["Link"] = f'<{url.path}?page={page + 1}{"&" + more if more else ""}>; rel="next"'
        self._answer(200, rows[start : start + self.forge.page_size], headers)

    def _answer(self, status: int, data: Any, headers: dict[str, str]) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


class FakeForge:
    """What the server tells: ``rows`` in pages; ``trouble``: a page's number → the status and headers it gets instead.
    ``asked`` has the parameters of all requests."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.page_size = 2
        self.trouble: dict[int, tuple[int, dict[str, str]]] = {}
        self.asked: list[dict[str, str]] = []
        self.url = ""

    def has(self, *names: str, **more: Any) -> None:
        """From now on the repositories are these; each has its name as its key, and is elsewhere."""
        self.rows = [{"key": name, "url": f"https://code.example.org/{name}.git", **more} for name in names]


@contextmanager
def running() -> Iterator[FakeForge]:
    """A forge that answers."""
    forge = FakeForge()
    handler = type("Handler", (_Handler,), {"forge": forge})
    with http_server(handler) as server:
        forge.url = f"http://127.0.0.1:{server.server_port}"
        yield forge


def write_configuration(folder: Path, text: str = "", kind: str = "sqlite") -> Path:
    """A configuration in ``folder`` with the plugin, all stores being of ``kind``, and ``text`` behind that."""
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    stores = ("objects", "catalog", "requests", "jobs")
    lines = ["plugins_dir: plugins"]
    if kind == "memory":
        lines += ["archive:", *(f"  {store}: {{backend: memory}}" for store in stores)]
    file = folder / "swhkit.yaml"
    for path, content in ((plugins / "fake.py", PLUGIN), (file, "\n".join([*lines, text]))):
        if not path.exists() or path.read_text() != content:  # several processes may come at once
            path.write_text(content)
    return file


def changes(folder: Path) -> list[str]:
    """The changes of states that the plugin was told of since the last call."""
    file = folder / "plugins" / "changes"
    if not file.exists():
        return []
    lines = file.read_text().splitlines()
    file.unlink()
    return lines


@contextmanager
def desk(folder: Path, text: str = "", kind: str = "sqlite") -> Iterator[Desk]:
    """The desk of an archive in ``folder``; a second one of the same folder has the same stores, unless in memory."""
    configuration = config.load(write_configuration(folder, text, kind))
    archive = open_archive(configuration.settings, configuration.registry, create=True)
    try:
        opened = open_desk(archive, configuration)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        archive.close()
