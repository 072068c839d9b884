"""A restore drill: the commands of ``docs/operations.md`` copy an archive that is being loaded into and maintained.

Whatever the moment, the copy holds all that it claims, a check finds nothing, and loads go on from it.
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from faults.common import assert_sound, clean_run, make_store, opened, visit_here
from generate import add_revisions, git, repository
from program import environment, load, run

from swhkit.model import VisitStatus

ROOT = Path(__file__).resolve().parents[2]
SEED = 5


def script(name: str) -> str:
    """The commands that ``docs/operations.md`` shows between ``<!-- NAME -->`` and the end of the block."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", text, re.S)
    assert found, f"docs/operations.md has no block {name}"
    return found[1]


def shell(name: str, folder: Path, *arguments: str | Path) -> None:
    """Run the commands as a person would: in the folder of the archive, stopping at the first that fails."""
    binaries = Path(sys.executable).parent
    variables = environment() | {"PATH": f"{binaries}:{environment()['PATH']}"}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script(name), "backup", *arguments],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def busy(store: Path, origins: list[Path], chance: random.Random) -> Iterator[None]:
    """An archive into which growing repositories are loaded, and whose packs are merged, as long as the block lasts."""
    stop, problems = threading.Event(), list[BaseException]()

    def work(step: int = 0) -> None:
        try:
            while not stop.is_set():
                step += 1
                origin = chance.choice(origins)
                add_revisions(origin, 2, seed=step)
                load(f"file://{origin}", cwd=store)
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    def tidy() -> None:
        try:
            while not stop.is_set():
                run("maintain", cwd=store)
        except BaseException as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=target) for target in (work, tidy)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems


@pytest.mark.slow
def test_a_copy_made_while_loads_run_is_whole(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    base = repository(tmp_path / "base.git", 20, seed=SEED)
    fork = tmp_path / "fork.git"
    git(tmp_path, "clone", "-q", "--bare", f"file://{base}", fork)
    store = make_store(tmp_path / "store")
    load(f"file://{base}", cwd=store)
    copies = [tmp_path / f"copy-{number}" for number in range(3)]
    with busy(store, [base, fork], chance):
        for copy in copies:
            threading.Event().wait(chance.random() * 2)
            shell("backup", store, copy)
    urls = [f"file://{base}", f"file://{fork}"]
    expected = clean_run(tmp_path / "quiet", urls)
    for number, copy in enumerate(copies):
        note = f"seed {SEED}, copy {number}"
        restored = tmp_path / f"restored-{number}"
        restored.mkdir()
        shutil.rmtree(store / "archive", ignore_errors=True)  # nothing of the first may be needed
        shell("restore", restored, copy)
        with opened(restored) as target:
            visits = [v for o in target.catalog.origins() for v in target.catalog.visits(o.url)]
        assert VisitStatus.FULL in {visit.status for visit in visits}, note
        load(*urls, cwd=restored)
        run("reindex", cwd=restored)
        counted = with_snapshots(restored, expected.counters)
        assert_sound(restored, type(expected)(expected.snapshots, counted), programs=False, note=note)


def with_snapshots(restored: Path, counters: dict[str, int]) -> dict[str, int]:
    """The counters of a quiet archive, but with the snapshots that the copy had seen on the way."""
    with opened(restored) as target:
        seen = {
            v.snapshot for o in target.catalog.origins() for v in target.catalog.visits(o.url, limit=1000)
        }
    return counters | {"snapshot": len(seen - {None})}


@pytest.mark.parametrize("how", ["VACUUM INTO", "dump"])
def test_a_catalog_that_was_copied_by_sqlite_itself_is_as_good(tmp_path: Path, how: str) -> None:
    """Such a copy is in another journal mode, in which readers and writers would wait for each other."""
    base = repository(tmp_path / "base.git", 10)
    store = make_store(tmp_path / "store")
    visit_here(store, f"file://{base}")
    path, copy = store / "archive" / "catalog.sqlite", tmp_path / "copy.sqlite"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        if how == "dump":
            for pragma in ("application_id", "user_version"):
                target.execute(f"PRAGMA {pragma}={source.execute(f'PRAGMA {pragma}').fetchone()[0]}")
            # as docs/operations.md has it; Python's own dump reads no full-text index
            argv = ["sqlite3", "-readonly", str(path), ".dump"]
            target.executescript(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        else:
            source.execute("VACUUM INTO ?", (str(copy),))
        assert target.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.replace(path)
    add_revisions(base, 1)
    assert visit_here(store, f"file://{base}").status is VisitStatus.FULL
    with closing(sqlite3.connect(path)) as source:
        assert source.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert "nothing is wrong" in run("check", "--full", cwd=store).stdout
