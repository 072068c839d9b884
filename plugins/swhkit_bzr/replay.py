"""Replays revisions one after the other on one tree: each is that of the one before it, changed where it differs.

Two connections are read at once: one gives the inventories, as one long answer for all revisions; the other is asked
for revisions and texts, for some hundred revisions at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from swhkit.plugin import (
    Bytes,
    Content,
    ExtId,
    Item,
    Kind,
    ObjectId,
    Revision,
    Tree,
    VisitContext,
    object_id,
)
from swhkit_bzr.branch import NULL, Branch
from swhkit_bzr.history import History
from swhkit_bzr.inventory import Delta, FileText, Line, deltas, lines_of, move
from swhkit_bzr.questions import records_of
from swhkit_bzr.record import Record
from swhkit_bzr.revision import NOTATION, revision_of
from swhkit_bzr.texts import Texts

#: The type of ExtIDs whose value is a revision id, and their version.
EXTID, VERSION = "bzr-nodeid", 1
#: What is looked at in one go: revisions, lines and bytes of their deltas.
_REVISIONS, _LINES, _BYTES = 200, 2000, 4 << 20
#: Lines of one delta that are put into the tree in one go.
_CHUNK = 1000
_LINK = 0o120000


class Replay:
    """Loads revisions. ``known`` has the digests of those that the archive has; those loaded are added.

    ``branches``: where to ask, the branch itself and then those it is stacked on.
    """

    def __init__(
        self, context: VisitContext, branches: Sequence[Branch], history: History, known: dict[bytes, bytes]
    ) -> None:
        self._context, self._branches, self._history, self.known = context, branches, history, known
        self._texts = Texts(context.scratch)
        self._tree = Tree(context.read)
        self._at = NULL

    def load(self, ids: Sequence[bytes]) -> Iterator[Item]:
        """All objects of these revisions, parents first. Raises ``ValueError``, ``Refused``, ``Broken``."""
        done = 0
        for source, group in groupby(ids, self._history.source):
            part = list(group)
            branches = [self._branches[source], *self._branches[:source], *self._branches[source + 1 :]]
            for window in _windows(self._deltas(branches[0], part)):
                yield from self._window(branches, window)
                done += len(window)
                self._context.progress("loading revisions", done, len(ids))
            if missing := next((id for id in part if id not in self.known), None):
                raise ValueError(f"revision {missing!r} has no inventory")

    def _deltas(self, branch: Branch, ids: Sequence[bytes]) -> Iterator[Delta]:
        """The inventories of revisions of one repository; the first differs from one whose tree we have, if any."""
        base = None
        if branch.notation == NOTATION:  # of older ones inventories come in an order of the server's
            base = next((id for id in self._history.parents(ids[0]) if id in self.known), None)
        self._at = NULL
        if base is not None:
            self._tree, self._at = Tree(self._context.read, self._directory(base)), base
        asked = b"\n".join(ids if base is None else [base, *ids])
        answer = branch.inventories.call(
            b"VersionedFileRepository.get_inventories", branch.repository, b"unordered", body=asked
        )
        yield from deltas(answer.body, skip=base)
        answer.body.read(1)  # the end of the answer

    def _directory(self, id: bytes) -> bytes:
        """The root directory of a revision that the archive has."""
        revision = ObjectId(Kind.REVISION, self.known[id])
        return bytes.fromhex(self._context.read([revision])[revision][5:45].decode("ascii"))

    def _window(self, branches: Sequence[Branch], window: Sequence[Delta]) -> Iterator[Item]:
        records = records_of(branches[0], [delta.revision for delta in window])
        first = (line for delta in window for line in islice(lines_of(delta), _CHUNK))
        yield from self._texts.bring(_texts(first), branches)
        for delta in window:
            if delta.revision not in records or delta.revision not in self._history:
                raise ValueError(f"revision {delta.revision!r} is missing")
            yield from self._one(branches, delta, records[delta.revision])

    def _one(self, branches: Sequence[Branch], delta: Delta, record: Record) -> Iterator[Item]:
        """One revision: its contents and directories, itself, and its id."""
        if delta.parent == NULL:
            self._tree = Tree(self._context.read)
        elif delta.parent != self._at:
            raise ValueError(f"the inventory of {delta.revision!r} differs from another than the one before")
        move(self._tree, delta)
        lines = lines_of(delta)
        while chunk := list(islice(lines, _CHUNK)):
            yield from self._texts.bring(_texts(chunk), branches)
            for line in chunk:
                yield from self._put(line)
        yield from self._tree.write()
        self._at = delta.revision
        revision = self._revision(record)
        digest = object_id(revision).digest
        self.known[record.id] = digest
        yield revision
        yield ExtId(EXTID, VERSION, record.id, Kind.REVISION, digest)

    def _revision(self, record: Record) -> Revision:
        parents = self._history.parents(record.id)
        if early := next((id for id in parents if id not in self.known), None):
            raise ValueError(f"revision {record.id!r} comes before its parent {early!r}")
        return revision_of(record, self._tree.root, [self.known[id] for id in parents])

    def _put(self, line: Line) -> Iterator[Content]:
        """Put what is new or changed into the tree."""
        if line.new is None:
            return
        if (text := line.text()) is not None:
            digest = self._texts.digest(text.sha1)
            if digest is None:
                raise ValueError(f"the text of file {text.file!r} has not come")
            self._tree.put(line.new, digest, line.perms)
        elif line.kind == b"link":
            target = line.content[0]
            self._tree.put(line.new, hashlib.sha1(b"blob %d\0%s" % (len(target), target)).digest(), _LINK)
            yield Content(Bytes(target))
        else:  # a folder, or the place of another tree, of which nothing is said but that it is there
            self._tree.make(line.new)


def _windows(stream: Iterator[Delta]) -> Iterator[list[Delta]]:
    """Deltas in groups of a bounded size; a larger one is alone in its group."""
    window: list[Delta] = []
    lines = size = 0
    for delta in stream:
        if window and (
            lines + len(delta.lines) > _LINES or size + delta.size > _BYTES or len(window) >= _REVISIONS
        ):
            yield window
            window, lines, size = [], 0, 0
        window.append(delta)
        lines, size = lines + len(delta.lines), size + delta.size
    if window:
        yield window


def _texts(lines: Iterable[Line]) -> Iterator[FileText]:
    return (text for line in lines if (text := line.text()) is not None)
