"""One visit's incoming objects, in a folder nobody else reads.

A stage lives below the archive's stage folder. Its owner holds a ``flock`` on it and every child inherits the
descriptor, so a lock that can be taken means that all of them are gone. A stage with a ``sealed`` file is a redo log
(``swhkit.publish`` ends it, now or after a crash); one without is rubbish. Layout::

    visits/ID/lock  visit  sealed        the lock; whose visit it is; the marker with all that publishing needs
    visits/ID/git/                       a bare git repository: all packs of the visit
    visits/ID/log-*  inventory           record files (swhkit.records); what there is (swhkit.inventory)
    visits/ID/scratch/  home/            the loader's folder; the HOME of children
    visits/ID.trash                      ended, being deleted
    mutex  origins/                      short critical sections; one visit of an origin at a time
    publish.lock  publishing             one publish at a time; the name of the stage it is at
    freshness.lock  forges/              locks of the schedule (swhkit.freshness, swhkit.crawling)
"""

from __future__ import annotations

import datetime
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from swhkit import pack as packs
from swhkit.errors import Corrupt
from swhkit.files import FileLock, locked, make_folder, sync_file, sync_folder, write_durably
from swhkit.git import Git
from swhkit.model import Gap, Pack, Visit, VisitStatus
from swhkit.process import Runner

_MUTEX = "mutex"
_VISITS = "visits"
_TRASH = ".trash"


class Owner(msgspec.Struct, frozen=True):
    """Whose visit a stage belongs to (the file ``visit``)."""

    url: str
    visit_type: str
    number: int


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The marker of a sealed stage (the file ``sealed``): all that publishing needs beside the files it names.

    ``owner``: whose visit it is, so that damage to the file ``visit`` loses nothing. ``snapshot`` is its manifest
    (body); ``files`` maps record files and the inventory to their SHA-256; ``packs`` are names without ending;
    ``closed``: the graph below the snapshot has no gap.
    """

    owner: Owner
    status: VisitStatus
    reason: str | None
    date: datetime.datetime
    snapshot: bytes
    gaps: list[Gap]
    closed: bool
    packs: list[str]
    files: dict[str, str]


class Stage:
    """The folder of one visit, locked. Made by ``create``, found again by ``take_dead``."""

    def __init__(self, folder: Path, lock: FileLock, owner: Owner) -> None:
        self.folder = folder
        self.owner = owner
        self.lock = lock
        self.scratch = folder / "scratch"
        self.git_dir = folder / "git"
        self.wanted = folder / "wanted"  # contents to digest, a line "HEX SIZE" each
        self.reached = folder / "reached"  # contents below the heads without a row, a hex each line
        self.inventory = folder / "inventory"  # directories, revisions and releases (swhkit.inventory)
        self.runner = Runner(folder / "home", pass_fds=(lock.fd,) if lock.held else ())

    @classmethod
    def create(cls, root: Path, open_visit: Callable[[], Visit]) -> tuple[Stage, Visit]:
        """A new locked stage, and the visit that ``open_visit`` makes for it.

        Both come into being under one mutex, so that an unfinished visit without a folder is known to be dead.
        """
        with _mutex(root):
            folder = (
                root
                / _VISITS
                / f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}"
            )
            lock = FileLock(folder / "lock")
            try:
                for part in (folder, folder / "scratch", folder / "home"):
                    part.mkdir(parents=True)
                lock.acquire()
                visit = open_visit()
                owner = Owner(visit.origin, visit.type, visit.number)
                (folder / "visit").write_bytes(checked(msgspec.json.encode(owner)))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
                raise
        return cls(folder, lock, owner), visit

    def git(self, alternates: tuple[Path, ...] = ()) -> Git:
        """The stage's repository (made at the first call), seen together with the given ``objects`` folders."""
        if not self.git_dir.exists():
            Git.init(self.runner, self.git_dir)
        return Git(self.runner, self.git_dir, alternates=list(alternates))

    @property
    def pack_folder(self) -> Path:
        """Where the stage's packs lie."""
        return self.git_dir / "objects" / "pack"

    def take_pack(self, pack: Pack) -> None:
        """Move a pack and its idx into the stage; never copied. The idx comes last: with it the pack counts."""
        self.git()
        name = pack.path.name
        if not (
            name.startswith("pack-") and name.endswith(".pack") and pack.idx.name == f"{pack.path.stem}.idx"
        ):
            raise Corrupt(
                f"a loader gave {name} and {pack.idx.name}, which are not pack-X.pack and pack-X.idx"
            )
        pack.path.rename(self.pack_folder / name)
        pack.idx.rename(self.pack_folder / pack.idx.name)

    def packs(self) -> list[Pack]:
        """The packs of the stage, in order of name."""
        return [Pack(idx.with_suffix(".pack"), idx) for idx in sorted(self.pack_folder.glob("pack-*.idx"))]

    def logs(self) -> list[Path]:
        """The record files of the stage, in order of name."""
        return sorted(self.folder.glob("log-*"))

    def write_marker(self, sealed: Sealed) -> None:
        """Make the stage a redo log. Everything the marker names is durable before the marker is."""
        for pack in self.packs():
            sync_file(pack.path)
            sync_file(pack.idx)
        if self.pack_folder.exists():
            for folder in (self.pack_folder, self.pack_folder.parent, self.git_dir):
                sync_folder(folder)
        for name in sealed.files:
            sync_file(self.folder / name)
        write_durably(self.folder / "sealed", checked(msgspec.json.encode(sealed)))
        for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
            sync_folder(folder)

    def read_marker(self) -> Sealed | None:
        """The marker of a sealed stage, its files verified; None if the stage was never sealed. Raises ``Corrupt``."""
        path = self.folder / "sealed"
        if not path.exists():
            return None
        sealed = _read_sealed(path)
        if sealed is None or sealed.owner != self.owner:
            raise Corrupt(f"{path} is damaged; the visit of {self.owner.url} is lost, load it again")
        self._verify(sealed)
        return sealed

    def trash(self) -> None:
        """The visit has ended: the folder goes, and the lock with it. Renamed first: half-deleted is no redo.

        May be repeated, by another process too. What cannot be deleted now is no error: the next recovery does it.
        """
        trash = self.folder.with_name(self.folder.name + _TRASH)
        try:
            with suppress(OSError, MemoryError):
                self.folder.rename(trash)
            with suppress(MemoryError):
                shutil.rmtree(trash, ignore_errors=True)
        finally:
            self.lock.release()

    def _verify(self, sealed: Sealed) -> None:
        for name, digest in sealed.files.items():
            if not (self.folder / name).is_file() or file_digest(self.folder / name) != digest:
                raise Corrupt(f"{self.folder / name} is missing or damaged; load {self.owner.url} again")
        for name in sealed.packs:
            pack = self.pack_folder / f"{name}.pack"
            for path in (pack, pack.with_suffix(".idx")):
                if not path.is_file() or not packs.pack_checksum_ok(path):
                    raise Corrupt(f"{path} is missing or damaged; load {self.owner.url} again")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin_lock(root: Path, url: str, visit_type: str) -> FileLock:
    """The lock under which visits of one (origin, type) come one after the other, for a ``with`` block."""
    folder = root / "origins"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha1(f"{visit_type} {url}".encode()).hexdigest()
    return locked(folder / name)


