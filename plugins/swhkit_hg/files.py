"""The files of a repository: from revisions of file histories to contents.

A file's history gives texts; a content is the text without the block of metadata (copies) that may stand before it.
Which content a file node is goes into a table on disk, for the manifests that name it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from swhkit.plugin import Bytes, Chunks, Content, Kind, ObjectId, SwhkitError, VisitContext
from swhkit_hg.changegroup import CENSORED, ELLIPSIS, EXTERNAL, Changegroup, Delta
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.history import HELD, History
from swhkit_hg.tables import NULL, NodeMap
from swhkit_hg.texts import Recent, Text, hunks, node_of, patched, sliced, text_at, text_of

_ROOM = 48 << 20
#: What is before and after a file's metadata; how a revision that was taken away begins.
_MARK, _TOMBSTONE = b"\1\n", b"\1\ncensored:"


class Files:
    """Takes the files of a changegroup; then tells the content of each file node."""

    def __init__(self, context: VisitContext, history: History) -> None:
        self._context, self._history = context, history
        self._scratch = context.scratch
        self._digests = NodeMap(self._scratch / "files.map", 20)
        self._heads = NodeMap(self._scratch / "metadata.map", 16)
        self._metadata = (self._scratch / "metadata").open("w+b")
        self._recent = Recent(_ROOM)
        self._kept = Kept(self._scratch, context.limits.max_pack_size)

    def close(self) -> None:
        """Let go of the files."""
        self._metadata.close()
        self._digests.close()
        self._heads.close()

    def content(self, node: bytes) -> bytes | None:
        """The digest of the content of a file node; None if it did not come, or its content was not with it."""
        return self._digests.get(node)

    def take(self, changegroup: Changegroup) -> Iterator[Content]:
        """The contents of all files, but those that only changesets already held have brought.

        Raises ``Broken``, ``Unsupported``.
        """
        for number, _ in enumerate(changegroup.files()):
            if number % 100 == 0:
                self._context.progress("reading files", number)
            for delta in changegroup.group():
                yield from self._revision(delta)
            self._forget()

    def _revision(self, delta: Delta) -> Iterator[Content]:
        base = self._base(delta.base)
        text = patched(base, delta.data, hunks(base, delta.data, delta.start), self._scratch)
        if delta.flags & ELLIPSIS:
            raise Unsupported("it is a narrow or shallow clone: its files are not what their ids say")
        absent = delta.flags & (CENSORED | EXTERNAL)
        if not absent and node_of(delta.p1, delta.p2, text) != delta.node:
            if text[: len(_TOMBSTONE)] != _TOMBSTONE:
                raise Broken(f"the revision {delta.node.hex()} of a file is damaged")
            absent = CENSORED
        start = _start(text)
        self._remember(delta.node, text, start)
        number = self._history.number(delta.link)
        if number is None:
            raise Broken(f"a file's revision is of changeset {delta.link.hex()}, which did not come")
        if absent or self._digests.get(delta.node) is not None:
            return
        digest = _digest(text, start)
        self._digests.put(delta.node, digest)
        if not self._history[number].flags & HELD:
            yield from self._content(text, start, digest)

    def _content(self, text: Text, start: int, digest: bytes) -> Iterator[Content]:
        if isinstance(text, bytes):
            yield Content(Bytes(text[start:] if start else text))
        elif self._context.missing([ObjectId(Kind.CONTENT, digest)]):
            yield Content(Chunks(len(text) - start, sliced(text, start, len(text))))

    def _remember(self, node: bytes, text: Text, start: int) -> None:
        self._recent.put(node, text)
        most = self._context.limits.max_content_size
        if most is not None and len(text) - start > most:  # it will be skipped, and cannot be read again
            self._kept.put(node, text)
        elif start:
            place = self._metadata.tell()
            self._metadata.write(text[:start])
            self._heads.put(node, place.to_bytes(8, "big") + start.to_bytes(8, "big"))

    def _forget(self) -> None:
        self._recent.clear()
        self._kept.clear()

    def _base(self, node: bytes) -> Text:
        if node == NULL:
            return b""
        text = self._recent.get(node)
        if text is None:
            text = self._again(node)
            self._recent.put(node, text)
        return text

    def _again(self, node: bytes) -> Text:
        """A text that was forgotten, of what is on disk or was yielded."""
        text = self._kept.get(node)
        if text is not None:
            return text
        digest = self._digests.get(node)
        if digest is None:
            raise Broken(f"it builds upon the revision {node.hex()} of a file, which it does not have")
        body = self._context.stream(ObjectId(Kind.CONTENT, digest))
        try:
            return text_of(chain([self._metadata_of(node)], body), self._scratch)
        except SwhkitError as error:
            raise Broken(f"the revision {node.hex()} of a file cannot be read again: {error}") from error

    def _metadata_of(self, node: bytes) -> bytes:
        found = self._heads.get(node)
        if found is None:
            return b""
        self._metadata.seek(int.from_bytes(found[:8], "big"))
        head = self._metadata.read(int.from_bytes(found[8:], "big"))
        self._metadata.seek(0, 2)
        return head


class Kept:
    """Texts of one file's history in files of their own, up to ``room`` bytes of them: the oldest go first."""

    def __init__(self, scratch: Path, room: int) -> None:
        self._scratch, self._room = scratch, room
        self._used = self._made = 0
        self._files: OrderedDict[bytes, tuple[Path, int]] = OrderedDict()

    def put(self, node: bytes, text: Text) -> None:
        """Keep a text."""
        path = self._scratch / f"text-{self._made}"
        with path.open("wb") as file:
            for piece in sliced(text, 0, len(text)):
                file.write(piece)
        self._files[node] = path, len(text)
        self._made += 1
        self._used += len(text)
        while self._used > self._room and len(self._files) > 1:
            self._drop()

    def get(self, node: bytes) -> Text | None:
        """A text that is still kept."""
        found = self._files.get(node)
        if found is None:
            return None
        with found[0].open("rb") as file:
            return text_at(file, found[1], self._scratch)

    def clear(self) -> None:
        """Let go of all."""
        while self._files:
            self._drop()

    def _drop(self) -> None:
        _, (path, length) = self._files.popitem(last=False)
        path.unlink()
        self._used -= length


def _start(text: Text) -> int:
    """Where the content begins in a text."""
    if text[:2] != _MARK:
        return 0
    end = text.find(_MARK, 2)
    if end < 0:
        raise Broken("the metadata of a file's revision does not end")
    return end + 2


def _digest(text: Text, start: int) -> bytes:
    """The digest of the content that begins at ``start``, as git hashes it."""
    digest = hashlib.sha1(b"blob %d\0" % (len(text) - start))
    if isinstance(text, bytes):
        digest.update(memoryview(text)[start:])
    else:
        for piece in sliced(text, start, len(text)):
            digest.update(piece)
    return digest.digest()
