"""Instances that are listed part by part: some owners, groups or projects of a forge, as its settings name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from swhkit.errors import NotFound
from swhkit.forge.contract import Repository

#: Reasons that are told; of the others there is the number.
_TOLD = 3


def in_parts(
    names: Iterable[str], repositories: Callable[[str], Iterable[Repository]]
) -> Iterator[Repository]:
    """The repositories of each part of an instance, one part after the other.

    A part that is not there (its ``repositories(name)`` raises ``NotFound``) ends only itself. When all others have been
    told of, ``NotFound`` names those that were not there: without them the listing is not complete, and nothing of theirs
    may be taken for gone. Whatever else is raised ends all of it.
    """
    lost: list[str] = []
    for name in names:
        try:
            yield from repositories(name)
        except NotFound as error:
            lost.append(str(error))
    if lost:
        others = f"; and {len(lost) - _TOLD} more" if len(lost) > _TOLD else ""
        raise NotFound(f"{'; '.join(lost[:_TOLD])}{others}; the settings of the forge name what is not there")
