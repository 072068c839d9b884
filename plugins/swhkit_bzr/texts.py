"""Brings the texts of files, each checked against the SHA-1 and the length that its inventory tells."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swhkit.plugin import Bytes, Content, File
from swhkit_bzr.branch import Branch
from swhkit_bzr.inflate import pieces
from swhkit_bzr.inventory import FileText

#: Texts of one call; bytes of a text from which on it is kept on disk, not in memory.
_TEXTS, _LARGE = 1000, 4 << 20
#: How many digests are remembered, twice.
_REMEMBERED = 100_000
_LINE = 1 << 16


class Texts:
    """Texts by their SHA-1."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._recent: dict[bytes, bytes] = {}
        self._older: dict[bytes, bytes] = {}

    def digest(self, sha1: bytes) -> bytes | None:
        """The digest of the content with this SHA-1, if it has been brought not long ago."""
        digest = self._recent.get(sha1)
        if digest is None and (digest := self._older.get(sha1)) is not None:
            self.remember(sha1, digest)
        return digest

    def remember(self, sha1: bytes, digest: bytes) -> None:
        """Note the digest of a content."""
        if len(self._recent) >= _REMEMBERED:
            self._older, self._recent = self._recent, {}
        self._recent[sha1] = digest

    def bring(self, texts: Iterable[FileText], branches: Sequence[Branch]) -> Iterator[Content]:
        """The contents of those whose digest is not known, asked of one branch after the other.

        Raises ``ValueError`` if one is missing, or not as it should be.
        """
        wanted = {text.sha1: text for text in texts if self.digest(text.sha1) is None}
        for first in range(0, len(wanted), _TEXTS):
            yield from self._some(list(wanted.values())[first : first + _TEXTS], branches)

    def _some(self, texts: list[FileText], branches: Sequence[Branch]) -> Iterator[Content]:
        for branch in branches:
            came = set[int]()
            keys = b"\n".join(b"%s\0%s" % (text.file, text.revision) for text in texts)
            answer = branch.texts.call(b"Repository.iter_files_bytes", branch.repository, body=keys)
            while header := answer.body.readline(_LINE):
                word, _, rest = header.rstrip(b"\n").partition(b"\0")
                number = int(rest.rpartition(b"\0")[2])
                if word == b"ok" and 0 <= number < len(texts):
                    came.add(number)
                    yield from self._one(answer.body, texts[number])
            texts = [text for number, text in enumerate(texts) if number not in came]
            if not texts:
                return
        raise ValueError(f"the text of file {texts[0].file!r} in revision {texts[0].revision!r} is missing")

    def _one(self, stream: io.BufferedReader, text: FileText) -> Iterator[Content]:
        """A text that comes next; a large one is kept on disk until it was taken."""
        sha1, git = hashlib.sha1(), hashlib.sha1(b"blob %d\0" % text.length)
        path = self._scratch / "text"
        length = 0
        with path.open("wb") if text.length > _LARGE else io.BytesIO() as file:
            for piece in pieces(stream, text.length):
                sha1.update(piece)
                git.update(piece)
                length += file.write(piece)
            source = Bytes(file.getvalue()) if isinstance(file, io.BytesIO) else File(path, length)
        if length != text.length or sha1.digest() != text.sha1:
            raise ValueError(
                f"the text of file {text.file!r} in revision {text.revision!r} is not what it was"
            )
        self.remember(text.sha1, git.digest())
        yield Content(source)
        if isinstance(source, File):
            path.unlink()
