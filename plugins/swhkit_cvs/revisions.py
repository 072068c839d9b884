"""From changesets to directories and revisions."""

from __future__ import annotations

from collections.abc import Iterator

from swhkit.plugin import (
    Branch,
    BranchType,
    Directory,
    Person,
    Revision,
    Snapshot,
    Timestamp,
    Tree,
    Unavailable,
    VisitContext,
    object_id,
)
from swhkit_cvs.facts import Change, Changeset, Facts


def revisions(context: VisitContext, facts: Facts, count: int) -> Iterator[Directory | Revision | Snapshot]:
    """One revision a changeset, each after its new directories, and the snapshot with the last as ``HEAD``.

    Folders that have lost their last file stay. Raises ``Unavailable`` where a path is a file's and a folder's at once.
    """
    tree, parents = Tree(context.read), tuple[bytes, ...]()
    careful = facts.clashes()
    for done, changeset in enumerate(facts.changesets()):
        context.progress("building revisions", done, count)
        for change in facts.changes(changeset):
            if careful:
                _check(context.url, tree, change)
            if change.digest is None:
                tree.remove(change.name)
            else:
                tree.put(change.name, change.digest, change.perms)
        yield from tree.write()
        revision = _revision(changeset, tree.root, parents)
        yield revision
        parents = (object_id(revision).digest,)
    yield Snapshot({b"HEAD": Branch(BranchType.REVISION, parents[0])} if parents else {})


def _revision(changeset: Changeset, root: bytes, parents: tuple[bytes, ...]) -> Revision:
    person = Person(changeset.author)
    date = Timestamp(changeset.end, 0, b"+0000")
    return Revision(
        changeset.log, person, person, date, date, root, parents, type="cvs", synthetic=True
    )  # fmt: skip


def _check(url: str, tree: Tree, change: Change) -> None:
    """Refuse to put a file where a folder with files is, or below a file; remove no folder in place of a file."""
    parts = change.name.split(b"/")
    above = (tree.get(b"/".join(parts[:depth])) for depth in range(1, len(parts)))
    there = tree.get(change.name)
    if any(entry and entry.type != "dir" for entry in above) or (
        there and there.type == "dir" and _has_files(tree, change.name)
    ):
        name = change.name[-200:].decode("utf-8", "backslashreplace")
        raise Unavailable(f"{url}: {name!r} is a file, and a folder with files, at the same time")


def _has_files(tree: Tree, path: bytes) -> bool:
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        for entry in tree.entries(folder):
            if entry.type != "dir":
                return True
            waiting.append(folder + b"/" + entry.name)
    return False
