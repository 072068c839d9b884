"""Manifests, and the directories they become.

They come before the files they name, so their deltas wait in a spool. A delta tells exactly which paths differ between
two manifests: the directory of one is made of the directory of the other by changing these paths alone.
"""

from __future__ import annotations

import binascii
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from swhkit.plugin import Directory, InvalidInput, Kind, ObjectId, Tree, VisitContext
from swhkit_hg.changegroup import ELLIPSIS, Changegroup, Delta
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.files import Files
from swhkit_hg.history import HELD, History
from swhkit_hg.lines import changes, regions
from swhkit_hg.tables import NULL, NodeMap, Rows
from swhkit_hg.texts import Hunks, Recent, Text, hunks, node_of, patched, sliced, text_at

_ROOM = 48 << 20
_TREES = 4
_PERMS = {b"": 0o100644, b"x": 0o100755, b"l": 0o120000}
#: A full text is kept where the deltas since the last one have this many times its size.
_WEIGHT = 2


class Row(NamedTuple):
    """One manifest: node, parents, number of the manifest its delta is for (-1: none), of its changeset, where its
    delta is in the spool, where its full text is in the other one (-1: not there), bytes of deltas since the last
    that has one, and the digest of its directory (zeros while there is none)."""

    node: bytes
    p1: bytes
    p2: bytes
    base: int
    link: int
    offset: int
    length: int
    full: int
    size: int
    weight: int
    root: bytes


