"""Hostile repositories are loaded, or refused with a reason, and read back, in bounded memory and time."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.common import make_store
from faults.hostile import GENERATORS, branches, load, must_be_modest, parents, try_one, watched, zeros

#: What is refused, and why.
REFUSED = {"long_branch": "max packet size"}
#: Reads a whole file again and again, or has a gigabyte go through: once is enough.
SMALL = ("deep", "bomb", "names", "long_branch", "tags", "wide", "message")


@pytest.mark.parametrize("name", SMALL)
def test_it_is_loaded_and_read_back(tmp_path: Path, name: str) -> None:
    report = try_one(GENERATORS[name](tmp_path / "hostile.git"), make_store(tmp_path / "store"))
    if name in REFUSED:
        assert report["status"] == "failed"
        assert REFUSED[name] in report["error"]
    else:
        assert (report["status"], report["error"]) == ("full", None)


@pytest.mark.parametrize("name", ["deep", "tags", "message"])
def test_in_one_sqlite_file(tmp_path: Path, name: str) -> None:
    """There the graph is walked here, not by git."""
    store = make_store(tmp_path / "store", "sqlite")
    report, _ = load(GENERATORS[name](tmp_path / "hostile.git"), store, seconds=60)
    assert report["status"] == "full"
    done = must_be_modest(watched("check", "--full", cwd=store))
    assert "nothing is wrong" in done.out
    assert done.memory < 100 << 20, "a message of 100 MiB is hashed piece by piece"


def test_twenty_thousand_parents(tmp_path: Path) -> None:
    report = try_one(parents(tmp_path / "hostile.git", 20_000), make_store(tmp_path / "store"))
    assert (report["status"], report["new"]["revision"]) == ("full", 20_001)


def test_a_hundred_thousand_branches(tmp_path: Path) -> None:
    repository, store = branches(tmp_path / "hostile.git"), make_store(tmp_path / "store")
    report = try_one(repository, store)
    assert (report["status"], report["branches"]) == ("full", 100_002)  # with main and HEAD
    again, _ = load(repository, store)
    assert (again["status"], again["load_status"]) == ("full", "uneventful")


def test_a_blob_of_zeros(tmp_path: Path) -> None:
    """300 MB of zeros: more than a process of ours may have in memory. Above the limit of sizes it is skipped."""
    repository = zeros(tmp_path / "hostile.git")
    report = try_one(repository, make_store(tmp_path / "store"))
    assert (report["status"], report["new"]["content"]) == ("full", 1)
    small = make_store(tmp_path / "small")
    (small / "swhkit.yaml").write_text("limits:\n  max_content_size: 100MiB\n")
    skipped, _ = load(repository, small)
    assert (skipped["new"]["content"], skipped["new"]["skipped_content"]) == (0, 1)
    assert "nothing is wrong" in watched("check", "--full", cwd=small).out
