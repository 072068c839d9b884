"""The files of a repository: from revisions of file histories to contents.

A file's history gives texts; a content is the text without the block of metadata (copies) that may stand before it.
Which content a file node is goes into a table on disk, for the manifests that name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from swhkit.plugin import Bytes, Chunks, Content, Kind, ObjectId, VisitContext
from swhkit_hg.changegroup import CENSORED, ELLIPSIS, EXTERNAL, Changegroup, Delta
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.history import HELD, History
from swhkit_hg.tables import NULL, NodeMap
from swhkit_hg.texts import Recent, Text, hunks, node_of, patched, sliced, text_at

_ROOM = 48 << 20
#: What is before and after a file's metadata; how a revision that was taken away begins.
_MARK, _TOMBSTONE = b"\1\n", b"\1\ncensored:"
#: Texts from this size on are not asked of the archive again: they are kept for the time of their file's history.
_KEEP = 4 << 20


class Files:
    """Takes the files of a changegroup; then tells the content of each file node."""

    def __init__(self, context: VisitContext, history: History) -> None:
        self._context, self._history = context, history
        self._scratch = context.scratch
        self._digests = NodeMap(self._scratch / "files.map", 20)
        self._heads = NodeMap(self._scratch / "metadata.map", 16)
        self._metadata = (self._scratch / "metadata").open("w+b")
        self._recent = Recent(_ROOM)
        self._kept: dict[bytes, tuple[Path, int]] = {}
        most = context.limits.max_content_size
        self._keep = _KEEP if most is None else min(_KEEP, most)

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
        if len(text) > self._keep:
            path = self._scratch / f"text-{len(self._kept)}"
            with path.open("wb") as file:
                for piece in sliced(text, 0, len(text)):
                    file.write(piece)
            self._kept[node] = path, len(text)
        elif start:
            place = self._metadata.tell()
            self._metadata.write(text[:start])
            self._heads.put(node, place.to_bytes(8, "big") + start.to_bytes(8, "big"))

    def _forget(self) -> None:
        self._recent.clear()
        for path, _ in self._kept.values():
            path.unlink()
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
        if node in self._kept:
            path, length = self._kept[node]
            with path.open("rb") as file:
                return text_at(file, length, self._scratch)
        digest = self._digests.get(node)
        id = None if digest is None else ObjectId(Kind.CONTENT, digest)
        body = None if id is None else self._context.read([id]).get(id)
        if body is None:
            raise Broken(f"it builds upon the revision {node.hex()} of a file, which it does not have")
        return self._metadata_of(node) + body

    def _metadata_of(self, node: bytes) -> bytes:
        found = self._heads.get(node)
        if found is None:
            return b""
        self._metadata.seek(int.from_bytes(found[:8], "big"))
        head = self._metadata.read(int.from_bytes(found[8:], "big"))
        self._metadata.seek(0, 2)
        return head


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
