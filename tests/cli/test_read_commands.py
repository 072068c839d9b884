"""``show``, ``cat``, ``ls``, ``log``, ``stats`` on an archive on disk, and the real server process."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from reading_samples import MISSING, URL, Sample

from swhkit import assemble, config
from swhkit.cli.main import group

RUN = "from swhkit.cli.main import main; main()"
WHO = ("cnt", "dir", "rev", "rel", "snp")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder made by ``swhkit init``."""
    folder = tmp_path_factory.mktemp("archive")
    done = CliRunner().invoke(group, ["init", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    return folder


@pytest.fixture(scope="module")
def sample(home: Path) -> Sample:
    """Its archive, filled."""
    found = config.decode(config.read(home / "swhkit.yaml"))
    archive = assemble.open_archive(found.settings, found.registry)
    sample = Sample(archive.objects, archive.catalog)
    archive.close()
    return sample


class Shell:
    """Runs commands on the archive, in this process."""

    def __init__(self, home: Path) -> None:
        self.arguments = ["--config", str(home / "swhkit.yaml")]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(group, [*self.arguments, *arguments])

    def text(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output
        return done.output

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments, "--json"))


@pytest.fixture
def shell(home: Path, sample: Sample) -> Shell:
    return Shell(home)


def swhid(kind: str, digest: bytes) -> str:
    return f"swh:1:{kind}:{digest.hex()}"


def test_cat_writes_bytes_as_they_are(shell: Shell, sample: Sample) -> None:
    for row, data in (
        (sample.hello, b"hello\n"),
        (sample.empty, b""),
        (sample.big, bytes(range(256)) * 16384),
    ):
        done = shell.run("cat", swhid("cnt", row.sha1_git))
        assert (done.exit_code, done.stdout_bytes) == (0, data)
    qualified = f"{swhid('cnt', sample.hello.sha1_git)};origin={URL};path=/sub/f.txt;lines=1"
    assert shell.run("cat", qualified).stdout_bytes == b"hello\n"


@pytest.mark.parametrize("kind", ["dir", "rev", "rel", "snp"])
def test_cat_writes_manifests(shell: Shell, sample: Sample, kind: str) -> None:
    digest = {"dir": sample.root, "rev": sample.odd, "rel": sample.of_content, "snp": sample.snp}[kind]
    words = {"dir": "tree", "rev": "commit", "rel": "tag", "snp": "snapshot"}
    body = shell.run("cat", swhid(kind, digest)).stdout_bytes
    assert hashlib.sha1(f"{words[kind]} {len(body)}\0".encode() + body).digest() == digest


@pytest.mark.parametrize("kind", WHO)
@pytest.mark.parametrize("command", ["show", "cat", "ls", "log"])
def test_what_is_not_held(shell: Shell, kind: str, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *shell.arguments, command, swhid(kind, MISSING)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # ls of a content and log of a directory or content make no sense, held or not.
    senseless = (command, kind) in (("ls", "cnt"), ("log", "cnt"), ("log", "dir"))
    assert done.returncode == (2 if senseless else 1)
    assert MISSING.hex() in done.stderr
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


@pytest.mark.parametrize(
    "text", ["", "x", "swh:1:cnt:00", "swh:1:cnt:" + "0" * 40 + ";foo=1", "\x1b[31m", "swh:1:ori:" + "0" * 40]
)
@pytest.mark.parametrize("command", ["show", "cat", "ls", "log"])
def test_what_is_no_swhid(shell: Shell, command: str, text: str) -> None:
    from swhkit.errors import InvalidSwhid

    done = shell.run(command, text)
    assert isinstance(done.exception, InvalidSwhid) or done.exit_code == 2


def test_contents_without_bytes(shell: Shell, sample: Sample) -> None:
    for row in (sample.skipped, sample.lost, sample.rowless):
        assert shell.run("cat", swhid("cnt", row.sha1_git)).exit_code == 1
    assert "absent (too large)" in shell.text("show", swhid("cnt", sample.skipped.sha1_git))


def test_show_for_people(shell: Shell, sample: Sample) -> None:
    text = shell.text("show", swhid("cnt", sample.hello.sha1_git))
    assert text.splitlines()[:3] == [
        f"content    {swhid('cnt', sample.hello.sha1_git)}",
        "length     6",
        "status     visible",
    ]
    text = shell.text("show", swhid("rev", sample.merge))
    assert f"parent     {swhid('rev', sample.left)}\nparent     {swhid('rev', sample.right)}\n" in text
    assert "author     Ada <ada@example.org>\n           1969-12-31T23:29:59-00:30\n" in text
    assert text.endswith("\n\n    merge\n")
    text = shell.text("show", swhid("rel", sample.release))
    assert f"name       v1.0\ntarget     {swhid('rev', sample.merge)}\n" in text
    text = shell.text("show", swhid("snp", sample.snp))
    assert "branches   11\n" in text
    assert re.search(r"^alias refs/heads/main +HEAD$", text, re.MULTILINE)
    assert re.search(r"^dangling +dangling$", text, re.MULTILINE)
    assert "svn, synthetic" in shell.text("show", swhid("rev", sample.svn))
    assert shell.text("show", swhid("dir", sample.root)).count("\n") == 13


def test_nothing_steers_a_terminal(shell: Shell, sample: Sample) -> None:
    for arguments in (
        ["show", swhid("rev", sample.odd)],
        ["log", swhid("rev", sample.odd)],
        ["log", "--oneline", swhid("rev", sample.odd)],
        ["show", swhid("snp", sample.snp)],
        ["ls", swhid("dir", sample.bad_name)],
    ):
        text = shell.text(*arguments)
        assert text.replace("\n", "").isprintable()
    assert "    caf\\xe9 \\\\ \\x1b[31m" in shell.text("show", swhid("rev", sample.odd))
    assert shell.text("ls", swhid("dir", sample.bad_name)).endswith(" a\\xffb\n")


@pytest.mark.parametrize("kind", WHO)
def test_json_is_that_of_the_api(shell: Shell, sample: Sample, kind: str) -> None:
    digest = {
        "cnt": sample.hello.sha1_git,
        "dir": sample.root,
        "rev": sample.odd,
        "rel": sample.release,
        "snp": sample.snp,
    }[kind]
    found = shell.json("show", swhid(kind, digest))
    if kind == "dir":
        assert [one["name"] for one in found][:2] == ["README", "back\\slash"]
        assert found[0]["target_url"] == f"/api/1/content/sha1_git:{sample.hello.sha1_git.hex()}/"
        assert found == shell.json("ls", swhid("dir", sample.root))
    elif kind == "cnt":
        assert found["checksums"]["sha1_git"] == digest.hex()
    else:
        assert found["id"] == digest.hex()
    if kind == "snp":
        assert len(found["branches"]) == 11
    if kind == "rev":
        assert found["committer"]["fullname"] == "<>"


def test_ls(shell: Shell, sample: Sample) -> None:
    expected = (
        f"100644 file {swhid('cnt', sample.hello.sha1_git)}          6 README\n"
        f"100644 file {swhid('cnt', sample.empty.sha1_git)}          0 back\\slash\n"
        f"040000 dir  {swhid('dir', sample.bad_name)}          - bad\n"
        f"120000 file {swhid('cnt', sample.html.sha1_git)}         26 link\n"
        f"100644 file {swhid('cnt', MISSING)}          - lost\n"
    )
    text = shell.text("ls", swhid("dir", sample.root))
    assert text.startswith(expected)
    assert f"160000 rev  {swhid('rev', MISSING)}          - submodule\n" in text
    for start in (("rev", sample.merge), ("rel", sample.nested), ("snp", sample.snp)):
        assert shell.text("ls", swhid(*start)) == text
    inner = f"100644 file {swhid('cnt', sample.hello.sha1_git)}          6 f.txt\n"
    for path in ("sub", "sub/", "/sub", "sub/f.txt"):
        assert shell.text("ls", f"{swhid('snp', sample.snp)}/{path}") == inner
    assert shell.run("ls", f"{swhid('dir', sample.root)}/no").exit_code == 1
    assert shell.text("ls", f"{swhid('dir', sample.inner)};origin={URL};path=/sub") == inner


def test_log(shell: Shell, sample: Sample) -> None:
    lines = shell.text("log", "--oneline", swhid("rev", sample.merge)).splitlines()
    assert lines == [
        f"{swhid('rev', sample.merge)} merge",
        f"{swhid('rev', sample.left)} left",
        f"{swhid('rev', sample.right)} right",
        f"{swhid('rev', sample.first)} first",
    ]
    for start in (("rel", sample.nested), ("snp", sample.snp)):
        assert shell.text("log", "--oneline", "-n", "2", swhid(*start)).splitlines() == lines[:2]
    found = shell.json("log", "-n", "1", swhid("rev", sample.merge))
    assert [one["id"] for one in found] == [sample.merge.hex()]
    text = shell.text("log", "-n", "1", swhid("rev", sample.left))
    assert text == (
        f"revision {swhid('rev', sample.left)}\nauthor   Ada <ada@example.org>\n"
        "date     2014-08-18T18:18:25+02:00\n\n    left\n\n"
    )
    assert shell.run("log", "-n", "0", swhid("rev", sample.merge)).exit_code == 2


def test_stats(shell: Shell, sample: Sample) -> None:
    found = shell.json("stats")
    assert (found["content"], found["skipped_content"], found["snapshot"]) == (5, 1, 2)
    assert re.search(r"^content +5$", shell.text("stats"), re.MULTILINE)


@contextmanager
def server(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real program and the URL it prints."""
    argv = [sys.executable, "-c", RUN, "--config", str(home / "swhkit.yaml"), "-v", "serve"]
    process = subprocess.Popen(
        [*argv, "--listen", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        stderr=(home / "log").open("w"),
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*/", url), (home / "log").read_text()
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_server_serves_and_ends(home: Path, sample: Sample, how: signal.Signals) -> None:
    with server(home) as (process, url):
        answer = json.load(urllib.request.urlopen(f"{url}api/1/revision/{sample.merge.hex()}/"))
        assert answer["id"] == sample.merge.hex()
        assert answer["url"] == f"{url}api/1/revision/{sample.merge.hex()}/"
        raw = urllib.request.urlopen(f"{url}api/1/content/sha1_git:{sample.big.sha1_git.hex()}/raw/").read()
        assert raw == bytes(range(256)) * 16384
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}{'a' * 100_000}")
        assert caught.value.code in (400, 414)
        assert json.load(caught.value)["exception"] == "BadInputExc"
        process.send_signal(how)
        assert process.wait(15) == 0
    log = (home / "log").read_text()
    assert "Traceback" not in log
    assert f'"GET /api/1/revision/{sample.merge.hex()}/ HTTP/1.1" 200' in log


def test_a_request_under_way_is_finished(home: Path, sample: Sample) -> None:
    """A body half sent when SIGTERM comes is answered; new connections are not taken."""
    with server(home) as (process, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        body = json.dumps([swhid("rev", sample.merge)]).encode()
        head = f"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body[:5])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[5:])
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'{"known":true}' in answer
        assert process.wait(15) == 0


@pytest.mark.slow
def test_a_silent_client_does_not_keep_the_server(home: Path, sample: Sample) -> None:
    with server(home) as (process, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /api/1/known/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[")
            time.sleep(0.3)
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert time.monotonic() - start < 12


def test_an_address_in_use(home: Path, sample: Sample) -> None:
    with server(home) as (_, url):
        address = url.removeprefix("http://").rstrip("/")
        done = subprocess.run(
            [sys.executable, "-c", RUN, "--config", str(home / "swhkit.yaml"), "serve", "--listen", address],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert address.rpartition(":")[2] in line
    assert "address already in use" in line


@pytest.mark.parametrize("listen", ["x", "127.0.0.1", "127.0.0.1:99999", ":x", "127.0.0.1:-1"])
def test_a_wrong_address(shell: Shell, listen: str) -> None:
    done = shell.run("serve", "--listen", listen)
    assert done.exit_code == 2
    assert "expected HOST:PORT" in str(done.exception) + done.output


def test_serving_ends_what_a_dead_load_left(home: Path, sample: Sample) -> None:
    script = """
import datetime, os, sys
from pathlib import Path
from swhkit import assemble, config
from swhkit.stage import Stage
found = config.decode(config.read(Path(sys.argv[1])))
_, catalog, root = assemble.open_archive(found.settings, found.registry).writer()
now = datetime.datetime.now(datetime.UTC)
Stage.create(root, lambda: catalog.open_visit("https://x.org/died", "git", now))
os._exit(9)
"""
    died = subprocess.run([sys.executable, "-c", script, home / "swhkit.yaml"], check=False, timeout=60)
    assert died.returncode == 9
    with server(home) as (_, url):
        answer = json.load(urllib.request.urlopen(f"{url}api/1/origin/https://x.org/died/visit/1/"))
    assert answer["status"] == "failed"


def test_reading_imports_no_server(shell: Shell, sample: Sample) -> None:
    probe = (
        "import sys\nfrom swhkit.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('aiohttp', 'asyncio', 'rich') if name in sys.modules])"
    )
    arguments = [*shell.arguments, "show", "--json", swhid("rev", sample.merge)]
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
