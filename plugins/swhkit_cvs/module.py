"""A module as a folder of RCS files: what is in it, and reading one file, without following links or waiting for pipes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import msgspec

from swhkit.plugin import LimitExceeded, Unavailable
from swhkit_cvs.facts import Facts
from swhkit_cvs.keywords import Keywords
from swhkit_cvs.rcs import Data
from swhkit_cvs.texts import LARGE

#: Files and folders that one module may have.
MOST_ENTRIES = 5_000_000
#: How many folders may wait to be read.
_MOST_FOLDERS = 500_000
_CONFIG_LIMIT = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: How many of the entries that are left out are named.
_NAMED = 3


class LeftOut:
    """Entries of a module that are no part of what is loaded, though somebody may have meant them to be."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    def add(self, place: bytes, why: str) -> None:
        """Note one: ``why`` follows the name and "is"."""
        self.count += 1
        if len(self._named) < _NAMED:
            name = "".join(c if c.isprintable() else "?" for c in place[-100:].decode("utf-8", "replace"))
            self._named.append(f"{name} is {why}")

    @property
    def reason(self) -> str | None:
        """One sentence about all of them."""
        if not self.count:
            return None
        more = " and others" if self.count > len(self._named) else ""
        return f"{self.count} entries of the module were left out: {', '.join(self._named)}{more}"


class Module(msgspec.Struct, frozen=True):
    """A folder of RCS files. ``shown`` is the path that ``$Header$`` shows for it; ``url`` is for errors.

    ``left_out``: what is known to be left out already.
    """

    folder: Path
    shown: bytes
    url: str
    left_out: LeftOut = msgspec.field(default_factory=LeftOut)

    def note_files(self, facts: Facts) -> None:
        """Put all files of the module into ``facts``. Raises ``LimitExceeded``, ``Unavailable``."""
        left_out = self.left_out
        waiting, count = [b""], 0
        while waiting:
            folder = waiting.pop()
            for entry in self._entries(folder):
                place = folder + b"/" + entry.name if folder else entry.name
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(place)
                elif entry.name.endswith(b",v"):
                    _note(facts, left_out, place, entry)
                elif entry.is_symlink() and entry.is_dir():
                    left_out.add(place, "a symbolic link")
                if count > MOST_ENTRIES or len(waiting) > _MOST_FOLDERS:
                    raise LimitExceeded(
                        f"{self.url}: more than {count - 1} files and folders: too many for one module"
                    )

    @contextmanager
    def read(self, place: bytes, scratch: Path) -> Iterator[Data]:
        """The bytes of one of its files; a large one is copied to ``scratch`` and mapped, so that it cannot change."""
        path = os.path.join(os.fsencode(self.folder), place)  # noqa: PTH118 - names are bytes here
        try:
            with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - by descriptor
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise Unavailable(f"{self.place_text(place)} is no regular file any more")
                if status.st_size <= LARGE:
                    yield file.read(LARGE + 1)
                    return
                if status.st_blocks * 512 < status.st_size // 1000:
                    raise LimitExceeded(f"{self.place_text(place)} is {status.st_size} bytes of nothing")
                with _copied(file, scratch / "large,v") as data:
                    yield data
        except OSError as error:
            raise Unavailable(f"{self.place_text(place)} cannot be read ({error.strerror})") from error

    def place_text(self, place: bytes) -> str:
        """One of its files as it may stand in a text."""
        return f"{self.url}: {os.fsdecode(place[-200:])!a}"

    def keywords(self) -> Keywords:
        """Those that ``CVSROOT/config`` of the module's root has, or would have by default."""
        for root in (self.folder, *self.folder.parents):
            if (root / "CVSROOT").is_dir():
                return Keywords.configured(_start_of(root / "CVSROOT" / "config"))
        return Keywords()

    def _entries(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        try:
            with os.scandir(os.path.join(os.fsencode(self.folder), folder)) as entries:  # noqa: PTH118 - bytes
                yield from entries
        except OSError as error:
            raise Unavailable(f"{self.place_text(folder)} cannot be read ({error.strerror})") from error


def _note(facts: Facts, left_out: LeftOut, place: bytes, entry: os.DirEntry[bytes]) -> None:
    """Note an RCS file by the name of the file it is of: one in ``Attic`` belongs into the folder above."""
    name = working_name(place)
    if entry.is_symlink():
        left_out.add(place, "a symbolic link")
    elif not entry.is_file(follow_symlinks=False):
        left_out.add(place, "no regular file")
    elif name.rpartition(b"/")[2] in (b"", b".", b".."):
        left_out.add(place, "a name no file can have")
    else:
        facts.add_file(place, name)


def working_name(place: bytes) -> bytes:
    """The name of the file that an RCS file at ``place`` is of."""
    folder, _, name = place.removesuffix(b",v").rpartition(b"/")
    if folder == b"Attic" or folder.endswith(b"/Attic"):
        folder = folder[: -len(b"/Attic")]
    return folder + b"/" + name if folder else name


@contextmanager
def _copied(file: BinaryIO, path: Path) -> Iterator[mmap]:
    with path.open("wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    try:
        with path.open("rb") as copied, mmap(copied.fileno(), 0, access=ACCESS_READ) as data:
            yield data
    finally:
        path.unlink()


def _start_of(path: Path) -> bytes:
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - by descriptor
            return file.read(_CONFIG_LIMIT) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""
