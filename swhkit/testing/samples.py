"""Sample objects, packs and catalog records, always the same, and the small tools the contracts share."""

from __future__ import annotations

import datetime
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from swhkit.git import Git
from swhkit.hashes import git_digest, git_header, hash_content
from swhkit.manifest import encode, object_id
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    ContentRow,
    Directory,
    Entry,
    ExtrinsicMetadata,
    Pack,
    Person,
    Release,
    Revision,
    Snapshot,
    Timestamp,
)
from swhkit.pack import PackWriter
from swhkit.process import Runner
from swhkit.swhid import Kind, ObjectId
from swhkit.testing.processes import PeakMemory as PeakMemory

T = TypeVar("T")

#: A moment with microseconds; ``moment(n)`` is n seconds later.
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=datetime.UTC)
#: An id that no sample has.
UNKNOWN = ObjectId(Kind.CONTENT, bytes.fromhex("5a" * 20))

_PERSON = Person(b"Ada \xe9 <ada@example.org>", b"Ada \xe9", b"ada@example.org")
_TIME = Timestamp(1_700_000_000, 0, b"+0200")
#: One piece of a flow; short enough for every compressor's window.
_BLOCK = hashlib.shake_128(b"flow").digest(1 << 14)
_PIECE = 1 << 20


class Sample(NamedTuple):
    """An object: its true ``id`` and its ``body`` (without git header)."""

    id: ObjectId
    body: bytes

    @property
    def pair(self) -> tuple[ObjectId, Bytes]:
        """What ``ObjectStore.add`` takes."""
        return self.id, Bytes(self.body)


def sample(kind: Kind, body: bytes) -> Sample:
    """The object of these bytes, whatever they say."""
    return Sample(ObjectId(kind, git_digest(kind.git, body)), body)


def of(obj: Directory | Revision | Release) -> Sample:
    """The object of these fields."""
    return Sample(object_id(obj), encode(obj))


def contents(count: int, prefix: str = "content") -> list[Sample]:
    """``count`` small contents; different prefixes share none."""
    return [sample(Kind.CONTENT, f"{prefix} {n}\n".encode()) for n in range(count)]


def graph() -> list[Sample]:
    """A small closed graph with all four kinds: contents (one empty, one of 3 MB), two directories, two revisions,
    two releases."""
    files = [
        sample(Kind.CONTENT, b""),
        sample(Kind.CONTENT, b"hello\n"),
        sample(Kind.CONTENT, bytes(range(256)) * 20),
        sample(Kind.CONTENT, b"".join(flow(3_000_000))),
    ]
    entries = [Entry(b"%d.txt" % n, "file", file.id.digest, 0o100644) for n, file in enumerate(files)]
    inner = of(Directory(tuple(entries[:2])))
    outer = of(Directory((*entries, Entry(b"inner", "dir", inner.id.digest, 0o40000))))
    first = of(Revision(b"first\n", _PERSON, _PERSON, _TIME, _TIME, inner.id.digest))
    second = of(Revision(b"second\n", _PERSON, _PERSON, _TIME, _TIME, outer.id.digest, (first.id.digest,)))
    release = of(Release(b"v1", b"one\n", second.id.digest, Kind.REVISION, _PERSON, _TIME))
    of_release = of(Release(b"v1-signed", b"one again\n", release.id.digest, Kind.RELEASE, _PERSON, _TIME))
    return [*files, inner, outer, first, second, release, of_release]


def malformed() -> list[Sample]:
    """Objects that git keeps and every checker complains about: they are archived as they are."""
    target = b"\x11" * 20
    return [
        sample(Kind.DIRECTORY, b"100644 b\0" + target + b"100644 a\0" + target),
        sample(Kind.DIRECTORY, b"0100644 padded\0" + target + b"40000 .git\0" + target),
        sample(Kind.DIRECTORY, b"0 zero\0" + target + b"100644 a/b\0" + target),
        sample(
            Kind.REVISION,
            b"tree " + b"1" * 40 + b"\nauthor nobody\ncommitter x <> 99999999999999999999 +9999\n\nm\0m",
        ),
        sample(Kind.REVISION, b"tree " + b"2" * 40 + b"\n"),
        sample(Kind.RELEASE, b"object " + b"3" * 40 + b"\ntype commit\ntag \xff\n\n"),
    ]


