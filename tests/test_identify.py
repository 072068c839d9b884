"""SWHIDs without an archive: files, folders, repositories, tar and zip files, friendly and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import CASES, unpack

from swhkit.cli.identify import command
from swhkit.errors import InvalidInput, SwhkitError
from swhkit.hashes import git_digest
from swhkit.identify import Identified, Options, identify
from swhkit.manifest import object_id
from swhkit.model import Branch, BranchType, Directory, Entry, Snapshot
from swhkit.swhid import Kind, ObjectId
from swhkit.unpack import ArchiveLimits, ArchiveTree, is_archive, open_archive

EMPTY_TREE = "swh:1:dir:4b825dc642cb6eb9a060e54bf8d69288fbee4904"
EMPTY_FILE = "swh:1:cnt:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def swhid(path: Path | str, **options: Any) -> str:
    """The id of one path."""
    return str(list(identify(str(path), Options(**options)))[-1].id)


def content(data: bytes) -> str:
    return str(ObjectId(Kind.CONTENT, git_digest("blob", data)))


def directory(tree: dict[bytes, Any]) -> str:
    """The id of a directory given as name → bytes, (mode, bytes), or a dict: computed apart from what is tested."""
    entries = []
    for name, value in tree.items():
        if isinstance(value, dict):
            entries.append(Entry(name, "dir", bytes.fromhex(directory(value)[-40:]), 0o40000))
        else:
            mode, data = value if isinstance(value, tuple) else (0o100644, value)
            entries.append(Entry(name, "file", git_digest("blob", data), mode))
    return str(object_id(Directory(tuple(entries))))


def git(folder: Path, *args: str, stdin: bytes | None = None) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "a@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(
        ["git", *args], cwd=folder, env=environment, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


# -- files and folders ----------------------------------------------------------------------------------------------


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"hello\n")
    assert swhid(file) == content(b"hello\n") == swhid(file, type="cnt")
    (tmp_path / "e").touch()
    assert swhid(tmp_path / "e") == EMPTY_FILE


def test_links_given_by_name(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "l").symlink_to("./f")
    (tmp_path / "d").mkdir()
    (tmp_path / "ld").symlink_to("d")
    (tmp_path / "gone").symlink_to("nowhere")
    assert swhid(tmp_path / "l") == content(b"x")
    assert swhid(tmp_path / "l", follow=False) == content(b"./f")
    assert swhid(tmp_path / "ld") == EMPTY_TREE
    assert swhid(tmp_path / "ld", follow=False) == content(b"d")
    assert swhid(tmp_path / "gone", follow=False) == content(b"nowhere")
    with pytest.raises(InvalidInput, match="no such file"):
        swhid(tmp_path / "gone")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "folder"
    (root / "sub/empty").mkdir(parents=True)
    (root / "plain").write_bytes(b"1")
    (root / "run").write_bytes(b"2")
    (root / "run").chmod(0o744)
    (root / "group-run").write_bytes(b"3")
    (root / "group-run").chmod(0o655)
    (root / "link").symlink_to("/absolute//./target")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"4")
    os.mkfifo(root / "sub/pipe", 0o644)
    (root / "sub.txt").write_bytes(b"5")
    with socket.socket(socket.AF_UNIX) as unix:
        # A socket's address is short: bind below the working folder.
        monkeypatch.chdir(root)
        unix.bind("sub/sock")
    (root / "sub/sock").chmod(0o644)
    return root


FOLDER = {
    b"sub": {b"empty": {}, b"pipe": b"", b"sock": b""},
    b"plain": b"1",
    b"run": (0o100755, b"2"),
    b"group-run": b"3",
    b"link": (0o120000, b"/absolute//./target"),
    b"\xff\xfe": b"4",
    b"sub.txt": b"5",
}


def test_folder(folder: Path) -> None:
    assert swhid(folder) == directory(FOLDER)
    assert swhid(folder / "sub/empty") == EMPTY_TREE


def test_folder_agrees_with_git(tmp_path: Path) -> None:
    work = tmp_path / "w"
    (work / "a/b").mkdir(parents=True)
    (work / "a/b/c").write_bytes(b"c")
    (work / "a.x").write_bytes(b"")
    (work / "a0").symlink_to("a")
    (work / "x").write_bytes(b"#!")
    (work / "x").chmod(0o755)
    git(work, "init", "-q")
    git(work, "add", "-A")
    tree = git(work, "write-tree")
    assert swhid(work, exclude=[".git"]) == f"swh:1:dir:{tree}"


def test_exclude(folder: Path) -> None:
    without = {name: value for name, value in FOLDER.items() if name not in (b"sub.txt", b"plain")}
    assert swhid(folder, exclude=["*.txt", "plain"]) == directory(without)
    assert swhid(folder, exclude=["sub/*"]) == directory({**FOLDER, b"sub": {}})
    assert swhid(folder, exclude=["nothing"]) == directory(FOLDER)


def test_recursive_lists_everything_once_and_the_root_last(folder: Path) -> None:
    found = list(identify(str(folder), Options(recursive=True)))
    assert found[-1] == Identified(found[-1].id, str(folder))
    below = {item.below: str(item.id) for item in found[:-1]}
    assert len(below) == len(found) - 1
    assert below[b"sub"] == directory(FOLDER[b"sub"])  # type: ignore[arg-type]
    assert set(below) == {b"sub", b"sub/empty", b"sub/pipe", b"sub/sock", *FOLDER}
    assert below[b"\xff\xfe"] == content(b"4")


def test_three_thousand_levels(tmp_path: Path) -> None:
    depth, here = 3000, os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    expected = bytes.fromhex(EMPTY_TREE[-40:])
    for _ in range(depth):
        expected = object_id(Directory((Entry(b"d", "dir", expected, 0o40000),))).digest
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert swhid(tmp_path) == f"swh:1:dir:{expected.hex()}"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_a_wide_folder_is_quick_and_small(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number:05}").touch()
    tracemalloc.start()
    begun = time.monotonic()
    assert swhid(tmp_path) == directory({b"%05d" % number: b"" for number in range(20_000)})
    assert time.monotonic() - begun < 20
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("missing", {}, "no such file"),
        ("missing//x", {}, "no such file"),
        ("f//x", {}, "no tar or zip"),
        ("f//", {}, "no tar or zip"),
        ("f", {"type": "dir"}, "no tar or zip"),
        ("f", {"type": "snp"}, "no git repository"),
        ("d", {"type": "rev"}, "no git repository"),
        ("d", {"type": "cnt"}, "is a folder"),
        ("d//x", {}, "no such file"),
        ("f/x", {}, "no such file"),
        ("a" * 300, {}, "no such file"),
        ("a" * 300 + "//x", {}, "no such file"),
        ("f", {"type": "origin"}, "no URL"),
        ("f", {"type": "blob"}, "known: auto"),
        ("f\0", {}, "no path"),
    ],
)
def test_what_cannot_be_identified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, options: dict[str, str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").write_bytes(b"x" * 600)
    (tmp_path / "d").mkdir()
    with pytest.raises(InvalidInput, match=words):
        swhid(path, **options)


def test_unreadable_file() -> None:
    with pytest.raises(InvalidInput, match=r"^/proc/self/mem: "):
        swhid("/proc/self/mem")


def test_a_file_that_grows_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x" * 10)
    read = os.read

    def growing(handle: int, count: int) -> bytes:
        with (tmp_path / "f").open("ab") as file:
            file.write(b"y") if file.tell() < 20 else None
        return read(handle, count)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(InvalidInput, match="changed while it was read"):
        swhid(tmp_path)


def test_origin() -> None:
    url = "https://example.org/a"
    assert swhid(url) == swhid(url, type="origin") == "swh:1:ori:579f2a2ceeee0bc369f88d8b2b891d6263265b30"


# -- git repositories -----------------------------------------------------------------------------------------------

#: What git can read to the end and what gives one snapshot.
REPOSITORIES = [
    id
    for id, case in CASES.items()
    if case["path"] == "repo.git" and "steps" not in case and case["visits"][0]["visit_status"] == "full"
]


@pytest.mark.parametrize("id", REPOSITORIES)
def test_snapshots_are_those_of_the_git_loader(id: str, tmp_path: Path) -> None:
    repository = unpack(id, tmp_path)
    assert swhid(repository, type="snp") == CASES[id]["visits"][0]["snapshot"]
    assert swhid(repository) == CASES[id]["visits"][0]["snapshot"]


def test_revision_and_releases(tmp_path: Path) -> None:
    repository = unpack("git-basic", tmp_path)
    branches = CASES["git-basic"]["visits"][0]["branches"]
    head = branches["HEAD"].removeprefix("alias:")
    assert swhid(repository, type="rev") == branches[head]
    releases = {item.ref.decode(): str(item.id) for item in identify(str(repository), Options(type="rel"))}
    assert releases == {name: id for name, id in branches.items() if id.startswith("swh:1:rel:")}
    assert len(releases) > 1
    tips = list(identify(str(repository), Options(type="snp", recursive=True)))
    assert {str(tip.id) for tip in tips[:-1]} == {id for id in branches.values() if id.startswith("swh:")}


@pytest.mark.parametrize(
    ("id", "words"), [("git-sha256", "SHA-256"), ("git-ref-missing", "missing"), ("git-notgit", "no git")]
)
def test_repositories_without_snapshot(id: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=words):
        swhid(unpack(id, tmp_path), type="snp")


def test_empty_repository_has_no_revision(tmp_path: Path) -> None:
    repository = unpack("git-empty", tmp_path)
    with pytest.raises(InvalidInput, match="no revision"):
        swhid(repository, type="rev")
    with pytest.raises(InvalidInput, match="no annotated tag"):
        swhid(repository, type="rel")


def test_a_work_tree_is_a_directory_unless_asked(tmp_path: Path) -> None:
    work = tmp_path / "w"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "one")
    head = git(work, "rev-parse", "HEAD")
    assert swhid(work).startswith("swh:1:dir:")
    assert swhid(work, exclude=[".git"]) == EMPTY_TREE
    assert swhid(work, type="rev") == f"swh:1:rev:{head}"
    git(work, "worktree", "add", "-q", "-b", "side", "../linked")
    assert swhid(tmp_path / "linked", type="rev") == f"swh:1:rev:{head}"
    assert swhid(tmp_path / "linked", type="snp").startswith("swh:1:snp:")


def test_nothing_of_a_hostile_repository_runs(tmp_path: Path) -> None:
    """A promisor remote with a command for URL: git would fetch the missing object from it."""
    repository = tmp_path / "r"
    repository.mkdir()
    git(repository, "init", "-q", "--bare", "-b", "main")
    marker = tmp_path / "marker"
    (repository / "config").write_text(
        f"""[core]
        repositoryformatversion = 1
        bare = true
        fsmonitor = touch {marker}
        sshCommand = touch {marker}
        alternateRefsCommand = touch {marker}
