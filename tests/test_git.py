"""The git program under our configuration: what it obeys, what it reads, how it fails."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from swhkit import gitconfig
from swhkit.errors import ChildFailed, Collision, Corrupt, InvalidInput, MissingProgram
from swhkit.git import PIECE, Git
from swhkit.gitconfig import git_environment, version
from swhkit.hashes import git_digest
from swhkit.model import Bytes, Chunks
from swhkit.net import Target, curl_resolve
from swhkit.pack import PackWriter
from swhkit.packindex import show_index
from swhkit.process import Runner
from swhkit.swhid import Kind, ObjectId

EMPTY_TREE = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    home = tmp_path / "home"
    home.mkdir()
    return Runner(home)


@pytest.fixture
def git(runner: Runner, tmp_path: Path) -> Git:
    return Git.init(runner, tmp_path / "repo.git")


def put(git: Git, kind: Kind, body: bytes) -> ObjectId:
    """Store one object, whatever its body, as a loose one."""
    assert git.git_dir is not None
    digest = git_digest(kind.git, body)
    path = git.git_dir / "objects" / digest.hex()[:2] / digest.hex()[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(f"{kind.git} {len(body)}\0".encode() + body))
    return ObjectId(kind, digest)


def put_pack(git: Git, name: str, *bodies: bytes) -> list[ObjectId]:
    assert git.git_dir is not None
    writer = PackWriter(git.git_dir / f"objects/pack/pack-{name}.pack")
    ids = [writer.add(Kind.CONTENT, Bytes(body)) for body in bodies]
    git.index_pack(writer.finish())
    return ids


def bodies(git: Git, ids: list[ObjectId]) -> list[bytes]:
    return [b"".join(pieces) for _, _, pieces in git.read(id.digest for id in ids)]


def upstream(runner: Runner, path: Path) -> tuple[Git, ObjectId]:
    """A repository with one commit on its branch main."""
    git = Git.init(runner, path)
    put(git, Kind.DIRECTORY, b"")
    body = b"tree %s\nauthor A <a@b> 0 +0000\ncommitter A <a@b> 0 +0000\n\nm\n" % EMPTY_TREE.hex().encode()
    commit = put(git, Kind.REVISION, body)
    (path / "refs/heads/main").write_text(commit.hex + "\n")
    return git, commit


def test_the_version_is_known() -> None:
    assert version() >= (2, 39)


@pytest.mark.parametrize("said", ["git version 2.38.9", "git version 1.9", "something else"])
def test_an_old_or_odd_git_is_refused(
    said: str, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(MissingProgram, match=r"git 2\.39 or newer is needed.*package git"):
        Git(runner)


def test_without_git_the_package_is_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitconfig, "find_program", lambda name: find_nothing(name))
    with pytest.raises(MissingProgram, match="apt install git"):
        Git(runner)


def find_nothing(name: str) -> str:
    from swhkit.process import find_program

    return find_program(name, path="/nowhere")


def test_the_configuration_is_written_once_for_each_set_of_protocols(tmp_path: Path) -> None:
    first = git_environment(tmp_path, protocols=["https"])
    stamp = Path(first["GIT_CONFIG_GLOBAL"]).stat().st_mtime_ns
    assert git_environment(tmp_path, protocols=["https"]) == first
    assert Path(first["GIT_CONFIG_GLOBAL"]).stat().st_mtime_ns == stamp
    assert git_environment(tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("protocol", ["ext", "fd", "https\n[core]", ""])
def test_other_protocols_cannot_be_allowed(protocol: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        git_environment(tmp_path, protocols=[protocol])


def test_git_reads_our_configuration_and_no_other(
    runner: Runner, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runner.home / ".gitconfig").write_text("[core]\n\tpager = evil\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(runner.home / ".gitconfig"))
    assert git.run("config", "core.pager").stdout == b"cat\n"
    origins = git.run("config", "--list", "--show-origin").stdout.decode()
    assert {line.split("\t")[0] for line in origins.splitlines()} == {
        f"file:{git.environment['GIT_CONFIG_GLOBAL']}",
        f"file:{git.git_dir}/config",
    }
    wanted = {
        "safe.directory": "*",
        "protocol.allow": "never",
        "core.hookspath": "/dev/null",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "fetch.unpacklimit": "1",
        "fetch.fsckobjects": "false",
        "fetch.writecommitgraph": "false",
        "http.followredirects": "false",
        "core.fsync": "objects,derived-metadata",
        "credential.helper": "",
    }
    found = dict(
        line.partition("=")[::2] for line in git.run("config", "--list").stdout.decode().splitlines()
    )
    assert {key: found.get(key) for key in wanted} == wanted


def test_only_allowed_protocols_are_spoken(runner: Runner, tmp_path: Path) -> None:
    _, commit = upstream(runner, tmp_path / "up.git")
    url = f"file://{tmp_path}/up.git"
    with pytest.raises(ChildFailed, match="transport 'file' not allowed"):
        Git(runner).run("ls-remote", "--", url)
    allowed = Git(runner, protocols=["file"])
    assert allowed.run("ls-remote", "--", url).stdout.startswith(commit.hex.encode())
    with pytest.raises(ChildFailed, match="transport 'ext' not allowed"):
        allowed.run("ls-remote", "--", f"ext::sh -c touch% {tmp_path}/x")
    assert not (tmp_path / "x").exists()


def test_nothing_of_a_hostile_repository_runs(runner: Runner, tmp_path: Path) -> None:
    _, commit = upstream(runner, tmp_path / "up.git")
    marker = tmp_path / "marker"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\ntouch {marker}\nexec "$@"\n')
    trap.chmod(0o755)
    hooks = tmp_path / "up.git/hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-receive", "post-update"):
        (hooks / name).symlink_to(trap)
    with (tmp_path / "up.git/config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n\thooksPath = {hooks}\n\tsshCommand = {trap}\n"
        )
        config.write(f"\talternateRefsCommand = {trap}\n[uploadpack]\n\tpackObjectsHook = {trap}\n")
    fetch = [
        "fetch",
        "-q",
        "--no-tags",
        "--no-write-fetch-head",
        "--",
        f"file://{tmp_path}/up.git",
        commit.hex,
    ]
    stage = Git.init(runner, tmp_path / "stage.git", protocols=["file"])
    stage.run(*fetch)
    assert list(stage.check([commit.digest])) == [(commit.digest, Kind.REVISION, 98)]
    assert not marker.exists()


class Bait(BaseHTTPRequestHandler):
    """Sends whoever comes elsewhere on this machine, and remembers who came."""

    def do_GET(self) -> None:
        seen: list[str] = vars(self.server)["seen"]
        seen.append(f"{self.headers['Host']} {self.path}")
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/inner")  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def bait() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine and the requests that came to it."""
    seen: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Bait) as server:
        vars(server)["seen"] = seen
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, seen
        server.shutdown()
        thread.join()


