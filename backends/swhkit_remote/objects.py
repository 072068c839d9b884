"""Objects of another archive: fetched one by one, several at once, each hashed before it is given on.

The bytes come from ``raw/`` where that is open to us. Where it is not, contents come from ``content/…/raw/`` and all
else is rebuilt from JSON; what cannot be rebuilt faithfully is ``Unreachable``, and the error says so. Nothing is kept:
a cache would stand before this reader, with the same protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from swhkit.errors import Corrupt, InvalidInput, NotHeld, TooLarge, Unreachable
from swhkit.hashes import git_header, verified
from swhkit.storage import READ_LIMIT
from swhkit.swhid import GIT_KINDS, Kind, ObjectId
from swhkit_remote import rebuild
from swhkit_remote.answers import Answer, Forbidden, NoEndpoint, NotThere, Refused
from swhkit_remote.batches import batches
from swhkit_remote.client import Client
from swhkit_remote.holdings import held
from swhkit_remote.shapes import ContentJson, EntryJson, ReleaseJson, RevisionJson

#: Ids that are worked on at once.
BATCH = 1000
_SCOPE = "swh_raw_object"
_HEADER = re.compile(rb"(blob|tree|commit|tag|snapshot) (0|[1-9][0-9]{0,18})\0")
#: Bytes of git's header at most.
_HEADER_MAX = 32


class Body:
    """A body of ``length`` bytes on its way, in ``pieces``; ``close`` lets its connection go."""

    def __init__(self, length: int, pieces: Iterator[bytes], answer: Answer | None = None) -> None:
        self.length, self.pieces, self._answer = length, pieces, answer

    def close(self) -> None:
        """May be called twice."""
        if self._answer is not None:
            self._answer.close()


class RemoteObjects:
    """An ``ObjectReader`` over the web API; see ``swhkit.storage`` for what each method promises."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: Whether ``raw/`` is open to us: remembered once the archive has said no.
        self._raw = True

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """As the contract. ``Unreachable`` also for an object that is held there but cannot be had faithfully."""
        self._client.check_open()
        found: dict[ObjectId, bytes] = {}
        for batch in batches(ids, BATCH):
            fresh = [id for id in batch if id.kind in GIT_KINDS and id not in found]
            wanted = fresh if len(fresh) < 2 else held(self._client, fresh)
            bodies = self._client.each(self._body, wanted)
            found.update((id, body) for id, body in zip(wanted, bodies, strict=True) if body is not None)
        return found

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """As the contract; the object is asked for when the first piece is."""
        self._client.check_open()
        body = self._opened(id)
        try:
            yield from verified(id, body.length, body.pieces, self._wrong(id))
        finally:
            body.close()

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """As the archive tells them; they are tested when the bytes come."""
        self._client.check_open()
        found: dict[ObjectId, int] = {}
        for batch in batches(ids, BATCH):
            wanted = held(self._client, (id for id in batch if id.kind in GIT_KINDS and id not in found))
            lengths = self._client.each(self._size, wanted)
            found.update(
                (id, length) for id, length in zip(wanted, lengths, strict=True) if length is not None
            )
        return found

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As the contract. A content is held there if the archive says so, which includes its row."""
        self._client.check_open()
        missing: set[ObjectId] = set()
        for batch in batches(ids, BATCH):
            there = set(held(self._client, (id for id in batch if id.kind in GIT_KINDS)))
            missing.update(id for id in batch if id not in there)
        return missing

    def scan(self, after: ObjectId | None = None, limit: int = 1000) -> list[ObjectId]:
        """The web API has no list of objects. Raises ``InvalidInput``."""
        del after
        self._client.check_open()
        if limit <= 0:
            return []
        raise InvalidInput(
            f"the objects of {self._client.url} cannot be listed: the web API finds them by id only"
        )

    def close(self) -> None:
        """As the contract."""
        self._client.close()

    # --- one object ---

    def _body(self, id: ObjectId) -> bytes | None:
        """The body, None if it is not held."""
        try:
            body = self._opened(id)
        except NotHeld:
            return None
        try:
            if body.length <= READ_LIMIT:
                return b"".join(verified(id, body.length, body.pieces, self._wrong(id)))
        finally:
            body.close()
        raise TooLarge(
            f"{id} has {body.length} bytes, more than the {READ_LIMIT} that are read whole: stream it"
        )

    def _opened(self, id: ObjectId) -> Body:
        """A body on its way, not verified yet; to be closed. Raises ``NotHeld``."""
        if id.kind not in GIT_KINDS:
            raise NotHeld(f"{id} is not held: no object store has {id.kind.word} objects")
        try:
            if self._raw:
                try:
                    return _manifest(id, self._client.binary(f"raw/{id}/", scope=_SCOPE), self._wrong(id))
                except (Forbidden, NoEndpoint):
                    self._raw = False
                except Refused:
                    pass  # this one it cannot write down; its JSON may do
            if id.kind is Kind.CONTENT:
                return self._content(id)
            body = self._rebuilt(id)
            return Body(len(body), iter((body,)))
        except NotThere as error:
            raise NotHeld(f"{id} is not held by {self._client.url}") from error

    def _content(self, id: ObjectId) -> Body:
        path = f"content/sha1_git:{id.hex}/raw/"
        answer = self._client.binary(path)
        if answer.length is not None:
            return Body(answer.length, answer.pieces(), answer)
        # The length is hashed first, and this answer does not tell it.
        answer.close()
        length = self._told_length(id)
        answer = self._client.binary(path)
        return Body(length, _exactly(length, answer.pieces(), self._wrong(id)), answer)

    def _told_length(self, id: ObjectId) -> int:
        told, _ = self._client.json(f"content/sha1_git:{id.hex}/", ContentJson)
        if told.status != "visible" or told.length is None:
            raise NotThere(f"the bytes of {id} are not held")
        return told.length

    def _rebuilt(self, id: ObjectId) -> bytes:
        path = f"{id.kind.word}/{id.hex}/"
        if id.kind is Kind.DIRECTORY:
            bodies = rebuild.directories(self._client.json(path, tuple[EntryJson, ...])[0])
        elif id.kind is Kind.REVISION:
            bodies = rebuild.revisions(self._client.json(path, RevisionJson)[0])
        else:
            bodies = rebuild.releases(self._client.json(path, ReleaseJson)[0])
        body = rebuild.first_match(id.kind, id.digest, bodies)
        if body is None:
            raise Unreachable(
                f"{id} cannot be had byte for byte from {self._client.url}: raw/ is not open to us there, and what its "
                f"JSON tells does not hash to the id; a token that may use raw/ would help"
            )
        return body

    def _size(self, id: ObjectId) -> int | None:
        try:
            if id.kind is Kind.CONTENT:
                return self._told_length(id)
            if self._raw:
                length = _body_length(id.kind, self._head(id))
                if length is not None:
                    return length
            body = self._opened(id)
            body.close()
            return body.length
        except NotHeld:
            return None

    def _head(self, id: ObjectId) -> int | None:
        try:
            return self._client.head(f"raw/{id}/", scope=_SCOPE)
        except (Forbidden, NoEndpoint):
            self._raw = False
        except Refused:
            pass
        return None

    def _wrong(self, id: ObjectId) -> str:
        return f"what {self._client.url} sent for {id} does not hash to it: nothing of it was used; tell who runs it"


def _manifest(id: ObjectId, answer: Answer, wrong: str) -> Body:
    """The body in an answer of ``raw/``, which begins with git's header. Raises ``Corrupt``."""
    try:
        pieces, start = answer.pieces(), b""
        while b"\0" not in start and len(start) < _HEADER_MAX and (piece := next(pieces, b"")):
            start += piece
        header = _HEADER.match(start)
        if header is None or header[1].decode() != id.kind.git:
            raise Corrupt(wrong)
        length = int(header[2])
        if answer.length is not None and answer.length != header.end() + length:
            raise Corrupt(wrong)
    except BaseException:
        answer.close()
        raise
    rest = chain((start[header.end() :],), pieces)
    return Body(length, _exactly(length, rest, wrong), answer)


def _exactly(length: int, pieces: Iterable[bytes], wrong: str) -> Iterator[bytes]:
    """The pieces; raises ``Corrupt`` as soon as there are more bytes than ``length``, or at the end if there are fewer."""
    came = 0
    for piece in pieces:
        came += len(piece)
        if came > length:
            raise Corrupt(wrong)
        yield piece
    if came < length:
        raise Corrupt(wrong)


def _body_length(kind: Kind, whole: int | None) -> int | None:
    """The length of a body whose length with git's header is ``whole``; None if there is none."""
    if whole is None:
        return None
    for digits in range(1, 20):
        length = whole - len(kind.git) - 2 - digits
        if length >= 0 and len(git_header(kind.git, length)) + length == whole:
            return length
    return None
