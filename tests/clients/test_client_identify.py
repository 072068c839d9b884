"""``swh identify`` as an oracle: the same identifiers as ``swhkit identify``'s and as those that are served."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from client_programs import Clients, Library, WebClient, export
from generate import git
from program import run


@pytest.fixture(scope="module")
def trees(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders: what two repositories have, and one with all that a file system can."""
    folder = tmp_path_factory.mktemp("trees")
    for name in ("git-submodule", "history"):
        export(library.repositories[name], folder / name)
    odd = folder / "odd"
    (odd / "deep" / "er").mkdir(parents=True)
    (odd / "empty folder").mkdir()
    (odd / "deep" / "er" / "binary").write_bytes(bytes(range(256)) * 5000)
    (odd / "deep.txt").write_text("sorts before deep/\n")
    (odd / "deep0").write_text("sorts behind deep/\n")
    (odd / "nothing").touch()
    (odd / "run").write_text("#!/bin/sh\n")
    (odd / "run").chmod(0o700)
    (odd / "sticky").write_text("s")
    (odd / "sticky").chmod(0o4644)
    (odd / "to file").symlink_to("run")
    (odd / "to folder").symlink_to("deep")
    (odd / "to nowhere").symlink_to("/nowhere/at all")
    (odd / os.fsdecode(b"latin \xe9 \xff")).write_text("bytes\n")
    os.mkfifo(odd / "pipe")
    return folder


def ids(printed: str) -> list[str]:
    """The SWHIDs at the beginning of lines."""
    return re.findall(r"^swh:1:[a-z]{3}:[0-9a-f]{40}", printed, re.MULTILINE)


def both(clients: Clients, kind: tuple[str, str], *things: str | Path) -> list[str]:
    """What both programs agree on, one SWHID for each thing."""
    theirs = ids(clients.swh("identify", "--no-filename", "--type", kind[0], *things))
    ours = ids(run("identify", "--no-filename", "--type", kind[1], *things, cwd=clients.home).stdout)
    assert len(ours) == len(things)
    assert ours == theirs
    return ours


def is_folder(path: Path) -> bool:
    """Whether this is a folder, not a link to one: on links `swh identify --type directory` breaks."""
    return path.is_dir() and not path.is_symlink()


def test_contents(trees: Path, clients: Clients) -> None:
    # The program cannot take a name as an argument that is not UTF-8.
    files = sorted(path for path in trees.rglob("*") if path.is_file() and str(path).isprintable())
    found = both(clients, ("content", "cnt"), *files)
    hashed = subprocess.run(
        ["git", "hash-object", "--no-filters", *files], check=True, capture_output=True, text=True
    )
    assert [swhid[10:] for swhid in found] == hashed.stdout.split()


def test_directories(trees: Path, library: Library, clients: Clients, web: WebClient) -> None:
    folders = [trees / "history", *sorted(path for path in trees.rglob("*") if is_folder(path))]
    found = both(clients, ("directory", "dir"), *folders)
    assert found[0] == f"swh:1:dir:{git(library.repositories['history'], 'rev-parse', 'main^{tree}')}"
    assert web.value("directory_exists", found[0]) is True


def test_everything_below_a_folder(trees: Path, clients: Clients) -> None:
    theirs = ids(clients.swh("identify", "--recursive", trees))
    ours = ids(run("identify", "--recursive", trees, cwd=clients.home).stdout)
    assert len(theirs) == len(set(theirs)) > 100, "what comes twice is told once"
    assert set(theirs) == set(ours)
    assert len(ours) == 1 + sum(1 for _ in trees.rglob("*"))


def test_left_out_folders(trees: Path, clients: Clients) -> None:
    options = ("--exclude", "deep", "--exclude", "d1*")
    theirs = ids(clients.swh("identify", *options, trees / "history", trees / "odd"))
    assert theirs == ids(run("identify", *options, trees / "history", trees / "odd", cwd=clients.home).stdout)
    assert len({*theirs, *both(clients, ("directory", "dir"), trees / "history", trees / "odd")}) == 4


@pytest.mark.parametrize(
    "name", ["history", "many", "git-basic", "git-submodule", "git-hdr-mergetag", "git-tag-signed"]
)
def test_snapshots(library: Library, clients: Clients, web: WebClient, name: str) -> None:
    (found,) = both(clients, ("snapshot", "snp"), library.repositories[name])
    assert found == library.snapshot(name)
    assert web.value("snapshot_exists", found) is True


def test_a_snapshot_with_a_detached_head(library: Library, clients: Clients) -> None:
    (found,) = both(clients, ("snapshot", "snp"), library.repositories["git-head-detached"])
    assert found.startswith("swh:1:snp:")


def test_origins(library: Library, clients: Clients, web: WebClient) -> None:
    urls = [library.origins["history"], "https://example.org/a%20b/?c=d#e", "https://example.org/ö"]
    found = both(clients, ("origin", "origin"), *urls)
    served: dict[str, Any] = web.value("_call", f"origin/{urls[0]}/get/")["json"]
    assert served["url"] == urls[0]
    assert found[0] in served["metadata_authorities_url"]


def test_verifying(trees: Path, clients: Clients) -> None:
    path = trees / "odd" / "run"
    (swhid,) = ids(run("identify", path, cwd=clients.home).stdout)
    assert "match" in clients.swh("identify", "--verify", swhid, path)
    clients.swh("identify", "--verify", swhid, trees / "odd" / "sticky", code=1)