def test_git_connects_to_the_pinned_address_and_follows_nobody(
    runner: Runner, bait: tuple[int, list[str]]
) -> None:
    port, seen = bait
    url = f"http://pinned.example:{port}/repo"
    target = Target(url=url, scheme="http", host="pinned.example", port=port, addresses=("127.0.0.1",))
    git = Git(runner, protocols=["http"])
    with pytest.raises(ChildFailed):
        git.run("-c", f"http.curloptResolve={curl_resolve(target)}", "ls-remote", "--", url, timeout=20)
    assert seen
    assert all(request.startswith(f"pinned.example:{port} /repo/") for request in seen)


def test_a_repository_around_home_is_not_found(runner: Runner) -> None:
    Git.init(runner, runner.home.parent / ".git")
    with pytest.raises(ChildFailed, match="not a git repository"):
        Git(runner).run("rev-parse", "--git-dir")


def test_a_repository_of_another_owner_can_be_read(runner: Runner, tmp_path: Path) -> None:
    _, commit = upstream(runner, tmp_path / "up.git")
    if os.geteuid() == 0:
        for path in [tmp_path / "up.git", *(tmp_path / "up.git").rglob("*")]:
            os.chown(path, 12345, 12345)
    found = Git(runner, protocols=["file"]).run("ls-remote", "--", str(tmp_path / "up.git"))
    assert found.stdout.startswith(commit.hex.encode())


