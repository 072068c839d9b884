"""The filesystem store under damage: right bytes or ``Corrupt``, never wrong bytes, never "missing", never a crash."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from packed_stores import (
    damage_object,
    deltified,
    extent,
    files,
    flip,
    make_packs,
    open_at,
    pack_folder,
    related,
    tables,
)

from swhkit.affected import tell_missing
from swhkit.errors import Corrupt
from swhkit.process import Runner
from swhkit.storage import Finding, Scrubbed
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit_filesystem.hopeless import Hopeless
from swhkit_filesystem.store import FilesystemStore

HELD = dict([*samples.graph(), *related(60), *samples.contents(30)])
#: Parts of an idx: signature, fan-out, names, checksums of entries, offsets, checksum of the pack, own checksum.
IDX_PLACES = {
    "head": 3,
    "fanout": 8 + 4 * 128,
    "names": 1032 + 25,
    "crc": -300,
    "offsets": -44,
    "pack": -30,
    "own": -3,
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemStore]:
    """A store with two packs, one of them with deltas, and a multi-pack-index."""
    store = open_at(tmp_path / "o", True)
    store.adopt([deltified(tmp_path / "delta", [*samples.graph(), *related(60)])])
    store.adopt(make_packs(tmp_path / "packs", samples.contents(30)))
    store.maintain()
    assert len(tables(store)) == 2
    assert (pack_folder(store) / "multi-pack-index").exists()
    yield store
    store.close()


def largest(store: FilesystemStore) -> Path:
    return max(pack_folder(store).glob("*.pack"), key=lambda path: path.stat().st_size)


def assert_all_there(path: Path) -> None:
    """A fresh store answers everything, in every way of asking."""
    store = open_at(path)
    try:
        assert store.missing([*HELD, samples.UNKNOWN]) == {samples.UNKNOWN}
        assert store.read(HELD) == HELD
        for id, body in HELD.items():
            assert store.read([id]) == {id: body}
            assert b"".join(store.stream(id)) == body
        assert store.sizes(HELD) == {id: len(body) for id, body in HELD.items()}
        assert set(store.scan()) == set(HELD)
    finally:
        store.close()


def assert_never_wrong(store: FilesystemStore) -> int:
    """Each answer is right or ``Corrupt``; returns how many were ``Corrupt``."""
    corrupt = 0
    for id, body in HELD.items():
        try:
            assert store.read([id]) == {id: body}
        except Corrupt:
            corrupt += 1
        with suppress(Corrupt):
            assert b"".join(store.stream(id)) == body
        with suppress(Corrupt):
            assert store.missing([id]) == set()
    try:
        assert store.read(HELD) == HELD
    except Corrupt:
        assert corrupt
    return corrupt


@pytest.mark.parametrize(
    ("place", "mask"), [*((place, 0x80) for place in IDX_PLACES), ("names", 0x01), ("offsets", 0x01)]
)
def test_a_damaged_idx_is_read_around_and_made_anew(
    store: FilesystemStore, tmp_path: Path, place: str, mask: int
) -> None:
    idx = largest(store).with_suffix(".idx")
    sound = idx.read_bytes()
    (pack_folder(store) / "multi-pack-index").unlink()
    flip(idx, IDX_PLACES[place], mask)
    assert_all_there(tmp_path / "o")
    assert [finding.file for finding in store.verify()] == [str(idx)]
    report = store.maintain()
    assert idx.name in report.summary
    assert idx.read_bytes() == sound
    assert list(store.verify()) == []
    assert_all_there(tmp_path / "o")


@pytest.mark.parametrize("size", [0, 7, 1000, 1500])
def test_an_idx_cut_short(store: FilesystemStore, tmp_path: Path, size: int) -> None:
    idx = largest(store).with_suffix(".idx")
    idx.chmod(0o600)
    with idx.open("r+b") as file:
        file.truncate(size)
    assert_all_there(tmp_path / "o")
    assert str(idx) in [finding.file for finding in store.verify()]
    store.maintain()
    assert list(store.verify()) == []


def test_a_lost_idx(store: FilesystemStore, tmp_path: Path) -> None:
    pack = largest(store)
    sound = pack.with_suffix(".idx").read_bytes()
    pack.with_suffix(".idx").unlink()
    assert store.missing(HELD) == set()
    assert_all_there(tmp_path / "o")
    assert [finding.file for finding in store.verify()] == [str(pack)]
    store.maintain()
    assert pack.with_suffix(".idx").read_bytes() == sound
    assert list(store.verify()) == []


def test_an_idx_damaged_while_the_store_is_open(store: FilesystemStore) -> None:
    assert store.read(HELD) == HELD
    flip(largest(store).with_suffix(".idx"), IDX_PLACES["names"])
    (pack_folder(store) / "multi-pack-index").unlink()
    assert store.missing([*HELD, samples.UNKNOWN]) == {samples.UNKNOWN}
    assert store.read(HELD) == HELD


def test_a_damaged_multi_pack_index_is_read_around_and_made_anew(
    store: FilesystemStore, tmp_path: Path
) -> None:
    midx = pack_folder(store) / "multi-pack-index"
    sound = midx.read_bytes()
    for offset in random.Random(1).sample(range(len(sound)), 12):
        flip(midx, offset, 0x80)
        fresh = open_at(tmp_path / "o")
        assert fresh.missing([*HELD, samples.UNKNOWN]) == {samples.UNKNOWN}
        assert fresh.read(HELD) == HELD
        fresh.close()
        assert [finding.file for finding in store.verify()] == [str(midx)]
        flip(midx, offset, 0x80)
    flip(midx, 100)
    store.maintain()
    assert midx.read_bytes() == sound
    assert list(store.verify()) == []


def test_a_damaged_pack_gives_right_bytes_or_corrupt(store: FilesystemStore, tmp_path: Path) -> None:
    pack = largest(store)
    size = pack.stat().st_size
    for offset in [0, 5, 11, size - 1, size - 20, *random.Random(2).sample(range(12, size - 20), 5)]:
        flip(pack, offset, 0x10)
        fresh = open_at(tmp_path / "o")
        assert_never_wrong(fresh)
        assert str(pack) in [finding.file for finding in fresh.verify()]
        fresh.close()
        flip(pack, offset, 0x10)
    assert_all_there(tmp_path / "o")


def test_a_pack_cut_short_or_lost(store: FilesystemStore, tmp_path: Path) -> None:
    pack = largest(store)
    whole = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        fresh = open_at(tmp_path / "o")
        assert assert_never_wrong(fresh) > 0
        assert list(fresh.verify()) != []
        with pytest.raises(Corrupt):
            fresh.missing(HELD)
        assert str(pack) in {one.file for one in fresh.scrub() if isinstance(one, Finding)}
        assert fresh.missing(one.id for one in samples.contents(30)) == set()
        fresh.close()
        pack.unlink(missing_ok=True)


def test_pack_and_idx_both_damaged(store: FilesystemStore, tmp_path: Path) -> None:
    pack = largest(store)
    flip(pack, 200)
    flip(pack.with_suffix(".idx"), IDX_PLACES["names"])
    (pack_folder(store) / "multi-pack-index").unlink()
    fresh = open_at(tmp_path / "o")
    other = dict(samples.contents(30))
    assert fresh.read(other) == other
    assert fresh.missing(other) == set()
    for call in (lambda: fresh.read(HELD), lambda: fresh.missing([samples.UNKNOWN]), lambda: fresh.scan()):
        with pytest.raises(Corrupt, match=pack.name):
            call()
    assert {str(pack), str(pack.with_suffix(".idx"))} <= {finding.file for finding in fresh.verify()}
    found = list(fresh.scrub())
    assert {one.id for one in found if isinstance(one, Scrubbed)} == set(other)
    assert str(pack) in {one.file for one in found if isinstance(one, Finding)}
    before = files(fresh)
    with pytest.raises(Corrupt, match=pack.name):
        fresh.maintain()
    assert files(fresh) == before
    fresh.close()


def test_a_good_copy_is_found_behind_a_damaged_one(tmp_path: Path) -> None:
    both = samples.contents(40)
    store = open_at(tmp_path / "o", True)
    store.adopt(make_packs(tmp_path / "packs", both, [*both, *samples.contents(5, "more")]))
    for number, table in enumerate(tables(store)):
        for one in both[number * 20 : number * 20 + 20]:  # each pack has lost what the other one still has
            start, end = extent(table, one.id)
            flip(table.pack, (start + end) // 2)
    fresh = open_at(tmp_path / "o")
    for one in both:
        assert fresh.read([one.id]) == dict([one])
    assert fresh.read(one.id for one in both) == dict(both)
    damaged = [one for one in fresh.scrub() if isinstance(one, Finding)]
    assert {one.object for one in damaged} == {one.id for one in both}
    assert {one.file for one in damaged} == {str(table.pack) for table in tables(store)}
    store.maintain()  # makes one good pack of what each of the two still has
    assert [one for one in store.scrub() if isinstance(one, Finding)] == []
    assert list(store.verify()) == []
    assert store.read(one.id for one in both) == dict(both)
    fresh.close()
    store.close()


def test_what_damaged_packs_alone_had_keeps_them(tmp_path: Path) -> None:
    both = samples.contents(10)
    store = open_at(tmp_path / "o", True)
    store.adopt(make_packs(tmp_path / "packs", both, [*both[1:], *samples.contents(5, "more")]))
    damage_object(store, both[0].id)
    before = files(store)
    with pytest.raises(Corrupt, match=f"alone has the object {both[0].id.hex}; nothing was changed"):
        store.maintain()
    assert files(store) == before
    store.adopt(make_packs(tmp_path / "again", both[:3]))
    store.maintain()
    assert store.read(one.id for one in both) == dict(both)
    assert [one for one in store.scrub() if isinstance(one, Finding)] == []
    store.close()


@pytest.mark.parametrize("mask", [0xFF, 0x70, 0x10, 0x80])
def test_a_damaged_head_does_not_make_an_object_one_of_another_kind(
    store: FilesystemStore, mask: int
) -> None:
    for one in samples.contents(4):
        table = next(table for table in tables(store) if table.find(one.id.digest) is not None)
        flip(table.pack, extent(table, one.id)[0], mask)
        with pytest.raises(Corrupt, match=one.id.hex):
            store.read([one.id])
        with suppress(Corrupt):
            assert store.missing([one.id]) == set()


def test_a_large_object_is_streamed_from_its_good_copy(tmp_path: Path) -> None:
    large = max(samples.graph(), key=lambda one: len(one.body))
    store = open_at(tmp_path / "o", True)
    store.adopt(make_packs(tmp_path / "packs", [large, *samples.contents(1)], [large, *samples.contents(2)]))
    for table in tables(store):
        start, end = extent(table, large.id)
        flip(table.pack, (start + end) // 2)
        fresh = open_at(tmp_path / "o")
        assert b"".join(fresh.stream(large.id)) == large.body
        assert fresh.read([large.id]) == dict([large])
        fresh.close()
        flip(table.pack, (start + end) // 2)
    store.close()


def test_a_damaged_object_can_be_removed_and_added_again(store: FilesystemStore) -> None:
    bad = samples.contents(30)[7]
    damage_object(store, bad.id)
    with pytest.raises(Corrupt, match=bad.id.hex):
        store.read([bad.id])
    store.remove([bad.id])
    assert store.missing(HELD) == {bad.id}
    store.add([bad.pair])
    assert store.read(HELD) == HELD
    assert list(store.verify()) == []


def test_a_good_copy_that_is_added_heals(store: FilesystemStore, tmp_path: Path) -> None:
    one, two = samples.contents(30)[3:5]
    damage_object(store, one.id)
    damage_object(store, two.id)
    store.add([one.pair])
    store.adopt(make_packs(tmp_path / "packs", [two]))
    assert store.read(HELD) == HELD


def test_scrub_goes_on_after_each_of_many_damaged_objects(store: FilesystemStore) -> None:
    bad = {one.id for one in samples.contents(30)[5:25:3]}
    for id in bad:
        damage_object(store, id)
    found = list(store.scrub())
    findings = [one for one in found if isinstance(one, Finding)]
    assert {one.object for one in findings} == bad
    assert all(one.file and one.file.endswith(".pack") and one.next_step for one in findings)
    assert {one.id for one in found if isinstance(one, Scrubbed)} == set(HELD) - bad


def test_nothing_that_git_reads_is_hopeless(store: FilesystemStore, tmp_path: Path) -> None:
    """Small and large objects, deltas on deltas; and of those on a damaged one, all that git cannot read, or fewer."""
    large = [samples.sample(Kind.CONTENT, body) for body in (b"", b"ab" * 2_000_000, os.urandom(3_000_000))]
    store.adopt(make_packs(tmp_path / "large", large))
    everything = {one.id for one in large} | set(HELD)
    hopeless = Hopeless(tables(store))
    assert not any(hopeless(id.digest) for id in everything)
    assert not hopeless(samples.UNKNOWN.digest)
    base = max(related(60), key=lambda one: len(one.body))
    damage_object(store, base.id)
    read = {one.id for one in store.scrub() if isinstance(one, Scrubbed)}
    hopeless = Hopeless(tables(store))
    assert not any(hopeless(id.digest) for id in read)
    assert hopeless(base.id.digest)


@pytest.mark.parametrize("how", ["zeros", "one byte in every third", "cut"])
def test_thousands_of_damaged_objects_cost_a_few_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Scrubbing, reading, asking what is there and taking good copies: none starts a child for each damaged object."""
    many = samples.contents(1_500)
    store = open_at(tmp_path / "o", True)
    packs = make_packs(tmp_path / "packs", many)
    store.adopt(packs)
    (pack,) = pack_folder(store).glob("*.pack")
    offsets = list(tables(store)[0].in_pack_order())
    ends = [offset for offset, _ in offsets[1:]] + [pack.stat().st_size - 20]
    places = [
        (start, end, ObjectId(Kind.CONTENT, digest))
        for (start, digest), end in zip(offsets, ends, strict=True)
    ]
    data = bytearray(pack.read_bytes())
    pack.unlink()  # the files that came are linked
    if how == "cut":
        bad = {one.id for one in many}  # git does not open it
        pack.write_bytes(data[: len(data) // 4])
    else:
        hit = places[200:1_300] if how == "zeros" else places[::3]
        bad = {id for _, _, id in hit}
        for start, end, _ in hit:
            data[start:end] = (
                bytes(end - start) if how == "zeros" else bytes([data[start] ^ 0x08]) + data[start + 1 : end]
            )
        pack.write_bytes(data)
    assert len(bad) >= 500
    children = 0
    real = Runner.start

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal children
        children += 1
        return real(*args, **kwargs)

    monkeypatch.setattr(Runner, "start", counting)
    found = list(store.scrub())
    assert {one.id for one in found if isinstance(one, Scrubbed)} == {one.id for one in many} - bad
    assert sum(isinstance(one, Finding) for one in found) == len(bad)
    for id in sorted(bad):
        with pytest.raises(Corrupt):
            store.read([id])
    for missing, unclear in tell_missing(store, sorted(bad)):
        assert (missing, unclear <= bad) == (set(), True)
    assert children < 200
    store.adopt(packs)
    assert store.read([one.id for one in many]) == {one.id: one.body for one in many}
    assert children < 300
    store.close()


def test_damage_below_deltas_is_found_in_all_that_stand_on_it(store: FilesystemStore) -> None:
    table = next(table for table in tables(store) if table.find(related(1)[0].id.digest) is not None)
    whole = max(related(60), key=lambda one: extent(table, one.id)[1] - extent(table, one.id)[0])
    damage_object(store, whole.id)
    findings: set[ObjectId | None] = {one.object for one in store.scrub() if isinstance(one, Finding)}
    assert len(findings) > 1
    good = {id: body for id, body in HELD.items() if id not in findings}
    assert len(good) + len(findings) == len(HELD)
    assert store.read(good) == good


def test_a_config_that_lost_the_extension_is_found(store: FilesystemStore) -> None:
    config = store.git_dir / "config"
    text = config.read_text()
    for right, wrong in (("preciousObjects = true", ""), ("= true\n", "= false\n"), ("= 1", "= 0")):
        assert right in text
        config.write_text(text.replace(right, wrong))
        assert [finding.file for finding in store.verify()] == [str(config)]
    config.write_bytes(b"\xff[[[")
    assert [finding.file for finding in store.verify()] == [str(config)]
    assert store.read(HELD) == HELD
    config.unlink()
    assert [finding.file for finding in store.verify()] == [str(config)]


def test_what_does_not_belong_there_is_found(store: FilesystemStore) -> None:
    stray = pack_folder(store) / "tmp_pack_abc"
    stray.write_bytes(b"x")
    assert list(store.verify()) == []
    os.utime(stray, (1, 1))
    loose = store.git_dir / "objects" / "ab"
    loose.mkdir()
    (loose / ("c" * 38)).write_bytes(b"truncated")
    (store.git_dir / "objects" / "info" / "alternates").write_text("/elsewhere\n")
    assert {finding.file for finding in store.verify()} == {
        str(stray),
        str(loose),
        str(store.git_dir / "objects" / "info" / "alternates"),
    }
    loose_id = ObjectId(Kind.CONTENT, bytes.fromhex("ab" + "c" * 38))
    assert store.missing([loose_id]) == {loose_id}
    store.maintain()
    assert not stray.exists()
