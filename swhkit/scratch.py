"""Private folders among the system's temporary files, that go when their owner does, however it ends.

An owner holds a ``flock`` on its folder, so whoever makes the next one can tell, and removes what killed processes have
left: folders of this user, of our name, with our mark in them, that nobody holds. Anything else is none of our business.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "swhkit-scratch-"
_NAME = re.compile(rf"{_PREFIX}[a-z]+-[a-z0-9_]{{8}}")
_MARK = ".owned-by-swhkit"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder for the time of the block; ``purpose`` is a word of lower case, for its name."""
    _sweep(Path(tempfile.gettempdir()))
    path, descriptor = _made(purpose)
    owner = os.getpid()
    try:
        yield path
    finally:
        if os.getpid() == owner:  # not a fork, which leaves by closing its copy of the descriptor
            shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def _made(purpose: str) -> tuple[Path, int]:
    """A new folder with its mark, and the descriptor by which it is held."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        try:
            descriptor = os.open(path, _FOLDER)
        except FileNotFoundError:  # taken for a leftover before it was held
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                (path / _MARK).touch()
                return path, descriptor
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed processes of this user left."""
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if _NAME.fullmatch(entry.name)]:
            with suppress(OSError):
                _remove_abandoned(folder / name)


def _remove_abandoned(path: Path) -> None:
    """Remove a folder of ours that nobody holds. Raises ``OSError`` where it is held, or not ours."""
    descriptor = os.open(path, _FOLDER)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o700:
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (path / _MARK).exists():
            shutil.rmtree(path, ignore_errors=True)
        else:  # its owner was killed before it wrote anything
            path.rmdir()
    finally:
        os.close(descriptor)
