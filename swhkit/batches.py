"""Cut a stream into lists: how everything here stays bounded in memory while it asks in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter. Consumes ``items`` once."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def sized(items: Iterable[T], sizes: Mapping[T, int], limit: int) -> Iterator[list[T]]:
    """Lists of items whose ``sizes`` add up to ``limit`` at most, or of one item that is larger; no size counts as 0."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = sizes.get(item, 0)
        if batch and total + size > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
