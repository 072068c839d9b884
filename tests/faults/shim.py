"""The other end of ``shim.c``: builds it, steers it through the file it maps, and reads the log it writes."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
_PATH_MAX = 4096
_MUTEX = 64  # more than a pthread_mutex_t has anywhere
_RECORD = 10

#: What a call that is counted can be made to do: nothing; fail once with an error; write only half; fail as on a disk
#: that is full from then on.
KINDS = {"none": 0, "EIO": 1, "ENOSPC": 2, "short": 3, "full": 4}
OPS = ("", "open", "write", "sync", "rename", "link", "unlink", "rmdir", "truncate", "mkdir", "symlink")


class Control(ctypes.Structure):
    """``struct control`` of the shim."""

    _fields_ = (
        ("count", ctypes.c_int64),
        ("fail_at", ctypes.c_int64),
        ("kind", ctypes.c_int64),
        ("hits", ctypes.c_int64),
        ("hit_op", ctypes.c_int64),
        ("logging", ctypes.c_int64),
        ("root", ctypes.c_char * _PATH_MAX),
        ("hit_path", ctypes.c_char * _PATH_MAX),
        ("mutex", ctypes.c_char * _MUTEX),
    )
    count: int
    fail_at: int
    kind: int
    hits: int
    hit_op: int
    logging: int
    root: bytes
    hit_path: bytes

    def reset(self, root: Path, kind: str, nth: int, *, logging: bool) -> None:
        """Begin to count anew, below ``root``; the ``nth`` call then meets ``kind``."""
        self.root = b""
        self.count = self.hits = self.hit_op = 0
        self.hit_path = b""
        self.kind, self.fail_at, self.logging = KINDS[kind], nth, int(logging)
        self.root = os.fsencode(root.resolve())

    def rest(self) -> None:
        """Let every call through, uncounted."""
        self.root = b""

    @property
    def hit(self) -> str:
        """The first call that was made to fail, for messages; empty if there was none."""
        return f"{OPS[self.hit_op]} {os.fsdecode(self.hit_path)}" if self.hits else ""


class Call(NamedTuple):
    """One logged call, with what it did. ``size`` of an open is 0 if it emptied the file; ``created``: it was not there."""

    op: str
    pid: int
    inode: int
    offset: int
    size: int
    created: bool
    path: str
    other: str
    data: bytes


def build(folder: Path) -> Path:
    """Compile the shim into ``folder``."""
    library = folder / "shim.so"
    compiler = os.environ.get("CC") or "gcc"
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    argv: list[str | Path] = [compiler, *options, "-o", library, SOURCE, "-ldl", "-pthread"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{sysconfig.get_platform()}: {compiler} failed: {done.stderr}"
    return library


def make_control(file: Path) -> None:
    """A control file, all zero: nothing is counted."""
    file.write_bytes(bytes(ctypes.sizeof(Control)))


def map_control(file: Path) -> Control:
    """The control file as this process and all others see it."""
    with file.open("r+b") as opened:
        return Control.from_buffer(mmap.mmap(opened.fileno(), ctypes.sizeof(Control)))


def environment(library: Path, control: Path, log: Path) -> dict[str, str]:
    """What a program needs to run with the shim."""
    return {"LD_PRELOAD": str(library), "FAULTS_CONTROL": str(control), "FAULTS_LOG": str(log)}


def read_log(file: Path) -> Iterator[Call]:
    """The calls of a log, in the order in which they happened."""
    with file.open("rb") as log:
        while head := log.read(8 * _RECORD):
            op, pid, inode, offset, size, _, created, *sizes = memoryview(head).cast("q")
            path, other, data = (log.read(size) for size in sizes)
            yield Call(
                OPS[op], pid, inode, offset, size, bool(created), os.fsdecode(path), os.fsdecode(other), data
            )
