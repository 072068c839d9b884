"""Small tools for the tests of the filesystem store: make packs, damage files, look behind the store's back."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

from swhkit.git import Git
from swhkit.model import Pack
from swhkit.process import Runner
from swhkit.storage import ObjectStore
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.samples import Sample
from swhkit_filesystem import FilesystemConfig
from swhkit_filesystem.store import FilesystemStore, open_store
from swhkit_filesystem.tables import Table


def open_at(path: Path, create: bool = False) -> FilesystemStore:
    return open_store(FilesystemConfig(path=path), create)


def pack_folder(store: ObjectStore) -> Path:
    assert isinstance(store, FilesystemStore)
    return store.git_dir / "objects" / "pack"


def tables(store: ObjectStore) -> list[Table]:
    return [Table(pack, pack.with_suffix(".idx")) for pack in sorted(pack_folder(store).glob("*.pack"))]


def leftovers(store: ObjectStore) -> list[str]:
    """Temporary files in the store, but the homes of stores that are open."""
    assert isinstance(store, FilesystemStore)
    names = (path.name for path in (store.git_dir / "swhkit" / "tmp").iterdir())
    return sorted(name for name in names if not name.startswith("home-"))


def files(store: ObjectStore) -> dict[str, bytes]:
    """All files among the packs."""
    return {path.name: path.read_bytes() for path in pack_folder(store).iterdir()}


def make_packs(folder: Path, *groups: Iterable[Sample]) -> list[Pack]:
    """One pack a group, with the idx of git."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    before = len(list(folder.glob("*.pack")))
    return [
        samples.make_pack(folder, group, Runner(home), f"p{before + n}") for n, group in enumerate(groups)
    ]


def deltified(folder: Path, group: Iterable[Sample]) -> Pack:
    """One pack in which git has made deltas."""
    (plain,) = make_packs(folder, group)
    git = Git.init(Runner(folder / "home"), folder / "plain.git")
    for path in (plain.path, plain.idx):
        (folder / "plain.git/objects/pack" / f"pack-{'0' * 40}{path.suffix}").symlink_to(path)
    ids = "".join(f"{one.id.hex}\n" for one in group).encode()
    name = (
        git.run("pack-objects", "-q", "--no-reuse-delta", folder / "delta", input=ids).stdout.decode().strip()
    )
    return Pack(folder / f"delta-{name}.pack", folder / f"delta-{name}.idx")


def related(count: int) -> list[Sample]:
    """Contents that git stores as deltas of each other, when it packs them itself."""
    text = b"".join(b"line %d of a text that changes little\n" % n for n in range(200))
    return [samples.sample(Kind.CONTENT, text + b"version %d\n" % n) for n in range(count)]


def flip(path: Path, offset: int, mask: int = 0xFF) -> None:
    """Change one byte of a file in place; negative offsets count from its end."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(offset, 0 if offset >= 0 else 2)
        at = file.tell()
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def extent(table: Table, id: ObjectId) -> tuple[int, int]:
    """Where an object begins and ends in its pack."""
    position = table.find(id.digest)
    assert position is not None
    start = table.offset(position)
    later = [table.offset(p) for p in range(len(table)) if table.offset(p) > start]
    return start, min(later, default=table.pack.stat().st_size - 20)


def damage_object(store: ObjectStore, id: ObjectId) -> None:
    """Flip a byte in the middle of every packed copy of an object."""
    for table in tables(store):
        if table.find(id.digest) is not None:
            start, end = extent(table, id)
            flip(table.pack, (start + end) // 2)


def forge_idx(pack: Pack, true: bytes, false: bytes) -> None:
    """Make the idx of a pack with one object say that it is another one. Its own checksum is right."""
    data = pack.idx.read_bytes()
    fanout = struct.pack(">256I", *(int(n >= false[0]) for n in range(256)))
    assert data[1032:1052] == true
    body = data[:8] + fanout + false + data[1052:-20]
    pack.idx.chmod(0o600)
    pack.idx.write_bytes(body + hashlib.sha1(body).digest())
