"""The four digests of a content, in one pass; git's object hash, and pieces that are held back until it agrees.

``Hashes`` is what the catalog keeps of a content; ``Hasher`` computes it from chunks of any size in constant
memory. Threads gain nothing below some 4 KB a piece: scale with processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from swhkit.errors import Corrupt
from swhkit.swhid import ObjectId

HashName = Literal["sha1", "sha1_git", "sha256", "blake2s256"]
#: Length in bytes of each digest, in the order every table and record keeps.
HASH_LENGTHS: dict[HashName, int] = {"sha1": 20, "sha1_git": 20, "sha256": 32, "blake2s256": 32}
#: OpenSSL's BLAKE2s is a tenth quicker than Python's own, where there is one; the slowest of the four decides.
_BLAKE2S256 = "blake2s256" if "blake2s256" in hashlib.algorithms_available else "blake2s"


class Hashes(msgspec.Struct, frozen=True, gc=False):
    """All four digests of one content (raw bytes) and its ``length`` in bytes."""

    sha1: bytes
    sha1_git: bytes
    sha256: bytes
    blake2s256: bytes
    length: int


def git_header(git_type: str, length: int) -> bytes:
    """The header git hashes before a body: ``TYPE SP LENGTH NUL``."""
    return b"%s %d\0" % (git_type.encode("ascii"), length)


def git_digest(git_type: str, body: bytes) -> bytes:
    """The 20-byte git object id of ``body``."""
    digest = hashlib.sha1(git_header(git_type, len(body)))
    digest.update(body)
    return digest.digest()


def verified(
    id: ObjectId, length: int, pieces: Iterable[bytes], complaint: str | None = None
) -> Iterator[bytes]:
    """The pieces of a body of ``length`` bytes, the last of them only once all have hashed to ``id``.

    So whoever counts bytes never has a whole wrong body. Empty pieces are left out. Raises ``Corrupt`` in place of the
    last piece (``complaint`` is what it says), and whatever ``pieces`` raises.
    """
    digest, last = hashlib.sha1(git_header(id.kind.git, length)), b""
    for piece in pieces:
        digest.update(piece)
        if piece:
            if last:
                yield last
            last = piece
    if digest.digest() != id.digest:
        raise Corrupt(complaint or f"the bytes of {id} do not hash to it")
    if last:
        yield last


class Hasher:
    """Digest chunks of one content of known ``length``.

    Give ``sha1_git`` when it has been verified already (git's index-pack does): a seventh of the time is saved.
    """

    def __init__(self, length: int, sha1_git: bytes | None = None) -> None:
        self._length, self._seen, self._known = length, 0, sha1_git
        self._sha1, self._sha256 = hashlib.sha1(), hashlib.sha256()
        self._blake2s256 = hashlib.new(_BLAKE2S256)
        self._sha1_git = hashlib.sha1(git_header("blob", length)) if sha1_git is None else None

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._seen += len(chunk)
        self._sha1.update(chunk)
        self._sha256.update(chunk)
        self._blake2s256.update(chunk)
        if self._sha1_git is not None:
            self._sha1_git.update(chunk)

    def finish(self) -> Hashes:
        """The digests. Raises ``ValueError`` if fewer or more bytes came than announced."""
        if self._seen != self._length:
            raise ValueError(f"{self._length} bytes were announced, {self._seen} came")
        sha1_git = self._known if self._sha1_git is None else self._sha1_git.digest()
        assert sha1_git is not None
        return Hashes(
            self._sha1.digest(), sha1_git, self._sha256.digest(), self._blake2s256.digest(), self._length
        )


def hash_content(data: bytes) -> Hashes:
    """All digests of a content in memory."""
    return hash_chunks(len(data), (data,))


def hash_chunks(length: int, chunks: Iterable[bytes]) -> Hashes:
    """All digests of a content that comes in chunks, ``length`` bytes in all. Raises ``ValueError`` as ``Hasher``."""
    hasher = Hasher(length)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.finish()
