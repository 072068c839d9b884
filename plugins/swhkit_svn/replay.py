"""Replays a dump: applies its changes to a state, and says where each revision ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

import msgspec

from swhkit.plugin import Item
from swhkit_svn.dump import Damaged, NodeRecord, Properties, RevisionRecord
from swhkit_svn.originals import Known
from swhkit_svn.state import Externals, State


class Done(msgspec.Struct, frozen=True):
    """A revision that was replayed; ``touched``: whether it has changes below the path that is archived."""

    number: int
    properties: Properties
    touched: bool


#: Brings the tree in line with a folder's externals.
Update = Callable[[State, Externals], Iterator[Item]]
#: What was at a path at a revision before the first of the dump.
Older = Callable[[int, bytes], Generator[Item, None, Known | None]]


def ignore_externals(_state: State, _change: Externals) -> Iterator[Item]:
    """An ``Update`` where externals do not matter."""
    yield from ()


def nothing_older(revision: int, _path: bytes) -> Generator[Item, None, Known | None]:
    """An ``Older`` where the dump is all there is."""
    yield from ()
    raise Damaged(f"revision {revision} is copied from, but is not in the dump")


def replay(
    records: Iterable[RevisionRecord | NodeRecord],
    state: State,
    *,
    update: Update = ignore_externals,
    older: Older = nothing_older,
    below: bytes = b"",
    tell: Callable[[int], None] = lambda _: None,
) -> Iterator[Item | Done]:
    """Yield what the records bring, and a ``Done`` at the end of each revision. Raises ``Damaged``.

    A revision is only ended when the next has begun or the records have ended well. ``below`` is the path that is
    archived; ``tell`` is told the number of each revision.
    """
    current: RevisionRecord | None = None
    changed = touched = False
    for record in records:
        if isinstance(record, NodeRecord):
            if current is None:
                raise Damaged("a node comes before any revision")
            touched = touched or _touches(record, below)
            if b".svn" in record.path and b".svn" in record.path.split(b"/"):
                continue  # Subversion's own folder in a working copy: no export writes there
            changed = True
            source = None
            if record.source is not None:
                source = yield from _source(record.source, current.number, state, older)
            yield from state.apply(record, source)
            continue
        if current is not None:
            if record.number <= current.number:
                raise Damaged(f"revision {record.number} comes after {current.number}")
            yield from _end(current, state, update, changed, touched)
        current, changed, touched = record, False, False
        tell(record.number)
    if current is not None:
        yield from _end(current, state, update, changed, touched)


def rebased(
    records: Iterable[RevisionRecord | NodeRecord], base: bytes
) -> Iterator[RevisionRecord | NodeRecord]:
    """The records with their paths counted from ``base``; what is not below it is left out."""
    for record in records:
        if isinstance(record, NodeRecord) and base:
            if record.path != base and not record.path.startswith(base + b"/"):
                continue
            record = msgspec.structs.replace(record, path=record.path[len(base) + 1 :])
        yield record


def _end(
    current: RevisionRecord, state: State, update: Update, changed: bool, touched: bool
) -> Iterator[Item | Done]:
    if changed:
        changes, state.changed_externals = state.changed_externals, []
        for change in changes:
            yield from update(state, change)
        yield from state.finish(current.number)
    yield Done(current.number, current.properties, touched)


def _source(
    source: tuple[int, bytes], number: int, state: State, older: Older
) -> Generator[Item, None, Known]:
    """What a node copies."""
    revision, path = source
    if revision >= number:
        raise Damaged(f"revision {number} copies from revision {revision}, which is not before it")
    past = state.past(revision)
    found = past.at(path) if past is not None else (yield from older(revision, path))
    if found is None:
        raise Damaged(f"{path[-200:]!r} is copied from revision {revision}, but was not there")
    return found


def _touches(node: NodeRecord, below: bytes) -> bool:
    """Whether a change is one of the path that is archived: of itself, below it, or of a folder above as a whole."""
    if not below or node.path == below or node.path.startswith(below + b"/"):
        return True
    return node.action != "change" and (not node.path or below.startswith(node.path + b"/"))
