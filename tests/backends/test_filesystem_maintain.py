"""The filesystem store keeps few packs and drops nothing: maintenance, takedown, scrubs that go on over both."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from packed_stores import deltified, files, flip, make_packs, open_at, pack_folder, related, tables

from swhkit.errors import Corrupt, InvalidInput
from swhkit.hashes import hash_content
from swhkit.storage import Scrubbed
from swhkit.swhid import Kind
from swhkit.testing import samples
from swhkit_filesystem.maintaining import rolled_up
from swhkit_filesystem.store import FilesystemStore
from swhkit_filesystem.tables import Table

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemStore]:
    store = open_at(tmp_path / "o", True)
    yield store
    store.close()


class Counted(Table):
    """A table that says it has so many objects."""

    def __init__(self, count: int) -> None:
        self.count = count


@pytest.mark.parametrize(
    ("counts", "rolled"),
    [
        ([], []),
        ([5], []),
        ([1, 2, 4, 8], []),
        ([1, 1, 4, 8], [1, 1]),
        ([3, 3, 8, 100], [3, 3, 8]),
        ([5, 5, 5, 1000], [5, 5, 5]),
        ([100, 150], [100, 150]),
    ],
)
def test_the_progression_is_that_of_git(counts: list[int], rolled: list[int]) -> None:
    tables = [Counted(count) for count in counts]
    assert [len(table) for table in rolled_up(tables, sum(counts))] == rolled


def test_many_packs_become_few_and_duplicates_go(store: FilesystemStore, tmp_path: Path) -> None:
    groups = [[*samples.contents(20 + n, "shared"), *samples.contents(5, f"own {n}")] for n in range(6)]
    store.adopt(make_packs(tmp_path / "packs", *groups))
    held = dict(one for group in groups for one in group)
    report = store.maintain()
    assert report.objects == len(held)
    assert report.bytes_after < report.bytes_before
    assert [len(table) for table in tables(store)] == [len(held)]
    assert store.read(held) == held
    again = store.maintain()
    assert again.bytes_before == again.bytes_after == report.bytes_after
    assert list(store.verify()) == []


def test_a_large_pack_stays_as_it_is(store: FilesystemStore, tmp_path: Path) -> None:
    store.adopt(
        make_packs(
            tmp_path / "packs", samples.contents(200), samples.contents(4, "a"), samples.contents(4, "b")
        )
    )
    large = max(tables(store), key=len)
    store.maintain()
    assert large.pack.exists()
    assert sorted(len(table) for table in tables(store)) == [8, 200]
    assert (pack_folder(store) / "multi-pack-index").exists()
    assert len(store.scan()) == 208


def test_what_the_large_pack_holds_too_is_held_once(store: FilesystemStore, tmp_path: Path) -> None:
    few = samples.contents(200)[:5]
    store.adopt(
        make_packs(
            tmp_path / "packs",
            samples.contents(200),
            [*few, *samples.contents(3, "a")],
            samples.contents(7, "b"),
        )
    )
    store.maintain()
    assert sorted(len(table) for table in tables(store)) == [10, 200]
    assert len(store.scan()) == 210


def test_a_damaged_pack_stops_it_and_nothing_is_deleted(store: FilesystemStore, tmp_path: Path) -> None:
    store.adopt(make_packs(tmp_path / "packs", *(samples.contents(5, f"{n}") for n in range(4))))
    for victim in tables(store):
        flip(victim.pack, 30, 1)
        before = files(store)
        with pytest.raises(Corrupt, match=victim.name):
            store.maintain()
        assert files(store) == before
        flip(victim.pack, 30, 1)
    assert store.maintain().objects == 20


def _die_while_deleting(path: Path, after: int) -> None:
    unlink, done = Path.unlink, []

    def unlink_then_die(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok=missing_ok)
        if self.parent.name == "pack" and self.name.startswith("pack-"):
            done.append(self)
        if len(done) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    Path.unlink = unlink_then_die  # type: ignore[method-assign]
    open_at(path).maintain()


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_killed_while_old_packs_go(store: FilesystemStore, tmp_path: Path, after: int) -> None:
    groups = [[*samples.contents(10 + n, "shared"), *related(10)] for n in range(3)]
    store.adopt(make_packs(tmp_path / "packs", *groups))
    held = dict(one for group in groups for one in group)
    child = _SPAWN.Process(target=_die_while_deleting, args=(tmp_path / "o", after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    for each in (store, open_at(tmp_path / "o")):
        assert each.missing([*held, samples.UNKNOWN]) == {samples.UNKNOWN}
        assert each.read(held) == held
    assert store.maintain().objects == len(held)
    assert [len(table) for table in tables(store)] == [len(held)]
    assert store.read(held) == held
    assert list(store.verify()) == []


def test_writers_and_readers_go_on_during_maintenance(store: FilesystemStore, tmp_path: Path) -> None:
    steady = dict([*samples.graph(), *related(50)])
    store.adopt(make_packs(tmp_path / "packs", samples.graph(), related(50)))
    groups = [samples.contents(8, f"late {n}") for n in range(30)]
    packs = make_packs(tmp_path / "late", *groups)
    done = threading.Event()

    def adopt() -> None:
        mine = open_at(tmp_path / "o")
        for pack, group in zip(packs, groups, strict=True):
            mine.adopt([pack])
            assert mine.read(one.id for one in group) == dict(group)
        mine.close()

    def maintain() -> None:
        mine = open_at(tmp_path / "o")
        while not done.is_set():
            mine.maintain()
        mine.close()

    def read() -> None:
        mine = open_at(tmp_path / "o")
        while not done.is_set():
            assert mine.read(steady) == steady
            assert mine.missing([*steady, samples.UNKNOWN]) == {samples.UNKNOWN}
            for id in list(steady)[:10]:
                assert b"".join(mine.stream(id)) == steady[id]
        mine.close()

    def work(number: int) -> None:
        try:
            if number == 0:
                adopt()
        finally:
            if number == 0:
                done.set()
        if number:
            (maintain if number < 3 else read)()

    samples.together(5, work)
    held = steady | dict(one for group in groups for one in group)
    assert store.read(held) == held
    assert len(store.scan()) == len(held)
    assert list(store.verify()) == []


def test_remove_takes_an_object_out_of_every_pack(store: FilesystemStore, tmp_path: Path) -> None:
    groups = [[*related(10), *samples.contents(10)], samples.contents(3, "other")]
    store.adopt([deltified(tmp_path / "delta", related(40)), *make_packs(tmp_path / "packs", *groups)])
    store.maintain()
    store.adopt(make_packs(tmp_path / "more", related(12)))
    untouched = [table.name for table in tables(store) if table.find(related(6)[5].id.digest) is None]
    gone = {one.id for one in related(40)[4:7]}
    store.remove(gone)
    held = dict([*related(40), *(one for group in groups for one in group)])
    rest = {id: body for id, body in held.items() if id not in gone}
    fresh = open_at(tmp_path / "o")
    for each in (store, fresh):
        assert each.read([*rest, *gone]) == rest
        assert each.missing([*rest, *gone]) == gone
    fresh.close()
    assert set(untouched) <= {table.name for table in tables(store)}
    assert all(
        id.digest not in data for id in gone for name, data in files(store).items() if name.endswith("x")
    )
    assert list(store.verify()) == []


def test_remove_everything(store: FilesystemStore, tmp_path: Path) -> None:
    store.adopt(make_packs(tmp_path / "packs", related(10), samples.contents(5)))
    store.maintain()
    store.remove([one.id for one in [*related(10), *samples.contents(5)]])
    assert store.scan() == []
    assert tables(store) == []
    assert store.maintain().objects == 0
    assert list(store.verify()) == []


def test_remove_stops_at_another_damaged_object(store: FilesystemStore, tmp_path: Path) -> None:
    store.adopt(make_packs(tmp_path / "packs", samples.contents(5)))
    (table,) = tables(store)
    flip(table.pack, 20)
    before = files(store)
    good = next(
        one.id for one in samples.contents(5) if one.id.digest != next(iter(table.in_pack_order()))[1]
    )
    with pytest.raises(Corrupt, match="nothing was changed"):
        store.remove([good])
    assert files(store) == before


def test_scrub_goes_on_from_every_position_in_small_shares(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit_filesystem.scrubbing._SHARE_OBJECTS", 3)
    monkeypatch.setattr("swhkit_filesystem.tables._WINDOW", 5)
    groups = [[*samples.graph()], samples.contents(17), [*samples.contents(4), *samples.contents(2, "more")]]
    store.adopt(make_packs(tmp_path / "packs", *groups))
    whole = [one for one in store.scrub() if isinstance(one, Scrubbed)]
    assert len(whole) == sum(map(len, groups))
    bodies = dict(one for group in groups for one in group)
    for one in whole:
        assert one.hashes == (hash_content(bodies[one.id]) if one.id.kind is Kind.CONTENT else None)
    for number in range(0, len(whole), 4):
        rest = [one for one in store.scrub(whole[number].position) if isinstance(one, Scrubbed)]
        assert rest == whole[number + 1 :]


def test_what_is_rewritten_during_a_scrub_is_still_read(
    store: FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit_filesystem.scrubbing._SHARE_OBJECTS", 2)
    groups = [samples.contents(20, f"{n}") for n in range(5)]
    store.adopt(make_packs(tmp_path / "packs", *groups))
    everything = {one.id for group in groups for one in group}
    scrub = store.scrub()
    seen = {next(scrub).id}  # type: ignore[union-attr]
    store.maintain()
    assert len(tables(store)) == 1
    rest = list(scrub)
    assert all(isinstance(one, Scrubbed) for one in rest)
    assert seen | {one.id for one in rest if isinstance(one, Scrubbed)} == everything


def test_a_position_that_is_none(store: FilesystemStore) -> None:
    for text in ("", "x", "a:b:c", "pack:-1:2", "pack:1:"):
        with pytest.raises(InvalidInput, match="position"):
            list(store.scrub(text))