[extensions]
        partialClone = origin
[protocol]
        allow = always
[protocol "ext"]
        allow = always
[remote "origin"]
        promisor = true
        url = ext::sh -c touch% {marker}
        fetch = +refs/heads/*:refs/heads/*
"""
    )
    (repository / "refs/heads/main").write_text("1" * 40 + "\n")
    (repository / "refs/heads/up").write_text("ref: ../../../etc/passwd\n")
    for type in ("snp", "rev", "rel"):
        with pytest.raises(InvalidInput):
            swhid(repository, type=type)
    assert not marker.exists()


def test_refs_a_thousand_levels_deep(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "r")
    deep = "/".join(["d"] * 1500)
    subprocess.run(["mkdir", "-p", tmp_path / "r/refs/heads" / deep], check=True)
    (tmp_path / "r/refs/heads" / deep / "x").write_text("ref: refs/heads/gone\n")
    (tmp_path / "r/refs/heads/far").write_text("ref: refs/heads/away\n")
    expected = Snapshot(
        {
            b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/main"),
            b"refs/heads/main": None,
            b"refs/heads/far": Branch(BranchType.ALIAS, b"refs/heads/away"),
            b"refs/heads/away": None,
            b"refs/heads/%s/x" % deep.encode(): Branch(BranchType.ALIAS, b"refs/heads/gone"),
            b"refs/heads/gone": None,
        }
    )
    try:
        assert swhid(tmp_path / "r") == str(object_id(expected))
    finally:
        # Python's own removal of such a folder would recurse too deeply.
        subprocess.run(["rm", "-rf", tmp_path / "r"], check=True)


# -- tar ------------------------------------------------------------------------------------------------------------


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def link(name: str, target: str, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE if hard else tarfile.SYMTYPE, linkname=target)


SOME = [
    member("p", type=tarfile.DIRTYPE, mode=0o700),
    member("p/f", b"1"),
    member("p/x", b"2", mode=0o700),
    member("p/y", b"3", mode=0o677),
    link("p/l", "/etc/passwd"),
    member("p/fifo", type=tarfile.FIFOTYPE),
    member("p/dev", type=tarfile.CHRTYPE),
    member("p/empty", type=tarfile.DIRTYPE),
    member("q/r/deep", b"4"),
    member("./dot//twice", b"5"),
    member("\udcff" + "n" * 200, b"6"),
]
SOME_TREE = {
    b"p": {
        b"f": b"1",
        b"x": (0o100755, b"2"),
        b"y": b"3",
        b"l": (0o120000, b"/etc/passwd"),
        b"fifo": b"",
        b"dev": b"",
        b"empty": {},
    },
    b"q": {b"r": {b"deep": b"4"}},
    b"dot": {b"twice": b"5"},
    b"\xff" + b"n" * 200: b"6",
}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar(tmp_path: Path, form: int) -> None:
    path = tar(tmp_path / "any.name", *SOME, form=form)
    assert is_archive(path)
    assert swhid(f"{path}//") == swhid(path, type="dir") == directory(SOME_TREE)
    assert swhid(f"{path}//p/x") == content(b"2")
    assert swhid(f"{path}//p/l") == content(b"/etc/passwd")
    assert swhid(f"{path}//p/") == directory(SOME_TREE[b"p"])  # type: ignore[arg-type]
    assert swhid(f"{path}//p/empty") == EMPTY_TREE
    assert swhid(path) == content(path.read_bytes())
    with pytest.raises(InvalidInput, match="holds no 'p/nothing'"):
        swhid(f"{path}//p/nothing")
    with pytest.raises(InvalidInput, match="not of type cnt"):
        swhid(f"{path}//p", type="cnt")
    below = {item.below: str(item.id) for item in identify(f"{path}//p", Options(recursive=True))}
    assert set(below) == {*SOME_TREE[b"p"], b""}  # type: ignore[misc]


def lzip(data: bytes) -> bytes:
    alone = lzma.compress(
        data,
        lzma.FORMAT_RAW,
        filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}],
    )
    packed = b"LZIP\x01\x10" + alone
    return packed + struct.pack("<IQQ", zlib.crc32(data), len(data), len(packed) + 20)


def zstd(data: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lz": lzip,
    "zst": zstd,
}


@pytest.mark.parametrize("name", COMPRESSORS)
def test_compressed_tar(tmp_path: Path, name: str) -> None:
    plain = tar(tmp_path / "t.tar", *SOME, member("big", os.urandom(300_000) + bytes(300_000))).read_bytes()
    compress = COMPRESSORS[name]
    expected = swhid(f"{tmp_path / 't.tar'}//")
    path = tmp_path / "t"
    for data in (
        compress(plain),
        compress(plain[:1000]) + compress(plain[1000:]),
        compress(plain) + b"trailing garbage",
        compress(plain) + bytes(100),
    ):
        path.write_bytes(data)
        assert is_archive(path)
        assert swhid(f"{path}//") == expected
    whole = compress(plain)
    for cut in (7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InvalidInput, match="cut short"):
            swhid(f"{path}//")
    path.write_bytes(
        whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 0xFF]) + whole[len(whole) // 2 + 1 :]
    )
    with pytest.raises(InvalidInput, match=r"damaged|cut short|no tar"):
        swhid(f"{path}//")


def test_links_in_tar(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "t.tar",
        member("f", b"1", mode=0o755),
        link("hard", "f", hard=True),
        link("early", "late", hard=True),
        member("late", b"2"),
        link("nowhere", "gone", hard=True),
        member("d", type=tarfile.DIRTYPE),
        link("dl", "d"),
        member("dl/in", b"3"),
        link("fl", "d/target"),
        member("fl", b"4"),
        link("up", "d/../e"),
        member("up/x", b"5"),
    )
    (found,) = identify(f"{path}//")
    assert str(found.id) == directory(
        {
            # One inode has one mode: that of the name that was unpacked last.
            b"f": b"1",
            b"hard": b"1",
            b"early": b"2",
            b"late": b"2",
            b"d": {b"in": b"3", b"target": b"4"},
            b"dl": (0o120000, b"d"),
            b"fl": (0o120000, b"d/target"),
            b"up": (0o120000, b"d/../e"),
            b"e": {b"x": b"5"},
        }
    )
    assert found.note is not None
    assert "1 members" in found.note


def test_the_last_of_two_wins(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "t.tar",
        member("a", b"1", mode=0o755),
        member("a", b"2"),
        member("l", b"3"),
        link("l", "x"),
        link("l", "y"),
        member("d", type=tarfile.DIRTYPE),
        member("d/f", b"4"),
        member("d", type=tarfile.DIRTYPE),
    )
    assert swhid(f"{path}//") == directory({b"a": b"2", b"l": (0o120000, b"y"), b"d": {b"f": b"4"}})


def test_what_leads_out_of_a_tar_is_left_out(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"alive")
    path = tar(
        tmp_path / "t.tar",
        member(str(canary), b"dead"),
        member("../canary", b"dead"),
        member("a/../../canary", b"dead"),
        link("abs", str(tmp_path)),
        member("abs/canary", b"dead"),
        link("rel", ".."),
        member("rel/canary", b"dead"),
        link("rel2", "rel/x"),
        member("rel2", b"dead"),
        link("hard", str(canary), hard=True),
        member("hard", b"new"),
        member("a/../b", b"kept"),
    )
    (found,) = identify(f"{path}//")
    assert found.note is not None
    assert "7 members" in found.note
    assert canary.read_bytes() == b"alive"
    assert str(found.id) == directory(
        {
            b"a": {},
            b"abs": (0o120000, str(tmp_path).encode()),
            b"rel": (0o120000, b".."),
            b"rel2": (0o120000, b"rel/x"),
            b"hard": b"new",
            b"b": b"kept",
        }
    )


def test_a_chain_of_links_beyond_path_max(tmp_path: Path) -> None:
    """The archive that makes the standard library's extraction write outside of its folder (CVE-2025-4517)."""
    canary = tmp_path / "canary"
    canary.write_bytes(b"alive")
    name, steps, members = "d" * 247, "abcdefghijklmnop", []
    path = ""
    for step in steps:
        members.append(member(path + name, type=tarfile.DIRTYPE))
        members.append(link(path + step, name))
        path += name + "/"
    through = "/".join(steps)
    members.append(link(f"{through}/{'l' * 254}", "../" * len(steps)))
    members.append(link("escape", f"{through}/{'l' * 254}/.."))
    members.append(member("escape/canary", b"dead"))
    (found,) = identify(f"{tar(tmp_path / 't.tar', *members)}//")
    assert found.note is not None
    assert "1 members" in found.note
    assert canary.read_bytes() == b"alive"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([link("a", "a"), member("a/b", b"1")], "circle"),
        ([link("a", "b"), link("b", "a"), member("a", b"1")], "circle"),
        ([member("a", b"1"), member("a/b", b"2")], "through a file"),
        ([member("a/b", b"1"), member("a", b"2")], "where a folder is"),
    ],
)
def test_tars_that_cannot_be_unpacked(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        swhid(f"{tar(tmp_path / 't.tar', *members)}//")


def test_empty_tar(tmp_path: Path) -> None:
    assert swhid(f"{tar(tmp_path / 't.tar')}//") == EMPTY_TREE
    (tmp_path / "zero").touch()
    with pytest.raises(InvalidInput, match="no tar or zip"):
        swhid(f"{tmp_path / 'zero'}//")


def test_sparse_files_are_filled_up(tmp_path: Path) -> None:
    file = tmp_path / "s"
    with file.open("wb") as handle:
        for start in range(40):
            handle.seek(start * 131072)
            handle.write(b"x" * 4096)
        handle.truncate(40 * 131072 + 5)
    for arguments in (
        ["--format=gnu"],
        ["--format=posix"],
        ["--sparse-version=0.1"],
        ["--sparse-version=0.0"],
    ):
        path = tmp_path / "t.tar"
        extra = arguments if arguments[0].startswith("--format") else ["--format=posix", *arguments]
        subprocess.run(["tar", "-cSf", path, *extra, "-C", tmp_path, "s"], check=True)
        assert path.stat().st_size < 1 << 20
        assert swhid(f"{path}//s") == content(file.read_bytes())


def header(name: bytes, size: int, flag: bytes = b"0") -> bytes:
    """A tar header with any size."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def negative(name: bytes) -> bytes:
    block = bytearray(header(name, 0))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records: bytes) -> bytes:
    data = b""
    for record in records:
        length = len(record) + 2
        while len(b"%d" % length) + len(record) + 2 != length:
            length = len(b"%d" % length) + len(record) + 2
        data += b"%d %s\n" % (length, record)
    return header(b"x", len(data), b"x") + data + bytes(-len(data) % 512)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(b"huge", 8 << 40), "8796093022208 bytes, more than"),
        (header(b"big", (1 << 30) + 1), "more than the 1073741824"),
        (header(b"pax", 1 << 30, b"x"), "extended header has 1073741824"),
        (header(b"name", 1 << 30, b"L"), "extended header has 1073741824"),
        (negative(b"minus"), "damaged"),
        (header(b"f", 100), "cut short"),
        (header(b"f", 512) + b"x" * 511, "cut short"),
        (header(b"f", 0) + b"garbage" * 100, "damaged"),
        (header(b"f", 0) + header(b"g", 0)[:300], "cut short"),
        (header(b"x", 10, b"x") + b"99 path=a\n" + bytes(502), "damaged"),
        (header(b"x", 10, b"x") + b"-9 path=a\n" + bytes(502), "damaged"),
        (pax(b"size=-1") + header(b"f", 0), "damaged"),
        (
            pax(b"GNU.sparse.map=0,1", b"GNU.sparse.realsize=8796093022208") + header(b"f", 1),
            "8796093022208 bytes",
        ),
        (pax(b"GNU.sparse.map=9,1,0,1", b"GNU.sparse.realsize=10") + header(b"f", 2) + bytes(512), "damaged"),
        (pax(b"GNU.sparse.map=0,99", b"GNU.sparse.realsize=99") + header(b"f", 2) + bytes(512), "damaged"),
        (
            pax(b"GNU.sparse.major=1", b"GNU.sparse.realsize=99") + header(b"f", 512) + b"7" * 512,
            "damaged|cut",
        ),
        (pax(b"path=" + b"a" * 70_000) + header(b"f", 0), "name of more than"),
        (b"\0" * 100, "no tar"),
    ],
    ids=lambda value: None,
)
def test_tar_bombs_and_damage(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(data)
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match=words):
        swhid(f"{path}//")
    assert time.monotonic() - begun < 5
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def gzipped(path: Path, pieces: Iterator[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)
    return path


def test_zeros_stop_at_the_ratio(tmp_path: Path) -> None:
    zeros = (bytes(1 << 20) for _ in range(300))
    path = gzipped(tmp_path / "t.tar.gz", iter([header(b"f", 300 << 20), *zeros]))
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match="decompression bomb"):
        swhid(f"{path}//")
    assert time.monotonic() - begun < 10
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_what_packs_well_but_is_small_is_no_bomb(tmp_path: Path) -> None:
    data = bytes(10 << 20)
    path = gzipped(tmp_path / "t.tar.gz", iter([header(b"f", len(data)), data, bytes(1024)]))
    assert path.stat().st_size * 200 < len(data)
    assert swhid(f"{path}//f") == content(data)


def test_limits_count_members_and_bytes(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", *(member(f"d{n}/e/f", b"12345") for n in range(10)))
    expected = directory({b"d%d" % n: {b"e": {b"f": b"12345"}} for n in range(10)})
    enough = ArchiveLimits(members=30, total_size=path.stat().st_size, file_size=5)
    assert swhid(f"{path}//", limits=enough) == expected
    for limits, words in (
        (ArchiveLimits(members=29), "more than 29 members"),
        (ArchiveLimits(total_size=49), "more than 49 bytes"),
        (ArchiveLimits(file_size=4), "more than the 4 that"),
    ):
        with pytest.raises(InvalidInput, match=words):
            swhid(f"{path}//", limits=limits)


def test_names_do_not_fill_the_memory(tmp_path: Path) -> None:
    deep = pax(b"path=" + b"a/" * 2000 + b"f") + header(b"f", 0)
    path = gzipped(tmp_path / "t.tar.gz", iter([deep * 100] * 150))
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match="steps through folders"):
        swhid(f"{path}//")
    assert time.monotonic() - begun < 60
    path.write_bytes(pax(b"path=" + b"a/" * 2049 + b"f") + header(b"f", 0))
    with pytest.raises(InvalidInput, match="deeper than 2048"):
        swhid(f"{path}//")
    long = b"".join(pax(b"path=%d" % number + b"a" * 50_000) + header(b"f", 0) for number in range(100))
    path.write_bytes(long * 1 + bytes(1024))
    assert swhid(f"{path}//").startswith("swh:1:dir:")


def test_many_members(tmp_path: Path) -> None:
    path = gzipped(tmp_path / "t.tar.gz", (header(b"%07d" % number, 0) for number in range(20_000)))
    assert swhid(f"{path}//") == directory({b"%07d" % number: b"" for number in range(20_000)})
    with pytest.raises(InvalidInput, match="more than 19999 members"):
        swhid(f"{path}//", limits=ArchiveLimits(members=19_999))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_archives_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    make = data.draw(st.sampled_from([lambda path: tar(path, *SOME), lambda path: zipped(path, ZIP)]))
    whole = bytearray(make(folder / "a").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    (folder / "a").write_bytes(whole[: cut or len(whole)])
    try:
        assert swhid(f"{folder / 'a'}//").startswith("swh:1:dir:")
    except InvalidInput as error:
        assert str(folder) in str(error)  # noqa: PT017 - both ways out are good


# -- zip ------------------------------------------------------------------------------------------------------------

ZIP = {
    "p/f": b"1",
    "p/run": (0o100755, b"2"),
    "p/link": (0o120777, b"f"),
    "p/empty/": b"",
    "p/é": b"3",
    "q/deep/x": b"4" * 1000,
    "/absolute": b"5",
    "../up": b"6",
    "a/../b": b"7",
}
ZIP_TREE = {
    b"p": {b"f": b"1", b"run": b"2", b"link": b"f", b"empty": {}, "é".encode(): b"3"},
    b"q": {b"deep": {b"x": b"4" * 1000}},
}


def zipped(path: Path, entries: dict[str, Any], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, value in entries.items():
            mode, data = value if isinstance(value, tuple) else (0o100644, value)
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_zip(tmp_path: Path, method: int) -> None:
    path = zipped(tmp_path / "z.jar", ZIP, method)
    assert is_archive(path)
    assert swhid(f"{path}//") == directory(ZIP_TREE)
    assert swhid(f"{path}//p/run") == content(b"2")


def test_zip_names_sizes_and_places(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {})
    assert swhid(f"{path}//") == EMPTY_TREE
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("big", "w", force_zip64=True) as file:
            file.write(b"x")
        archive.writestr("twice", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("twice", b"2")
        archive.comment = b"PK comment"
    assert swhid(f"{path}//") == directory({b"big": b"x", b"twice": b"2"})
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(InvalidInput, match="no tar or zip"):
        swhid(f"{path}//")
    # Code page 437: 0x82 is é.
    named = zipped(tmp_path / "c.zip", {"xx": b"1"}).read_bytes().replace(b"xx", b"x\x82")
    path.write_bytes(named)
    assert swhid(f"{path}//") == directory({"xé".encode(): b"1"})


def test_zip_of_many_entries(tmp_path: Path) -> None:
    """More than 65535 entries need the 64-bit directory."""
    path = zipped(tmp_path / "z.zip", {f"{number:05}": b"" for number in range(66_000)}, zipfile.ZIP_STORED)
    assert swhid(f"{path}//") == directory({b"%05d" % number: b"" for number in range(66_000)})


def test_zip_with_overlapping_members(tmp_path: Path) -> None:
    """Each entry of the directory names the same packed bytes (as in CVE-2024-0450)."""
    kernel = zipped(tmp_path / "z.zip", {"a": bytes(4 << 20)}).read_bytes()
    start = kernel.index(b"PK\1\2")
    end = kernel.rindex(b"PK\5\6")
    entries = b"".join(
        kernel[start:end].replace(b"\0a", b"\0a", 1)[:46] + b"%c" % (97 + n % 26) for n in range(5000)
    )
    tail = bytearray(kernel[end:])
    tail[12:20] = struct.pack("<II", len(entries), start)
    (tmp_path / "z.zip").write_bytes(kernel[:start] + entries + tail)
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match="decompression bomb"):
        swhid(f"{tmp_path / 'z.zip'}//")
    assert time.monotonic() - begun < 10


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (8, b"\1", "encrypted"),
        (10, b"\x63", "method 99"),
        (16, b"\0\0\0\0", "checksum"),
        (24, struct.pack("<I", 999), "length or checksum|cut short"),
        (24, struct.pack("<I", 1), "length or checksum"),
        (24, struct.pack("<I", 0xFFFFFFFE), "more than the 1073741824"),
        (42, struct.pack("<I", 5), "damaged"),
        (20, struct.pack("<I", 1), "cut short|damaged"),
        (28, b"\xff\xff", "damaged"),
    ],
)
def test_damaged_zip(tmp_path: Path, offset: int, value: bytes, words: str) -> None:
    path = zipped(tmp_path / "z.zip", {"a": b"some text some text some text"})
    path.write_bytes(patched(path.read_bytes(), b"PK\1\2", offset, value))
    with pytest.raises(InvalidInput, match=words):
        swhid(f"{path}//")


def test_zip_cut_short(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", ZIP)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput, match="cut short"):
        swhid(f"{path}//")


def test_members_may_be_left_unread(tmp_path: Path) -> None:
    for path in (tar(tmp_path / "t", *SOME), zipped(tmp_path / "z", ZIP)):
        with open_archive(path) as archive:
            names = [member.name for member in archive.members]
        assert len(names) >= 6


def test_a_tree_can_be_built_by_hand(tmp_path: Path) -> None:
    path = tar(tmp_path / "t", member("d/f", b"1"))
    with open_archive(path) as archive:
        tree = ArchiveTree(archive.meter)
        for item in archive.members:
            tree.add(item, git_digest("blob", b"".join(item.chunks)))
        placed = list(tree.objects())
    assert [item.path for item in placed] == [b"d/f", b"d", b""]
    assert str(placed[-1].id) == directory({b"d": {b"f": b"1"}})


# -- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, list(arguments), input=stdin, catch_exceptions=True)


def test_command_prints_one_line_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(b"1")
    Path("d").mkdir()
    Path("d/b\n\x1b").write_bytes(b"2")
    result = run("a", "d")
    assert result.exit_code == 0
    assert result.stdout == f"{content(b'1')}\ta\n{swhid('d')}\td\n"
    assert run("--no-filename", "a").stdout == f"{content(b'1')}\n"
    assert run("--recursive", "d").stdout == f"{content(b'2')}\td/b\\n\\x1b\n{swhid('d')}\td\n"
    assert run("-", stdin=b"1").stdout == f"{content(b'1')}\t-\n"
    assert json.loads(run("--json", "-r", "a", "d").stdout) == [
        {"swhid": content(b"1"), "path": "a"},
        {"swhid": content(b"2"), "path": "d/b\\n\\x1b"},
        {"swhid": swhid("d"), "path": "d"},
    ]


def test_command_verifies(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    good = run("--verify", content(b"1"), str(tmp_path / "a"))
    assert (good.exit_code, good.stdout) == (0, f"SWHID match: {content(b'1')}\n")
    bad = run("--verify", content(b"2"), str(tmp_path / "a"))
    assert bad.exit_code == 1
    assert bad.stdout == ""
    assert bad.stderr == f"SWHID mismatch: {content(b'2')} != {content(b'1')}\n"
    for arguments in (
        ("--verify", "x", "a"),
        ("--verify", content(b"1"), "a", "b"),
        ("-r", "--verify", content(b"1"), "a"),
    ):
        assert isinstance(run(*arguments).exception, InvalidInput)


def test_command_notes_what_is_left_out(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", member("../x", b"1"), member("y", b"2"))
    result = run(f"{path}//")
    assert result.stdout == f"{directory({b'y': b'2'})}\t{path}//\n"
    assert "1 members" in result.stderr


def test_the_program_ends_as_all_commands_do(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    bomb = tmp_path / "t.tar"
    bomb.write_bytes(header(b"huge", 8 << 40))
    for arguments, code, words in (
        (["a"], 0, ""),
        (["missing"], 2, "swhkit: missing: there is no such file or folder\n"),
        (["--type", "dir", "t.tar"], 2, "more than the 1073741824 that are read\n"),
        (["--verify", content(b"2"), "a"], 1, "SWHID mismatch"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "swhkit", "identify", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert done.stderr.count("\n") <= 1


def test_command_takes_the_options_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("d/x.o").touch()
    Path("l").symlink_to("d")
    assert run("--no-filename", "--exclude", "*.o", "d").stdout == f"{EMPTY_TREE}\n"
    assert run("--no-filename", "--no-dereference", "l").stdout == f"{content(b'd')}\n"
    assert run("--no-filename", "https://example.org/a").stdout.startswith("swh:1:ori:579f2a2c")
    assert isinstance(run("missing").exception, SwhkitError)
    assert "ARCHIVE//INNER" in run("--help").stdout


def test_a_pipe_is_read_like_any_stream(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def speak() -> None:
        os.write(writer, b"abc")
        os.close(writer)

    thread = threading.Thread(target=speak)
    thread.start()
    from swhkit.identify import identify_stream

    with os.fdopen(reader, "rb") as file:
        assert str(identify_stream(file)) == content(b"abc")
    thread.join()
