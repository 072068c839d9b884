"""``check``, ``maintain`` and ``reindex`` as a person runs them: exit codes, what is printed, what is left on disk."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from generate import add_revisions, git, object_counts, repository
from program import counters, load, run, start
from upkeep import content_rows, flip, forge, only_pack, sql

from swhkit.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
SQLITE = "archive: {objects: {backend: sqlite, path: archive/objects.sqlite}}\n"


@pytest.fixture(scope="module", params=["filesystem", "sqlite"])
def master(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        (root / "swhkit.yaml").write_text(SQLITE)
    load(f"file://{repository(root / 'up.git', 40)}", cwd=root)
    return root


@pytest.fixture
def home(master: Path, tmp_path: Path) -> Path:
    """A copy of the archive and its repository; its origin keeps its URL."""
    return Path(shutil.copytree(master, tmp_path / "home"))


def document(*args: str, cwd: Path, code: int = 0) -> dict[str, Any]:
    """The one JSON document a command prints; nothing may come on stderr."""
    done = run(*args, "--json", cwd=cwd, code=code)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def catalog(home: Path) -> Path:
    return home / "archive" / "catalog.sqlite"


def break_a_row(home: Path) -> str:
    """Give a content row another digest; the SWHID of the content."""
    ((digest,),) = sql(catalog(home), "SELECT sha1_git FROM content ORDER BY id LIMIT 1")
    assert isinstance(digest, bytes)
    forge(home / "archive", "UPDATE content SET sha256 = zeroblob(32) WHERE sha1_git = ?", digest)
    return f"swh:1:cnt:{digest.hex()}"


def test_a_sound_archive(home: Path) -> None:
    quick, full = run("check", cwd=home), run("check", "--full", cwd=home)
    assert (quick.stderr, full.stderr) == ("", "")
    assert "quick check" in quick.stdout
    assert "nothing is wrong" in quick.stdout
    assert re.search(r"full check \(\d+ objects, \d+ rows, 1 snapshots\): nothing is wrong", full.stdout)
    assert document("check", "--full", cwd=home)["problems"] == []


def test_findings_end_with_1_and_say_all(home: Path, master: Path) -> None:
    swhid = break_a_row(home)
    origin = f"file://{master / 'up.git'}"
    (problem,) = document("check", "--full", cwd=home, code=1)["problems"]
    assert (problem["object"], problem["origins"]) == (swhid, [origin])
    text = run("check", "--full", cwd=home, code=1)
    assert text.stderr == ""
    assert text.stdout.splitlines() == [
        f"{swhid}: {problem['problem']}",
        f"  origin: {origin}",
        f"  next: {problem['next_step']}",
        text.stdout.splitlines()[-1],
    ]
    assert text.stdout.endswith(": 1 finding\n")


def test_the_next_step_mends_it(home: Path) -> None:
    before = content_rows(home / "archive")
    break_a_row(home)
    assert document("reindex", cwd=home)["corrected"] == 1
    assert content_rows(home / "archive") == before
    assert "nothing is wrong" in run("check", "--full", cwd=home).stdout
    again = run("reindex", cwd=home)
    assert again.stdout == "content rows: 0 added, 0 corrected, 0 removed; 0 persons added\n"
    assert again.stderr == ""


def test_a_budget_that_ends_first_ends_with_4(home: Path) -> None:
    codes = []
    while True:
        done = run("check", "--full", "--budget", "0s", cwd=home, code=None)
        codes.append(done.returncode)
        if done.returncode == 0:
            break
        assert done.returncode == 4, done
        assert "run it again to go on" in done.stdout
        assert (home / "archive" / "stage" / "check.json").exists()
        assert len(codes) < 50
    assert codes == [4] * (len(codes) - 1) + [0]
    assert len(codes) > 2
    assert not (home / "archive" / "stage" / "check.json").exists()


def test_a_budget_that_ends_after_a_finding_ends_with_1(home: Path) -> None:
    swhid = break_a_row(home)
    for _ in range(50):
        verdict = document("check", "--full", "--budget", "0s", cwd=home, code=1)
        assert [p["object"] for p in verdict["problems"]] == [swhid]
        if verdict["complete"]:
            break
    assert verdict["complete"]
    assert verdict["problems"][0]["origins"]


@pytest.mark.parametrize(
    ("args", "said"),
    [(("--budget", "5s"), "--full"), (("--full", "--budget", "soon"), "duration"),
     (("--full", "--budget", "-3"), "duration"),
     (("--full", "--budget", ""), "duration"), (("--fully",), "option")],
)  # fmt: skip
def test_a_wrong_request_ends_with_2(home: Path, args: tuple[str, ...], said: str) -> None:
    assert said in run("check", *args, cwd=home, code=2).stderr


@pytest.mark.parametrize("command", ["check", "maintain", "reindex"])
def test_no_archive_is_made_by_looking_for_one(command: str, tmp_path: Path) -> None:
    done = run(command, cwd=tmp_path, code=1)
    assert "swhkit init" in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_check_is_ended_by_a_signal_and_leaves_nothing(home: Path) -> None:
    process = start("check", "--full", cwd=home)
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGINT)  # the last: the interpreter was still starting
    assert "Traceback" not in err or process.returncode < 0
    assert "nothing is wrong" in run("check", "--full", cwd=home).stdout


def test_a_check_does_not_end_the_visits_of_others(home: Path) -> None:
    """What a dead process left is for those who load to end; a check changes nothing."""
    forge(home / "archive", "UPDATE visit SET status = 'ongoing'")
    run("check", "--full", cwd=home)
    assert sql(catalog(home), "SELECT status FROM visit") == [("ongoing",)]


# -- maintain --------------------------------------------------------------------------------------------------------


def test_maintain_merges_packs_and_drops_nothing(home: Path, master: Path) -> None:
    work = Path(shutil.copytree(master / "up.git", home / "work.git"))
    for number in range(10):
        add_revisions(work, 2, seed=number + 10)
        load(f"file://{work}", cwd=home)
    before = counters(home)
    report = document("maintain", cwd=home)
    assert report["recovered"] == []
    assert report["objects"]["objects"] == sum(
        before[k] for k in ("content", "directory", "revision", "release")
    )
    assert counters(home) == before
    store = home / "archive" / "objects"
    if store.is_dir():
        assert len(list(store.rglob("*.pack"))) < 5
        words = {"blob": "content", "tree": "directory", "commit": "revision", "tag": "release"}
        assert {words[k]: n for k, n in object_counts(store).items()} == {
            w: before[w] for w in words.values()
        }
        git(store, "fsck", "--full", "--no-dangling")
    assert "nothing is wrong" in run("check", "--full", cwd=home).stdout
    text = run("maintain", cwd=home)
    assert [line.partition(":")[0] for line in text.stdout.splitlines()] == ["objects", "catalog"]
    assert text.stderr == ""


def test_maintain_changes_nothing_beside_a_damaged_pack(home: Path) -> None:
    if not (home / "archive" / "objects").is_dir():
        sql(home / "archive" / "objects.sqlite", "UPDATE object SET body = zeroblob(9) WHERE id = 3")
        run("maintain", cwd=home)  # SQLite rewrites no rows, so it can do no harm
    else:
        pack = only_pack(home / "archive")
        flip(pack, pack.stat().st_size // 2)
        before = pack.read_bytes()
        done = run("maintain", cwd=home, code=1)
        assert "nothing was changed" in done.stderr
        assert pack.read_bytes() == before
    assert document("check", "--full", cwd=home, code=1)["problems"]


# -- reindex ---------------------------------------------------------------------------------------------------------


def test_lost_bytes_and_then_a_load(home: Path, master: Path) -> None:
    """What ``check`` advises does heal: reindex, then load the origins again."""
    before = content_rows(home / "archive")
    if (home / "archive" / "objects").is_dir():
        pack = only_pack(home / "archive")
        for path in (pack, pack.with_suffix(".idx")):
            path.unlink()
    else:
        sql(home / "archive" / "objects.sqlite", "DELETE FROM object WHERE id % 3 = 0")
    found = document("check", "--full", cwd=home, code=1)["problems"]
    assert any("swhkit reindex" in problem["next_step"] for problem in found)
    assert any(problem["next_step"].startswith("load file://") for problem in found), (
        "the check no longer trusts it"
    )
    assert " removed" in run("reindex", cwd=home).stdout
    (report,) = load(f"file://{master / 'up.git'}", cwd=home)
    assert (report["status"], report["load_status"]) == ("full", "eventful")
    assert content_rows(home / "archive") == before
    assert "nothing is wrong" in run("check", "--full", cwd=home).stdout


def test_all_advice_names_commands_that_there_are() -> None:
    files = [f for root in ("swhkit", "plugins", "backends") for f in (ROOT / root).rglob("*.py")]
    named = {
        (word, str(file.relative_to(ROOT)))
        for file in files
        for word in re.findall(r"[`']swhkit ([a-z]+)", file.read_text())
    }
    assert len(named) > 10
    assert {(word, file) for word, file in named if word not in COMMANDS} == set()