def take_dead(
    root: Path, while_counted: Callable[[set[tuple[str, int]]], None], patience: float | None = None
) -> list[Stage]:
    """Take over the stages whose owners are gone; delete trash and what never became a stage.

    ``while_counted`` is called under the mutex with the (url, number) of every stage there is, dead or alive: an
    unfinished visit that is not among them has nobody. Raises ``Busy`` when the mutex is held longer than ``patience``.
    """
    dead: list[Stage] = []
    known: set[tuple[str, int]] = set()
    with _mutex(root, patience):
        for folder in sorted((root / _VISITS).iterdir()):
            if folder.name.endswith(_TRASH):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            owner = _owner(folder)
            if owner is not None:
                known.add((owner.url, owner.number))
            lock = FileLock(folder / "lock")
            try:
                free = lock.try_acquire()
            except FileNotFoundError:  # its owner has just finished and renamed it
                continue
            if not free:
                continue
            if owner is None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
            else:
                dead.append(Stage(folder, lock, owner))
        while_counted(known)
    return dead


def find_stage(root: Path, name: str) -> Stage | None:
    """The stage of that name, not locked; None if there is none. For a publisher that holds the publish lock."""
    folder = root / _VISITS / name
    owner = _owner(folder)
    return None if owner is None else Stage(folder, FileLock(folder / "lock"), owner)


def checked(data: bytes) -> bytes:
    """``data`` below a line with its SHA-256, to be read by ``read_checked``."""
    return hashlib.sha256(data).hexdigest().encode("ascii") + b"\n" + data


def read_checked(path: Path) -> bytes | None:
    """What ``checked`` made of it; None if the file is not there or damaged. Raises ``OSError``."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest().encode("ascii") == digest else None


def _owner(folder: Path) -> Owner | None:
    """Whose stage it is, by the file ``visit`` or, where that is damaged, by the marker."""
    try:
        data = read_checked(folder / "visit")
        if data is not None:
            return msgspec.json.decode(data, type=Owner)
        sealed = _read_sealed(folder / "sealed")
        return None if sealed is None else sealed.owner
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def _read_sealed(path: Path) -> Sealed | None:
    data = read_checked(path)
    try:
        return None if data is None else msgspec.json.decode(data, type=Sealed)
    except (msgspec.DecodeError, ValueError):  # of another form, by another swhkit
        return None


def _mutex(root: Path, patience: float | None = None) -> FileLock:
    make_folder(root / _VISITS)
    return locked(root / _MUTEX, patience)
