"""``swhkit status``, and that ``swhkit load`` counts for it."""

from __future__ import annotations

import json
from pathlib import Path

import fake_forge
import generate
import program
import pytest
from fake_forge import NOW

from swhkit.queueing import visit_job
from swhkit.requests.schedule import Freshness, NewForge, State, ToldBy


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of an empty archive with a request store."""
    with fake_forge.desk(tmp_path):
        pass
    return tmp_path


def test_how_the_archive_keeps_up(here: Path) -> None:
    assert program.run("status", cwd=here).stdout == (
        "jobs: none\nrequests to add a forge: none\norigins: none\n"
    )
    with fake_forge.desk(here) as desk:
        desk.requests.schedule.set_forge(
            NewForge(kind="fake", url="https://git.example.org", source=ToldBy.CLI), NOW
        )
        desk.requests.schedule.set_freshness(
            Freshness(url=f"https://git.example.org/{n}", visit_type="git", state=State.OK if n else None)
            for n in range(3)
        )
        desk.jobs.enqueue([visit_job("https://git.example.org/1", "git")], NOW)
    lines = program.run("status", cwd=here).stdout.splitlines()
    assert lines[0] == "jobs: 1 queued"
    assert lines[2] == "origins: 2 ok, 1 unknown"
    assert lines[-1].split()[:4] == ["1", "fake", "https://git.example.org", "cli"]
    found = json.loads(program.run("status", "--json", cwd=here).stdout)
    assert list(found) == ["jobs", "add_forge_requests", "origins", "forges"]
    assert found["origins"]["ok"] == 2
    (row,) = json.loads(program.run("status", "https://git.example.org/1", "--json", cwd=here).stdout)
    assert (row["state"], row["job"]) == ("ok", "queued")
    done = program.run("status", "https://git.example.org/9", cwd=here, code=1)
    assert "https://git.example.org/9 not found" in done.stderr


def test_a_load_counts_and_is_told_of(here: Path) -> None:
    repository = generate.repository(here / "r", 3)
    url = f"file://{repository}"
    program.load(url, cwd=here)
    assert fake_forge.changes(here) == [f"{url} git None ok"]
    program.load(url, cwd=here)
    assert fake_forge.changes(here) == []
    (row,) = json.loads(program.run("status", url, "--json", cwd=here).stdout)
    assert (row["state"], row["failures"], row["due"]) == ("ok", 0, None)
    assert row["visited"] == row["succeeded"]
    repository.rename(here / "elsewhere")
    program.run("load", "--type", "git", url, cwd=here, code=1)
    assert fake_forge.changes(here) == [f"{url} git ok failing"]
    table = program.run("status", url, cwd=here).stdout
    assert table.splitlines()[1].split()[0] == "git"
    assert len(table.splitlines()) == 3, "the reason stands below"


def test_a_load_needs_no_request_store(here: Path) -> None:
    repository = generate.repository(here / "r", 3)
    for name in ("requests.sqlite", "jobs.sqlite"):
        for file in (here / "archive").glob(f"{name}*"):
            file.unlink()
    (report,) = program.load(repository, cwd=here)
    assert report["status"] == "full"
    assert not (here / "archive/requests.sqlite").exists()


def test_a_damaged_request_store_keeps_nobody_from_loading(here: Path) -> None:
    repository = generate.repository(here / "r", 3)
    for file in (here / "archive").glob("requests.sqlite*"):
        file.unlink()
    (here / "archive/requests.sqlite").write_bytes(b"no database at all" * 100)
    done = program.run("load", "--json", repository, cwd=here)
    assert json.loads(done.stdout)[0]["status"] == "full"
    assert "written down" in done.stderr
