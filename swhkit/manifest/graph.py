"""What an object leads to: the edges of the graph, read from a body quickly and without model objects."""

from __future__ import annotations

from collections.abc import Iterator

from swhkit.manifest.directories import entries_of
from swhkit.manifest.history import commit_head, tag_head
from swhkit.manifest.snapshots import parse_snapshot
from swhkit.model import Snapshot
from swhkit.swhid import Kind, ObjectId

_EDGES = {0o040000: Kind.DIRECTORY, 0o100000: Kind.CONTENT, 0o120000: Kind.CONTENT}


def edges(kind: Kind, body: bytes) -> Iterator[tuple[Kind, bytes]]:
    """What must be held for this object to be closed, as git itself follows it; repeats are possible.

    A tree leads to directories and to files and links, not to submodules (nor to entries of odd modes, which git
    takes for submodules). Raises ``InvalidManifest`` as ``parse`` does, at the latest when it meets the damage.
    """
    if kind is Kind.DIRECTORY:
        for _, perms, _, target in entries_of(body):
            held = _EDGES.get(perms & 0o170000)
            if held is not None:
                yield held, target
    elif kind is Kind.REVISION:
        tree, parents, _ = commit_head(body)
        yield Kind.DIRECTORY, tree
        for parent in parents:
            yield Kind.REVISION, parent
    elif kind is Kind.RELEASE:
        target, target_type, _ = tag_head(body)
        yield target_type, target
    elif kind is Kind.SNAPSHOT:
        yield from edges_of_snapshot(parse_snapshot(body))


def edges_of_snapshot(snapshot: Snapshot) -> Iterator[ObjectId]:
    """What the branches of a snapshot point at; repeats are possible."""
    for branch in snapshot.branches.values():
        kind = branch and branch.type.kind
        if branch and kind:
            yield ObjectId(kind, branch.target)
