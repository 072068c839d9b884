"""Temporary folders go with their owner, however it ends; nobody else's are touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from program import environment

from swhkit.scratch import scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _other(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process that has a folder, and the folder."""
    program = (
        "import sys\nfrom swhkit.scratch import scratch_folder\n"
        "with scratch_folder('check') as path:\n (path / 'file').touch(); print(path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment() | {"TMPDIR": str(temporary)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_private_and_goes_at_the_end(temporary: Path) -> None:
    with scratch_folder("check") as path:
        (path / "below").mkdir()
        assert path.parent == temporary
        assert path.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_lives_stays(temporary: Path) -> None:
    process, path = _other(temporary)
    with scratch_folder("home"):
        assert (path / "file").exists()
    process.send_signal(signal.SIGSTOP)  # standing still is living
    with scratch_folder("home"):
        assert (path / "file").exists()
    process.kill()
    process.communicate()
    assert path.exists()
    with scratch_folder("home"):
        assert not path.exists()


def test_a_folder_whose_owner_died_at_its_very_beginning_goes(temporary: Path) -> None:
    empty = temporary / "swhkit-scratch-check-abcd1234"
    empty.mkdir(mode=0o700)
    with scratch_folder("home"):
        assert not empty.exists()


@pytest.mark.parametrize(
    "name",
    [
        "swhkit-mine",
        "swhkit-check-abcd1234",
        "swhkit-scratch-check-abcd1234",
        "swhkit-scratch-check-abcd1234x",
    ],
)
def test_what_others_made_stays(temporary: Path, name: str) -> None:
    """Even below a name like ours: nothing in it says that it is ours."""
    theirs = temporary / name / "file"
    theirs.parent.mkdir(mode=0o700)
    theirs.touch()
    with scratch_folder("home"):
        pass
    assert theirs.exists()


def test_a_link_with_such_a_name_is_not_followed(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / ".owned-by-swhkit").touch()
    elsewhere.chmod(0o700)
    (temporary / "swhkit-scratch-check-abcd1234").symlink_to(elsewhere)
    with scratch_folder("home"):
        pass
    assert (elsewhere / ".owned-by-swhkit").exists()


def test_a_fork_does_not_take_the_folder_along(temporary: Path) -> None:
    with ExitStack() as stack:
        path = stack.enter_context(scratch_folder("home"))
        child = os.fork()
        if child == 0:
            try:
                stack.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert path.exists()
    assert list(temporary.iterdir()) == []
