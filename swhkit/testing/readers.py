"""The contract of ``ObjectReader``: what holds for whatever answers by id, stores and remote archives alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
import pytest

from swhkit.errors import InvalidInput, NotHeld
from swhkit.storage import ObjectReader
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.samples import UNKNOWN

PIECE_LIMIT = 1 << 20


class Filled(msgspec.Struct):
    """A reader and all that it holds."""

    reader: ObjectReader
    objects: dict[ObjectId, bytes]


class ReaderContract:
    """Subclass it and supply the fixture ``filled``."""

    #: Whether the reader can list what it holds. One that cannot (a remote archive's) says so: ``InvalidInput``.
    can_list = True

    @pytest.fixture
    def filled(self) -> Iterator[Filled]:
        """A reader that holds ``samples.graph()`` (or anything with all four kinds), and what it holds."""
        raise NotImplementedError("supply a fixture named filled")

    def test_read_gives_the_bodies(self, filled: Filled) -> None:
        assert filled.reader.read(filled.objects) == filled.objects

    def test_read_leaves_out_what_is_not_held(self, filled: Filled) -> None:
        held = next(iter(filled.objects))
        assert filled.reader.read([UNKNOWN, held]) == {held: filled.objects[held]}

    def test_an_empty_batch_gets_an_empty_answer(self, filled: Filled) -> None:
        reader = filled.reader
        assert reader.read([]) == {}
        assert reader.sizes([]) == {}
        assert reader.missing([]) == set()

    def test_a_batch_may_repeat_an_id(self, filled: Filled) -> None:
        ids = [*filled.objects, UNKNOWN] * 3
        assert filled.reader.read(ids) == filled.objects
        assert filled.reader.missing(ids) == {UNKNOWN}

    def test_a_batch_may_be_a_generator(self, filled: Filled) -> None:
        reader, lengths = filled.reader, {id: len(body) for id, body in filled.objects.items()}
        assert reader.read(id for id in filled.objects) == filled.objects
        assert reader.sizes(id for id in [*filled.objects, UNKNOWN]) == lengths
        assert reader.missing(id for id in [UNKNOWN, *filled.objects]) == {UNKNOWN}

    def test_a_batch_may_be_large(self, filled: Filled) -> None:
        unknown = [ObjectId(Kind.CONTENT, hashlib.sha1(b"unknown %d" % n).digest()) for n in range(5_000)]
        assert filled.reader.missing(iter([*unknown, *filled.objects])) == set(unknown)

    def test_sizes_are_lengths_of_bodies(self, filled: Filled) -> None:
        lengths = {id: len(body) for id, body in filled.objects.items()}
        assert filled.reader.sizes([*filled.objects, UNKNOWN]) == lengths

    def test_another_kind_of_a_held_digest_is_not_held(self, filled: Filled) -> None:
        others = {ObjectId(kind, id.digest) for id in filled.objects for kind in Kind if kind is not id.kind}
        assert filled.reader.missing(others) == others
        assert filled.reader.read(others) == {}
        assert filled.reader.sizes(others) == {}
        for id in others:
            with pytest.raises(NotHeld):
                list(filled.reader.stream(id))

    def test_both_kinds_of_a_digest_in_one_batch(self, filled: Filled) -> None:
        held = next(id for id in filled.objects if id.kind is Kind.DIRECTORY)
        other = ObjectId(Kind.CONTENT, held.digest)
        assert filled.reader.missing([other, held, other]) == {other}
        assert filled.reader.read([other, held]) == {held: filled.objects[held]}

    def test_stream_gives_small_pieces_of_the_body(self, filled: Filled) -> None:
        for id, body in filled.objects.items():
            pieces = list(filled.reader.stream(id))
            assert b"".join(pieces) == body
            assert all(len(piece) <= PIECE_LIMIT for piece in pieces)

    def test_stream_of_what_is_not_held(self, filled: Filled) -> None:
        with pytest.raises(NotHeld, match=UNKNOWN.hex):
            next(filled.reader.stream(UNKNOWN))

    def test_streams_may_be_interleaved_and_abandoned(self, filled: Filled) -> None:
        largest = max(filled.objects, key=lambda id: len(filled.objects[id]))
        one, two, abandoned = (filled.reader.stream(largest) for _ in range(3))
        next(abandoned)
        del abandoned
        parts = [b"", b""]
        for first, second in zip(one, two, strict=True):
            parts[0] += first
            parts[1] += second
        assert parts == [filled.objects[largest]] * 2
        assert filled.reader.read([largest]) == {largest: filled.objects[largest]}

    @pytest.mark.parametrize("limit", [1, 3, 1000])
    def test_scan_gives_every_id_once_in_order_of_digest(self, filled: Filled, limit: int) -> None:
        if not self.can_list:
            with pytest.raises(InvalidInput, match="listed"):
                filled.reader.scan(limit=limit)
            return
        seen: list[ObjectId] = []
        while page := filled.reader.scan(seen[-1] if seen else None, limit):
            assert len(page) <= limit
            seen += page
        assert seen == sorted(filled.objects, key=lambda id: id.digest)

    def test_scan_begins_after_an_id_that_is_not_held(self, filled: Filled) -> None:
        ordered = sorted(filled.objects, key=lambda id: id.digest)
        middle = ordered[len(ordered) // 2]
        before = ObjectId(Kind.CONTENT, (int.from_bytes(middle.digest) - 1).to_bytes(20))
        assert filled.reader.scan(limit=0) == []
        if not self.can_list:
            with pytest.raises(InvalidInput, match="listed"):
                filled.reader.scan(before, 2)
            return
        assert filled.reader.scan(before, 2) == ordered[len(ordered) // 2 :][:2]
        assert filled.reader.scan(ObjectId(Kind.CONTENT, b"\xff" * 20)) == []
        assert filled.reader.scan(ObjectId(Kind.RELEASE, bytes(20))) == ordered

    def test_many_threads_may_read_at_once(self, filled: Filled) -> None:
        def work(number: int) -> bool:
            ids = sorted(filled.objects)[number % 3 :]
            whole = filled.reader.read(ids)
            pieces = {id: b"".join(filled.reader.stream(id)) for id in ids}
            return whole == pieces == {id: filled.objects[id] for id in ids}

        assert samples.together(8, work) == [True] * 8

    def test_close_twice_then_nothing_more(self, filled: Filled) -> None:
        reader, id = filled.reader, next(iter(filled.objects))
        reader.read([id])
        reader.close()
        reader.close()
        for call in (
            lambda: reader.read([id]),
            lambda: reader.missing([id]),
            lambda: reader.sizes([id]),
            lambda: list(reader.stream(id)),
            lambda: reader.scan(),
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
