"""The quick look at the store: its config, the files there are, and their own checksums. Not every object."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from swhkit.errors import Corrupt
from swhkit.model import Pack
from swhkit.pack import pack_checksum_ok
from swhkit.storage import Finding
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.gate import unpaired
from swhkit_filesystem.maintaining import STALE, strays

_PRECIOUS = re.compile(
    r"^\s*\[extensions\]\s*(?:^\s*\w+\s*=.*\s*)*?^\s*preciousObjects\s*=\s*true\s*$", re.M | re.I
)
_VERSION = re.compile(r"^\s*repositoryformatversion\s*=\s*1\s*$", re.M | re.I)
_MAINTAIN = "run `swhkit maintain`, which makes it anew"
_RESTORE = "run `swhkit check --full` to see which objects are lost, and restore the file from a copy"


def verify(folder: Folder) -> Iterator[Finding]:
    """As ``ObjectStore.verify``."""
    yield from _config(folder)
    with folder.settled():  # so that no half of a pair is seen that is just being linked or deleted
        names = sorted(path.name for path in folder.packs.iterdir())
    for name in names:
        yield from _file(folder, names, name)
    yield from _strangers(folder)


def _config(folder: Folder) -> Iterator[Finding]:
    path = folder.root / "config"
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        yield Finding(
            f"the config cannot be read: {error.strerror}", "restore it from a copy", file=str(path)
        )
        return
    if not _PRECIOUS.search(text) or not _VERSION.search(text):
        step = "set core.repositoryformatversion = 1 and extensions.preciousObjects = true in it, before any git command"
        yield Finding(
            "git is not told that the objects are precious: a stray `git gc` would drop them",
            step,
            file=str(path),
        )


def _file(folder: Folder, names: list[str], name: str) -> Iterator[Finding]:
    path = folder.packs / name
    try:
        if path.suffix == ".pack":
            found = list(_pack(path, f"{name[:-5]}.idx" in names))
            yield from found if found and _is_there(folder, path) else ()
        elif path.suffix == ".idx" and f"{name[:-4]}.pack" not in names:
            yield Finding("the pack of this index is lost, with all its objects", _RESTORE, file=str(path))
        elif (name == "multi-pack-index" or path.suffix == ".rev") and not pack_checksum_ok(path):
            yield Finding("the file does not match its own checksum", _MAINTAIN, file=str(path))
    except FileNotFoundError:  # a pack that was rewritten meanwhile
        return
    except OSError as error:
        yield Finding(
            f"the file cannot be read: {error.strerror}", "look after the disk and its rights", file=str(path)
        )


def _is_there(folder: Folder, pack: Path) -> bool:
    """Whether a pack with findings still has to answer for them: its files vanish while it is looked at when it is
    rewritten, one after the other, but all under the lock."""
    with folder.settled():
        return pack.exists()


def _pack(path: Path, has_idx: bool) -> Iterator[Finding]:
    if not pack_checksum_ok(path):
        yield Finding("the pack does not match its own checksum", _RESTORE, file=str(path))
    idx = path.with_suffix(".idx")
    if not has_idx:
        yield Finding("the index of this pack is lost", _MAINTAIN, file=str(path))
    elif not pack_checksum_ok(idx):
        yield Finding("the index does not match its own checksum", _MAINTAIN, file=str(idx))
    elif pack_checksum_ok(path):
        try:
            problem = unpaired(Pack(path, idx))
        except Corrupt as error:
            problem = str(error)
        if problem:
            yield Finding(problem, _MAINTAIN, file=str(idx))


def _strangers(folder: Folder) -> Iterator[Finding]:
    """Files that a store does not have: what killed processes left, and objects that nobody reads."""
    abandoned: list[Path] = []
    with suppress(OSError):  # a store that cannot be written to
        abandoned = folder.leftovers()
    for path in [*strays(folder), *abandoned]:
        if time.time() - path.stat().st_mtime > STALE:
            yield Finding(
                "a killed process left this",
                "nothing is lost; `swhkit maintain` removes it in time",
                file=str(path),
            )
    for path in sorted(folder.objects.iterdir()):
        if re.fullmatch("[0-9a-f]{2}", path.name) and any(path.iterdir()):
            step = "swhkit does not read loose objects; find out who wrote them, then delete the folder"
            yield Finding("somebody wrote loose objects into the store", step, file=str(path))
    if (folder.objects / "info" / "alternates").exists():
        step = "delete the file; what it points at is no part of the store"
        yield Finding("the store borrows objects", step, file=str(folder.objects / "info" / "alternates"))
