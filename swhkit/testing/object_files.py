"""The contract of object stores that keep their objects on disk: what two stores, two processes and SIGKILL may do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swhkit.model import Chunks, Pack
from swhkit.process import Runner
from swhkit.storage import ObjectStore
from swhkit.testing import samples
from swhkit.testing.object_stores import ObjectStoreContract
from swhkit.testing.on_disk import OnDiskContract, opened
from swhkit.testing.processes import killed, two_at_once

#: ``opener(create)`` opens the same place again and again, in this or another process (so it must be picklable).
Opener = Callable[[bool], ObjectStore]


class DurableObjectStoreContract(OnDiskContract, ObjectStoreContract):
    """Subclass it and supply the fixtures ``opener`` and ``damage``; ``store`` follows from ``opener``."""

    @pytest.fixture
    def store(self, opener: Opener) -> Iterator[ObjectStore]:
        yield from opened(opener)

    def test_creating_again_keeps_what_is_there(self, store: ObjectStore, opener: Opener) -> None:
        one = samples.contents(1)[0]
        store.add([one.pair])
        for create in (True, False):
            again = opener(create)
            assert again.read([one.id]) == dict([one])
            again.close()

    def test_what_one_store_takes_another_sees_at_once(
        self, store: ObjectStore, opener: Opener, pack: Callable[..., Pack]
    ) -> None:
        other, (one, two, three) = opener(False), samples.contents(3)
        assert other.missing([one.id, two.id]) == {one.id, two.id}
        store.add([one.pair])
        assert other.read([one.id]) == dict([one])
        other.adopt([pack([two])])
        assert store.read([one.id, two.id]) == dict([one, two])
        store.add([three.pair])
        store.remove([one.id])
        assert other.missing([one.id, two.id, three.id]) == {one.id}
        other.maintain()
        assert store.read([two.id, three.id]) == dict([two, three])
        other.close()

    def test_two_processes_may_add_at_once(self, store: ObjectStore, opener: Opener) -> None:
        two_at_once(_add_in_child, opener)
        expected = [
            *samples.contents(100, "common"),
            *samples.contents(100, "child 0"),
            *samples.contents(100, "child 1"),
        ]
        assert store.read(one.id for one in expected) == dict(expected)
        assert len(store.scan()) == 300
        assert list(store.verify()) == []

    def test_what_was_taken_survives_sigkill(self, opener: Opener, tmp_path: Path) -> None:
        killed(_take_and_die, opener, tmp_path / "child")
        store = opener(False)
        expected = [*samples.contents(10, "added"), *samples.contents(9, "adopted")]
        assert store.read(one.id for one in expected) == dict(expected)
        assert len(store.scan()) == len(expected)
        assert list(store.verify()) == []
        store.close()

    def test_death_in_the_middle_of_add_leaves_a_sound_store(self, opener: Opener) -> None:
        killed(_die_while_adding, opener)
        store = opener(False)
        assert list(store.verify()) == []
        assert samples.flow_id(_HALF_WAY) not in store.scan()
        added = samples.contents(20, "before death")
        store.add(one.pair for one in added)
        assert store.read(one.id for one in added) == dict(added)
        assert store.maintain().objects == len(store.scan())
        store.close()

    def test_small_adds_do_not_become_many_files(self, store: ObjectStore, place: Path) -> None:
        added = samples.contents(200)
        for one in added:
            store.add([one.pair])
        assert sum(path.is_file() for path in place.rglob("*")) < 100
        assert store.read(one.id for one in added) == dict(added)


_HALF_WAY = 32 << 20


def _add_in_child(opener: Opener, number: int) -> None:
    store = opener(False)
    for start in range(0, 100, 10):
        store.add(one.pair for one in samples.contents(100, "common")[start : start + 10])
        store.add(one.pair for one in samples.contents(100, f"child {number}")[start : start + 10])
    store.close()


def _take_and_die(opener: Opener, folder: Path) -> None:
    (folder / "home").mkdir(parents=True)
    store = opener(True)
    store.adopt([samples.make_pack(folder, samples.contents(10, "adopted"), Runner(folder / "home"))])
    store.remove([samples.contents(10, "adopted")[9].id])
    store.add(one.pair for one in samples.contents(10, "added"))
    os.kill(os.getpid(), signal.SIGKILL)


def _die_while_adding(opener: Opener) -> None:
    def half() -> Iterator[bytes]:
        for number, piece in enumerate(samples.flow(_HALF_WAY)):
            if number == 20:
                os.kill(os.getpid(), signal.SIGKILL)
            yield piece

    store = opener(True)
    store.add(
        [
            *(one.pair for one in samples.contents(20, "before death")),
            (samples.flow_id(_HALF_WAY), Chunks(_HALF_WAY, half())),
        ]
    )
