"""From a repository to the archive and back to git: real processes, real servers, a history of 20,000 objects."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from generate import add_revisions, git, object_counts, repository
from program import counters, load, run, start
from servers import git_http

REVISIONS = 4_000
#: Git types in the words of the archive.
WORDS = {"blob": "content", "tree": "directory", "commit": "revision", "tag": "release"}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``big.git``, a history of more than 20,000 objects; tests never write to it."""
    root = tmp_path_factory.mktemp("upstream")
    path = repository(root / "big.git", REVISIONS)
    assert sum(object_counts(path).values()) > 20_000
    return root


def fsck(git_dir: Path) -> set[str]:
    """What git fsck says, without notices of dangling objects and missing refs."""
    lines = git(git_dir, "fsck", "--full", "--no-dangling", "--no-progress").splitlines()
    return {line for line in lines if not line.startswith(("notice:", "dangling"))}


@pytest.mark.parametrize("transport", ["file", "http"])
def test_a_repository_of_20000_objects(upstream: Path, tmp_path: Path, transport: str) -> None:
    with git_http(upstream) as http:
        url = f"{http}/big.git" if transport == "http" else f"file://{upstream}/big.git"
        (first,) = load(url, cwd=tmp_path)
        (second,) = load(url, cwd=tmp_path)
    assert (first["status"], first["load_status"], first["error"]) == ("full", "eventful", None)
    expected = {WORDS[kind]: count for kind, count in object_counts(upstream / "big.git").items()}
    assert {kind: first["new"][kind] for kind in expected} == expected
    counts = counters(tmp_path)
    assert {kind: counts[kind] for kind in expected} == expected
    assert (second["status"], second["load_status"], second["visit"]) == ("full", "uneventful", 2)
    assert set(second["new"].values()) == {0}
    assert counts["origin_visit"] == 2
    store = tmp_path / "archive" / "objects"
    assert fsck(store) <= fsck(upstream / "big.git")
    assert object_counts(store) == object_counts(upstream / "big.git")
    assert "nothing is wrong" in run("check", "--full", cwd=tmp_path).stdout


def test_a_fork_costs_what_it_adds(upstream: Path, tmp_path: Path) -> None:
    """A fork whose only branch went on by three revisions brings a few objects, not the history again."""
    fork = tmp_path / "fork" / "big.git"
    fork.parent.mkdir()
    git(upstream, "clone", "-q", "--bare", "--single-branch", "--no-tags", f"file://{upstream}/big.git", fork)
    add_revisions(fork, 3)
    load(f"file://{upstream}/big.git", cwd=tmp_path)
    store = tmp_path / "archive" / "objects"
    before = int(re.findall(r"in-pack: (\d+)", git(store, "count-objects", "-v"))[0])
    (report,) = load(f"file://{fork}", cwd=tmp_path)
    added = int(re.findall(r"in-pack: (\d+)", git(store, "count-objects", "-v"))[0]) - before
    assert report["status"] == "full"
    assert report["new"]["revision"] == 3
    assert sum(report["new"].values()) <= 20
    assert added <= 20 + 10, "objects that are held were sent and stored again"
    assert "nothing is wrong" in run("check", "--full", cwd=tmp_path).stdout


