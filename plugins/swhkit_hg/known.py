"""What the archive has already: of a repository that has not changed, and of the changesets of one that has."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from swhkit.plugin import Branch, Kind, ObjectId, Snapshot, VisitContext, VisitStatus
from swhkit_hg.history import HELD, History
from swhkit_hg.peer import Listing

#: Type and version of the external ids of changesets: a node (20 bytes) to a revision.
EXTID, VERSION = "hg-nodeid", 1
_BATCH = 5000
_HEADS = (b"branch-tip/", b"branch-heads/", b"branch-closed-heads/")
_BOOKMARK = b"bookmarks/"


def unchanged(context: VisitContext, listing: Listing) -> bool:
    """Whether a listing tells just what the previous snapshot has, and all of that is held.

    The heads of the branches tell all there is below them, closed ones and tags too.
    """
    before = context.previous
    complete = context.previous_visit is not None and context.previous_visit.status is VisitStatus.FULL
    if before is None or not complete or context.anew:
        return False
    nodes = {node for heads in listing.branches.values() for node in heads} | set(listing.bookmarks.values())
    known = revisions_of(context, nodes)
    if len(known) < len(nodes):
        return False
    heads = {name: {known[node] for node in nodes} for name, nodes in listing.branches.items()}
    bookmarks = {name: known[node] for name, node in listing.bookmarks.items()}
    if (heads, bookmarks) != (_heads_of(before), _bookmarks_of(before)):
        return False
    tips = {
        ObjectId(kind, branch.target)
        for branch in before.branches.values()
        if branch is not None and (kind := branch.type.kind)
    }
    return context.closed(tips) == tips


def _heads_of(snapshot: Snapshot) -> dict[bytes, set[bytes]]:
    """The revisions that are heads of each named branch."""
    found: dict[bytes, set[bytes]] = {}
    for name, branch in _below(snapshot, _HEADS):
        found.setdefault(name, set()).add(branch.target)
    return found


def _below(snapshot: Snapshot, prefixes: tuple[bytes, ...]) -> Iterator[tuple[bytes, Branch]]:
    """The branches whose names begin so, by the rest of the name (of numbered ones, without the number)."""
    for full, branch in snapshot.branches.items():
        for prefix in prefixes:
            if branch is not None and full.startswith(prefix):
                rest = full[len(prefix) :]
                yield rest if prefix == _HEADS[0] else rest.rpartition(b"/")[0], branch


def _bookmarks_of(snapshot: Snapshot) -> dict[bytes, bytes]:
    return {
        name[len(_BOOKMARK) :]: branch.target
        for name, branch in snapshot.branches.items()
        if branch is not None and name.startswith(_BOOKMARK)
    }


def revisions_of(context: VisitContext, nodes: Collection[bytes]) -> dict[bytes, bytes]:
    """The revisions of those nodes whose revisions the archive has."""
    found = {
        extid.value: extid.target
        for extid in context.extids(EXTID, nodes, VERSION)
        if extid.kind is Kind.REVISION
    }
    missing = context.missing(found.values())
    return {node: id.digest for node, id in found.items() if id not in missing}


def find_held(context: VisitContext, history: History) -> None:
    """Note in ``history`` what is held, from this origin or another; what is below it is held too."""
    for first in range(0, len(history), _BATCH):
        numbers = range(first, min(first + _BATCH, len(history)))
        nodes = {history[number].node: number for number in numbers}
        for node, revision in revisions_of(context, nodes.keys()).items():
            history.settle(nodes[node], revision, HELD)
