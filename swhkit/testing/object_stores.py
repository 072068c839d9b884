"""The contract of ``ObjectStore``: all of ``ReaderContract``, and what holds for taking and forgetting.

On ``Collision``: no two bodies are known whose git ids are the same, so the contract replaces ``hashlib.sha1`` by one
under which two do (``samples.Colliding``). A store that hashes single objects through ``swhkit.hashes`` or
``hashlib.sha1`` then meets what an attack would be. A body that simply does not hash to its id is ``Corrupt``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from swhkit.errors import Collision, Corrupt, SwhkitError, TooLarge
from swhkit.model import Bytes, ByteSource, Chunks, File, Pack
from swhkit.process import Runner
from swhkit.storage import READ_LIMIT, ObjectStore
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.object_upkeep import Damage as Damage
from swhkit.testing.object_upkeep import UpkeepContract
from swhkit.testing.readers import Filled, ReaderContract
from swhkit.testing.samples import Sample

BIG = 300 << 20


class ObjectStoreContract(UpkeepContract, ReaderContract):
    """Subclass it and supply the fixtures ``store`` and ``damage``."""

    #: Bytes of anonymous memory a store may take while a content of 300 MB goes in or out.
    spare_memory = 64 << 20

    @pytest.fixture
    def store(self) -> Iterator[ObjectStore]:
        """An empty store; close it after ``yield``."""
        raise NotImplementedError("supply a fixture named store")

    @pytest.fixture
    def damage(self) -> Damage:
        """A function ``damage(store, id)`` that changes the stored bytes of an object behind the store's back."""
        raise NotImplementedError("supply a fixture named damage")

    @pytest.fixture
    def filled(self, store: ObjectStore) -> Filled:
        graph = samples.graph()
        store.add(one.pair for one in graph)
        return Filled(store, {one.id: one.body for one in graph})

    @pytest.fixture
    def runner(self, tmp_path: Path) -> Runner:
        """Starts git for the packs of these tests."""
        home = tmp_path / "runner"
        home.mkdir()
        return Runner(home)

    @pytest.fixture
    def pack(self, tmp_path: Path, runner: Runner) -> Callable[..., Pack]:
        """``pack(samples, name)`` makes a pack outside the store."""

        def make(objects: Iterable[Sample], name: str = "sample") -> Pack:
            return samples.make_pack(tmp_path / "packs", objects, runner, name)

        return make

    # --- add ---

    def test_add_then_held(self, store: ObjectStore) -> None:
        graph = samples.graph()
        assert store.missing(one.id for one in graph) == {one.id for one in graph}
        report = store.add(iter([one.pair for one in graph]))
        assert report.objects >= 0
        assert report.bytes >= 0
        assert store.missing(one.id for one in graph) == set()
        assert store.read(one.id for one in graph) == dict(graph)

    def test_add_nothing(self, store: ObjectStore) -> None:
        store.add([])
        assert store.scan() == []

    def test_add_is_idempotent_and_takes_repeats(self, store: ObjectStore) -> None:
        graph = samples.graph()
        for _ in range(2):
            store.add([one.pair for one in graph * 2])
        assert store.scan() == sorted((one.id for one in graph), key=lambda id: id.digest)

    def test_add_takes_every_kind_of_source(self, store: ObjectStore, tmp_path: Path) -> None:
        one, two, three = samples.contents(3)
        (tmp_path / "body").write_bytes(two.body)
        pieces = iter([three.body[:1], b"", three.body[1:]])
        store.add(
            [
                (one.id, Bytes(one.body)),
                (two.id, File(tmp_path / "body", len(two.body))),
                (three.id, Chunks(len(three.body), pieces)),
            ]
        )
        assert store.read([one.id, two.id, three.id]) == dict([one, two, three])

    @pytest.mark.parametrize("position", [0, 2, 4])
    def test_a_wrong_digest_is_corrupt_and_none_of_the_batch_is_taken(
        self, store: ObjectStore, position: int
    ) -> None:
        good = samples.contents(4)
        batch: list[tuple[ObjectId, ByteSource]] = [one.pair for one in good]
        forged = samples.contents(1, "forged")[0].id
        batch.insert(position, (forged, Bytes(b"something else")))
        with pytest.raises(Corrupt, match=forged.hex):
            store.add(batch)
        assert store.scan() == []
        store.add(one.pair for one in good)
        assert len(store.scan()) == 4

    def test_a_wrong_digest_after_many_good_ones(self, store: ObjectStore) -> None:
        good = samples.contents(3_000)
        batch = [*(one.pair for one in good), (samples.UNKNOWN, Bytes(b"something else"))]
        with pytest.raises(Corrupt):
            store.add(iter(batch))
        assert store.missing(one.id for one in good) == {one.id for one in good}

    @pytest.mark.parametrize("length", [4, 6, 0, 1 << 40])
    def test_a_source_of_another_length_is_corrupt(self, store: ObjectStore, length: int) -> None:
        body = samples.sample(Kind.CONTENT, b"12345")
        other = samples.contents(1)[0]
        with pytest.raises(Corrupt):
            store.add([other.pair, (body.id, Chunks(length, iter([b"123", b"45"])))])
        assert store.scan() == []

    def test_a_body_under_another_kind_is_corrupt(self, store: ObjectStore) -> None:
        tree = next(one for one in samples.graph() if one.id.kind is Kind.DIRECTORY)
        with pytest.raises(Corrupt):
            store.add([(ObjectId(Kind.CONTENT, tree.id.digest), Bytes(tree.body))])
        assert store.scan() == []

    @pytest.mark.parametrize("kind", [Kind.SNAPSHOT, Kind.ORIGIN, Kind.METADATA])
    def test_kinds_that_are_no_git_objects_are_refused(self, store: ObjectStore, kind: Kind) -> None:
        body = b"revision HEAD\x0020:" + b"x" * 20
        digest = hashlib.sha1(b"snapshot %d\0" % len(body) + body).digest()
        with pytest.raises(SwhkitError):
            store.add([(ObjectId(kind, digest), Bytes(body))])
        assert store.scan() == []

    def test_a_source_that_fails_leaves_nothing(self, store: ObjectStore, tmp_path: Path) -> None:
        one, two = samples.contents(2)
        with pytest.raises(OSError, match="gone"):
            store.add([one.pair, (two.id, File(tmp_path / "gone", len(two.body)))])
        assert store.scan() == []
        store.add([one.pair, two.pair])
        assert store.missing([one.id, two.id]) == set()

    def test_a_second_body_under_a_held_id_is_a_collision(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, innocent = samples.sample(Kind.CONTENT, b"the first body"), samples.contents(1)[0]
        second = b"the other body"
        store.add([first.pair])
        with monkeypatch.context() as patch:
            patch.setattr(hashlib, "sha1", samples.Colliding(Kind.CONTENT, first.body, second))
            with pytest.raises(Collision, match=first.id.hex):
                store.add([innocent.pair, (first.id, Bytes(second))])
        assert store.read([first.id, innocent.id]) == {first.id: first.body}

    def test_threads_may_add_the_same_at_once(self, store: ObjectStore) -> None:
        graph, own = samples.graph(), [samples.contents(50, f"thread {n}") for n in range(4)]
        samples.together(4, lambda n: store.add([one.pair for one in [*graph, *own[n]]]))
        everything = [*graph, *(one for part in own for one in part)]
        assert len(store.scan()) == len(everything)
        assert store.read(one.id for one in everything) == dict(everything)

    # --- large ones ---

    def test_a_huge_content_goes_in_and_out_in_bounded_memory(self, store: ObjectStore) -> None:
        id = samples.flow_id(BIG)
        with samples.PeakMemory() as peak:
            store.add([(id, Chunks(BIG, samples.flow(BIG)))])
            assert store.sizes([id]) == {id: BIG}
            length = 0
            for piece in store.stream(id):
                assert len(piece) <= 1 << 20
                length += len(piece)
        assert length == BIG
        assert peak.growth < self.spare_memory
        with pytest.raises(TooLarge, match=id.hex):
            store.read([id])

    def test_a_huge_content_that_is_forged_leaves_nothing(self, store: ObjectStore) -> None:
        length = 40 << 20
        with pytest.raises(Corrupt):
            store.add([(samples.UNKNOWN, Chunks(length, samples.flow(length)))])
        assert store.missing([samples.UNKNOWN]) == {samples.UNKNOWN}
        assert store.scan() == []

    def test_the_read_limit_is_exact(self, store: ObjectStore) -> None:
        ids = [samples.flow_id(READ_LIMIT + extra) for extra in (0, 1)]
        store.add((id, Chunks(READ_LIMIT + n, samples.flow(READ_LIMIT + n))) for n, id in enumerate(ids))
        assert len(store.read(ids[:1])[ids[0]]) == READ_LIMIT
        with pytest.raises(TooLarge, match=ids[1].hex):
            store.read(ids)

    def test_a_directory_of_100_000_entries(self, store: ObjectStore) -> None:
        directory = samples.big_directory(100_000)
        store.add([directory.pair])
        assert store.read([directory.id]) == {directory.id: directory.body}
        assert store.sizes([directory.id]) == {directory.id: len(directory.body)}

    # --- adopt ---

    def test_adopt_takes_all_and_the_files_may_go(
        self, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        graph = samples.graph()
        taken = pack(graph)
        store.adopt([taken])
        assert taken.path.exists()
        assert taken.idx.exists()
        taken.path.unlink()
        taken.idx.unlink()
        assert store.read(one.id for one in graph) == dict(graph)
        assert store.scan() == sorted((one.id for one in graph), key=lambda id: id.digest)

    def test_adopt_nothing_and_an_empty_pack(self, store: ObjectStore, pack: Callable[..., Pack]) -> None:
        store.adopt([])
        store.adopt([pack([], "empty")])
        assert store.scan() == []

    def test_adopt_twice_repeated_and_overlapping(
        self, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        graph = samples.graph()
        one, two = pack(graph[:6], "one"), pack(graph[3:], "two")
        store.add([graph[0].pair, graph[5].pair])
        for _ in range(2):
            store.adopt([one, two, one])
        store.add(each.pair for each in graph)
        assert store.scan() == sorted((each.id for each in graph), key=lambda id: id.digest)
        assert store.read(each.id for each in graph) == dict(graph)

    def test_adopt_keeps_malformed_objects_as_they_are(
        self, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        odd = samples.malformed()
        store.adopt([pack(odd)])
        assert store.read(one.id for one in odd) == dict(odd)
        assert [b"".join(store.stream(one.id)) for one in odd] == [one.body for one in odd]

    def test_an_idx_of_another_pack_is_corrupt(self, store: ObjectStore, pack: Callable[..., Pack]) -> None:
        one, two = pack(samples.contents(5), "one"), pack(samples.contents(5, "other"), "two")
        with pytest.raises(Corrupt):
            store.adopt([Pack(one.path, two.idx)])
        assert store.scan() == []
        store.adopt([one, two])
        assert len(store.scan()) == 10

    def test_a_pack_cut_short_is_corrupt(self, store: ObjectStore, pack: Callable[..., Pack]) -> None:
        short = pack(samples.contents(50))
        data = short.path.read_bytes()
        short.path.chmod(0o600)
        short.path.write_bytes(data[: len(data) // 2])
        with pytest.raises(Corrupt):
            store.adopt([short])
        assert store.scan() == []

    # --- remove ---

    def test_remove_then_missing_then_added_again(
        self, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        packed, single = samples.contents(5, "packed"), samples.contents(5, "single")
        store.adopt([pack(packed)])
        store.add(one.pair for one in single)
        gone = {packed[1].id, single[2].id}
        for _ in range(2):
            store.remove([*gone, samples.UNKNOWN, *gone])
        rest = [one for one in packed + single if one.id not in gone]
        assert store.missing(one.id for one in packed + single) == gone
        assert store.read(one.id for one in packed + single) == dict(rest)
        assert set(store.scan()) == {one.id for one in rest}
        store.add([packed[1].pair, single[2].pair])
        assert store.read(one.id for one in packed + single) == dict(packed + single)

    def test_remove_leaves_another_kind_alone(self, store: ObjectStore) -> None:
        one = samples.contents(1)[0]
        store.add([one.pair])
        store.remove([ObjectId(Kind.DIRECTORY, one.id.digest)])
        store.remove([])
        assert store.missing([one.id]) == set()

    # --- end ---

    def test_closed_stores_do_nothing_more(self, store: ObjectStore, pack: Callable[..., Pack]) -> None:
        one, adopted = samples.contents(1)[0], pack(samples.contents(1))
        store.close()
        store.close()
        for call in (
            lambda: store.add([one.pair]),
            lambda: store.adopt([adopted]),
            lambda: store.remove([one.id]),
            lambda: store.maintain(),
            lambda: list(store.verify()),
            lambda: list(store.scrub()),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
