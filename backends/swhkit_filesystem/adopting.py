"""Taking packs: checked, compared with what is held, linked in an order that survives SIGKILL and power loss.

**Collisions.** git compares bodies only while it indexes a pack next to what is held. A pack may have been indexed
elsewhere, so every object that comes under a held id is read from both sides here and compared by SHA-256, in bulk,
all of them: negotiation leaves few (1 to 4 % of a fetch), and an attacker chooses which ones come. A pack whose very
file is held is not compared. A held copy that cannot be read does not stop the good copy that comes, and a held file
that is damaged makes way for the same file whole. A pack that brings nothing new is not kept. (All 277,000 objects of a
repository of 4.6 GB again, in another pack: half a minute.)

**Order.** pack and idx fsynced; all packs of the call checked; then for each ``.pack`` linked, ``.idx`` linked last (git
sees a pack by its idx), the folder fsynced. Names are ``pack-CHECKSUM``, so the same pack has the same name.
"""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from swhkit.errors import Collision, Corrupt
from swhkit.files import sync_file, sync_folder
from swhkit.git import Git
from swhkit.hashes import verified
from swhkit.interrupts import uninterrupted
from swhkit.model import Pack
from swhkit.pack import pack_checksum_ok
from swhkit.storage import AdoptReport
from swhkit.swhid import ObjectId
from swhkit_filesystem.bulk import each
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.gate import Shelf, unpaired
from swhkit_filesystem.hopeless import Hopeless
from swhkit_filesystem.reading import Reader
from swhkit_filesystem.tables import Table

#: Ids compared at a time; bounds the memory.
_SHARE = 200_000
#: What ``link`` answers where it cannot work: another file system, one without links, too many links.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def adopt(folder: Folder, reader: Reader, shelf: Shelf, packs: Iterable[Pack]) -> AdoptReport:
    """Take all objects of ``packs``, as ``ObjectStore.adopt``; ``shelf`` is what is held now."""
    incoming = {table.checksum: table for table in map(inspected, packs) if table.count}
    new = [table for name, table in incoming.items() if not _is_held(folder, table)]
    fresh = 0
    with folder.temporary("adopt") as scratch:
        for number, table in enumerate(new):
            common = _compare(reader, shelf, new[:number], table, scratch / str(number))
            fresh += table.count - common
            if common == table.count:  # all of it is held, and was just read: a second copy is only space
                del incoming[table.checksum]
        size = sum([link_pair(folder, table.pack, table.idx, scratch) for table in incoming.values()])
        if not incoming:  # what is held may be so only since a moment ago
            sync_folder(folder.packs)
    return AdoptReport(objects=fresh, bytes=size)


def inspected(pack: Pack) -> Table:
    """The table of a pack that comes, its files made durable. Raises ``Corrupt`` unless pack and idx are sound."""
    problem = unpaired(pack)
    if problem:
        raise Corrupt(f"the pack is refused: {problem}")
    sync_file(pack.path)
    sync_file(pack.idx)
    return Table(pack.path, pack.idx)


def name_of(checksum: bytes) -> str:
    """The file name of a pack, without suffix."""
    return f"pack-{checksum.hex()}"


def link_pair(folder: Folder, pack: Path, idx: Path, scratch: Path) -> int:
    """Give a sound, durable pack its place in the store, durably; returns the bytes that were added.

    A signal waits for the end of it: whoever sees objects of the pack from now on relies on them. Raises ``Corrupt`` or
    ``Collision`` when other bytes have its name.
    """
    target = folder.packs / name_of(Table(pack, idx).checksum)
    near = [_near(path, scratch / f"new-{target.name}{path.suffix}") for path in (pack, idx)]
    with uninterrupted():
        with folder.linking():
            was_there = target.with_suffix(".pack").exists()
            try:
                added = sum([_place(new, target.with_suffix(new.suffix)) for new in near])
            except BaseException:
                if not was_there:  # no half pair stays
                    target.with_suffix(".pack").unlink(missing_ok=True)
                raise
        sync_folder(folder.packs)
    return added


def _is_held(folder: Folder, table: Table) -> bool:
    """Whether the very same pack is in the store (perhaps without its idx, when its adoption was interrupted)."""
    held = folder.packs / f"{name_of(table.checksum)}.pack"
    return held.exists() and _same(table.pack, held)