def test_init_makes_a_bare_repository_that_git_accepts(runner: Runner, tmp_path: Path) -> None:
    git = Git.init(runner, tmp_path / "new.git")
    assert git.run("rev-parse", "--is-bare-repository", "--show-object-format").stdout == b"true\nsha1\n"
    assert not (tmp_path / "new.git/hooks").exists()
    (tmp_path / "new.git/HEAD").write_text("ref: refs/heads/other\n")
    Git.init(runner, tmp_path / "new.git", precious=True)
    assert (tmp_path / "new.git/HEAD").read_text() == "ref: refs/heads/other\n"


def test_a_precious_repository_outlives_gc(runner: Runner, tmp_path: Path) -> None:
    git = Git.init(runner, tmp_path / "store.git", precious=True)
    ids = put_pack(git, "a", *(b"body %d" % n for n in range(50)))
    assert git.run("config", "core.repositoryformatversion").stdout == b"1\n"
    git.run("gc", "--prune=now", "-q", check=False)
    git.run("repack", "-a", "-d", "-q", check=False)
    assert {id for id, _ in git.list_objects()} == set(ids)


def test_all_objects_are_listed_once(git: Git) -> None:
    assert list(git.list_objects()) == []
    packed = put_pack(git, "a", b"one", b"two", b"")
    put_pack(git, "b", b"two", b"three")
    tree = put(git, Kind.DIRECTORY, b"")
    found = list(git.list_objects())
    assert len(found) == 5
    assert (tree, 0) in found
    assert set(packed) < {id for id, _ in found}


def test_alternates_are_seen_by_those_that_name_them_alone(runner: Runner, tmp_path: Path) -> None:
    odd = [tmp_path / 'a:b "c" \\d', tmp_path / '"quoted"', tmp_path / "new\nline:x", tmp_path / "tail:\\"]
    held = [put(Git.init(runner, path), Kind.CONTENT, path.name.encode()) for path in odd]
    Git.init(runner, tmp_path / "stage.git")
    own = put(Git(runner, tmp_path / "stage.git"), Kind.CONTENT, b"own")
    with_alternates = Git(runner, tmp_path / "stage.git", alternates=[p / "objects" for p in odd])
    assert {id for id, _ in with_alternates.list_objects()} == {own, *held}
    assert {id for id, _ in Git(runner, tmp_path / "stage.git").list_objects()} == {own}


def test_an_object_directory_can_be_lent(runner: Runner, git: Git, tmp_path: Path) -> None:
    assert git.git_dir is not None
    id = put(git, Kind.CONTENT, b"x")
    Git.init(runner, tmp_path / "view.git")
    view = Git(runner, tmp_path / "view.git", object_directory=git.git_dir / "objects")
    assert list(view.list_objects()) == [(id, 1)]


def test_check_answers_in_order(git: Git) -> None:
    one, two = put(git, Kind.CONTENT, b"one"), put(git, Kind.DIRECTORY, b"")
    missing = bytes(range(20))
    assert list(git.check([two.digest, missing, one.digest, one.digest])) == [
        (two.digest, Kind.DIRECTORY, 0),
        (missing, None, -1),
        (one.digest, Kind.CONTENT, 3),
        (one.digest, Kind.CONTENT, 3),
    ]
    assert list(git.check([])) == []


@pytest.mark.parametrize("digest", [b"", b"\x12\x34", b"HEAD", bytes(21), bytes(32)])
def test_what_is_no_id_is_never_looked_up(git: Git, digest: bytes) -> None:
    with pytest.raises(InvalidInput, match="20"):
        list(git.check([digest]))
    with pytest.raises(InvalidInput, match="20"):
        list(git.read([digest]))


