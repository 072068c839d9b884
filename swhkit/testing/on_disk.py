"""What the contracts of all stores share that keep things on disk: a place, and an opener that finds it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from swhkit.errors import NotHeld


class Closable(Protocol):
    """A store, as far as these tests are concerned."""

    def close(self) -> None: ...


Store = TypeVar("Store", bound=Closable)


def opened(opener: Callable[[bool], Store]) -> Iterator[Store]:
    """For a fixture: a new store, closed after the test."""
    store = opener(True)
    yield store
    store.close()


class OnDiskContract:
    """The contract's class brings the fixture of the store itself; a backend's author supplies ``opener``."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """An empty folder; everything the store keeps must lie below it."""
        place = tmp_path / "place"
        place.mkdir()
        return place

    @pytest.fixture
    def opener(self, place: Path) -> Callable[[bool], Closable]:
        """``opener(create)`` opens the same place again and again, in this or another process (so it must be
        picklable), e.g. ``functools.partial(open_store, Config(path=place / "store"))``."""
        raise NotImplementedError("supply a fixture named opener")

    def test_what_is_not_there_is_not_made_by_chance(
        self, opener: Callable[[bool], Closable], place: Path
    ) -> None:
        with pytest.raises(NotHeld, match=str(place)):
            opener(False)
        assert list(place.iterdir()) == []
