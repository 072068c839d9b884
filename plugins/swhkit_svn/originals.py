"""The texts of files in the repository's own form: as a dump brings them, whole or as deltas, and when they are needed
again. Each is checked against the MD5 sum that the repository gives for it."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import BinaryIO

import msgspec

from swhkit.plugin import Bytes, Entry, File, Kind, ObjectId, TooLarge, VisitContext
from swhkit_svn.dump import PIECE, Body, Damaged, NodeRecord
from swhkit_svn.store import Store
from swhkit_svn.svndiff import Source, apply
from swhkit_svn.texts import IN_MEMORY, LINK, SYMLINK, Digested, Text, Workshop, digested, discard

#: In place of a digest: the text is as the archive has it (for a symbolic link: but for how a link begins).
SAME = bytes(20)


class Known(msgspec.Struct, frozen=True):
    """What is known of a path: its entry in ``main``; of a file the flags, and the digest of its text in the
    repository's form (zeros: as in ``main``); of a folder its root in ``side``, if there is one."""

    entry: Entry
    flags: int
    side: bytes | None
    raw: bytes


class Originals:
    """Reads and keeps texts. ``context`` has those that exports do not change, ``store`` the others."""

    def __init__(self, context: VisitContext, store: Store, workshop: Workshop) -> None:
        self._context, self._store, self._workshop = context, store, workshop

    def whole(self, node: NodeRecord, body: Body) -> Digested:
        """The text that a node has. Raises ``Damaged`` if its sum is another."""
        md5 = hashlib.md5(usedforsecurity=False)
        text = self._workshop.text(iter(lambda: body.read(PIECE), b""), md5)
        self._check(node, md5.hexdigest(), node.md5, text)
        return digested(text)

    def patched(self, node: NodeRecord, body: Body, source: Known | None) -> Digested:
        """The text that the delta of a node makes of the text it is against."""
        delta = self._workshop.text(iter(lambda: body.read(PIECE), b""))
        base = self.raw(source).text if source is not None else Bytes(b"")
        if node.base_md5 is not None:
            md5 = hashlib.md5(usedforsecurity=False)
            for piece in base.chunks():
                md5.update(piece)
            self._check(node, md5.hexdigest(), node.base_md5, delta)
        md5 = hashlib.md5(usedforsecurity=False)
        with _opened(delta) as deltas, _opened(base) as bases:
            text = self._workshop.text(apply(deltas, _reader(bases)), md5)
        discard(delta)
        self.discard(base)
        self._check(node, md5.hexdigest(), node.md5, text)
        return digested(text)

    def _check(self, node: NodeRecord, found: str, expected: bytes | None, text: Text) -> None:
        if expected is not None and found.encode("ascii") != expected:
            discard(text)
            raise Damaged(
                f"the text of {shown(node.path)} does not have the MD5 sum that the repository says"
            )

    def raw(self, known: Known) -> Digested:
        """The text of a file in the repository's form."""
        digest = known.entry.target if known.raw == SAME else known.raw
        kept = self._store.text(digest)
        if kept is not None:
            return Digested(kept, digest)
        id = ObjectId(Kind.CONTENT, digest)
        try:
            body = self._context.read([id]).get(id)
        except TooLarge:
            return Digested(self._workshop.text(self._context.stream(id)), digest)
        if body is None:
            raise Damaged(f"the text {digest.hex()} is needed again, and was not kept")
        if known.raw == SAME and known.entry.perms == SYMLINK:
            return digested(Bytes(LINK + body))
        return Digested(self._workshop.text((body,)) if len(body) > IN_MEMORY else Bytes(body), digest)

    def discard(self, text: Text) -> None:
        """Remove the file of a text unless it is one that the store keeps."""
        if isinstance(text, File) and not text.path.name.startswith("kept-"):
            discard(text)


def _opened(text: Text) -> BinaryIO:
    return text.path.open("rb") if isinstance(text, File) else BytesIO(text.data)


def _reader(file: BinaryIO) -> Source:
    """The source of a delta: in the order it is read."""

    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read


def shown(path: bytes) -> str:
    """A path as it may stand in an error text."""
    return repr(path[-200:].decode("utf-8", "backslashreplace"))
