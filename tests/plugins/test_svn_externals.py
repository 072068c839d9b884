"""``svn:externals``: what they say, what is fetched for them, and where nobody goes."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from archives import archive, shell
from svn_servers import SvnRepository, delete, folder, history_of, node, svnserve

from swhkit import visit
from swhkit.archive import Archive
from swhkit.manifest import parse as parse_object
from swhkit.model import Directory
from swhkit.net import Network
from swhkit.plugin import ChildFailed, Runner, SshKeys, Unavailable
from swhkit.swhid import Kind, ObjectId
from swhkit_svn import SvnConfig, loader
from swhkit_svn.access import Access
from swhkit_svn.externals import External, Malformed, parse, resolve
from swhkit_svn.texts import Workshop

FORMATS = [
    ("^/lib vendor", "vendor", "^/lib", "HEAD", "HEAD"),
    ("vendor http://h/lib", "vendor", "http://h/lib", "HEAD", "HEAD"),
    ("vendor -r5 http://h/lib", "vendor", "http://h/lib", "5", "5"),
    ("vendor -r 5 http://h/lib@7", "vendor", "http://h/lib@7", "5", "5"),
    ("-r5 http://h/lib@7 vendor", "vendor", "http://h/lib", "7", "5"),
    ("-r 5 ^/lib vendor/deep", "vendor/deep", "^/lib", "HEAD", "5"),
    ("http://h/lib@7 vendor", "vendor", "http://h/lib", "7", "7"),
    ("http://u@h/lib vendor", "vendor", "http://u@h/lib", "HEAD", "HEAD"),
    ("^/lib@{2010-01-02} vendor", "vendor", "^/lib", "{2010-01-02}", "{2010-01-02}"),
    ("../lib@HEAD  'a b/c'", "a b/c", "../lib", "HEAD", "HEAD"),
    ('"^/a b" x\\ y', "x y", "^/a b", "HEAD", "HEAD"),
    ("//h/lib vendor//x/./", "vendor/x", "//h/lib", "HEAD", "HEAD"),
    ("^/a%20b@ \u00fc", "\u00fc", "^/a%20b", "HEAD", "HEAD"),
]
MALFORMED = (
    "alone", "a b c d e", "http://h/a http://h/b", "^/lib /abs", "^/lib ../up", "^/lib a/../..", "-r x ^/lib a",
    "^/lib@x a", "-r5 v http://h/lib", "v^/lib -r5", "^/lib .", "^/lib@{$(id)} a",
)  # fmt: skip
RESOLVED = [
    ("^/lib", "svn://h/repo/lib"),
    ("^/../other/x", "svn://h/other/x"),
    ("^/../../x", None),
    ("//g:99/lib", "svn://g:99/lib"),
    ("/lib/./x", "svn://h/lib/x"),
    ("../lib", "svn://h/repo/lib"),
    ("../../lib", "svn://h/lib"),
    ("HTTP://g/a b", "http://g/a%20b"),
    ("http://g/a/../../..", None),
    ("lib", None),
    ("^/%2e%2e/other", None),
    ("^/a%2F..%2f..%2fother", None),
    ("//h/%2E./other", None),
    ("^/%252e%252e/x", "svn://h/repo/%252e%252e/x"),
]


@pytest.mark.parametrize(("line", "path", "url", "peg", "revision"), FORMATS)
def test_formats(line: str, path: str, url: str, peg: str, revision: str) -> None:
    assert parse(f"# comment\n\n  {line} \r\n".encode()) == [External(path.encode(), url, peg, revision)]


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed(line: str) -> None:
    with pytest.raises(Malformed):
        parse(f"^/good there\n{line}\n".encode())


@pytest.mark.parametrize(("url", "expected"), RESOLVED)
def test_where_they_lead(url: str, expected: str | None) -> None:
    assert resolve(url, "svn://h/repo", b"trunk") == expected


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Archive]:
    with archive("memory", tmp_path) as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> SvnRepository:
    """A library that changes, and a trunk."""
    made = SvnRepository(tmp_path / "served" / "repo")
    made.commit(
        *(folder(name) for name in ("lib", "lib/in ner", "trunk")),
        node("lib/l.c", text=b"one\n", properties={"svn:eol-style": "CRLF", "svn:executable": "*"}),
        node("lib/ln", text=b"link l.c", properties={"svn:special": "*"}),
    )
    made.commit(node("lib/l.c", "change", text=b"two\n"))
    return made


def load(target: Archive, url: str, config: SvnConfig = SvnConfig(retries=0)) -> visit.Report:  # noqa: B008 (frozen)
    return visit.run(target, loader.make(config), url, "svn", network=shell())


def externals(path: str, text: str) -> bytes:
    return node(path, "change", "dir", properties={"svn:externals": text})


def paths(target: Archive, digest: bytes, prefix: str = "") -> dict[str, bytes]:
    """Everything below a directory: contents by path, folders ending in a slash."""
    found: dict[str, bytes] = {}
    directory = parse_object(Kind.DIRECTORY, target.read([ObjectId(Kind.DIRECTORY, digest)]).popitem()[1])
    assert isinstance(directory, Directory)
    for entry in directory.entries:
        path = prefix + entry.name.decode()
        if entry.type == "dir":
            found |= {f"{path}/": b""} | paths(target, entry.target, f"{path}/")
        else:
            found[path] = (
                b"%o " % entry.perms + target.read([ObjectId(Kind.CONTENT, entry.target)]).popitem()[1]
            )
    return found


@pytest.mark.parametrize("transport", ["file", "svn"])
def test_what_is_fetched(transport: str, repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    with svnserve(tmp_path / "served") as base:
        url = repository.url if transport == "file" else f"{base}/repo"
        repository.commit(
            externals(
                "trunk",
                f"^/lib@1 old\n{url}/lib/l.c a/file.c\n../lib/ln ln\n^/no/where dead/end/x\nnew -r2 {url}/lib",
            )
        )
        repository.commit(
            externals("trunk", "^/lib/in%20ner old"), node("trunk/mine", text=b"m", properties={})
        )
        repository.commit(externals("trunk", "^/lib old/er\nmalformed"))
        repository.commit(node("lib/l.c", "change", text=b"three\n"))
        report = load(target, url)
        assert (report.status, report.error) == ("full", None)
        third, fourth, fifth = ({
            path.removeprefix("trunk/"): text
            for path, text in paths(target, dict(history_of(target, report))[number].directory).items()
            if path.startswith("trunk/") and path != "trunk/"
        } for number in (3, 4, 5))  # fmt: skip
        library = {"in ner/": b"", "l.c": b"100755 one\r\n", "ln": b"120000 l.c"}
        assert third == (
            {"old/": b"", "new/": b"", "a/": b"", "dead/": b"", "dead/end/": b"", "ln": b"120000 l.c"}
            | {"a/file.c": b"100755 three\r\n"}
            | {f"old/{path}": text for path, text in library.items()}
            | {f"new/{path}": text for path, text in (library | {"l.c": b"100755 two\r\n"}).items()}
        )
        assert fourth == {"old/": b"", "mine": b"100644 m"}
        assert fifth == {"mine": b"100644 m"}


def test_they_stay_as_they_were_taken(repository: SvnRepository, target: Archive) -> None:
    """Later changes of an external show when the property is set anew, also from one visit to the next."""
    repository.commit(externals("trunk", "^/lib a/lib"))
    first = load(target, repository.url)
    repository.commit(node("lib/l.c", "change", text=b"three\n"))
    repository.commit(node("branch", kind="dir", source=(3, "trunk")))
    second = load(target, repository.url)
    assert second.new["revision"] == 2
    found = paths(target, history_of(target, second)[0][1].directory)
    assert found["trunk/a/lib/l.c"] == found["branch/a/lib/l.c"] == b"100755 two\r\n"
    assert found["lib/l.c"] == b"100755 three\r\n"
    repository.commit(externals("trunk", "^/lib a/b\n# again"))
    third = paths(target, history_of(target, load(target, repository.url))[0][1].directory)
    assert third["trunk/a/b/l.c"] == b"100755 three\r\n"
    assert "trunk/a/lib/" not in third
    assert first.status == second.status == "full"


def test_what_is_versioned_stays(repository: SvnRepository, target: Archive) -> None:
    repository.commit(node("trunk/f", text=b"mine", properties={}), externals("trunk", "^/lib f\n^/lib g"))
    repository.commit(node("trunk/g", text=b"mine too", properties={}))
    repository.commit(externals("trunk", "^/lib h/i"))
    repository.commit(folder("trunk/h"), node("trunk/h/own", text=b"own", properties={}))
    repository.commit(externals("trunk", ""))
    repository.commit(delete("trunk"))
    revisions = dict(history_of(target, load(target, repository.url)))
    assert paths(target, revisions[3].directory)["trunk/f"] == b"100644 mine"
    assert paths(target, revisions[3].directory)["trunk/g/l.c"] == b"100755 two\r\n"
    assert paths(target, revisions[4].directory)["trunk/g"] == b"100644 mine too"
    assert paths(target, revisions[6].directory)["trunk/h/i/l.c"] == b"100755 two\r\n"
    last = paths(target, revisions[7].directory)
    assert {path for path in last if path.startswith("trunk/")} == {
        "trunk/",
        "trunk/f",
        "trunk/g",
        "trunk/h/",
        "trunk/h/own",
    }
    assert "trunk/" not in paths(target, revisions[8].directory)


def test_externals_of_externals(repository: SvnRepository, target: Archive) -> None:
    """They are followed, but not in circles."""
    repository.commit(externals("lib", "../trunk t\n^/lib/in%20ner more"))
    repository.commit(externals("trunk", "^/lib l"))
    report = load(target, repository.url)
    assert report.status == "full"
    found = paths(target, history_of(target, report)[0][1].directory)
    assert "trunk/l/more/" in found
    assert len(found) < 40


def test_too_many_or_too_large(repository: SvnRepository, target: Archive) -> None:
    repository.commit(externals("trunk", "^/lib@1 a\n^/lib@2 b\n^/lib@3 c"))
    few = load(target, repository.url, SvnConfig(retries=0, externals=2))
    assert (few.status, few.load_status) == ("partial", "eventful")
    assert "externals were left out" in (few.error or "")
    found = paths(target, history_of(target, few)[0][1].directory)
    assert "trunk/a/" in found
    assert "trunk/c/" not in found
    small = load(target, f"{repository.url}/trunk", SvnConfig(retries=0, external_size=5))
    assert (small.status, small.load_status) == ("partial", "eventful")
    assert "external_size" in (small.error or "")
    none = load(target, f"{repository.url}/trunk/", SvnConfig(retries=0, externals=0))
    assert none.status == "full"
    assert paths(target, history_of(target, none)[0][1].directory) == {}


def test_nobody_goes_where_a_stranger_points(
    repository: SvnRepository, target: Archive, tmp_path: Path
) -> None:
    """Externals lead neither to private addresses nor to other repositories of this machine, nor into options."""
    secret = SvnRepository(tmp_path / "secret")
    secret.commit(node("key", text=b"secret", properties={}))
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as bait:
        port = bait.getsockname()[1]

        def listen() -> None:
            while True:
                try:
                    seen.append(bait.accept())
                except OSError:
                    return

        threading.Thread(target=listen, daemon=True).start()
        urls = [f"{scheme}://{host}:{port}/x" for scheme in ("http", "https", "svn", "svn+ssh")
                for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1")]  # fmt: skip
        urls += [
            secret.url,
            "^/../../secret",
            "file://localhost/etc",
            "svn+ssh://-oProxyCommand=touch@h/x",
            "--help",
        ]
        repository.commit(externals("trunk", "\n".join(f"{url} e{n}" for n, url in enumerate(urls))))
        with svnserve(tmp_path / "served") as base:
            for url in (repository.url, f"{base}/repo"):
                report = load(target, url)
                assert (report.status, report.error) == ("full", None)
                found = paths(target, history_of(target, report)[0][1].directory)
                assert not [path for path in found if path.startswith("trunk/") and path != "trunk/"]
        bait.shutdown(socket.SHUT_RDWR)
    assert seen == []


@contextmanager
def leading_to(url: str) -> Iterator[str]:
    """A web server that redirects everything; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self.send_response(301)
            self.send_header("Location", url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_no_redirection_leads_to_a_local_repository(
    repository: SvnRepository, target: Archive, tmp_path: Path
) -> None:
    """Subversion would follow it, for a folder and for a file, of the origin and of an external."""
    secret = SvnRepository(tmp_path / "secret")
    secret.commit(node("key", text=b"secret", properties={}))
    for place in (secret.url, f"{secret.url}/key"):
        with leading_to(place) as base:
            report = load(target, f"{base}/repo")
            assert report.status == "failed"
            assert "may not lead" in (report.error or "")
            reach = Access(Runner(tmp_path), shell().check(base), tmp_path, SshKeys())
            with pytest.raises((Unavailable, ChildFailed)):
                reach.text(f"{base}/x", 1, Workshop(tmp_path, 1 << 20), None)
            with svnserve(
                tmp_path / "served"
            ) as own:  # the host of the origin is one that externals may name
                repository.commit(externals("trunk", f"{base}/repo e{repository.revision}"))
                report = load(target, f"{own}/repo")
            assert set(paths(target, history_of(target, report)[0][1].directory)) == {
                "lib/", "lib/in ner/", "lib/l.c", "lib/ln", "trunk/",
            }  # fmt: skip


def test_no_ssh_but_ours(tmp_path: Path) -> None:
    """A redirection to svn+ssh starts no ssh, which would use what keys it finds."""
    marker, program = tmp_path / "called", tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    with archive("memory", tmp_path) as target, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        with leading_to("svn+ssh://h.invalid/x") as base:
            assert load(target, f"{base}/repo").status == "not_found"
    assert not marker.exists()


def test_escaped_ways_out_of_a_repository(target: Archive, tmp_path: Path) -> None:
    """An escaped ``..`` in an external leads from a dump file to no repository beside it."""
    secret = SvnRepository(tmp_path / "secret")
    secret.commit(node("key", text=b"secret", properties={}))
    repository = SvnRepository(tmp_path / "repo")
    repository.commit(folder("t"))
    ways = ("%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret", "x%2f..%2f..%2fsecret", "%2e%2e/%2e%2e/secret")
    repository.commit(externals("t", "\n".join(f"^/{way} e{n}" for n, way in enumerate(ways))))
    (tmp_path / "it.svndump").write_bytes(repository.dump())
    for url in (repository.url, f"{tmp_path}/it.svndump"):
        report = load(target, url)
        assert report.status == "full"
        assert paths(target, history_of(target, report)[0][1].directory) == {"t/": b""}


def test_a_private_server_of_its_own(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """Where a person may go, an external on the same server may be; nobody else's visit goes there."""
    SvnRepository(tmp_path / "served" / "other").commit(node("o", text=b"o", properties={}))
    with svnserve(tmp_path / "served") as base:
        repository.commit(externals("trunk", f"{base}/other a\n^/../other b\n/other c"))
        found = paths(target, history_of(target, load(target, f"{base}/repo"))[0][1].directory)
        assert {path for path in found if path.endswith("/o")} == {"trunk/a/o", "trunk/b/o", "trunk/c/o"}
        stranger = Network(private_addresses="cli")
        with pytest.raises(Exception, match="private address"):
            visit.run(target, loader.make(SvnConfig()), f"{base}/repo", "svn", network=stranger)


def test_in_a_dump_file(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """A dump has the externals of its repository."""
    repository.commit(externals("trunk", "^/lib@1 a\n^/lib b"))
    repository.commit(node("lib/l.c", "change", text=b"three\n"))
    (tmp_path / "it.svndump").write_bytes(repository.dump())
    assert load(target, f"{tmp_path}/it.svndump").snapshot == load(target, repository.url).snapshot


@pytest.mark.parametrize(
    "line",
    [
        "http://[x/lib e",
        "//[x/lib e",
        "http://h\x01:x/lib e",
        "svn://h:99999999/l e",
        "^/lib@1 " + "a/" * 4000 + "e",
    ],
)
def test_lines_that_are_no_external(line: str, repository: SvnRepository, target: Archive) -> None:
    """A URL that is none, or a path deeper than any, is one that is not there."""
    repository.commit(externals("trunk", line))
    begun = time.monotonic()
    report = load(target, repository.url)
    assert (report.status, report.error) == ("full", None)
    assert "trunk/e" not in paths(target, history_of(target, report)[0][1].directory)
    assert time.monotonic() - begun < 10
