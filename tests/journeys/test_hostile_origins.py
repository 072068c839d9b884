"""Origins that want something run, read or written: whole visits, into a real archive, and what is there afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from archives import archive, shell

from swhkit import visit
from swhkit.archive import Archive
from swhkit.errors import InvalidUrl
from swhkit.net import Network
from swhkit.swhid import Kind, ObjectId
from swhkit_git import GitConfig
from swhkit_git.loader import make

IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"), ("DATE", "1500000000 +0000"))
}


def git(folder: Path, *args: str | Path, input: bytes = b"") -> str:
    """Run git on a git directory; stdout."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY}
    argv = ["git", "--git-dir", folder, *args]
    return (
        subprocess.run(argv, input=input, env=environment, check=True, capture_output=True)
        .stdout.decode()
        .strip()
    )


def commit(folder: Path, tree: str | None = None, name: bytes = b"file") -> str:
    """A commit of ``tree``, or of one file, which ``main`` points at; its id."""
    if tree is None:
        blob = git(folder, "hash-object", "-w", "--stdin", input=b"content of " + name)
        tree = git(folder, "mktree", "-z", input=b"100644 blob %s\t%s\0" % (blob.encode(), name))
    made = git(folder, "commit-tree", tree, "-m", "message")
    git(folder, "update-ref", "refs/heads/main", made)
    return made


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A bare repository of one commit."""
    folder = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "--template=", "-b", "main", folder], check=True)
    commit(folder)
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that leaves a file ``mark``."""
    path = tmp_path / "script"
    path.write_text(f'#!/bin/sh\ntouch {tmp_path}/mark\nexec "$@"\n')
    path.chmod(0o755)
    return path


def files(tmp_path: Path) -> dict[str, bytes | str]:
    """All below ``tmp_path`` but the archive: path → content, or where a link leads."""
    found: dict[str, bytes | str] = {}
    for path in tmp_path.rglob("*"):
        name = str(path.relative_to(tmp_path))
        if name.split("/")[0] == "archive":
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder"
    return found


def load(target: Archive, url: str, network: Network | None = None) -> visit.Report:
    """One visit as from the command line."""
    return visit.run(target, make(GitConfig(listing_time=20)), url, "git", network=network or shell())


def load_watched(tmp_path: Path, url: str) -> tuple[visit.Report, set[ObjectId]]:
    """One visit into ``tmp_path/archive``, which writes nowhere else; the report and what is held of the origin."""
    (tmp_path / "archive").mkdir(exist_ok=True)
    before = files(tmp_path)
    with archive("filesystem", tmp_path / "archive") as target:
        report = load(target, url)
        listed = git(
            tmp_path / "origin.git",
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objecttype) %(objectname)",
        )
        kinds = {"blob": Kind.CONTENT, "tree": Kind.DIRECTORY, "commit": Kind.REVISION, "tag": Kind.RELEASE}
        ids = {ObjectId(kinds[kind], bytes.fromhex(hex)) for kind, hex in map(str.split, listed.splitlines())}
        held = ids - target.missing(ids)
    assert files(tmp_path) == before, report
    assert not (tmp_path / "mark").exists()
    return report, held


# -- what a URL can try ---------------------------------------------------------------------------------------------

