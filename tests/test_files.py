"""Files that are there wholly or not at all, and locks that are given back."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import environment

from swhkit.files import FileLock, locked, sweep, write_durably, write_whole
from swhkit.interrupts import Cancelled, ask

_WRITES = """
import os, sys
from pathlib import Path
from swhkit import files
def told(descriptor):
    print(flush=True)
    sys.stdin.read()
os.fsync = told
files.write_durably(Path(sys.argv[1]), b"new")
"""


def _writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing ``path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITES, str(path)], env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_a_killed_writer_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")
    process = _writer(path)
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(signal.SIGSTOP)  # standing still is living
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


def test_a_writer_whose_file_was_swept_too_early_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making the file and locking it, it looks like a leftover."""
    flock, swept = fcntl.flock, list[int]()

    def sweep_first(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(descriptor)
            sweep(tmp_path)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    write_whole(tmp_path / "file", b"new")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"new"]


def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_durably(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_durably(path, b"new")
    assert caught.value.filename == str(path)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


def test_a_lock_that_is_interrupted_when_it_was_just_taken_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def interrupted(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        ask(Cancelled)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", interrupted)
        with pytest.raises(Cancelled), locked(tmp_path / "lock"):
            raise AssertionError("it is not inside")
    assert FileLock(tmp_path / "lock").try_acquire()
