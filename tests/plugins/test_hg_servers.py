"""Mercurial over http and ssh: the same as from disk, and what it means when a server does not answer well."""

from __future__ import annotations

import shlex
import socket
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hg_samples import Loads, Repository, Writer, loads
from hg_servers import hg_http
from servers import SshServer, free_port, git_ssh, http_server

from swhkit.plugin import Network, SshKeys, Target
from swhkit_hg import HgConfig
from swhkit_hg.ssh import server_command


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[Loads]:
    """Visits into an archive of this test."""
    with loads(tmp_path / "archive") as made:
        yield made


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    """``origins/a b``: two branches, a tag, a bookmark with a name beyond ASCII."""
    made = Repository(tmp_path / "origins" / "a b")
    made.commit("one", {"dir/file": b"1"})
    made.hg("tag", "-d", "0 0", "v1")
    made.hg("branch", "-q", "b\u00e9ta x")
    made.commit("two")
    made.hg("bookmark", "-r", "0", "caf\u00e9 x")
    return made


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    """An sshd whose home folder is ``tmp_path/origins``."""
    (tmp_path / "origins").mkdir(exist_ok=True)
    with git_ssh(tmp_path / "origins", tmp_path / "sshd") as server:
        yield server


def test_http_gives_the_same(visits: Loads, origin: Repository, tmp_path: Path) -> None:
    with hg_http(origin.path.parent) as base:
        url = f"{base}/a%20b"
        snapshot = visits.full(url)
        assert set(snapshot.branches) == {
            b"HEAD", b"branch-tip/default", "branch-tip/b\u00e9ta x".encode(), b"tags/v1",
            "bookmarks/caf\u00e9 x".encode(),
        }  # fmt: skip
        again = visits.run(url)
        assert (again.load_status, visits.phases[1:]) == ("uneventful", ["listing branches"])
        origin.commit("three")
        report = visits.run(f"{url}/")
        assert report.new["revision"] == 1
        assert visits.full(origin.url) == visits.snapshot(report)
        missing = visits.run(f"{base}/nothing")
        assert missing.status == "not_found"
        assert "404" in (missing.error or "")
        index = visits.run(base)
        assert index.status == "not_found"
        assert "not as a Mercurial server does" in (index.error or "")
    gone = visits.run(url)
    assert (gone.status, gone.load_status) == ("failed", "failed")
    assert "there is no answer" in (gone.error or "")


class Answers(BaseHTTPRequestHandler):
    """Answers to each command as it is told, by the path of the URL."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        command = url.query.partition("&")[0].removeprefix("cmd=")
        known = {"capabilities": b"branchmap pushkey getbundle", "branchmap": b"", "listkeys": b""}
        kind, body = "application/mercurial-0.1", known.get(command, b"not zlib")
        match url.path.strip("/"):
            case "file.hg" if command:
                kind = "text/html"
            case "file.hg":
                kind, body = "application/octet-stream", _bundle()
            case "text.hg":
                kind, body = "text/plain", b"x"
            case "login":
                kind, body = "text/html", b"<p>Who are you?"
            case "sorry":
                kind, body = "application/hg-error", b"\x1b[31msorry,\nnot today"
            case "cut" if command == "getbundle":
                body = _bundle()[:50]
            case "nodes" if command == "branchmap":
                body = b"default 1234"
            case "more" if command == "branchmap":
                body = b"default " + b"12" * 20
            case "more" if command == "getbundle":
                body = zlib.compress(_bundle())
            case "large" if command == "branchmap":
                body = b"x" * ((32 << 20) + 1)
        self.send_response(503 if url.path == "/busy" else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


def _bundle() -> bytes:
    writer = Writer()
    writer.commit({b"file": b"1"})
    return writer.bundle()


def test_what_web_servers_say(visits: Loads, tmp_path: Path) -> None:
    with http_server(Answers, tmp_path) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        for path, status, text in (
            ("login", "not_found", "not as a Mercurial server does"),
            ("sorry", "not_found", "the server says:  [31msorry, not today".replace("  ", " ")),
            ("plain", "not_found", "compressed data is damaged"),
            ("cut", "not_found", "compressed data is damaged"),
            ("nodes", "not_found", "a node that is none"),
            ("large", "failed", "larger than"),
            ("more", "failed", "heads of the branch b'default' that it has not sent"),
            ("text.hg", "not_found", "no Mercurial bundle"),
        ):
            report = visits.run(f"{base}/{path}")
            assert (report.status, text in (report.error or "")) == (status, True), report
        assert len(visits.full(f"{base}/file.hg").branches) == 2


def test_a_silent_web_server_is_not_waited_for(visits: Loads) -> None:
    visits.config = HgConfig(listing_time=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        report = visits.run(f"http://127.0.0.1:{silent.getsockname()[1]}/hg")
    assert (report.status, report.load_status) == ("failed", "failed")


def test_ssh_gives_the_same(visits: Loads, origin: Repository, ssh: SshServer) -> None:
    visits.config = HgConfig(ssh_config=ssh.config)
    expected = visits.full(origin.url)
    for url in (f"{ssh.url}/a%20b", f"{ssh.url}/{str(origin.path).replace(' ', '%20')}", f"{ssh.scp}a b"):
        assert visits.full(url) == expected, url
        assert visits.run(url).load_status == "uneventful"
    missing = visits.run(f"{ssh.url}/nothing")
    assert missing.status == "not_found"
    assert "not found" in (missing.error or "")


def test_no_connection_is_no_end_of_an_origin(visits: Loads, ssh: SshServer, tmp_path: Path) -> None:
    report = visits.run(f"{ssh.url}/a%20b")  # without the keys that the configuration has
    assert (report.status, report.load_status) == ("failed", "failed")
    report = visits.run(f"ssh://me@127.0.0.1:{free_port()}/x")
    assert report.status == "failed"
    assert "refused" in (report.error or "")


def test_nothing_in_a_url_becomes_an_option_or_a_command() -> None:
    def command(**fields: object) -> list[str]:
        target = Target(scheme="ssh", host="example.org", **fields)  # type: ignore[arg-type]  # as given
        return server_command(target, SshKeys())

    argv = command(url="ssh://me@example.org//srv/a;touch%20x", addresses=("192.0.2.1",), port=2222)
    assert argv[-3:-1] == ["--", "me@example.org"]
    assert shlex.split(argv[-1]) == ["hg", "-R", "/srv/a;touch x", "serve", "--stdio"]
    assert {"-oHostName=192.0.2.1", "-oHostKeyAlias=[example.org]:2222", "-oPort=2222"} < set(argv)
    assert "-oIdentityFile=none" in argv
    report_url = "ssh://example.org/-Rx"
    with pytest.raises(Exception, match="begins with '-'"):
        command(url=report_url)


def test_what_comes_from_others_is_not_fetched_over_ssh(visits: Loads) -> None:
    visits.network = Network(from_cli=False)
    with pytest.raises(Exception, match="not allowed"):
        visits.run("ssh://example.org/x")