def big_directory(count: int) -> Sample:
    """A directory of ``count`` entries."""
    entries = (Entry(b"f%08d" % n, "file", hashlib.sha1(b"%d" % n).digest(), 0o100644) for n in range(count))
    return of(Directory(tuple(entries)))


def flow(length: int) -> Iterator[bytes]:
    """``length`` bytes that are nowhere whole in memory, in pieces of 1 MiB; each piece differs from the others."""
    for number, start in enumerate(range(0, length, _PIECE)):
        piece = b"%016d" % number + _BLOCK * (_PIECE // len(_BLOCK))
        yield piece[: min(_PIECE, length - start)]


def flow_id(length: int) -> ObjectId:
    """The id of ``flow(length)``."""
    digest = hashlib.sha1(git_header("blob", length))
    for piece in flow(length):
        digest.update(piece)
    return ObjectId(Kind.CONTENT, digest.digest())


def make_pack(folder: Path, samples: Iterable[Sample], runner: Runner, name: str = "sample") -> Pack:
    """A pack of these objects with the idx git makes for it; ``folder`` is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = PackWriter(folder / f"{name}.pack")
    for one in samples:
        writer.add(one.id.kind, Bytes(one.body))
    return Git(runner).index_pack(writer.finish())


def row(data: bytes, status: str = "visible", reason: str | None = None) -> ContentRow:
    """The catalog row of a content."""
    return ContentRow.of(hash_content(data), status, reason)


def rows(count: int, prefix: str = "row") -> list[ContentRow]:
    """Rows of ``count`` contents; different prefixes share none."""
    return [row(f"{prefix} {n}".encode()) for n in range(count)]


def snapshot(count: int, seed: str = "") -> Snapshot:
    """A snapshot of ``count`` branches of all sorts: HEAD is an alias, one in a hundred is a release, one dangles."""
    branches: dict[bytes, Branch | None] = {b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/00000001")}
    for n in range(1, count):
        target = hashlib.sha1(f"{seed}{n}".encode()).digest()
        kind = BranchType.RELEASE if n % 100 == 0 else BranchType.REVISION
        branches[b"refs/heads/%08d" % n] = None if n == 2 else Branch(kind, target)
    return Snapshot(branches)


def emd(
    target: str, seconds: int, authority: str = "https://forge.example/", data: bytes = b"{}"
) -> ExtrinsicMetadata:
    """A record about ``target``, discovered ``seconds`` after noon."""
    return ExtrinsicMetadata(
        target=target,
        discovery_date=moment(seconds),
        authority_type="forge",
        authority_url=authority,
        fetcher_name="sample",
        fetcher_version="1",
        format="json",
        metadata=data,
    )


def moment(seconds: float) -> datetime.datetime:
    """A moment that many seconds after ``NOON``."""
    return NOON + datetime.timedelta(seconds=seconds)


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work(0)`` … ``work(count - 1)`` in threads that begin at the same time; the results in that order."""
    barrier = threading.Barrier(count)

    def one(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class Colliding:
    """A stand-in for ``hashlib.sha1`` under which two bodies of one kind have one id.

    Put it in place with ``monkeypatch.setattr(hashlib, "sha1", Colliding(kind, first, second))``: a store sees that
    the second body hashes to the first one's id, as after a real attack on SHA-1. It works for stores that hash
    through ``swhkit.hashes`` or ``hashlib.sha1`` by that name.
    """

    def __init__(self, kind: Kind, first: bytes, second: bytes) -> None:
        self._true = hashlib.sha1
        self._swap = {git_digest(kind.git, second): git_digest(kind.git, first)}

    def __call__(self, data: bytes | memoryview = b"", **options: bool) -> _CollidingHash:
        return _CollidingHash(self._true(data, **options), self._swap)


class _CollidingHash:
    name, digest_size, block_size = "sha1", 20, 64

    def __init__(self, true: hashlib._Hash, swap: dict[bytes, bytes]) -> None:
        self._true, self._swap = true, swap

    def update(self, data: bytes | memoryview) -> None:
        self._true.update(data)

    def copy(self) -> _CollidingHash:
        return _CollidingHash(self._true.copy(), self._swap)

    def digest(self) -> bytes:
        digest = self._true.digest()
        return self._swap.get(digest, digest)

    def hexdigest(self) -> str:
        return self.digest().hex()
