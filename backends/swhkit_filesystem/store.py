"""The object store as one object: opens the folder, holds the children's home, and passes every call on."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from swhkit.model import ByteSource, Pack
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.storage import AdoptReport, Finding, MaintainReport, Scrubbed
from swhkit.swhid import ObjectId
from swhkit_filesystem import FilesystemConfig, adding, adopting, maintaining, scrubbing, verifying
from swhkit_filesystem.folder import Folder, open_folder
from swhkit_filesystem.gate import Gate
from swhkit_filesystem.reading import Reader

T = TypeVar("T")
#: Bytes that have to be free for the children's home: configurations of git and two empty git directories.
_HOME_NEEDS = 64 << 10
#: How many files and folders, links to packs included.
_HOME_FILES = 100


class FilesystemStore:
    """Objects as git packs in a folder: an ``ObjectStore`` that is a ``GitDirectory`` too. See ``swhkit.storage``."""

    def __init__(self, folder: Folder) -> None:
        stack = ExitStack()
        runner = Runner(stack.enter_context(_home(folder)))
        self._folder, self._runner = folder, runner
        self._gate = Gate(folder, runner)
        self._reader = Reader(self._gate, runner)
        self._end = weakref.finalize(self, stack.close)

    @property
    def git_dir(self) -> Path:
        """As ``GitDirectory.git_dir``."""
        return self._folder.root

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """As ``ObjectReader.read``."""
        return self._open()._reader.read(ids)

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """As ``ObjectReader.stream``."""
        return self._kept_for(self._open()._reader.stream(id))

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """As ``ObjectReader.sizes``."""
        return self._open()._reader.sizes(ids)

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As ``ObjectReader.missing``."""
        return self._open()._reader.missing(ids)

    def scan(self, after: ObjectId | None = None, limit: int = 1000) -> list[ObjectId]:
        """As ``ObjectReader.scan``."""
        return self._open()._reader.scan(after, limit)

    def adopt(self, packs: Sequence[Pack]) -> AdoptReport:
        """As ``ObjectStore.adopt``; how collisions are found stands in ``adopting``."""
        self._open()
        report = adopting.adopt(self._folder, self._reader, self._gate.look(), packs)
        maintaining.consolidate(self._folder, self._gate, self._reader)
        return report

    def add(self, objects: Iterable[tuple[ObjectId, ByteSource]]) -> AdoptReport:
        """As ``ObjectStore.add``."""
        self._open()
        report = adding.add(self._folder, self._reader, self._runner, objects)
        maintaining.consolidate(self._folder, self._gate, self._reader)
        return report

    def remove(self, ids: Iterable[ObjectId]) -> None:
        """As ``ObjectStore.remove``."""
        self._open()
        maintaining.remove(self._folder, self._gate, self._reader, ids)

    def maintain(self) -> MaintainReport:
        """As ``ObjectStore.maintain``."""
        self._open()
        return maintaining.maintain(self._folder, self._gate, self._reader, self._runner)

    def verify(self) -> Iterator[Finding]:
        """As ``ObjectStore.verify``."""
        return verifying.verify(self._open()._folder)

    def scrub(self, position: str | None = None) -> Iterator[Scrubbed | Finding]:
        """As ``ObjectStore.scrub``."""
        self._open()
        return self._kept_for(scrubbing.scrub(self._gate, self._reader, position))

    def close(self) -> None:
        """Let go of packs and of the children's home."""
        self._reader.close()
        self._end()

    def _kept_for(self, answer: Iterator[T]) -> Iterator[T]:
        """The same iterator, during which nobody collects the store and its home."""
        yield from answer

    def _open(self) -> FilesystemStore:
        if not self._end.alive:
            raise ValueError(f"the object store {self._folder.root} is closed")
        return self


@contextmanager
def _home(folder: Folder) -> Iterator[Path]:
    """A private home for the children.

    It lies in the store, where nobody tidies up behind a server that runs for months, and where the next writer
    removes what a killed process left; elsewhere only when the store cannot be written to, or its disk is full.
    """
    with ExitStack() as stack:
        try:
            home = stack.enter_context(folder.temporary("home"))
            _probe(home)
        except OSError:
            home = stack.enter_context(scratch_folder("home"))
        yield home


def _probe(home: Path) -> None:
    """Raise ``OSError`` where there is no room for the few small files of the children."""
    disk = os.statvfs(home)
    if disk.f_files and disk.f_favail < _HOME_FILES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(home))
    probe = home / "probe"
    with probe.open("wb") as file:
        file.write(bytes(_HOME_NEEDS))
        file.flush()
    probe.unlink()


def open_store(config: FilesystemConfig, create: bool) -> FilesystemStore:
    """Open the store at ``config.path``, made if ``create`` and it is not there. Raises ``NotHeld``, ``InvalidInput``."""
    return FilesystemStore(open_folder(config.path, create))