def _same(one: Path, other: Path) -> bool:
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def _near(source: Path, new: Path) -> Path:
    """The same file, or a copy of it, as ``new`` on the store's file system."""
    if not _linked(source, new):
        shutil.copyfile(source, new)
        new.chmod(0o444)
        sync_file(new)
    return new


def _place(new: Path, target: Path) -> int:
    """Move ``new`` to ``target``; 0 if that is there already and good. A damaged file makes way for what it was."""
    if target.exists():
        if _same(new, target) or _is_good(new, target):
            return 0
        _put_right(target)
    new.replace(target)
    return target.stat().st_size


def _linked(source: Path, target: Path) -> bool:
    """Link, unless the file system cannot."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _is_good(source: Path, target: Path) -> bool:
    """Whether a file with other bytes than ``source`` may keep its name. Raises ``Collision`` for another sound pack."""
    if not pack_checksum_ok(target):
        return False
    if target.suffix == ".idx":  # whatever it was made by, it is of this pack
        return _trailer(target, 40) == _trailer(source, 40)
    if _trailer(target) == _trailer(source):
        raise Collision(f"{source} has the checksum of {target} and other bytes: nothing was stored")
    return False


def _put_right(target: Path) -> None:
    """Give a sound pack that has the name of another its own name, unless a sound one has it already."""
    if target.suffix == ".pack" and pack_checksum_ok(target):
        own = target.with_name(f"{name_of(_trailer(target))}.pack")
        if not (own.exists() and pack_checksum_ok(own) and _trailer(own) == _trailer(target)):
            target.replace(own)


def _trailer(path: Path, back: int = 20) -> bytes:
    """20 bytes, ``back`` bytes before the end: a pack's own checksum, or in an idx (40) that of its pack."""
    with path.open("rb") as file:
        file.seek(-back, os.SEEK_END)
        return file.read(20)


def _compare(reader: Reader, shelf: Shelf, earlier: Sequence[Table], table: Table, scratch: Path) -> int:
    """Compare what ``table`` has in common with the shelf and with packs that come before it; returns how many held
    objects are equal. Raises ``Collision``, ``Corrupt``."""
    sources: list[tuple[Git, Shelf | Table]] = [(reader.git(shelf), shelf)]
    for number, other in enumerate(earlier):
        sources.append((_alone(reader, other, scratch / f"earlier-{number}"), other))
    incoming, common, digests = _alone(reader, table, scratch / "own"), 0, table.digests()
    while share := set(islice(digests, _SHARE)):
        for git, held in sources:
            overlap = held.held(share)
            order = sorted(
                (table.offset(position), digest) for position, digest in _positions(table, overlap)
            )
            hopeless = Hopeless(held.tables if isinstance(held, Shelf) else [held])
            equal = _compare_bodies(git, incoming, [digest for _, digest in order], hopeless)
            common += len(equal)
            share -= equal
    return common


def _positions(table: Table, digests: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for digest in digests:
        position = table.find(digest)
        if position is not None:
            yield position, digest


def _compare_bodies(held: Git, incoming: Git, order: Sequence[bytes], hopeless: Hopeless) -> set[bytes]:
    """The ids whose bodies are equal on both sides; what cannot be read on the held side is left out."""
    equal = set()
    for (digest, ours), (_, theirs) in zip(
        each(held, order, fingerprint, hopeless), each(incoming, order, fingerprint), strict=True
    ):
        if theirs is None:
            raise Corrupt(f"the pack that comes has an unreadable object {digest.hex()}")
        if ours is not None and ours != theirs:
            raise Collision(f"another body came under the held id {theirs[0]}: nothing was stored")
        if ours is not None:
            equal.add(digest)
    return equal


def fingerprint(id: ObjectId, length: int, pieces: Iterator[bytes]) -> tuple[ObjectId, bytes]:
    """What tells two bodies under one id apart: the kind and a SHA-256. Raises ``Corrupt`` as ``verified``."""
    digest = hashlib.sha256()
    for piece in verified(id, length, pieces):
        digest.update(piece)
    return id, digest.digest()


def _alone(reader: Reader, table: Table, place: Path) -> Git:
    """git on one pack only, so that this very copy is read."""
    if not place.exists():
        (place / "pack").mkdir(parents=True)
        for path, suffix in ((table.pack, ".pack"), (table.idx, ".idx")):
            (place / "pack" / f"{name_of(table.checksum)}{suffix}").symlink_to(path.absolute())
    return reader.git(Shelf((table,), place, ()))
