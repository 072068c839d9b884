"""No stranger makes the archive connect to where only this machine or its network may go: by no door, in no notation.

Every place in the table is asked for as a request to save, in a bulk request, in a signed delivery of a webhook, in a
forge's answer, and as a job that is there already. A listener on loopback counts the connections: none.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import archives
import desks
import pytest
from net_servers import bait, name_server
from servers import http_server

from swhkit import assemble, crawling, saving, tasks
from swhkit.desk import Desk
from swhkit.errors import InvalidInput
from swhkit.jobs import JobState
from swhkit.queueing import VISIT, visit_job
from swhkit.requests.schedule import NewForge, ToldBy
from swhkit.tasks import Verdict
from swhkit.webhook import WebhookContext

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
#: Ways to write loopback and other places that are nobody's business. PORT is that of the listener.
WRITTEN = [
    "127.0.0.1:PORT", "[::1]:PORT", "0.0.0.0:PORT", "127.1:PORT", "2130706433:PORT", "0177.0.0.1:PORT", "0x7f000001:PORT",
    "[::ffff:127.0.0.1]:PORT", "localhost:PORT", "localhost.:PORT", "good@127.0.0.1:PORT", "169.254.169.254", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fc00::1]", "[fe80::1]",
]  # fmt: skip
#: Names that lead there: at once, besides a public address, and only at the second look.
NAMES = {
    "inner.example": [["127.0.0.1"]],
    "half.example": [["198.51.100.7", "127.0.0.1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
}
TYPES = {
    "git": "http",
    "hg": "http",
    "svn": "http",
    "bzr": "http",
    "tarball-directory": "http",
    "content": "http",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The desk of an archive that accepts whatever may be visited."""
    text = desks.IN_MEMORY + 'save_code_now: {otherwise: accepted}\nwebhooks: {gitea: {secret: "s"}}\n'
    with archives.archive("filesystem", tmp_path) as archive, desks.desk(archive, tmp_path, text) as opened:
        yield opened


@pytest.fixture
def trap() -> Iterator[int]:
    """The port of a listener that nobody may connect to."""
    with bait() as port:
        yield port


def at(place: str, port: int) -> str:
    return f"http://{place.replace('PORT', str(port))}/r.git"


@pytest.mark.parametrize("place", WRITTEN)
def test_what_is_written_so_is_taken_from_nobody(desk: Desk, trap: int, place: str) -> None:
    url = at(place, trap)
    body = json.dumps({"repository": {"clone_url": url, "private": False}}).encode()
    signature = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    headers = {
        "x-gitea-event": "push", "content-type": "application/json", "x-gitea-signature": signature,
    }  # fmt: skip
    webhook = assemble.make_webhook(desk.configuration, "gitea")
    assert webhook.signed(headers, body, "s")
    told = webhook.parse(WebhookContext(get_json=lambda url: None), headers, body)
    assert isinstance(told, list)
    for wanted in [url, *(one.url for one in told)]:
        with pytest.raises(InvalidInput, match=r"is not valid!$"):
            saving.save(desk, wanted, "git", webhook="gitea", now=NOW)
    assert desk.jobs.counts()["queued"] == 0
    assert desk.requests.saves.latest() == []
    done = tasks.perform(desk, VISIT, dict(visit_job(url, "git").arguments))
    assert done.verdict is Verdict.HOPELESS
    assert desk.archive.catalog.counters()["origin_visit"] == 0, "it is refused before there is a visit"


@pytest.mark.parametrize("place", WRITTEN)
def test_a_bulk_request_has_no_door_of_its_own(desk: Desk, trap: int, place: str) -> None:
    rows = [
        {"origin_url": at(place, trap), "visit_type": "git"},
        {"origin_url": "https://good.example/r", "visit_type": "git"},
    ]
    with pytest.raises(saving.BulkRefused) as refused:
        saving.submit(desk, rows, user="ada", now=NOW)
    assert [one.origin for one in refused.value.rejected] == rows[:1]
    assert desk.jobs.counts()["queued"] == 0


@pytest.mark.parametrize("visit_type", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_inside_are_not_connected_to(
    desk: Desk, trap: int, name: str, visit_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is only looked up when it is visited; so such a request is taken, and its visit fails."""
    name_server(monkeypatch, NAMES)
    done = tasks.perform(desk, VISIT, dict(visit_job(at(f"{name}:{trap}", 0), visit_type).arguments))
    assert done.verdict is not Verdict.DONE
    assert "private" in (done.error or "") or "loopback" in (done.error or ""), done.error


@pytest.mark.parametrize("visit_type", TYPES)
@pytest.mark.parametrize(
    "place", ["127.0.0.1:PORT", "localhost:PORT", "[::ffff:127.0.0.1]:PORT", "2130706433:PORT"]
)
def test_a_server_redirects_inside(desk: Desk, trap: int, place: str, visit_type: str) -> None:
    """Even where a person has named a server that is inside itself: it may send us to itself, and nowhere else."""
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://{place.replace('PORT', str(trap))}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    for method in ("HEAD", "POST", "OPTIONS", "PROPFIND"):
        setattr(Server, f"do_{method}", Server.do_GET)
    with http_server(Server) as server:
        url = f"http://127.0.0.1:{server.server_port}/r.git"
        done = tasks.perform(desk, VISIT, dict(visit_job(url, visit_type, trusted=True).arguments))
    assert asked, "the server itself was asked"
    assert done.verdict is not Verdict.DONE, done


def test_a_forge_names_places_inside(desk: Desk, trap: int) -> None:
    """A forge that a person has named may be inside, and what it lists on its own server, too; other places may not."""
    told = [at(place, trap) for place in WRITTEN] + [
        f"ext::sh -c touch% {desk.archive}",
        "file:///etc",
        "-u./x",
    ]

    class Forge(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own = f"http://{self.headers['Host']}/own.git"
            found = [
                {"id": number, "clone_url": url, "private": False, "fork": False}
                for number, url in enumerate([own, *told])
            ]
            page = found if "page=1" in self.path else []
            body = json.dumps({"ok": True, "data": page}).encode()
            self.send_response(200)
            self.send_header("X-Total-Count", str(len(found)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Forge) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        forge = desk.requests.schedule.set_forge(
            NewForge(kind="gitea", url=address, source=ToldBy.CLI, trusted=True), NOW
        )
        crawled = crawling.crawl(desk, forge.id, True, NOW)
        assert crawled.status == "complete", crawled.error
        jobs = desk.jobs.latest(JobState.QUEUED)
        assert [(job.arguments["url"], job.arguments["trusted"]) for job in jobs] == [
            (f"{address}/own.git", True)
        ]
        untrusted = desk.requests.schedule.set_forge(
            NewForge(kind="gogs", url=address, source=ToldBy.REQUEST), NOW
        )
        refused = crawling.crawl(desk, untrusted.id, True, NOW)
        assert refused.status == "failed", "a stranger's forge may not be inside at all"