def test_bodies_are_read_in_order_and_missing_ones_left_out(git: Git) -> None:
    given = [
        b"",
        b"\n",
        b"x\n\0y",
        os.urandom(70_000),
        bytes(PIECE),
        bytes(PIECE + 1),
        os.urandom(3 * PIECE),
    ]
    ids = put_pack(git, "a", *given)
    asked = [ids[6].digest, bytes(20), *(id.digest for id in ids), ids[0].digest]
    got = [(id, size, b"".join(pieces)) for id, size, pieces in git.read(asked)]
    assert got == [(ids[n], len(given[n]), given[n]) for n in (6, 0, 1, 2, 3, 4, 5, 6, 0)]
    whole = {id: b"".join(pieces) for id, _, pieces in git.read(None)}
    assert whole == dict(zip(ids, given, strict=True))


def test_bodies_need_not_be_consumed(git: Git) -> None:
    ids = put_pack(git, "a", bytes(3 * PIECE), b"small", bytes(2 * PIECE + 5))
    assert [id for id, _, _ in git.read(id.digest for id in ids)] == ids
    partly = []
    for _, _, pieces in git.read(id.digest for id in ids):
        partly.append(len(next(pieces)))
    assert partly == [PIECE, 5, PIECE]


def test_reading_may_stop_anywhere(git: Git) -> None:
    put_pack(git, "a", *(b"%d" % n + bytes(100_000) for n in range(50)))
    reader = git.read(id.digest for id, _ in list(git.list_objects()))
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert len(list(git.list_objects())) == 50


