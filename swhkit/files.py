"""Durable files and locks: the few steps whose order keeps a promise after a crash.

``flock`` locks end with their last holder, however it ends, and are inherited by children that get the descriptor:
a lock that can be taken means that everyone who worked under it is gone.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from swhkit.errors import Busy
from swhkit.interrupts import interruptible


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors inside the block that do not tell their file (those of a descriptor) tell ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync_file(path: Path) -> None:
    """fsync a file's bytes."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """fsync a folder's entries (its names, not the files behind them)."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        with named(path):
            os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it that lack, durable on return: what is synced inside it can be found again."""
    if path.is_dir():
        return
    path = path.absolute()
    make_folder(path.parent)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace ``path`` by ``data``: it is the old file or the new one, whole, whoever else writes it at the same time.

    ``durable``: also after power loss.
    """
    handle, temporary = _temporary(path)
    try:
        with named(path), os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside ``path``, open and locked: its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else it was taken for a leftover before it was locked
                return handle, Path(name)
        except BaseException:
            os.close(handle)
            Path(name).unlink(missing_ok=True)
            raise
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed in ``write_whole`` have left in a folder."""
    for path in folder.glob(".*.*"):
        with suppress(OSError):  # another sweeps, too; or somebody is writing it now
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """``write_whole``, durable on return."""
    write_whole(path, data, durable=True)


class FileLock:
    """An exclusive ``flock`` on a file that is made when needed and never deleted while it may be in use."""

    def __init__(self, path: Path, timeout: float | None = None) -> None:
        self.path, self._timeout = path, timeout
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether the lock is held through this object."""
        return self._fd is not None

    @property
    def fd(self) -> int:
        """The descriptor, to be passed on to children. Raises ``ValueError`` when the lock is not held."""
        if self._fd is None:
            raise ValueError(f"the lock {self.path} is not held")
        return self._fd

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def acquire(self, timeout: float | None = None) -> None:
        """Wait for the lock, at most ``timeout`` seconds. Raises ``Busy``. The wait can always be interrupted."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.005
        while not self.try_acquire():
            if end is not None and time.monotonic() > end:
                raise Busy(f"{self.path} is locked by another process since {timeout:.0f} s; try again later")
            with interruptible():
                time.sleep(pause)
            pause = min(pause * 2, 0.25)

    def release(self) -> None:
        """Let go; harmless when it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> FileLock:
        try:
            if self._fd is None:
                self.acquire(self._timeout)
        except BaseException:  # perhaps a signal that came when it was just taken
            self.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def locked(path: Path, timeout: float | None = None) -> FileLock:
    """Hold the lock at ``path`` for a ``with`` block. That raises ``Busy`` after ``timeout`` seconds."""
    return FileLock(path, timeout)
