"""Cut a stream of ids into lists without repeats, so that memory stays bounded whatever the stream's length."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most ``size``, each item once in its list. Consumes ``items`` once."""
    iterator = iter(items)
    while batch := list(dict.fromkeys(islice(iterator, size))):
        yield batch
