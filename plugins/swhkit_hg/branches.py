"""The branches of the snapshot: heads of named branches, bookmarks, tags, HEAD."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping

from swhkit.plugin import (
    Branch,
    BranchType,
    Kind,
    LimitExceeded,
    ObjectId,
    Person,
    Release,
    Tree,
    Unavailable,
    VisitContext,
    object_id,
)
from swhkit_hg.errors import Broken
from swhkit_hg.history import CLOSED, LOST, History
from swhkit_hg.manifests import directory_of
from swhkit_hg.peer import Listing
from swhkit_hg.tables import NULL

_TIP, _HEADS, _CLOSED = b"branch-tip/%s", b"branch-heads/%s/%d", b"branch-closed-heads/%s/%d"
_BOOKMARK, _TAG = b"bookmarks/%s", b"tags/%s"
#: More tags (a kilobyte of memory each, at worst) are not believed.
MOST_TAGS = 200_000
_WORKING = b"\xff" * 20
_HEX = re.compile(rb"[0-9a-fA-F]{40}")


def head_branches(history: History, listing: Listing | None) -> tuple[dict[bytes, Branch], list[bytes]]:
    """The heads of the named branches, and the names of those that could not be had."""
    found: dict[bytes, Branch] = {}
    lost: list[bytes] = []
    heads = (_listed_heads(history, listing) if listing else None) or history.branch_heads()
    for name, numbers in sorted(heads.items()):
        rows = sorted(history[number] for number in numbers)
        opened = [row for row in rows if not row.flags & CLOSED]
        closed = [row for row in rows if row.flags & CLOSED]
        names = {_TIP % name: opened[0]} if opened else {}
        if len(opened) > 1:
            names |= {_HEADS % (name, i): row for i, row in enumerate(opened)}
        names |= {_CLOSED % (name, i): row for i, row in enumerate(closed)}
        lost += [branch for branch, row in names.items() if row.flags & LOST]
        found |= {
            branch: Branch(BranchType.REVISION, row.revision)
            for branch, row in names.items()
            if not row.flags & LOST
        }
    return found, lost


def _listed_heads(history: History, listing: Listing) -> dict[bytes, list[int]] | None:
    """The heads as the peer lists them; None if it has got others since. Raises ``Unavailable`` if some did not come.

    Mercurial does not always notice that a head has a descendant on its branch, where other branches lie between. So
    a peer is believed: its word is what a clone has too.
    """
    found = {
        name: [number for node in nodes if (number := history.number(node)) is not None]
        for name, nodes in listing.branches.items()
    }
    for name, nodes in listing.branches.items():
        if len(found[name]) != len(nodes - {NULL}):
            raise Unavailable(
                f"the server lists heads of the branch {name[:100]!r} that it has not sent: try again"
            )
    known = {number for numbers in found.values() for number in numbers}
    return (
        {n: numbers for n, numbers in found.items() if numbers} if known.issuperset(history.heads()) else None
    )


def bookmark_branches(bookmarks: Mapping[bytes, bytes], history: History) -> dict[bytes, Branch]:
    """The bookmarks whose changesets came."""
    found = {}
    for name, node in bookmarks.items():
        revision = revision_of(history, node)
        if revision is not None:
            found[_BOOKMARK % name] = Branch(BranchType.REVISION, revision)
    return found


def head_of(
    found: Mapping[bytes, Branch], bookmarks: Mapping[bytes, bytes], history: History
) -> Branch | None:
    """What HEAD is an alias of: the bookmark ``@`` if its branch is open, else the branch ``default`` if it is."""
    number = history.number(bookmarks.get(b"@", NULL)) if _BOOKMARK % b"@" in found else None
    if number is not None and _TIP % history.branches[history[number].branch] in found:
        return Branch(BranchType.ALIAS, _BOOKMARK % b"@")
    default = _TIP % b"default"
    return Branch(BranchType.ALIAS, default) if default in found else None


def revision_of(history: History, node: bytes) -> bytes | None:
    """The revision of a changeset; None if it is none, or could not be had."""
    number = None if node == NULL else history.number(node)
    revision = NULL if number is None else history[number].revision
    return None if revision == NULL else revision


def releases(context: VisitContext, history: History) -> Iterator[Release]:
    """A release for each tag of a changeset that came. Raises ``Broken`` for what Mercurial itself breaks on."""
    for name, tagged in sorted(_tags(_tag_files(context, history)).items(), key=lambda item: item[0]):
        if tagged.node == _WORKING:
            raise Broken("its .hgtags names the node ffff…, on which Mercurial fails")
        revision = revision_of(history, tagged.node)
        if revision is not None and name != b"tip":
            yield Release(
                name=name,
                message=None,
                target=revision,
                target_type=Kind.REVISION,
                author=Person(b""),
            )


def tag_branches(found: Iterable[Release]) -> dict[bytes, Branch]:
    """The branches of releases."""
    return {_TAG % release.name: Branch(BranchType.RELEASE, object_id(release).digest) for release in found}


def _tag_files(context: VisitContext, history: History) -> Iterator[bytes]:
    """The ``.hgtags`` of all heads, each text once, from the oldest head to the tip."""
    seen = set()
    for number in history.heads():
        revision = history[number].revision
        root = None if revision == NULL else directory_of(context, revision)
        entry = None if root is None else Tree(context.read, root).get(b".hgtags")
        if entry is not None and entry.type == "file" and entry.target not in seen:
            seen.add(entry.target)
            id = ObjectId(Kind.CONTENT, entry.target)
            yield context.read([id]).get(id, b"")


class Tagged:
    """What a tag stands for, and what it stood for before: each node once, and how many lines said so."""

    __slots__ = ("lines", "node", "past")

    def __init__(self, node: bytes) -> None:
        self.node, self.lines = node, 0
        self.past: set[bytes] | None = None  # most tags have none, and there may be many tags

    def moved(self, node: bytes) -> None:
        """A later line of the same file says otherwise (or the same)."""
        self.past = self.past or set()
        self.past.add(self.node)
        self.lines += 1
        self.node = node

    def after(self, other: Tagged) -> Tagged:
        """What counts when the file of an earlier head says ``other``: this, unless the other supersedes it."""
        past, others = self.past or set(), other.past or set()
        behind = other.node != self.node and self.node in others
        if behind and (other.node not in past or other.lines > self.lines):
            self.node = other.node
        new = others - past
        self.lines += len(new)
        self.past = past | new or None
        return self


def _tags(texts: Iterable[bytes]) -> dict[bytes, Tagged]:
    """Tags over all heads: a later head wins, unless what it says was superseded by what an earlier one says."""
    found: dict[bytes, Tagged] = {}
    for text in texts:
        for name, tagged in _tags_of(text).items():
            found[name] = tagged.after(found[name]) if name in found else tagged
        _require_few(found)
    return found


def _tags_of(text: bytes) -> dict[bytes, Tagged]:
    """The tags of one file: lines ``HEX NAME``, of which the last counts; others are no tags."""
    found: dict[bytes, Tagged] = {}
    for line in text.splitlines():
        word, blank, rest = line.partition(b" ")
        name = rest.strip()
        if not blank or not _HEX.fullmatch(word):
            continue
        node = binascii.unhexlify(word)
        if name in found:
            found[name].moved(node)
        else:
            found[name] = Tagged(node)
            _require_few(found)
    return found


def _require_few(found: Mapping[bytes, Tagged]) -> None:
    if len(found) > MOST_TAGS:
        raise LimitExceeded(f"the repository has more than {MOST_TAGS} tags, which are more than are read")
