"""The store as a folder: where its files lie, how it is made, its locks and its temporary folders.

::

    PATH/config HEAD refs/     a bare git directory with extensions.preciousObjects, so that no git command drops objects
    PATH/objects/pack/         the packs: pack-CHECKSUM.pack and .idx, perhaps a multi-pack-index
    PATH/swhkit/               locks, and tmp/ for what is being written and for children's homes; it says that
                               the folder is a store of ours

The folder is made under another name and renamed, so it is never there without the extension.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from swhkit.errors import InvalidInput, NotHeld
from swhkit.files import FileLock, locked, make_folder, sync_folder
from swhkit.git import Git
from swhkit.process import Runner
from swhkit.scratch import scratch_folder

_BUSY_AFTER = 600.0


class Folder:
    """Paths, locks and temporary folders of a store at ``root`` (absolute)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = root / "objects"
        self.packs = self.objects / "pack"
        self.midx = self.packs / "multi-pack-index"
        self._own = root / "swhkit"
        self._tmp = self._own / "tmp"

    @contextmanager
    def rewriting(self, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of those who delete packs. Without ``wait``, gives False when somebody else has it.

        Raises ``Busy`` when it cannot be had in ten minutes.
        """
        lock = FileLock(self._own / "maintain.lock")
        if wait:
            lock.acquire(_BUSY_AFTER)
        elif not lock.try_acquire():
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def linking(self) -> FileLock:
        """The lock under which a pack and its idx appear or vanish as a pair; for a ``with`` block of milliseconds."""
        return locked(self._own / "adopt.lock", _BUSY_AFTER)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Nobody links or deletes a pair during the block; for readers, who may lack the right to lock."""
        with ExitStack() as stack:
            with suppress(OSError):
                stack.enter_context(self.linking())
            yield

    @contextmanager
    def temporary(self, purpose: str) -> Iterator[Path]:
        """A folder on the store's file system for the time of the block.

        What a killed process left of its own is removed here: a folder whose lock is free has lost its owner. Both
        happen under one lock, so nobody sees a folder that is not locked yet.
        """
        with self.linking():
            self._sweep()
            path = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self._tmp))
            lock = FileLock(_lock_of(path))
            lock.acquire()
        owner = os.getpid()
        try:
            yield path
        finally:
            if os.getpid() == owner:  # not a fork, which leaves by closing its copies of what is open
                shutil.rmtree(path, ignore_errors=True)
                _lock_of(path).unlink(missing_ok=True)
            lock.release()

    def leftovers(self) -> list[Path]:
        """Temporary folders whose owner is gone. Raises ``OSError`` where that cannot be told for lack of rights."""
        return [path for path in self._temporaries() if self._abandoned(path)]

    def _sweep(self) -> None:
        for path in self.leftovers():
            shutil.rmtree(path, ignore_errors=True)
            _lock_of(path).unlink(missing_ok=True)

    def _temporaries(self) -> list[Path]:
        names = {path.name.removesuffix(".lock") for path in self._tmp.iterdir()}
        return [self._tmp / name for name in sorted(names)]

    def _abandoned(self, path: Path) -> bool:
        lock = FileLock(_lock_of(path))
        free = lock.try_acquire()
        lock.release()
        if free and not path.exists():  # the lock file that try_acquire made, or what a finished owner left
            _lock_of(path).unlink(missing_ok=True)
            return False
        return free


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def open_folder(path: Path, create: bool) -> Folder:
    """The store at ``path``, made if ``create`` and nothing is there.

    Raises ``NotHeld`` if there is none, ``InvalidInput`` if something else is there.
    """
    path = path.absolute()
    if not _is_store(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InvalidInput(
                f"{path} is there and is no object store of swhkit: choose an empty or a new folder"
            )
        if not create:
            raise NotHeld(f"there is no object store at {path}: make one with `swhkit init`")
        _make(path)
    return Folder(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock under which stores in ``folder`` are made."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_store(path: Path) -> bool:
    return (path / "swhkit" / "tmp").is_dir() and (path / "objects" / "pack").is_dir()


def _make(path: Path) -> None:
    make_folder(path.parent)
    with _alone(path.parent):
        if not _is_store(path):
            for leftover in path.parent.glob(f".{path.name}-*"):  # of one who was killed in here
                shutil.rmtree(leftover, ignore_errors=True)
            _make_alone(path)


def _make_alone(path: Path) -> None:
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        with scratch_folder("home") as home:
            Git.init(Runner(home), new, precious=True)
        (new / "swhkit" / "tmp").mkdir(parents=True)
        new.chmod(0o755)
        for folder in (new / "objects", new / "swhkit", new):
            sync_folder(folder)
        try:
            os.rename(new, path)  # noqa: PTH104
        except OSError:
            if not path.exists():  # else something has appeared there: it is told below
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if not _is_store(path):
        raise InvalidInput(f"the object store cannot be made at {path}: something else has appeared there")
    sync_folder(path.parent)