def test_an_error_of_the_ids_reaches_the_reader(git: Git) -> None:
    with pytest.raises(ZeroDivisionError):
        list(git.read(bytes([1 // n]) * 20 for n in (1, 0)))


def test_pieces_are_bounded(git: Git) -> None:
    (id,) = put_pack(git, "a", bytes(5 * PIECE + 3))
    ((size, lengths),) = [(size, [len(p) for p in pieces]) for _, size, pieces in git.read([id.digest])]
    assert max(lengths) <= PIECE
    assert sum(lengths) == size == 5 * PIECE + 3


def test_a_damaged_object_is_never_a_short_list(git: Git) -> None:
    assert git.git_dir is not None
    ids = put_pack(git, "a", *(os.urandom(2 * PIECE) for _ in range(3)))
    pack = git.git_dir / "objects/pack/pack-a.pack"
    offsets = dict(show_index(pack.with_suffix(".idx")))
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[offsets[ids[1].digest] + PIECE] ^= 0xFF
    pack.write_bytes(data)
    with pytest.raises(ChildFailed):
        bodies(git, ids)


def test_malformed_objects_come_back_byte_for_byte(git: Git) -> None:
    given = [
        (Kind.REVISION, b""),
        (Kind.REVISION, b"tree xyz\n\nno such thing"),
        (Kind.RELEASE, b"\0\0\0"),
        (Kind.DIRECTORY, b"100644 \0" + bytes(20)),
        (Kind.DIRECTORY, b"0 a/b\0" + bytes(20) + b"40000 ..\0" + bytes(20)),
    ]
    ids = [put(git, kind, body) for kind, body in given]
    got = [(id.kind, b"".join(pieces)) for id, _, pieces in git.read(id.digest for id in ids)]
    assert got == given


def test_a_repository_with_other_ids_is_refused(runner: Runner, tmp_path: Path) -> None:
    plain = Git(runner)
    plain.run("init", "-q", "--bare", "--object-format=sha256", tmp_path / "other.git")
    other = Git(runner, tmp_path / "other.git")
    other.run("hash-object", "-w", "--stdin", input=b"x")
    with pytest.raises(Corrupt, match="no SHA-1 object"):
        list(other.list_objects())


def test_replacements_are_not_followed(git: Git) -> None:
    assert git.git_dir is not None
    one, two = put(git, Kind.CONTENT, b"one"), put(git, Kind.CONTENT, b"two")
    (git.git_dir / "refs/replace").mkdir()
    (git.git_dir / f"refs/replace/{one.hex}").write_text(two.hex + "\n")
    assert [b"".join(pieces) for _, _, pieces in git.read([one.digest])] == [b"one"]


def test_an_index_is_made_beside_the_pack(git: Git, tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "own.pack")
    id = writer.add(Kind.CONTENT, Bytes(b"x"))
    pack = git.index_pack(writer.finish())
    assert (pack.path, pack.idx) == (tmp_path / "own.pack", tmp_path / "own.idx")
    assert list(show_index(pack.idx)) == [(id.digest, 12)]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text", "count"])
def test_a_bad_pack_is_corrupt(git: Git, tmp_path: Path, damage: str) -> None:
    writer = PackWriter(tmp_path / "bad.pack")
    for n in range(5):
        writer.add(Kind.CONTENT, Bytes(os.urandom(1000 + n)))
    path = writer.finish()
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[2500] ^= 1
    if damage == "count":
        data[11] = 4
        data[-20:] = hashlib.sha1(data[:-20]).digest()
    replacement: dict[str, bytes] = {"cut": bytes(data[:-30]), "empty": b"", "text": b"<html>login</html>"}
    path.write_bytes(replacement.get(damage, bytes(data)))
    with pytest.raises(Corrupt, match=r"git refuses the pack bad\.pack"):
        git.index_pack(path)
    assert not path.with_suffix(".idx").exists()


def test_another_body_under_a_held_id_is_a_collision(git: Git, tmp_path: Path) -> None:
    assert git.git_dir is not None
    id = put(git, Kind.CONTENT, b"expected")
    path = git.git_dir / "objects" / id.hex[:2] / id.hex[2:]
    path.write_bytes(zlib.compress(b"blob 8\0UNAWARES"))  # the held body is not what hashes to its id
    writer = PackWriter(tmp_path / "new.pack")
    writer.add(Kind.CONTENT, Bytes(b"expected"))
    with pytest.raises(Collision, match=id.hex):
        git.index_pack(writer.finish())


def made_index(offsets: list[int], large: list[int] | None = None) -> bytes:
    """An idx of version 2 with made-up ids (the n-th is n in every byte)."""
    count = len(offsets)
    fanout = b"".join(struct.pack(">I", min(byte + 1, count)) for byte in range(256))
    names = b"".join(bytes([n]) * 20 for n in range(count))
    tables = b"".join(struct.pack(">I", o) for o in offsets) + b"".join(
        struct.pack(">Q", o) for o in large or []
    )
    return b"\377tOc\0\0\0\2" + fanout + names + bytes(4 * count) + tables + bytes(40)


def test_an_index_is_read_as_git_reads_it(git: Git) -> None:
    assert git.git_dir is not None
    put_pack(git, "a", *(b"body %d" % n for n in range(9000)))
    idx = git.git_dir / "objects/pack/pack-a.idx"
    said = git.run("show-index", input=idx.read_bytes()).stdout.decode().splitlines()
    expected = [(bytes.fromhex(line.split()[1]), int(line.split()[0])) for line in said]
    assert list(show_index(idx)) == expected


def test_offsets_beyond_two_gigabytes_are_read(tmp_path: Path) -> None:
    idx = tmp_path / "x.idx"
    idx.write_bytes(made_index([12, 0x80000001, 0x80000000], [1 << 40, 5 << 32]))
    assert [offset for _, offset in show_index(idx)] == [12, 5 << 32, 1 << 40]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\377tOc\0\0\0\2",
        bytes(2000),
        made_index([12, 13])[:-1],
        made_index([12, 13])[:-28],
        made_index([12, 0x80000000]),
        made_index([12, 0x80000007], [1 << 40]),
        made_index([1, 2]).replace(bytes(20) + b"\1" * 20, b"\1" * 20 + bytes(20)),
        b"\377tOc\0\0\0\3" + made_index([1])[8:],
        b"\377tOc\0\0\0\2" + b"\xff" * 1024 + bytes(100),
    ],
)
def test_a_damaged_index_is_corrupt(tmp_path: Path, data: bytes) -> None:
    idx = tmp_path / "x.idx"
    idx.write_bytes(data)
    with pytest.raises(Corrupt):
        list(show_index(idx))


def test_large_bodies_stream_into_git(git: Git, tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "big.pack")
    id = writer.add(Kind.CONTENT, Chunks(20 * PIECE, iter([bytes(PIECE)] * 20)))
    git.index_pack(writer.finish())
    assert id.digest == git_digest("blob", bytes(20 * PIECE))
