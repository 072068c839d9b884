"""The part of the object store's contract on upkeep: maintaining, checking, and what happens to damaged objects."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from swhkit.errors import Corrupt
from swhkit.hashes import hash_content
from swhkit.model import Pack
from swhkit.storage import Finding, ObjectStore, Scrubbed
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.readers import Filled

#: Damages the body of one held object in place, so that the store still says it is held.
Damage = Callable[[ObjectStore, ObjectId], None]


class UpkeepContract:
    """Needs the fixtures ``store``, ``filled``, ``pack`` and ``damage``."""

    # --- maintain, verify, scrub ---

    def test_maintain_drops_nothing(
        self, filled: Filled, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        more = [samples.contents(20, f"pack {n}") for n in range(4)]
        for n, part in enumerate(more):
            store.adopt([pack(part, f"pack-{n}")])
        held = filled.objects | dict(one for part in more for one in part)
        for _ in range(2):
            report = store.maintain()
            assert report.objects == len(held)
            assert report.bytes_after >= 0
            assert report.summary
            assert store.read(held) == held
        store.add(one.pair for one in samples.contents(3, "after"))
        assert len(store.scan()) == len(held) + 3

    def test_maintain_on_an_empty_store(self, store: ObjectStore) -> None:
        assert store.maintain().objects == 0

    def test_readers_and_writers_go_on_during_maintain(self, filled: Filled, store: ObjectStore) -> None:
        done, wrong, fresh = threading.Event(), [], itertools.count()

        def work(number: int) -> None:
            if number == 0:
                try:
                    for _ in range(3):
                        store.maintain()
                finally:
                    done.set()
            while not done.is_set():
                if number == 1:
                    store.add(one.pair for one in samples.contents(3, f"{next(fresh)}"))
                elif store.read(filled.objects) != filled.objects:
                    wrong.append(number)

        samples.together(3, work)
        assert wrong == []

    def test_verify_finds_nothing_in_a_sound_store(self, filled: Filled, store: ObjectStore) -> None:
        assert filled.objects
        assert list(store.verify()) == []

    def test_scrub_reads_everything(
        self, filled: Filled, store: ObjectStore, pack: Callable[..., Pack]
    ) -> None:
        store.adopt([pack(samples.contents(30))])
        held = filled.objects | dict(samples.contents(30))
        found = [one for one in store.scrub() if isinstance(one, Scrubbed)]
        assert {one.id: one.length for one in found} == {id: len(body) for id, body in held.items()}
        for one in found:
            assert one.hashes == (hash_content(held[one.id]) if one.id.kind is Kind.CONTENT else None)

    def test_scrub_resumes_after_a_position(self, filled: Filled, store: ObjectStore) -> None:
        whole = [one for one in store.scrub() if isinstance(one, Scrubbed)]
        for stop in (1, len(whole) // 2, len(whole)):
            rest = [one for one in store.scrub(whole[stop - 1].position) if isinstance(one, Scrubbed)]
            assert {one.id for one in whole[:stop]} | {one.id for one in rest} == set(filled.objects)
            assert len(rest) == len(whole) - stop

    def test_scrub_may_be_abandoned(self, filled: Filled, store: ObjectStore) -> None:
        scrub = store.scrub()
        next(scrub)
        del scrub
        store.remove(filled.objects)
        assert list(store.scrub()) == []

    # --- damage ---

    @pytest.mark.parametrize("kind", [Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE])
    def test_damaged_bytes_never_leave(
        self, filled: Filled, store: ObjectStore, damage: Damage, kind: Kind
    ) -> None:
        bad = max((id for id in filled.objects if id.kind is kind), key=lambda id: len(filled.objects[id]))
        damage(store, bad)
        with pytest.raises(Corrupt, match=bad.hex):
            store.read([bad])
        with pytest.raises(Corrupt, match=bad.hex):
            store.read(filled.objects)
        pieces: list[bytes] = []
        with pytest.raises(Corrupt, match=bad.hex):
            pieces.extend(store.stream(bad))
        assert len(b"".join(pieces)) < len(filled.objects[bad])
        good = {id: body for id, body in filled.objects.items() if id != bad}
        assert store.read(good) == good

    def test_scrub_names_what_is_damaged_and_goes_on(
        self, filled: Filled, store: ObjectStore, damage: Damage
    ) -> None:
        bad = sorted(filled.objects)[2]
        damage(store, bad)
        found = list(store.scrub())
        findings = [one for one in found if isinstance(one, Finding)]
        assert bad in {one.object for one in findings}
        assert all(one.problem and one.next_step for one in findings)
        assert {one.id for one in found if isinstance(one, Scrubbed)} == set(filled.objects) - {bad}
