"""A full disk ends in one clear message and a sound archive, wherever in a visit it strikes; reading goes on."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.common import assert_sound
from faults.full import (
    Case,
    disks,
    is_clear,
    leftovers,
    may_mount,
    must_fail_well,
    must_read,
    need,
    prepare,
    try_level,
)
from program import environment

#: Parts of what a load needs: each dies in another step (opening the visit, fetch, index, seal, adopt, catalog).
PARTS = (0.0, 0.08, 0.45, 0.8, 0.9, 0.95)
MOUNTS = may_mount()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return prepare(tmp_path_factory.mktemp("full"))


@pytest.mark.parametrize("limit", [8, 100, 400])
def test_files_that_may_not_grow(case: Case, tmp_path: Path, limit: int) -> None:
    """RLIMIT_FSIZE (a file system without large files, a quota): the same promise, with the words of that error."""
    store = tmp_path / "store"
    subprocess.run(["cp", "-a", case.store, store], check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "swhkit", "load", "--json", case.repository], cwd=store,
        env=environment() | {"PYTHONDONTWRITEBYTECODE": "1"}, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_limit_files(limit << 10),
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    assert process.returncode == 1, (process.returncode, out, err)
    assert case.repository in out + err
    assert any(words in out + err for words in ("too large", "killed", "disk I/O error")), out + err
    assert_sound(store, case.expected, programs=False, note=f"files of at most {limit} KiB")


def _limit_files(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


if MOUNTS:  # elsewhere the limit above stands for the full disk

    @pytest.fixture(scope="module")
    def most(case: Case, tmp_path_factory: pytest.TempPathFactory) -> int:
        return need(case, tmp_path_factory.mktemp("need"))

    @pytest.mark.parametrize("part", PARTS)
    def test_a_load_that_does_not_fit(case: Case, most: int, tmp_path: Path, part: float) -> None:
        left = int(most * part) & ~4095
        assert not try_level(case, tmp_path / "disk", left, tmp_path / "aside"), (
            "it was to be too little room"
        )

    def test_a_load_that_fits_narrowly(case: Case, most: int, tmp_path: Path) -> None:
        assert try_level(case, tmp_path / "disk", most + (128 << 10) & ~4095, tmp_path / "aside")

    @pytest.mark.parametrize("left", [0, 44, 52, 60, 68, 76, 100, 160])
    def test_a_catalog_on_a_full_disk_of_its_own(case: Case, tmp_path: Path, left: int) -> None:
        """Objects and stage have room; with some KiB left, not even the status of the failed visit can be written."""
        roomy, small = tmp_path / "roomy", tmp_path / "small"
        with disks((roomy, "size=64m"), (small, "size=8m")) as there:
            there.bring(case.store, roomy)
            _move(there.seen(roomy) / "archive" / "catalog.sqlite", there.seen(small) / "catalog.sqlite")
            place = f"archive:\n  catalog: {{path: {small}/catalog.sqlite}}\n"
            (there.seen(roomy) / "swhkit.yaml").write_text(place)
            there.fill(small, left << 10)
            done = there.swhkit("load", case.repository, cwd=roomy, code=1)
            said = done.stdout + done.stderr
            assert is_clear(said.replace(str(small), "archive"), case.repository), said
            must_read(there, case, roomy)
            there.empty(small)
            (report,) = json.loads(there.swhkit("load", "--json", case.repository, cwd=roomy).stdout)
            assert (report["status"], report["snapshot"]) == (
                "full",
                case.expected.snapshots[case.repository],
            )
            (there.seen(roomy) / "swhkit.yaml").unlink()
            _move(there.seen(small) / "catalog.sqlite", there.seen(roomy) / "archive" / "catalog.sqlite")
            there.take(roomy, tmp_path / "aside")
        assert_sound(tmp_path / "aside", case.expected, programs=False)

    @pytest.mark.parametrize("left", [0, 3, 8, 20, 40])
    def test_no_inodes_left(case: Case, tmp_path: Path, left: int) -> None:
        disk = tmp_path / "disk"
        with disks((disk, "size=64m,nr_inodes=400")) as there:
            there.bring(case.store, disk)
            there.fill_inodes(disk, left)
            assert there.free_inodes(disk) == left
            done = there.swhkit("load", case.repository, cwd=disk, code=None)
            if done.returncode:
                must_fail_well(there, done, case, disk)
            there.take(disk, tmp_path / "aside")
        assert_sound(tmp_path / "aside", case.expected, programs=False)

    def test_a_server_starts_and_answers(case: Case, tmp_path: Path) -> None:
        """Also after a load that found the disk full, and with a visit that nobody has ended."""
        disk = tmp_path / "disk"
        with disks((disk, "size=64m")) as there:
            there.bring(case.store, disk)
            there.fill(disk, 0)
            process = there.start(
                sys.executable, "-m", "swhkit", "serve", "--listen", "127.0.0.1:0", cwd=disk
            )
            assert process.stdout is not None
            try:
                base = "http://" + process.stdout.readline().split("http://")[1].split()[0].rstrip("/")
                for path in (
                    "stat/counters/",
                    f"snapshot/{case.expected.snapshots[case.first][-40:]}/",
                    "ping/",
                ):
                    with urllib.request.urlopen(f"{base}/api/1/{path}", timeout=30) as answer:
                        assert answer.status == 200
                        assert json.loads(answer.read())
            finally:
                process.terminate()
                _, err = process.communicate(timeout=30)
            assert "Traceback" not in err, err

    @pytest.mark.parametrize("left", [0, 64])
    def test_init(tmp_path: Path, left: int) -> None:
        """It says so, leaves nothing that is in the way, and makes the archive once there is room."""
        disk = tmp_path / "disk"
        with disks((disk, "size=4m")) as there:
            there.fill(disk, left << 10)
            done = there.swhkit("init", "here", cwd=disk, code=1)
            assert "No space left on device" in done.stderr or "disk is full" in done.stderr, done.stderr
            there.empty(disk)
            there.swhkit("init", "here", cwd=disk)
            assert "nothing is wrong" in there.swhkit("check", "--full", cwd=disk / "here").stdout

    @pytest.mark.parametrize("command", ["maintain", "reindex"])
    @pytest.mark.parametrize("left", [0, 64])
    def test_upkeep(case: Case, tmp_path: Path, command: str, left: int) -> None:
        """It may fail, clearly; the archive stays as it was, readable and sound."""
        disk = tmp_path / "disk"
        with disks((disk, "size=64m")) as there:
            there.bring(case.store, disk)
            there.fill(disk, left << 10)
            done = there.swhkit(command, cwd=disk, code=None)
            assert done.returncode in (0, 1), (done.returncode, done.stdout, done.stderr)
            if done.returncode:
                assert "No space left on device" in done.stderr or "disk is full" in done.stderr, done.stderr
            assert leftovers(there, disk) == []
            must_read(there, case, disk)
            there.empty(disk)
            there.swhkit(command, cwd=disk)
            there.take(disk, tmp_path / "aside")
        assert_sound(tmp_path / "aside", case.expected, programs=False)


def _move(source: Path, target: Path) -> None:
    subprocess.run(["mv", source, target], check=True)
