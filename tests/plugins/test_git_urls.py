"""What is a git URL, which are refused before anything is started, and where connections really go."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from git_samples import Repository, Visits
from servers import http_server

from swhkit.plugin import Git, InvalidUrl, LimitExceeded, Network, NotFound, Runner, Target, Unavailable
from swhkit_git import GitConfig, remote, swhkit_loaders, swhkit_visit_type

Make = Callable[..., Repository]


@pytest.mark.parametrize(
    "url",
    [
        "git://example.org/anything",
        "https://example.org/a/b/c.git",
        "https://example.org/a/b/c.git/",
        "http://example.org/x.git",
        "ssh://git@example.org/x.git",
        "git+ssh://example.org/x",
        "https://github.com/owner/name",
        "https://github.com/owner/name/",
        "https://GitHub.com./owner/name",
        "https://codeberg.org/owner/name",
        "https://git.sr.ht/~owner/name",
        "https://gitlab.com/group/sub/sub/name",
        "https://gitlab.example.org/group/sub/name",
    ],
)
def test_urls_of_git(url: str) -> None:
    assert swhkit_visit_type(url) == "git"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/archive/v1.tar.gz",
        "https://gitlab.com/group/name/-/archive/v1/name.tar.gz",
        "https://github.com.example.org/owner/name",
        "svn://example.org/x.git",
        "ftp://example.org/x.git",
        "ext::sh -c touch% x",
        "http://[::1",
        "",
        "x\0y",
        "file:///x%00y",
    ],
)
def test_urls_of_something_else(url: str) -> None:
    assert swhkit_visit_type(url) is None


def test_paths_of_git(tmp_path: Path, repository: Make) -> None:
    bare = repository()
    (tmp_path / "tree").mkdir()
    subprocess.run(["git", "init", "-q", tmp_path / "tree"], check=True)
    (tmp_path / "x.bundle").write_bytes(b"# v2 git bundle\n")
    (tmp_path / "another.bundle").write_bytes(b"HG20")
    for path in (bare.path, tmp_path / "tree", tmp_path / "x.bundle"):
        assert swhkit_visit_type(str(path)) == "git"
        assert swhkit_visit_type(path.as_uri()) == "git"
    (tmp_path / "plain.git").mkdir()
    assert swhkit_visit_type(str(tmp_path / "plain.git")) is None
    assert swhkit_visit_type(str(tmp_path / "missing.bundle")) is None
    assert swhkit_visit_type(str(tmp_path / "another.bundle")) is None


def test_the_loader_is_described() -> None:
    (provider,) = swhkit_loaders()
    assert (provider.name, provider.factory, provider.config) == ("git", "swhkit_git.loader:make", GitConfig)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% MARK",
        "fd::17",
        "-u./x",
        "--upload-pack=touch MARK",
        "ssh://-oProxyCommand=touch%20MARK/x",
        "git@-oProxyCommand=touch MARK:y",
        "-oProxyCommand=touch MARK:y",
        "git://example.org/x\ny",
        "http://example.org/x\ry",
        "http://example.org/x\0y",
        "http://example.org/%0ahost=evil",
        "git://127.0.0.1%00/x",
        "transport::address",
        "",
    ],
)
@pytest.mark.parametrize("from_cli", [True, False])
def test_hostile_urls_are_refused_before_any_process(visits: Visits, url: str, from_cli: bool) -> None:
    visits.network = Network(from_cli=from_cli)
    with pytest.raises(InvalidUrl):
        visits.load(url.replace("MARK", str(visits.root / "mark")))
    # Any git, even one that only lists, would have had its configuration written there.
    assert list((visits.root / "home1").iterdir()) == []
    assert not (visits.root / "mark").exists()


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_private_addresses_are_not_connected_to(visits: Visits, scheme: str) -> None:
    visits.network = Network()
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.2)
        port = bait.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0177.0.0.1"):
            with pytest.raises(InvalidUrl):
                visits.load(f"{scheme}://{host}:{port}/x.git")
        with pytest.raises(TimeoutError):
            bait.accept()


def test_a_local_path_is_refused_when_it_comes_from_elsewhere(visits: Visits, repository: Make) -> None:
    origin = repository()
    visits.network = Network()
    with pytest.raises(InvalidUrl):
        visits.load(origin.url)


def test_connections_go_to_the_address_that_was_checked(
    visits: Visits, repository: Make, daemon: str, smart_http: str
) -> None:
    tip = repository().history(1)[-1]
    git = Git(Runner(visits.root), protocols=("git", "http"))
    for base in (daemon, smart_http):
        scheme, _, port = base.replace("//127.0.0.1", "").split(":")[0], "", int(base.rpartition(":")[2])
        url = f"{scheme}://checked.invalid:{port}/repo.git"
        target = Target(
            url=url, scheme=scheme, host="checked.invalid", port=port, addresses=("::9", "127.0.0.1")
        )
        address = remote.address_of(target)
        if scheme == "http":
            assert "[::9]" in address.environment["GIT_CONFIG_VALUE_0"]
            target = Target(
                url=url, scheme=scheme, host="checked.invalid", port=port, addresses=("127.0.0.1",)
            )
        listing = remote.list_refs(remote.address_of(target), git, visits.root / "trace")
        assert listing.refs[b"refs/heads/main"].hex() == tip


def test_credentials_are_not_in_error_texts(visits: Visits, smart_http: str) -> None:
    url = smart_http.replace("//", "//me:s3cret@") + "/missing.git"
    with pytest.raises(NotFound) as caught:
        visits.load(url)
    assert "s3cret" not in str(caught.value)


# -- web servers that are no git servers, or send us elsewhere ------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    """Answers as the first segment of the path says: a status, a page, a redirect."""

    locations: dict[str, str] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        word = self.path.split("/")[1]
        location = self.locations.get(word)
        self.send_response(301 if location else int(word) if word.isdigit() else 200)
        if location:
            self.send_header("Location", location)
        body = b"" if word == "empty" else b"<html>log in</html>"
        types = {"smart": "application/x-git-upload-pack-advertisement", "plain": "text/plain"}
        self.send_header("Content-Type", types.get(word, "text/html"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.mark.parametrize("word", ["page", "empty", "smart", "plain"])
def test_a_web_page_is_not_an_empty_repository(visits: Visits, word: str) -> None:
    with http_server(Answers) as server, pytest.raises(Unavailable):
        visits.load(f"http://127.0.0.1:{server.server_port}/{word}/x.git")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, NotFound), (403, NotFound), (404, NotFound), (410, NotFound), (451, NotFound)]
    + [(status, Unavailable) for status in (400, 429, 500, 502, 503)],
)
def test_http_statuses(visits: Visits, status: int, error: type[Exception]) -> None:
    with http_server(Answers) as server, pytest.raises(error):
        visits.load(f"http://127.0.0.1:{server.server_port}/{status}/x.git")


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_nobody_listens(visits: Visits, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match="onnect"):
        visits.load(f"{scheme}://127.0.0.1:{port}/x.git")


def test_a_server_that_says_nothing_is_given_up(visits: Visits) -> None:
    visits.config = GitConfig(listing_time=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="in time"):
        visits.load(f"git://127.0.0.1:{silent.getsockname()[1]}/x.git")


def test_an_endless_list_of_refs_is_stopped(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MEMORY_LIMIT", 64 << 20)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            try:
                for number in range(10**9):
                    line = b"%040x refs/heads/%020d\n" % (number + 1, number)
                    connection.sendall(b"%04x%s" % (len(line) + 4, line))
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(LimitExceeded, match="list of refs"):
            visits.load(f"git://127.0.0.1:{server.getsockname()[1]}/x.git")
        thread.join(10)
        assert not thread.is_alive()


def test_redirects_are_checked_and_followed(visits: Visits, repository: Make, smart_http: str) -> None:
    tip = repository().history(2)[-1]
    visits.network = Network(private_addresses="always")
    with http_server(Answers) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        Answers.locations = {
            "old": f"{base}/older/x.git/info/refs?service=git-upload-pack",
            "older": f"{smart_http}/repo.git/info/refs?service=git-upload-pack",
        }
        loaded = visits.load(f"{base}/old/x.git")
    branch = loaded.snapshot.branches[b"refs/heads/main"]
    assert branch
    assert branch.target.hex() == tip


def test_a_redirect_to_itself_on_the_same_host_is_allowed_to_the_shell(
    visits: Visits, repository: Make
) -> None:
    with http_server(Answers) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        Answers.locations = {"old": "/404/x.git/info/refs?service=git-upload-pack"}
        with pytest.raises(NotFound):
            visits.load(f"{base}/old/x.git")


@pytest.mark.parametrize(
    "suffix", ["", "/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack"]
)
@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:BAIT/x.git",
        "http://localhost:BAIT/x.git",
        "http://[::1]:BAIT/x.git",
        "http://169.254.169.254/x.git",
        "file:///etc",
        "ext::sh -c touch% x",
        "git://127.0.0.1:BAIT/x.git",
        "//127.0.0.1:BAIT/x.git",
    ],
)
def test_redirects_to_where_nobody_may_go(visits: Visits, place: str, suffix: str) -> None:
    with http_server(Answers) as bait, http_server(Answers) as server:
        Answers.locations = {"old": place.replace("BAIT", str(bait.server_port)) + suffix}
        with pytest.raises(Unavailable):
            visits.load(f"http://127.0.0.1:{server.server_port}/old/x.git")
        assert bait.requests == []
        assert server.requests


def test_redirects_without_end(visits: Visits) -> None:
    visits.network = Network(private_addresses="always")
    with http_server(Answers) as server:
        Answers.locations = {"round": "/round/x.git/info/refs?service=git-upload-pack"}
        with pytest.raises(Unavailable, match="redirects"):
            visits.load(f"http://127.0.0.1:{server.server_port}/round/x.git")
        assert len(server.requests) < 20