URLS = [
    "ext::sh -c touch% MARK", "ext::sh -c 'touch MARK'", "fd::17", "fd::17,18/x", "--upload-pack=touch MARK", "-u./x",
    "-uMARK", "--exec=touch MARK", "ssh://-oProxyCommand=touch%20MARK/x", "git@-oProxyCommand=touch MARK:x",
    "https://example.invalid/a\nb", "https://example.invalid/a\rb", "https://example.invalid/a\0b", "https://example.invalid/a%0ab",
    "https://example.invalid/a%0d%0aX: y", "https://example.invalid/%00", "git://example.invalid%0a/x",
    "http://%6c%6f%63%61%6c%68%6f%73%74/x.git", "http://example.invalid\\@127.0.0.1/x",
    "git://example.invalid:9418%00host=x/", "file://host/etc", "ext+x::y", "", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("from_cli", [True, False])
@pytest.mark.parametrize("url", URLS)
def test_urls_are_refused_before_anything_is_started_or_written(
    tmp_path: Path, url: str, from_cli: bool
) -> None:
    (tmp_path / "archive").mkdir()
    with archive("filesystem", tmp_path / "archive") as target:
        before = {path for path in tmp_path.rglob("*") if "-wal" not in path.name and "-shm" not in path.name}
        with pytest.raises(InvalidUrl) as caught:
            load(target, url.replace("MARK", str(tmp_path / "mark")), Network(from_cli=from_cli))
        assert str(caught.value).isprintable()
        assert target.catalog.counters()["origin"] == 0
        after = {path for path in tmp_path.rglob("*") if "-wal" not in path.name and "-shm" not in path.name}
    assert after == before


@pytest.mark.parametrize("form", ["file://{}", "{}", "file://localhost{}"])
def test_paths_of_this_machine_are_for_the_shell(origin: Path, tmp_path: Path, form: str) -> None:
    url = form.format(origin)
    with archive("memory", tmp_path / "archive") as target:
        for network in (Network(from_cli=False), Network(from_cli=True, local_paths="never")):
            with pytest.raises(InvalidUrl, match="local"):
                load(target, url, network)
        assert load(target, url).status == "full"


# -- what a repository can try --------------------------------------------------------------------------------------


def test_hooks_are_not_run(origin: Path, script: Path, tmp_path: Path) -> None:
    (origin / "hooks").mkdir()
    for name in (
        "pre-upload-pack",
        "post-upload-pack",
        "reference-transaction",
        "post-checkout",
        "post-index-change",
    ):
        shutil.copy(script, origin / "hooks" / name)
    report, held = load_watched(tmp_path, origin.as_uri())
    assert (report.status, len(held)) == ("full", 3), report


@pytest.mark.parametrize(
    "key",
    [
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.askPass",
        "core.alternateRefsCommand", "uploadpack.packObjectsHook", "credential.helper", "gpg.program", "diff.external",
        "filter.x.process", "remote.x.uploadpack", "trace2.eventTarget",
    ],
)  # fmt: skip
def test_commands_of_a_configuration_are_not_run(
    origin: Path, script: Path, tmp_path: Path, key: str
) -> None:
    git(origin, "config", key, str(script))
    report, held = load_watched(tmp_path, origin.as_uri())
    assert (report.status, len(held)) == ("full", 3), report


@pytest.mark.parametrize("condition", ["gitdir:/", "onbranch:main", "hasconfig:remote.*.url:**"])
def test_an_included_configuration_does_not_get_further(
    origin: Path, script: Path, tmp_path: Path, condition: str
) -> None:
    included = tmp_path / "included"
    included.write_text(
        f"[uploadpack]\n\tpackObjectsHook = {script}\n[protocol]\n\tallow = always\n"
        f"[core]\n\tfsmonitor = {script}\n\thooksPath = {tmp_path}\n"
    )
    git(origin, "config", f"includeIf.{condition}.path", str(included))
    report, held = load_watched(tmp_path, origin.as_uri())
    assert (report.status, len(held)) == ("full", 3), report


@pytest.mark.parametrize("url", ["ext::{script}", "ssh://example.invalid/x", "file://{folder}/other.git"])
def test_a_promisor_is_not_asked_for_what_is_missing(
    origin: Path, script: Path, tmp_path: Path, url: str
) -> None:
    shutil.copytree(origin, tmp_path / "other.git")
    for key, value in {
        "remote.evil.url": url.format(script=script, folder=tmp_path), "remote.evil.promisor": "true",
        "remote.evil.uploadpack": str(script), "extensions.partialClone": "evil", "core.repositoryFormatVersion": "1",
        "core.sshCommand": str(script), "protocol.allow": "always", "protocol.ext.allow": "always",
    }.items():  # fmt: skip
        git(origin, "config", key, value)
    blob = git(origin, "rev-parse", "main:file")
    (origin / "objects" / blob[:2] / blob[2:]).unlink()
    report, held = load_watched(tmp_path, origin.as_uri())
    assert (report.status, len(held), report.snapshot) == ("failed", 0, None)


def test_linked_files_among_the_objects_do_not_come(origin: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"the secret of this machine")
    (origin / "objects" / "de").mkdir()
    (origin / "objects" / "de" / ("ad" * 19)).symlink_to(secret)
    (origin / "objects" / "pack").mkdir(exist_ok=True)
    (origin / "objects" / "pack" / "pack-x.pack").symlink_to(secret)
    (origin / "refs" / "heads" / "secret").symlink_to(secret)
    (origin / "refs" / "heads" / "gone").write_text("dead" * 10 + "\n")
    (tmp_path / "archive").mkdir()
    with archive("filesystem", tmp_path / "archive") as target:
        report = load(target, origin.as_uri())
        assert report.status == "partial"
        assert target.catalog.counters()["content"] == 1
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.is_symlink()]
    assert not [
        path
        for path in (tmp_path / "archive").rglob("*")
        if path.is_file() and b"the secret" in path.read_bytes()
    ]