def test_a_shallow_origin_first_and_its_full_twin_after_it(upstream: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow.git"
    git(
        upstream,
        "clone",
        "-q",
        "--bare",
        "--depth=5",
        "--no-single-branch",
        f"file://{upstream}/big.git",
        shallow,
    )
    (cut,) = load(f"file://{shallow}", cwd=tmp_path, code=3)
    assert (cut["status"], cut["load_status"]) == ("partial", "eventful")
    assert "shallow" in cut["error"]
    (again,) = load(f"file://{shallow}", cwd=tmp_path, code=3)
    assert (again["status"], again["snapshot"]) == ("partial", cut["snapshot"])
    (full,) = load(f"file://{upstream}/big.git", cwd=tmp_path)
    assert full["status"] == "full"
    counts = counters(tmp_path)
    expected = {WORDS[kind]: count for kind, count in object_counts(upstream / "big.git").items()}
    assert {kind: counts[kind] for kind in expected} == expected
    assert "nothing is wrong" in run("check", "--full", cwd=tmp_path).stdout
    (third,) = load(f"file://{shallow}", cwd=tmp_path, code=None)
    assert third["status"] == "full", "the archive holds the whole graph by now"


def test_a_shallow_origin_that_went_on(tmp_path: Path) -> None:
    """A later cut lies above an earlier one: its parent is held, and still nobody has what is below."""
    source = repository(tmp_path / "source.git", 30, branches=0)
    for number in (1, 2):
        shallow = tmp_path / f"{number}" / "shallow.git"
        git(tmp_path, "clone", "-q", "--bare", "--depth=5", f"file://{source}", shallow)
        live = tmp_path / "live.git"
        shutil.rmtree(live, ignore_errors=True)
        shallow.rename(live)
        (report,) = load(f"file://{live}", cwd=tmp_path, code=3)
        assert (report["status"], report["load_status"]) == ("partial", "eventful"), report
        add_revisions(source, 2, seed=number)
    assert "nothing is wrong" in run("check", "--full", cwd=tmp_path).stdout


def settled(cwd: Path, repositories: int) -> dict[str, int]:
    counts = counters(cwd)
    assert counts["origin"] == repositories
    return {kind: counts[kind] for kind in ("content", "directory", "revision", "release", "person")}


def test_eight_loads_of_one_origin_at_once_are_one(upstream: Path, tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    url = f"file://{upstream}/big.git"
    running = [start("load", "--json", url, cwd=together) for _ in range(8)]
    ended = [process.communicate(timeout=280) for process in running]
    assert [process.returncode for process in running] == [0] * 8, ended
    reports = [json.loads(out)[0] for out, _ in ended]
    assert sorted(report["visit"] for report in reports) == list(range(1, 9))
    assert sorted(report["load_status"] for report in reports) == ["eventful"] + ["uneventful"] * 7
    assert {report["status"] for report in reports} == {"full"}
    assert not [err for _, err in ended if "locked" in err]
    load(url, cwd=alone)
    assert settled(together, 1) == settled(alone, 1)
    run("maintain", cwd=together)
    run("maintain", cwd=alone)
    assert size(together) <= 1.2 * size(alone)
    assert "nothing is wrong" in run("check", "--full", cwd=together).stdout


def test_eight_forks_at_once_are_as_one_after_the_other(tmp_path: Path) -> None:
    """The archive begins empty, so that all eight bring the common history and publish it over each other."""
    together, apart = tmp_path / "together", tmp_path / "apart"
    together.mkdir()
    apart.mkdir()
    base = repository(tmp_path / "base.git", 300)
    forks = []
    for number in range(8):
        fork = tmp_path / f"{number}" / "base.git"
        shutil.copytree(base, fork)
        add_revisions(fork, 3, seed=100 + number)
        forks.append(f"file://{fork}")
    running = [start("load", "--json", url, cwd=together) for url in forks]
    ended = [process.communicate(timeout=280) for process in running]
    assert [process.returncode for process in running] == [0] * 8, ended
    assert {json.loads(out)[0]["status"] for out, _ in ended} == {"full"}
    load(*forks, cwd=apart)
    assert settled(together, 8) == settled(apart, 8)
    run("maintain", cwd=together)
    run("maintain", cwd=apart)
    assert size(together) <= 1.2 * size(apart)
    assert "nothing is wrong" in run("check", "--full", cwd=together).stdout


def size(cwd: Path) -> int:
    """Bytes of the packs of an archive."""
    return sum(path.stat().st_size for path in (cwd / "archive" / "objects").rglob("*.pack"))
