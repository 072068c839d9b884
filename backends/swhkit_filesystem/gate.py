"""The gate in front of all reading: which packs there are, and which files may be believed.

A damaged index makes git and libgit2 answer "missing", fail, or crash. So before anybody opens an ``.idx``, ``.rev`` or
``multi-pack-index`` of the store, its checksum is verified here, once for each file. While one is damaged or lost,
reading goes through a *view*: a private folder with links to the sound files, and with indexes made anew from their
packs. The store itself is only repaired by ``maintain``, so that ``verify`` still finds what is wrong.

A pack that cannot be indexed anew makes every "not found" a "cannot be told": ``Shelf.require_whole`` raises then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt
from swhkit.git import Git
from swhkit.model import Pack
from swhkit.pack import pack_checksum_ok
from swhkit.process import Runner
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.tables import Table

log = logging.getLogger("swhkit.objects")
_LOST = "restore both from a copy; or move both out of the folder, run `swhkit reindex`, and load the origins again"


class Place(NamedTuple):
    """Where an object lies: number of the table on the shelf, offset in its pack. Sorts in pack order."""

    table: int
    offset: int


class Damaged(NamedTuple):
    """A file that nothing can be read through, and what is wrong with it."""

    file: Path
    problem: str


class Shelf:
    """What may be read at one moment: the tables of all packs, and the ``objects`` folder for git and libgit2.

    ``damaged`` names each pack whose objects are in no table.
    """

    def __init__(self, tables: tuple[Table, ...], objects: Path, damaged: tuple[Damaged, ...]) -> None:
        self.tables, self.objects, self.damaged = tables, objects, damaged

    def find(self, digest: bytes) -> Place | None:
        """Where an object lies (in the first pack that has it)."""
        for number, table in enumerate(self.tables):
            position = table.find(digest)
            if position is not None:
                return Place(number, table.offset(position))
        return None

    def held(self, digests: Set[bytes]) -> set[bytes]:
        """Those that some pack has."""
        found: set[bytes] = set()
        for table in self.tables:
            found |= table.held(digests - found)
        return found

    def in_pack_order(self, digests: Set[bytes]) -> list[bytes]:
        """The held ones among ``digests``, in the order in which they are quickest to read."""
        places = ((self.find(digest), digest) for digest in digests)
        return [digest for place, digest in sorted((p, d) for p, d in places if p is not None)]

    def where(self, digest: bytes) -> str:
        """The pack of an object, for messages."""
        place = self.find(digest)
        return "a pack that has gone" if place is None else str(self.tables[place.table].pack)

    def require_whole(self, asked: str) -> None:
        """Raise ``Corrupt`` if it cannot be told that something is missing."""
        if self.damaged:
            file, problem = self.damaged[0]
            raise Corrupt(f"whether {asked} is held cannot be told: {file} {problem}")


#: The files of the pack folder by name, each with what tells whether it is still the same (inode, size, time).
_Files = dict[str, tuple[int, int, int]]


class Gate:
    """Gives the current ``Shelf``; thread-safe. ``home`` is a private folder for views."""

    def __init__(self, folder: Folder, runner: Runner) -> None:
        self.folder, self.private, self._runner = folder, runner.home, runner
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None
        self._files: _Files = {}
        self._changed = -1
        self._sound: dict[tuple[str, tuple[int, int, int]], bool] = {}
        self._tables: dict[tuple[str, tuple[int, int, int]], Table] = {}
        self._rebuilt: dict[str, Table | None] = {}
        self._views = 0

    def shelf(self) -> Shelf:
        """What was there a moment ago. Costs one ``stat`` while nothing changes.

        Who does not find or cannot read something asks ``look`` before it says so.
        """
        shelf = self._shelf
        if shelf is not None and self._changed == self.folder.packs.stat().st_mtime_ns:
            return shelf
        return self.look()

    def look(self) -> Shelf:
        """What is there now, each file looked at. Gives the same ``Shelf`` object while nothing has changed."""
        with self._lock:
            while True:
                try:
                    return self._look()
                except FileNotFoundError:  # a pack was deleted between listing and opening
                    if not self.folder.packs.is_dir():
                        raise

    def unsound(self) -> list[Path]:
        """Indexes that are damaged or lost, as paths they have or should have; looked at anew."""
        with self.folder.linking():  # what has no idx now is not just being linked
            _, files = self._list()
        bad = [
            name
            for name, key in files.items()
            if not name.endswith(".pack") and not self._is_sound(name, key)
        ]
        lost = [
            f"{name[:-5]}.idx" for name in files if name.endswith(".pack") and f"{name[:-5]}.idx" not in files
        ]
        return [self.folder.packs / name for name in sorted(bad + lost)]

    def _look(self) -> Shelf:
        changed, files = self._list()
        if _lonely(files):
            with self.folder.settled():  # perhaps it is being linked right now
                changed, files = self._list()
        if self._shelf is None or files != self._files:
            self._shelf = self._make_shelf(files)
        self._files, self._changed = files, changed
        return self._shelf

    def _list(self) -> tuple[int, _Files]:
        changed, files = self.folder.packs.stat().st_mtime_ns, {}
        for path in self.folder.packs.iterdir():
            if path.suffix in (".pack", ".idx", ".rev") or path == self.folder.midx:
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    # git touches packs that are written again: only the time of an index says something.
                    files[path.name] = (
                        stat.st_ino,
                        stat.st_size,
                        0 if path.suffix == ".pack" else stat.st_mtime_ns,
                    )
        return changed, files

    def _make_shelf(self, files: _Files) -> Shelf:
        bad = {
            name
            for name, key in files.items()
            if not name.endswith(".pack") and not self._is_sound(name, key)
        }
        tables, damaged = [], []
        for stem in sorted({name.rpartition(".")[0] for name in files if name.endswith((".pack", ".idx"))}):
            one = self._table_of(stem, files, bad)
            if isinstance(one, Table):
                tables.append(one)
            else:
                damaged.append(one)
        self._forget(files)
        sound = not bad and not damaged and all(table.idx.parent == self.folder.packs for table in tables)
        objects = self.folder.objects if sound else self._view(tables)
        return Shelf(tuple(tables), objects, tuple(damaged))

    def _table_of(self, stem: str, files: _Files, bad: Set[str]) -> Table | Damaged:
        """The table of one pack. An idx without its pack is a table too: what it names was held, and is lost."""
        pack, idx = f"{stem}.pack", f"{stem}.idx"
        if idx in files and idx not in bad:
            return self._table(pack, idx, files[idx])
        if pack not in files:
            return Damaged(self.folder.packs / idx, f"is damaged and its pack is lost: {_LOST}")
        rebuilt = self._rebuild(pack)
        if rebuilt is None:
            return Damaged(self.folder.packs / pack, f"is damaged and so is its idx: {_LOST}")
        return rebuilt

    def _is_sound(self, name: str, key: tuple[int, int, int]) -> bool:
        known = self._sound.get((name, key))
        if known is None:
            known = pack_checksum_ok(self.folder.packs / name)
            self._sound[name, key] = known
            if not known:
                log.warning(
                    "%s is damaged and not used; `swhkit maintain` makes it anew", self.folder.packs / name
                )
        return known

    def _table(self, pack: str, idx: str, key: tuple[int, int, int]) -> Table:
        table = self._tables.get((idx, key))
        if table is None:
            table = self._tables[idx, key] = Table(self.folder.packs / pack, self.folder.packs / idx)
        return table

    def _rebuild(self, name: str) -> Table | None:
        """The table of a pack without sound idx, from an idx of our own; None if the pack is damaged too."""
        if name not in self._rebuilt:
            private = self._runner.home / "rebuilt"
            private.mkdir(exist_ok=True)
            link = private / name
            link.symlink_to(self.folder.packs / name)
            try:
                made = Git(self._runner).index_pack(link)
                self._rebuilt[name] = Table(self.folder.packs / name, made.idx)
            except ChildTimeout:
                raise
            except (Corrupt, ChildFailed) as error:
                log.warning("%s cannot be indexed: %s", self.folder.packs / name, error)
                self._rebuilt[name] = None
        return self._rebuilt[name]

    def _view(self, tables: list[Table]) -> Path:
        """A folder like ``objects`` that has these packs only, and no multi-pack-index: slower, and sound."""
        self._views += 1
        objects = self._runner.home / f"view-{self._views}"
        (objects / "pack").mkdir(parents=True)
        for table in tables:
            for path in (table.pack, table.idx):
                (objects / "pack" / path.name).symlink_to(path)
        return objects

    def _forget(self, files: _Files) -> None:
        """Let go of mapped files that are no longer there."""
        self._sound = {key: value for key, value in self._sound.items() if files.get(key[0]) == key[1]}
        self._tables = {key: value for key, value in self._tables.items() if files.get(key[0]) == key[1]}


def _lonely(files: _Files) -> bool:
    """Whether some pack has no idx."""
    return any(name.endswith(".pack") and f"{name[:-5]}.idx" not in files for name in files)


def unpaired(pack: Pack) -> str | None:
    """What is wrong with a pack and its idx as a pair, None if nothing is: checksums, and that each is of the other."""
    for path in (pack.path, pack.idx):
        if not path.exists():
            return f"{path} is missing"
        if not pack_checksum_ok(path):
            return f"{path} does not match its own checksum"
    table = Table(pack.path, pack.idx)
    with pack.path.open("rb") as file:
        head = file.read(12)
        file.seek(-20, 2)
        trailer = file.read()
    if trailer != table.checksum:
        return f"{pack.idx} is the index of another pack than {pack.path}"
    if head[:8] != b"PACK\0\0\0\2" or int.from_bytes(head[8:], "big") != table.count:
        return f"{pack.path} and {pack.idx} disagree on the number of objects"
    return None
