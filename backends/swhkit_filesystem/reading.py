"""Reading: single objects through libgit2, many and large ones through ``git cat-file``, all of them hashed.

What is not found is looked for again in what is there now, and what cannot be read is tried once more by git without
the multi-pack-index, before it is called missing or ``Corrupt``. libgit2 sees packs alone, never loose objects: it
loops for ever on a truncated one, and there are none in a store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import islice
from pathlib import Path

import pygit2

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt, NotHeld, TooLarge
from swhkit.git import PIECE, Git
from swhkit.hashes import git_digest, verified
from swhkit.process import Runner
from swhkit.storage import READ_LIMIT
from swhkit.swhid import GIT_KINDS, Kind, ObjectId
from swhkit_filesystem.bulk import each
from swhkit_filesystem.gate import Gate, Shelf
from swhkit_filesystem.hopeless import Hopeless
from swhkit_filesystem.tables import all_digests

#: From so many objects on a child is quicker than libgit2 (bodies; kind and size alone).
_MANY_BODIES, _MANY_HEADERS = 50, 400
#: Objects larger than this are left to a child: libgit2 inflates them with the interpreter locked.
_LARGE = PIECE
#: Ids taken from a batch at a time.
_BATCH = 50_000

_KINDS = {
    pygit2.enums.ObjectType.BLOB: Kind.CONTENT,
    pygit2.enums.ObjectType.TREE: Kind.DIRECTORY,
    pygit2.enums.ObjectType.COMMIT: Kind.REVISION,
    pygit2.enums.ObjectType.TAG: Kind.RELEASE,
}
Header = tuple[Kind, int]
_Whole = tuple[ObjectId, bytes | None]


class Reader:
    """The ``ObjectReader`` half of the store. Thread-safe."""

    def __init__(self, gate: Gate, runner: Runner) -> None:
        self._gate, self._runner = gate, runner
        self._lock = threading.Lock()
        self._odb: tuple[Shelf, pygit2.Odb] | None = None

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """As ``ObjectReader.read``."""
        found: dict[ObjectId, bytes] = {}
        for batch in _batches(ids):
            shelf, held = self._held(_digests(batch))
            wanted = {id for id in batch if id.digest in held}
            order = shelf.in_pack_order(held) if len(held) > _MANY_BODIES else list(held)
            for id, body in self._bodies(shelf, order, wanted):
                found[id] = body
        return found

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """As ``ObjectReader.stream``; raises ``NotHeld`` at once."""
        header = self._believed({id}).get(id.digest)
        if header is None or header[0] is not id.kind:
            raise NotHeld(f"{id} is not held")
        if header[1] > _LARGE:
            return self._stream(id, header[1])
        body = self.read([id]).get(id)
        if body is None:  # removed in between
            raise NotHeld(f"{id} is not held")
        return iter([body] if body else [])

    def sizes(self, ids: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """As ``ObjectReader.sizes``."""
        found: dict[ObjectId, int] = {}
        for batch in _batches(ids):
            headers = self._believed(batch)
            pairs = ((id, headers.get(id.digest)) for id in batch)
            found |= {id: header[1] for id, header in pairs if header is not None and header[0] is id.kind}
        return found

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """As ``ObjectReader.missing``."""
        missing: set[ObjectId] = set()
        for batch in _batches(ids):
            headers = self._believed(batch)
            missing |= {id for id in batch if headers.get(id.digest, (None,))[0] is not id.kind}
        return missing

    def headers(self, digests: Set[bytes]) -> dict[bytes, Header]:
        """Kind and length of those that are held. Raises ``Corrupt`` for one that cannot be read at all."""
        shelf, held = self._held(digests)
        found = self._headers(shelf, held)
        lost = held - found.keys()
        if lost:
            shelf, lost = self._held(lost)
            found |= self.readable_headers(shelf, lost)
        hopeless = Hopeless(shelf.tables)
        for digest in lost - found.keys():
            if hopeless(digest):
                self._complain(shelf, {digest})
            again = self._check(self.git(shelf, careful=True), [digest])
            self._complain(shelf, {digest} - again.keys())
            found |= again
        return found

    def _believed(self, ids: Set[ObjectId]) -> dict[bytes, Header]:
        """The headers of ``ids``. Where one is of another kind than was asked for, its bytes are read, too: a damaged
        header may say anything, and "not held" would be a lie. Raises ``Corrupt`` then."""
        headers = self.headers(_digests(ids))
        strange = {id for id in ids if id.digest in headers and headers[id.digest][0] is not id.kind}
        if strange:
            self.read(strange)
        return headers

    def seems_held(self, digest: bytes) -> bool:
        """Whether some pack had the id a moment ago; quick, and may miss what came since."""
        return self._gate.shelf().find(digest) is not None

    def readable_headers(self, shelf: Shelf, digests: Set[bytes]) -> dict[bytes, Header]:
        """Kind and length of those whose header can be read, one by one; nothing is raised for the others."""
        odb = self._libgit2(shelf)
        headers = ((digest, self._header(odb, digest)) for digest in digests)
        return {digest: header for digest, header in headers if header is not None}

    def scan(self, after: ObjectId | None, limit: int) -> list[ObjectId]:
        """As ``ObjectReader.scan``."""
        last = None if after is None else after.digest
        while True:
            shelf = self._gate.look()
            shelf.require_whole("anything more")
            page = list(islice(all_digests(shelf.tables, last), max(limit, 0)))
            headers = self.headers(set(page))
            found = [ObjectId(headers[digest][0], digest) for digest in page if digest in headers]
            if found or not page:
                return found
            last = page[-1]  # all of them were removed in between

    def git(self, shelf: Shelf, careful: bool = False) -> Git:
        """git on the shelf's objects; ``careful``: without the multi-pack-index.

        It works in a private git directory, so that nothing depends on the store's own config.
        """
        name = "careful.git" if careful else "plain.git"
        with self._lock:
            Git.init(self._runner, self._runner.home / name)
        git = Git(self._runner, self._runner.home / name, object_directory=shelf.objects)
        return _configured(git, "core.multiPackIndex", "false") if careful else git

    def git_aside(self, shelf: Shelf, objects: Path) -> Git:
        """git that reads the shelf's objects and writes, also its temporary files, into ``objects`` (made here)."""
        (objects / "pack").mkdir(parents=True)
        plain = self.git(shelf)
        git = Git(self._runner, plain.git_dir, object_directory=objects, alternates=[shelf.objects])
        # Larger objects are copied as they are, never taken into memory.
        return _configured(git, "core.bigFileThreshold", "50m")

    def close(self) -> None:
        """Let go of libgit2's open packs."""
        self._odb = None

    def _held(self, digests: Set[bytes]) -> tuple[Shelf, set[bytes]]:
        """What there is now, and which of ``digests`` it has."""
        shelf = self._gate.shelf()
        held = shelf.held(digests)
        if len(held) < len(digests):
            now = self._gate.look()
            if now is not shelf:
                shelf, held = now, now.held(digests)
            if len(held) < len(digests):
                shelf.require_whole(min(digests - held).hex())
        return shelf, held

    def _bodies(
        self, shelf: Shelf, order: Sequence[bytes], wanted: Set[ObjectId]
    ) -> Iterator[tuple[ObjectId, bytes]]:
        if len(order) > _MANY_BODIES:
            pairs = each(self.git(shelf), order, _taker(wanted), Hopeless(shelf.tables))
        else:
            pairs = ((digest, self._single(shelf, digest, wanted)) for digest in order)
        for digest, one in pairs:
            if one is None:
                one = self._carefully(digest, wanted)
            if one is not None and one[0] in wanted:
                if one[1] is None:
                    raise TooLarge(f"{one[0]} has more than {READ_LIMIT} bytes: use stream")
                yield one[0], one[1]

    def _single(self, shelf: Shelf, digest: bytes, wanted: Set[ObjectId]) -> _Whole | None:
        """One object through libgit2, large ones through a child; None if it cannot be read that way."""
        header = self._header(self._libgit2(shelf), digest)
        if header is None:
            return None
        id = ObjectId(header[0], digest)
        if id in wanted and header[1] > READ_LIMIT:
            return id, None
        if header[1] > _LARGE:
            ((_, one),) = each(self.git(shelf), [digest], _taker(wanted), Hopeless(shelf.tables))
            return one
        try:
            kind, body = self._libgit2(shelf).read(pygit2.Oid(raw=digest))
        except Exception:  # noqa: BLE001  # GitError, KeyError, ValueError, even MemoryError were seen on damaged packs
            return None
        good = git_digest(_KINDS[kind].git, body) == digest
        return (ObjectId(_KINDS[kind], digest), body) if good else None

    def _carefully(self, digest: bytes, wanted: Set[ObjectId]) -> _Whole | None:
        """The second and last try. None if it was removed meanwhile; raises ``Corrupt`` if it cannot be read."""
        shelf, held = self._held({digest})
        if not held:
            return None
        hopeless = Hopeless(shelf.tables)
        one = None
        if not hopeless(digest):
            ((_, one),) = each(self.git(shelf, careful=True), [digest], _taker(wanted), hopeless)
        if one is None:
            self._complain(shelf, {digest})
        return one

    def _stream(self, id: ObjectId, length: int) -> Iterator[bytes]:
        """Verified pieces. The digest is of what was given, whichever child it came from."""
        complaint = f"the bytes of {id} do not hash to it: run `swhkit check --full`"
        return verified(id, length, self._twice(id, length), complaint)

    def _twice(self, id: ObjectId, length: int) -> Iterator[bytes]:
        """Pieces from a child; when it fails, from a second one, after what was given already."""
        seen = 0
        for careful in (False, True):
            skip = seen
            try:
                for piece in self._pieces(id, careful):
                    part, skip = piece[skip:], max(0, skip - len(piece))
                    seen += len(part)
                    yield part
            except ChildTimeout:
                raise
            except ChildFailed:
                pass
            if seen == length:
                break
        if seen != length:
            self._complain(self._gate.look(), {id.digest})
            raise NotHeld(f"{id} was removed while it was read")

    def _pieces(self, id: ObjectId, careful: bool) -> Iterator[bytes]:
        for found, _, pieces in self.git(self._gate.shelf(), careful).read([id.digest]):
            if found == id:
                yield from pieces

    def _headers(self, shelf: Shelf, digests: Set[bytes]) -> dict[bytes, Header]:
        if len(digests) > _MANY_HEADERS:
            return self._check(self.git(shelf), sorted(digests))
        return self.readable_headers(shelf, digests)

    def _check(self, git: Git, digests: Sequence[bytes]) -> dict[bytes, Header]:
        """Kinds and lengths by a child; incomplete if it dies."""
        found: dict[bytes, Header] = {}
        try:
            for digest, kind, size in git.check(digests):
                if kind is not None:
                    found[digest] = kind, size
        except ChildTimeout:
            raise
        except ChildFailed:
            pass
        return found

    def _header(self, odb: pygit2.Odb, digest: bytes) -> Header | None:
        try:
            kind, size = odb.read_header(pygit2.Oid(raw=digest))
            return _KINDS[kind], size
        except Exception:  # noqa: BLE001  # as in _single
            return None

    def _libgit2(self, shelf: Shelf) -> pygit2.Odb:
        """libgit2 on the packs of the shelf; opened anew when they change, so that deleted packs are let go."""
        opened = self._odb
        if opened is None or opened[0] is not shelf:
            odb = pygit2.Odb()
            odb.add_backend(pygit2.OdbBackendPack(str(shelf.objects)), 1)
            opened = self._odb = (shelf, odb)
        return opened[1]

    def _complain(self, shelf: Shelf, lost: Set[bytes]) -> None:
        """Raise ``Corrupt`` if one of ``lost`` is there and cannot be read."""
        for digest in lost:
            if shelf.find(digest) is not None:
                raise Corrupt(
                    f"the object {digest.hex()} in {shelf.where(digest)} is damaged: run `swhkit check --full`"
                )


def _configured(git: Git, key: str, value: str) -> Git:
    """The same git with one more config variable (git-config(1): numbered ones in the environment)."""
    git.environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": value}
    return git


def _taker(wanted: Set[ObjectId]) -> Callable[[ObjectId, int, Iterator[bytes]], _Whole]:
    """A function that takes objects whole and verified; without the body where it is too large or not ``wanted``."""

    def take(id: ObjectId, length: int, pieces: Iterator[bytes]) -> _Whole:
        if id not in wanted:  # "of another kind" is only believed of sound bytes
            for _ in verified(id, length, pieces):
                pass
            return id, None
        if length > READ_LIMIT:
            return id, None
        return id, b"".join(verified(id, length, pieces))

    return take


def _batches(ids: Iterable[ObjectId]) -> Iterator[set[ObjectId]]:
    """Pieces of a batch of any size."""
    iterator = iter(ids)
    while batch := set(islice(iterator, _BATCH)):
        yield batch


def _digests(ids: Iterable[ObjectId]) -> set[bytes]:
    """The digests of those of a kind that an object store holds."""
    return {id.digest for id in ids if id.kind in GIT_KINDS}
