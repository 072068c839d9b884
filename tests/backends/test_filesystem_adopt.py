"""The filesystem store takes packs: linked, in an order that survives SIGKILL, and never another body under a held id."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packed_stores import (
    deltified,
    files,
    forge_idx,
    leftovers,
    make_packs,
    open_at,
    pack_folder,
    related,
    tables,
)

from swhkit.errors import Collision, Corrupt
from swhkit.interrupts import Cancelled, ask
from swhkit.model import Pack
from swhkit.testing import samples
from swhkit_filesystem.store import FilesystemStore

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemStore]:
    store = open_at(tmp_path / "o", True)
    yield store
    store.close()


def test_packs_are_linked_under_the_name_of_their_checksum(store: FilesystemStore, tmp_path: Path) -> None:
    (pack,) = make_packs(tmp_path / "packs", samples.graph())
    report = store.adopt([pack])
    name = f"pack-{pack.path.read_bytes()[-20:].hex()}"
    assert sorted(files(store)) == [f"{name}.idx", f"{name}.pack"]
    assert pack.path.samefile(pack_folder(store) / f"{name}.pack")
    assert pack.idx.samefile(pack_folder(store) / f"{name}.idx")
    assert (report.objects, report.bytes) == (
        len(samples.graph()),
        pack.path.stat().st_size + pack.idx.stat().st_size,
    )
    again = store.adopt([pack])
    assert (again.objects, again.bytes) == (0, 0)


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "another file system")


def test_packs_of_another_file_system_are_copied(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pack,) = make_packs(tmp_path / "packs", samples.graph())
    monkeypatch.setattr(os, "link", no_links)
    store.adopt([pack])
    assert store.read(one.id for one in samples.graph()) == dict(samples.graph())
    assert {path.stat().st_nlink for path in pack_folder(store).iterdir()} == {1}
    assert {path.stat().st_mode & 0o777 for path in pack_folder(store).iterdir()} == {0o444}
    assert list(store.verify()) == []


def test_a_full_disk_leaves_nothing_half_written(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pack,) = make_packs(tmp_path / "packs", samples.graph())
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        copy(source, target)
        if Path(target).suffix == ".idx":
            raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", no_links)
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(OSError, match="no space"):
            store.adopt([pack])
    assert files(store) == {}
    assert leftovers(store) == []
    store.adopt([pack])
    assert len(store.scan()) == len(samples.graph())


def _die_between_files(path: Path, packs: list[Pack], after: int) -> None:
    replace, done = os.replace, []

    def place_then_die(source: Path, target: Path) -> None:
        replace(source, target)
        if Path(target).parent.name == "pack":
            done.append(target)
        if len(done) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = place_then_die  # type: ignore[assignment]
    open_at(path).adopt(packs)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_killed_in_the_middle_then_adopted_again(store: FilesystemStore, tmp_path: Path, after: int) -> None:
    groups = [samples.contents(5, f"group {n}") for n in range(2)]
    packs = make_packs(tmp_path / "packs", *groups)
    child = _SPAWN.Process(target=_die_between_files, args=(tmp_path / "o", packs, after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    held = dict(one for group in groups for one in group)
    whole = dict(one for group in groups[: after // 2] for one in group)
    assert store.read(whole) == whole
    store.read(held)  # and what is half there does no harm
    store.adopt(packs)
    assert store.read(held) == held
    assert list(store.verify()) == []
    assert leftovers(store) == []


@pytest.mark.parametrize("after", [1, 2])
def test_a_signal_leaves_no_half_pair(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    (pack,) = make_packs(tmp_path / "packs", samples.contents(5))
    placed = []

    def signalled(call: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def place(source: Path, target: Path) -> None:
            call(source, target)
            if Path(target).parent.name == "pack":
                placed.append(target)
                if len(placed) == after:
                    ask(Cancelled)

        return place

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", signalled(os.link))
        patch.setattr(os, "replace", signalled(os.replace))
        with pytest.raises(Cancelled):
            store.adopt([pack])
    assert sorted(Path(name).suffix for name in files(store)) in ([], [".idx", ".pack"])
    assert list(store.verify()) == []


def test_what_a_killed_adoption_left_is_completed_by_maintain(store: FilesystemStore, tmp_path: Path) -> None:
    (pack,) = make_packs(tmp_path / "packs", samples.contents(5))
    child = _SPAWN.Process(target=_die_between_files, args=(tmp_path / "o", [pack], 1))
    child.start()
    child.join(60)
    store.maintain()
    assert list(store.verify()) == []
    assert store.read(one.id for one in samples.contents(5)) == dict(samples.contents(5))


def colliding_pack(folder: Path, first: samples.Sample, second: bytes) -> Pack:
    """A pack that has ``second`` under the id of ``first``."""
    other = samples.sample(first.id.kind, second)
    (pack,) = make_packs(folder, [other])
    forge_idx(pack, other.id.digest, first.id.digest)
    return pack


def test_another_body_under_a_held_id_is_a_collision(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = samples.contents(1)[0], b"the other body"
    (held,) = make_packs(tmp_path / "held", [first])
    store.adopt([held])
    (innocent,) = make_packs(tmp_path / "innocent", samples.contents(3, "innocent"))
    pack = colliding_pack(tmp_path / "evil", first, second)
    before = files(store)
    monkeypatch.setattr(hashlib, "sha1", samples.Colliding(first.id.kind, first.body, second))
    with pytest.raises(Collision, match=first.id.hex):
        store.adopt([innocent, pack])
    assert files(store) == before
    assert store.read([first.id]) == dict([first])


def test_two_bodies_in_packs_that_come_together_are_a_collision(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = samples.contents(1)[0], b"the other body"
    (good,) = make_packs(tmp_path / "good", [first])
    evil = colliding_pack(tmp_path / "evil", first, second)
    monkeypatch.setattr(hashlib, "sha1", samples.Colliding(first.id.kind, first.body, second))
    with pytest.raises(Collision, match=first.id.hex):
        store.adopt([good, evil])
    assert files(store) == {}


def test_an_idx_that_lies_about_a_held_id_is_corrupt(store: FilesystemStore, tmp_path: Path) -> None:
    first = samples.contents(1)[0]
    store.add([first.pair])
    before = files(store)
    with pytest.raises(Corrupt, match=first.id.hex):
        store.adopt([colliding_pack(tmp_path / "evil", first, b"the other body")])
    assert files(store) == before


def test_a_lying_idx_never_gives_its_bytes(store: FilesystemStore, tmp_path: Path) -> None:
    first = samples.contents(1)[0]
    store.adopt([colliding_pack(tmp_path / "evil", first, b"the other body")])
    with pytest.raises(Corrupt, match=first.id.hex):
        store.read([first.id])
    with pytest.raises(Corrupt, match=first.id.hex):
        list(store.stream(first.id))
    store.add([first.pair])
    assert store.read([first.id]) == dict([first])


@pytest.mark.parametrize("suffix", [".pack", ".idx"])
@pytest.mark.parametrize("offset", [4, 40, -30, -1])
def test_one_damaged_byte_is_refused(
    store: FilesystemStore, tmp_path: Path, suffix: str, offset: int
) -> None:
    good, bad = make_packs(tmp_path / "packs", samples.contents(3, "good"), samples.contents(3, "bad"))
    path = bad.path.with_suffix(suffix)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(Corrupt, match=bad.path.stem):
        store.adopt([good, bad])
    assert files(store) == {}


def test_a_pack_that_is_gone_is_refused(store: FilesystemStore, tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="missing"):
        store.adopt([Pack(tmp_path / "no.pack", tmp_path / "no.idx")])


def test_large_offsets_and_deltas(store: FilesystemStore, tmp_path: Path) -> None:
    pack = deltified(tmp_path / "packs", related(50))
    idx = tmp_path / "large.idx"
    argv = ["git", "index-pack", "--index-version=2,100", "-o", str(idx), str(pack.path)]
    subprocess.run(argv, check=True, capture_output=True)
    assert idx.stat().st_size > pack.idx.stat().st_size
    store.adopt([Pack(pack.path, idx)])
    assert store.read(one.id for one in related(50)) == dict(related(50))
    (table,) = tables(store)
    offsets = [offset for offset, _ in table.in_pack_order()]
    assert offsets == sorted(offsets)
    assert offsets[0] == 12
    assert len(offsets) == 50


def test_a_pack_may_be_larger_than_what_is_compared_at_a_time(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit_filesystem.adopting._SHARE", 7)
    one, two = make_packs(tmp_path / "packs", samples.contents(50), samples.contents(60))
    assert store.adopt([one]).objects == 50
    assert store.adopt([two]).objects == 10
    assert len(store.scan()) == 60


def test_a_pack_that_brings_nothing_new_is_not_kept(store: FilesystemStore, tmp_path: Path) -> None:
    whole, part, more = make_packs(
        tmp_path / "packs", samples.contents(20), samples.contents(7), samples.contents(21)
    )
    assert store.adopt([whole]).objects == 20
    before = files(store)
    assert (store.adopt([part]).objects, store.adopt([part]).bytes) == (0, 0)
    assert files(store) == before
    assert store.adopt([more, part]).objects == 1
    assert len(tables(store)) == 2


def test_many_small_packs_become_few(store: FilesystemStore, tmp_path: Path) -> None:
    packs = make_packs(tmp_path / "packs", *([one] for one in samples.contents(45)))
    for pack in packs:
        store.adopt([pack])
    assert len(tables(store)) <= 33
    assert len(store.scan()) == 45
    assert list(store.verify()) == []
    for pack in packs:
        store.adopt([pack])
    assert store.read(one.id for one in samples.contents(45)) == dict(samples.contents(45))


def test_many_packs_of_any_size_come_into_progression(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit_filesystem.maintaining.SMALL", 0)
    monkeypatch.setattr("swhkit_filesystem.maintaining.MANY", 4)
    large, *others = make_packs(
        tmp_path / "packs", samples.contents(100), *(samples.contents(3, f"{n}") for n in range(9))
    )
    for pack in (large, *others):
        store.adopt([pack])
    assert len(tables(store)) <= 4
    assert max(map(len, tables(store))) == 100
    assert len(store.scan()) == 127


def test_threads_and_stores_may_adopt_at_once(store: FilesystemStore, tmp_path: Path) -> None:
    packs = make_packs(tmp_path / "packs", *(samples.contents(10 * n, "shared") for n in range(1, 6)))

    def work(number: int) -> None:
        mine = open_at(tmp_path / "o")
        for pack in packs[number:] + packs[:number]:
            mine.adopt([pack])
        mine.close()

    samples.together(4, work)
    assert len(store.scan()) == 50
    assert list(store.verify()) == []
