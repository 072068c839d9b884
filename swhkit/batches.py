"""Cut a stream into lists: how everything here stays bounded in memory while it asks in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter. Consumes ``items`` once."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
