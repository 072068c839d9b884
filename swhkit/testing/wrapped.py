"""Loaders made of loaders: the same items in another order, twice, only so many, or told another story."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.model import (
    Bytes,
    Content,
    Directory,
    Item,
    Outcome,
    Pack,
    Release,
    Revision,
    Snapshot,
    Visit,
)
from swhkit.plugin import Load, Loader, VisitContext, hash_content
from swhkit.swhid import Kind, ObjectId


class Counted:
    """The loader's items as they are; ``items`` tells how many they were, the snapshot included."""

    def __init__(self, loader: Loader) -> None:
        self._loader, self.items = loader, 0

    def load(self, context: VisitContext) -> Load:
        with closing(self._loader.load(context)) as load:
            while True:
                try:
                    item = next(load)
                except StopIteration as stop:
                    return _outcome(stop)
                self.items += 1
                yield item


class Interrupted:
    """The loader's first ``after`` items; then ``fault`` is called, which raises, or kills."""

    def __init__(self, loader: Loader, after: int, fault: Callable[[], object]) -> None:
        self._loader, self._after, self._fault = loader, after, fault

    def load(self, context: VisitContext) -> Load:
        with closing(self._loader.load(context)) as load:
            for _ in range(self._after):
                try:
                    yield next(load)
                except StopIteration as stop:
                    return _outcome(stop)
            self._fault()
        raise AssertionError("the fault has let the loader go on")


class Shuffled:
    """All of the loader's items in an order of chance, the snapshot last."""

    def __init__(self, loader: Loader, seed: int) -> None:
        self._loader, self._seed = loader, seed

    def load(self, context: VisitContext) -> Load:
        items, outcome = Kept(context).all_of(self._loader)
        snapshot = items.pop()
        random.Random(self._seed).shuffle(items)  # noqa: S311 (an order, no secret)
        yield from items
        yield snapshot
        return outcome


class Repeated:
    """Each of the loader's items twice in a row, and all of them once more, the snapshot (once) last."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def load(self, context: VisitContext) -> Load:
        kept = Kept(context)
        items, outcome = kept.all_of(self._loader)
        snapshot = items.pop()
        for item in [*(one for one in items for _ in range(2)), *items]:
            yield kept.copy(item)
        yield snapshot
        return outcome


class Kept:
    """Takes the items of a loader as the core does, and keeps them: ``read`` and ``stream`` give what was yielded."""

    def __init__(self, context: VisitContext) -> None:
        self._outer, self._bodies = context, dict[ObjectId, bytes]()
        self._packs = 0
        self.context = msgspec.structs.replace(context, read=self._read, stream=self._stream)

    def all_of(self, loader: Loader) -> tuple[list[Item], Outcome | None]:
        """All that the loader yields, the snapshot last, and what it returns."""
        items: list[Item] = []
        with closing(loader.load(self.context)) as load:
            while True:
                try:
                    items.append(self._take(next(load)))
                except StopIteration as stop:
                    assert isinstance(items[-1], Snapshot), "a loader ends with its snapshot"
                    return items, _outcome(stop)

    def copy(self, item: Item) -> Item:
        """The item once more; the files of a pack are copied."""
        if not isinstance(item, Pack):
            return item
        folder = self._pack_folder()
        return Pack(*(Path(shutil.copy(path, folder)) for path in (item.path, item.idx)))

    def _take(self, item: Item) -> Item:
        """What a loader yields is its own to change or delete as soon as it goes on."""
        if isinstance(item, Content):
            data = b"".join(item.source.chunks())
            self._bodies[ObjectId(Kind.CONTENT, hash_content(data).sha1_git)] = data
            return Content(Bytes(data))
        if isinstance(item, Directory | Revision | Release):
            self._bodies[manifest.object_id(item)] = manifest.encode(item)
        elif isinstance(item, Pack):
            folder = self._pack_folder()
            return Pack(*(path.rename(folder / path.name) for path in (item.path, item.idx)))
        return item

    def _pack_folder(self) -> Path:
        self._packs += 1
        folder = self._outer.scratch / f"kept-{self._packs}"
        folder.mkdir()
        return folder

    def _read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        wanted = list(ids)
        here = {id: self._bodies[id] for id in wanted if id in self._bodies}
        return here | self._outer.read(id for id in wanted if id not in here)

    def _stream(self, id: ObjectId) -> Iterator[bytes]:
        return iter((self._bodies[id],)) if id in self._bodies else self._outer.stream(id)


class Elsewhere:
    """The loader as in a visit after ``previous`` to ``archive``, which holds everything and is damaged somewhere: what
    the loader does not bring is missing where the visit is made in truth."""

    def __init__(self, loader: Loader, archive: Archive, previous: Visit) -> None:
        self._loader, self._archive, self._previous = loader, archive, previous

    def load(self, context: VisitContext) -> Load:
        archive, catalog = self._archive, self._archive.catalog
        assert self._previous.snapshot is not None

        def read(ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
            wanted = list(ids)
            return archive.read(wanted) | context.read(wanted)

        def stream(id: ObjectId) -> Iterator[bytes]:
            return archive.stream(id) if not archive.missing([id]) else context.stream(id)

        told = msgspec.structs.replace(
            context, anew=True, missing=set, previous=catalog.snapshot(self._previous.snapshot),
            previous_visit=self._previous, read=read, stream=stream, closed=set,
            extids=lambda type, values, version: catalog.extids(type, values, version),
            likely_tips=lambda limit: catalog.likely_tips(context.url, limit),
            held_objects=archive.git_dir / "objects" if archive.git_dir else None,
        )  # fmt: skip
        return (yield from self._loader.load(told))


def _outcome(stop: StopIteration) -> Outcome | None:
    value = stop.value
    assert value is None or isinstance(value, Outcome)
    return value
