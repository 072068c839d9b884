"""Brings the texts of files, each checked against the SHA-1 and the length that its inventory tells."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from swhkit.plugin import Bytes, Content, File
from swhkit_bzr.branch import Branch
from swhkit_bzr.inventory import FileText

#: Texts of one call; bytes of a text from which on it is kept on disk, not in memory.
_TEXTS, _LARGE = 1000, 4 << 20
#: How many digests are remembered, twice.
_REMEMBERED = 100_000
_LINE = 1 << 16


class Texts:
    """Texts by their SHA-1. ``branches``: where to ask for them, one after the other."""

    def __init__(self, branches: Sequence[Branch], scratch: Path) -> None:
        self._branches, self._scratch = branches, scratch
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

    def bring(self, texts: Iterable[FileText]) -> Iterator[Content]:
        """The contents of those whose digest is not known. Raises ``ValueError`` if one is not as it should be."""
        wanted = {text.sha1: text for text in texts if self.digest(text.sha1) is None}
        for first in range(0, len(wanted), _TEXTS):
            yield from self._some(list(wanted.values())[first : first + _TEXTS])

    def _some(self, texts: list[FileText]) -> Iterator[Content]:
        for branch in self._branches:
            came = set[int]()
            keys = b"\n".join(b"%s\0%s" % (text.file, text.revision) for text in texts)
            answer = branch.texts.call(b"Repository.iter_files_bytes", branch.repository, body=keys)
            while header := answer.body.readline(_LINE):
                word, *rest = header.rstrip(b"\n").split(b"\0")
                number = int(rest[-1])
                if word == b"ok" and 0 <= number < len(texts):
                    came.add(number)
                    yield from self._one(answer.body, texts[number])
            texts = [text for number, text in enumerate(texts) if number not in came]
            if not texts:
                return
        raise ValueError(f"the text of file {texts[0].file!r} in revision {texts[0].revision!r} is missing")

    def _one(self, stream: io.BufferedReader, text: FileText) -> Iterator[Content]:
        sha1, git = hashlib.sha1(), hashlib.sha1(b"blob %d\0" % text.length)
        large = text.length > _LARGE
        path = self._scratch / "text"
        with path.open("w+b") if large else io.BytesIO() as file:
            _inflate(stream, text, file)
            file.seek(0)
            while piece := file.read(1 << 20):
                sha1.update(piece)
                git.update(piece)
            if sha1.digest() != text.sha1:
                raise ValueError(f"the text of file {text.file!r} in revision {text.revision!r} is not what it was")
            file.flush()
            self.remember(text.sha1, git.digest())
            if isinstance(file, io.BytesIO):
                yield Content(Bytes(file.getvalue()))
            else:
                yield Content(File(path, text.length))
        path.unlink(missing_ok=True)


def _inflate(stream: io.BufferedReader, text: FileText, file: BinaryIO) -> None:
    """Write what comes compressed, up to its end; it has to be as long as the text. Raises ``ValueError``."""
    inflater = zlib.decompressobj()
    left = text.length
    while not inflater.eof:
        data = stream.peek(1)
        if not data:
            raise ValueError("a text breaks off")
        try:
            piece = inflater.decompress(data, min(left + 1, _LARGE))
        except zlib.error as error:
            raise ValueError(f"a text cannot be decompressed ({error})") from None
        stream.read(len(data) - len(inflater.unconsumed_tail) - len(inflater.unused_data))
        left -= len(piece)
        if left < 0:
            break
        file.write(piece)
    if left:
        raise ValueError(f"the text of file {text.file!r} in revision {text.revision!r} has another length than noted")