class Manifests:
    """Takes the manifests of a changegroup; once the files have come, makes directories of them."""

    def __init__(self, context: VisitContext, history: History) -> None:
        self._context, self._history, self._scratch = context, history, context.scratch
        self._rows = Rows(self._scratch / "manifests", ">20s20s20siiQQqQQ20s")
        self._numbers = NodeMap(self._scratch / "manifests.map", 4)
        self._deltas = (self._scratch / "manifests.deltas").open("w+b", buffering=1 << 20)
        self._fulls = (self._scratch / "manifests.texts").open("w+b")
        self._size = 0
        self._recent = Recent(_ROOM)
        self._trees: OrderedDict[bytes, Tree] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Let go of the files."""
        for file in (self._deltas, self._fulls, self._rows, self._numbers):
            file.close()

    def spool(self, changegroup: Changegroup) -> None:
        """Take all manifests of a changegroup. Raises ``Broken``, ``Unsupported``."""
        for delta in changegroup.group():
            self._add(delta)

    def root(self, node: bytes) -> bytes | None:
        """The digest of a manifest's directory; None if it could not be made."""
        number = self._number(node)
        root = NULL if number is None else self[number].root
        return None if root == NULL else root

    def __getitem__(self, number: int) -> Row:
        return Row(*self._rows[number])

    def directories(self, files: Files) -> Iterator[Directory]:
        """The directories of all manifests that changesets need which are not held.

        A manifest that names files which did not come has no directory then. Raises ``Broken`` for damage.
        """
        for number in range(len(self)):
            if number % 1000 == 0:
                self._context.progress("making directories", number, len(self))
            row = self[number]
            base = self._text(row.base)
            delta = self._delta(row)
            found = hunks(base, delta, 0)
            text = patched(base, delta, found, self._scratch)
            if node_of(row.p1, row.p2, text) != row.node:
                raise Broken(f"manifest {row.node.hex()} is damaged")
            self._recent.put(row.node, text)
            self._weigh(number, row, text)
            if self._held_with(row) is None:
                yield from self._directories(number, base, text, found, files)

    def _directories(
        self, number: int, base: Text, text: Text, found: Hunks, files: Files
    ) -> Iterator[Directory]:
        before = self._root_of(self[number].base)
        if before is None:
            base, found = b"", [(0, 0, 0, len(text))]
        tree = self._tree(before)
        try:
            _edit(tree, base, text, found, files)
        except (_Absent, InvalidInput) as error:
            self._context.log.warning("manifest %s: %s", self[number].node.hex(), error)
            return
        yield from tree.write()
        self._trees[tree.root] = tree
        self._note(number, root=tree.root)

    def _tree(self, root: bytes | None) -> Tree:
        """A tree that stands at ``root``, taken out of those at hand."""
        tree = self._trees.pop(root, None) if root is not None else None
        while len(self._trees) >= _TREES:
            self._trees.popitem(last=False)
        return tree or Tree(self._context.read, root, keep_empty=False)

    def _root_of(self, number: int) -> bytes | None:
        """The directory of an earlier manifest: ours, or that of the revision that is held."""
        if number < 0:
            return None
        row = self[number]
        if row.root != NULL:
            return row.root
        revision = self._held_with(row)
        root = None if revision is None else directory_of(self._context, revision)
        if root is not None:
            self._note(number, root=root)
        return root

    def _held_with(self, row: Row) -> bytes | None:
        """The held revision whose directory is this manifest's.

        The changeset that a manifest is said to be of is no part of its node: it counts only if it names the manifest.
        """
        changeset = self._history[row.link]
        held = changeset.flags & HELD and changeset.manifest == row.node
        return changeset.revision if held else None

    def needed(self, node: bytes) -> bytes | None:
        """As ``root``, also for a manifest that came with a changeset that is held."""
        number = self._number(node)
        return None if number is None else self._root_of(number)

    def _add(self, delta: Delta) -> None:
        if delta.flags & ELLIPSIS:
            raise Unsupported("it is a narrow or shallow clone: its manifests are not what their ids say")
        base = -1 if delta.base == NULL else self._number(delta.base)
        link = self._history.number(delta.link)
        if base is None:
            raise Broken(f"it builds upon manifest {delta.base.hex()}, which it does not have")
        if link is None:
            raise Broken(f"a manifest is of changeset {delta.link.hex()}, which did not come")
        length = len(delta.data) - delta.start
        for piece in sliced(delta.data, delta.start, len(delta.data)):
            self._deltas.write(piece)
        number = self._rows.append(
            delta.node, delta.p1, delta.p2, base, link, self._size, length, -1, 0, 0, NULL
        )
        self._size += length
        self._numbers.put(delta.node, number.to_bytes(4, "big"))

    def _number(self, node: bytes) -> int | None:
        found = self._numbers.get(node)
        return None if found is None else int.from_bytes(found, "big")

    def _note(self, number: int, **changed: object) -> None:
        self._rows[number] = tuple(self[number]._replace(**changed))  # type: ignore[arg-type]  # names of fields

    def _delta(self, row: Row) -> Text:
        self._deltas.seek(row.offset)
        return text_at(self._deltas, row.length, self._scratch)

    def _text(self, number: int) -> Text:
        """The text of an earlier manifest, made again if it was forgotten."""
        chain: list[Row] = []
        text: Text = b""
        while number >= 0:
            row = self[number]
            known = self._recent.get(row.node)
            if known is not None:
                text = known
                break
            if row.full >= 0:
                self._fulls.seek(row.full)
                text = text_at(self._fulls, row.size, self._scratch)
                break
            chain.append(row)
            number = row.base
        for row in reversed(chain):
            delta = self._delta(row)
            text = patched(text, delta, hunks(text, delta, 0), self._scratch)
            self._recent.put(row.node, text)
        return text

    def _weigh(self, number: int, row: Row, text: Text) -> None:
        """Keep a full text from time to time, so that making one again is never long."""
        weight = row.length + (self[row.base].weight if row.base >= 0 else 0)
        full = -1
        if weight > _WEIGHT * len(text) and row.base >= 0:
            full, weight = self._fulls.seek(0, 2), 0
            for piece in sliced(text, 0, len(text)):
                self._fulls.write(piece)
        self._note(number, full=full, size=len(text), weight=weight)


class _Absent(Exception):
    """A manifest names what did not come."""


def _edit(tree: Tree, base: Text, text: Text, found: Hunks, files: Files) -> None:
    """Make of the tree of ``base`` that of ``text``.

    The order of the paths is the right one also where a folder takes a file's place, or a file a folder's.
    """
    for region in regions(base, text, found):
        for path, _, after in changes(base, text, region):
            if after is None:
                tree.remove(path)
            else:
                tree.put(path, *_target(path, after, files))


def _target(path: bytes, rest: bytes, files: Files) -> tuple[bytes, int]:
    """The content and the permissions that a line names."""
    flag = rest[40:]
    if flag == b"t":
        raise Unsupported("it has manifests in parts (tree manifests)")
    try:
        node = binascii.unhexlify(rest[:40])
    except binascii.Error:
        raise Broken("a manifest has a line without a node") from None
    digest = files.content(node)
    if digest is None:
        raise _Absent(f"the file {path[:200]!r} of revision {node.hex()} is not there")
    return digest, _PERMS.get(flag, 0o100644)


def directory_of(context: VisitContext, revision: bytes) -> bytes | None:
    """The directory that a held revision names; None if it cannot be read."""
    id = ObjectId(Kind.REVISION, revision)
    body = context.read([id]).get(id, b"")
    return bytes.fromhex(body[5:45].decode("ascii")) if body.startswith(b"tree ") else None