@pytest.mark.parametrize("way", ["alternates", "link"])
def test_objects_of_elsewhere_come_only_where_a_branch_names_them(
    origin: Path, tmp_path: Path, way: str
) -> None:
    """Whoever makes a local repository readable to us says what is in it; but nothing unasked comes along."""
    other = tmp_path / "other.git"
    shutil.copytree(origin, other)
    private = commit(other, name=b"private")
    if way == "alternates":
        (origin / "objects" / "info").mkdir(exist_ok=True)
        (origin / "objects" / "info" / "alternates").write_text(f"{other}/objects\n")
    else:
        shutil.rmtree(origin / "objects")
        (origin / "objects").symlink_to(other / "objects")
    (tmp_path / "archive").mkdir()
    with archive("filesystem", tmp_path / "archive") as target:
        report = load(target, origin.as_uri())
        assert (report.status, report.new["revision"]) == ("full", 1)
        id = ObjectId(Kind.REVISION, bytes.fromhex(private))
        assert target.missing({id}) == {id}
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.is_symlink()]
    assert not list((tmp_path / "archive").rglob("info/alternates"))


NAMES = [
    b"..", b".git", b".GIT", b"git~1", b"a/b", b"../../mark", b"/tmp/mark", b".", b"a\\b", b"\xff\n", b"-rf", b"a",
]  # fmt: skip


@pytest.mark.parametrize("mode", [b"100755", b"120000", b"40000", b"160000"])
def test_names_that_no_file_may_have_keep_their_ids(origin: Path, tmp_path: Path, mode: bytes) -> None:
    inner = bytes.fromhex(git(origin, "rev-parse", "main^{tree}" if mode == b"40000" else "main:file"))
    body = b"".join(b"%s %s\0%s" % (mode, name, inner) for name in NAMES)
    tree = git(origin, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=body)
    tip = commit(origin, tree)
    report, held = load_watched(tmp_path, origin.as_uri())
    assert report.status == "full", report
    assert {
        ObjectId(Kind.DIRECTORY, bytes.fromhex(tree)),
        ObjectId(Kind.REVISION, bytes.fromhex(tip)),
    } <= held
    with archive("filesystem", tmp_path / "archive") as target:
        id = ObjectId(Kind.DIRECTORY, bytes.fromhex(tree))
        assert target.read([id]) == {id: body}


def test_an_empty_name_stops_git_at_the_origin_and_nothing_else(origin: Path, tmp_path: Path) -> None:
    """No git sends such a tree, so that branch cannot be had; the others are."""
    git(origin, "update-ref", "refs/heads/good", "refs/heads/main")
    blob = bytes.fromhex(git(origin, "rev-parse", "main:file"))
    tree = git(origin, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=b"100644 \0" + blob)
    commit(origin, tree)
    report, held = load_watched(tmp_path, origin.as_uri())
    assert (report.status, len(held)) == ("partial", 3), report
    assert "refs/heads/main" in (report.error or "")
    assert "empty filename" in (report.error or "")


# -- what a server can try ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [b"\x1b[31mred\x07\x1b]0;title\x07", b"\xc2\x9b31m\xe2\x80\xae\xff", b"a\r\nb\tc\x00d"]
)
def test_what_a_server_says_cannot_reach_a_terminal(tmp_path: Path, text: bytes) -> None:
    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    line = b"ERR access denied: " + text
                    connection.sendall(b"%04x%s" % (len(line) + 4, line))

    with archive("memory", tmp_path) as target, socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        report = load(target, f"git://127.0.0.1:{server.getsockname()[1]}/x.git")
        server.shutdown(socket.SHUT_RDWR)
        held = target.catalog.visit(report.origin, report.visit)
    assert (report.status, report.snapshot) == ("failed", None)
    assert report.error is not None
    assert "access denied" in report.error
    assert report.error.isprintable()
    assert held is not None
    assert held.reason == report.error
