"""Rows of contents. The web API tells of one content at a time, so a batch is as many questions, several at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from swhkit.errors import InvalidInput, Unreachable
from swhkit.hashes import HASH_LENGTHS, HashName
from swhkit.model import ContentRow
from swhkit.swhid import Kind, ObjectId
from swhkit_remote.answers import NotThere
from swhkit_remote.batches import batches
from swhkit_remote.client import Client
from swhkit_remote.holdings import held
from swhkit_remote.shapes import ContentJson

BATCH = 1000


class Contents:
    """The part of the catalog on contents."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def contents(self, sha1_gits: Iterable[bytes]) -> dict[bytes, ContentRow]:
        """As the contract. Absent rows come without a reason: the web API does not tell it."""
        return {digest: rows[0] for digest, rows in self.find_contents("sha1_git", sha1_gits).items()}

    def missing_contents(self, sha1_gits: Iterable[bytes]) -> set[bytes]:
        """As the contract, by ``known/``: a thousand in one question."""
        self._client.check_open()
        missing: set[bytes] = set()
        for batch in batches(sha1_gits, BATCH):
            ids = [ObjectId(Kind.CONTENT, digest) for digest in batch if len(digest) == 20]
            there = {id.digest for id in held(self._client, ids)}
            missing.update(digest for digest in batch if digest not in there)
        return missing

    def find_contents(self, algorithm: HashName, digests: Iterable[bytes]) -> dict[bytes, list[ContentRow]]:
        """As the contract, but one row each: of contents that share a sha1 the web API tells one, a visible one first."""
        self._client.check_open()
        found: dict[bytes, list[ContentRow]] = {}
        for batch in batches(digests, BATCH):
            wanted = [d for d in batch if d not in found and len(d) == HASH_LENGTHS[algorithm]]
            rows = self._client.each(partial(self._row, algorithm), wanted)
            found.update((d, [row]) for d, row in zip(wanted, rows, strict=True) if row is not None)
        return found

    def scan_contents(self, after: bytes | None = None, limit: int = 1000) -> list[ContentRow]:
        """The web API has no list of contents. Raises ``InvalidInput``."""
        del after
        return self._no_list("contents", limit)

    def _no_list(self, what: str, limit: int = 1) -> list[ContentRow]:
        self._client.check_open()
        if limit <= 0:
            return []
        raise InvalidInput(
            f"the {what} of {self._client.url} cannot be listed: the web API has no list of them"
        )

    def _row(self, algorithm: HashName, digest: bytes) -> ContentRow | None:
        try:
            told, _ = self._client.json(f"content/{algorithm}:{digest.hex()}/", ContentJson)
        except NotThere:
            return None
        row = told.row()
        if getattr(row, algorithm) != digest:
            raise Unreachable(f"{self._client.url} told of another content than {algorithm} {digest.hex()}")
        return row
