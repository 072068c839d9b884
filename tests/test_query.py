"""The questions themselves, without HTTP: logs, paths, branches, heads, resolving, streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from reading_samples import ADA, EMPTY_URL, MISSING, SPACED, URL, Sample

from swhkit import query
from swhkit.archive import Archive
from swhkit.errors import Corrupt, InvalidInput, NotHeld
from swhkit.hashes import HASH_LENGTHS, hash_content
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    ContentRow,
    Release,
    Revision,
    Snapshot,
    Timestamp,
)
from swhkit.swhid import Kind, ObjectId, parse_qualified

NOON = Timestamp(1_700_000_000, 0, b"+0000")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample()


@pytest.fixture
def fresh() -> Sample:
    """One to add to."""
    return Sample()


def commit(sample: Sample, message: str, *parents: bytes) -> bytes:
    """A new revision."""
    return sample._add(Revision(message.encode(), ADA, ADA, NOON, NOON, sample.inner, parents))


class Counting:
    """A store that counts the calls of each method."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            return method(*args, **kwargs)

        return call


def test_log_is_breadth_first_and_has_each_revision_once(fresh: Sample) -> None:
    """The order of a queue: all of one generation, in the order of their children's parents, before the next."""
    a = commit(fresh, "a")
    b, c, d = (commit(fresh, name, a) for name in "bcd")
    e = commit(fresh, "e", b, c)
    f = commit(fresh, "f", d, MISSING, c)
    top = commit(fresh, "top", f, e, f)
    expected = [top, f, e, d, c, b, a]
    for limit in range(1, 10):
        assert [digest for digest, _ in query.log(fresh.archive, top, limit)] == expected[:limit]


def test_log_asks_once_a_generation(sample: Sample) -> None:
    objects: Any = Counting(sample.objects)
    catalog: Any = Counting(sample.catalog)
    found = query.log(Archive(objects, catalog, None), sample.merge, 10_000)
    assert len(found) == 4
    assert objects.calls == {"read": 3}
    assert catalog.calls == {"metadata": 1}


def test_log_of_a_wide_merge_is_not_read_beyond_its_limit(fresh: Sample) -> None:
    parents = [commit(fresh, f"p{n}") for n in range(50)]
    top = commit(fresh, "octopus", *parents)
    assert [digest for digest, _ in query.log(fresh.archive, top, 11)] == [top, *parents[:10]]


def test_listing_asks_each_store_once(sample: Sample) -> None:
    objects: Any = Counting(sample.objects)
    catalog: Any = Counting(sample.catalog)
    assert len(query.listing(Archive(objects, catalog, None), sample.root)) == 11
    assert (objects.calls, catalog.calls) == ({"read": 1}, {"contents": 1})


def test_contents_that_share_a_sha1(fresh: Sample) -> None:
    """A visible one is preferred, else the order is that of the sha1_git; by sha1_git each is found."""
    one, two = hash_content(b"one"), hash_content(b"two")
    sha1 = b"\x07" * 20
    rows = [
        ContentRow(two.sha1_git, sha1, two.sha256, two.blake2s256, 3, "absent", "x"),
        ContentRow(one.sha1_git, sha1, one.sha256, one.blake2s256, 3),
    ]
    fresh.catalog.add(rows)
    assert query.content(fresh.archive, "sha1", sha1) == rows[1]
    assert query.content(fresh.archive, "sha1_git", two.sha1_git) == rows[0]
    assert query.held_sha1s(fresh.archive, [sha1, fresh.skipped.sha1, b"\0" * 20]) == {sha1}


@pytest.mark.parametrize("digest", [b"", b"x", b"x" * 21, b"x" * 4096])
def test_digests_of_no_length(sample: Sample, digest: bytes) -> None:
    for algorithm in HASH_LENGTHS:
        with pytest.raises(NotHeld, match="not found!"):
            query.content(sample.archive, algorithm, digest)


def test_held_is_bytes_and_row(sample: Sample) -> None:
    ids = {
        ObjectId(Kind.CONTENT, sample.hello.sha1_git): True,
        ObjectId(Kind.CONTENT, sample.rowless.sha1_git): False,
        ObjectId(Kind.CONTENT, sample.skipped.sha1_git): False,
        ObjectId(Kind.DIRECTORY, sample.root): True,
        ObjectId(Kind.DIRECTORY, query.EMPTY_DIRECTORY): True,
        ObjectId(Kind.REVISION, sample.root): False,
        ObjectId(Kind.SNAPSHOT, sample.snp): True,
        ObjectId(Kind.SNAPSHOT, MISSING): False,
    }
    assert query.known(sample.archive, iter(ids)) == {id for id, held in ids.items() if held}
    assert query.known(sample.archive, []) == set()


def test_known_in_batches(sample: Sample) -> None:
    objects: Any = Counting(sample.objects)
    ids = [ObjectId(Kind.REVISION, n.to_bytes(20, "big")) for n in range(2500)]
    held = query.known(Archive(objects, sample.catalog, None), [*ids, ObjectId(Kind.REVISION, sample.first)])
    assert held == {ObjectId(Kind.REVISION, sample.first)}
    assert objects.calls == {"missing": 3}


def test_paths(sample: Sample) -> None:
    for path in (b"sub/f.txt", b"/sub/f.txt/", b"bad/a\xffb"):
        assert query.entry(sample.archive, sample.root, path).entry.target == sample.hello.sha1_git
    for path in (b"", b"/", b"sub//f.txt", b"README/f.txt", b"submodule/x", b"nowhere/x", b"./sub", b"sub\0"):
        with pytest.raises(NotHeld, match="Directory entry with path"):
            query.entry(sample.archive, sample.root, path)
    assert query.entry(sample.archive, sample.duplicate, b"a").row == sample.hello


def test_branches_and_aliases(sample: Sample) -> None:
    merge = Branch(BranchType.REVISION, sample.merge)
    for name in (b"HEAD", b"chain", b"refs/heads/main"):
        assert query.branch(sample.archive, sample.snp, name) == merge
    for name in (b"a-cycle", b"to-nothing", b"dangling", b"no such branch"):
        assert query.branch(sample.archive, sample.snp, name) is None
    page = query.branches(sample.archive, sample.snp, count=1)
    assert page.ends == {b"HEAD": merge}


def test_a_long_chain_of_aliases_ends(fresh: Sample) -> None:
    """Chains are followed for a while and given up then; pages with many aliases stay quick."""
    names = [b"%04d" % n for n in range(500)]
    branches: dict[bytes, Branch | None] = {
        name: Branch(BranchType.ALIAS, following) for name, following in itertools.pairwise(names)
    }
    branches[names[-1]] = Branch(BranchType.REVISION, fresh.merge)
    id, made = fresh.snapshot(branches)
    fresh.visit("https://x.org/chain", made)
    page = query.branches(fresh.archive, id)
    assert names[-2] in page.ends
    assert names[0] not in page.ends


def test_origin_heads(sample: Sample) -> None:
    assert query.origin_head(sample.archive, [URL]) == ObjectId(Kind.DIRECTORY, sample.root)
    with pytest.raises(NotHeld, match="has no branch HEAD"):
        query.origin_head(sample.archive, [SPACED])
    with pytest.raises(NotHeld, match=f"No visit for origin {EMPTY_URL} found"):
        query.origin_head(sample.archive, [EMPTY_URL])
    with pytest.raises(NotHeld, match="Origin with url nope not found!"):
        query.origin_head(sample.archive, ["nope"])


def test_following_to_directory_and_revision(sample: Sample) -> None:
    root = ObjectId(Kind.DIRECTORY, sample.root)
    for kind, digest in (
        (Kind.SNAPSHOT, sample.snp),
        (Kind.RELEASE, sample.nested),
        (Kind.REVISION, sample.merge),
        (Kind.DIRECTORY, sample.root),
    ):
        assert query.directory_of(sample.archive, ObjectId(kind, digest)) == root
    merge = ObjectId(Kind.REVISION, sample.merge)
    assert query.revision_of(sample.archive, ObjectId(Kind.SNAPSHOT, sample.snp)) == merge
    with pytest.raises(InvalidInput, match="has no directory: it leads to the content"):
        query.directory_of(sample.archive, ObjectId(Kind.RELEASE, sample.of_content))
    with pytest.raises(InvalidInput, match="has no revision"):
        query.revision_of(sample.archive, ObjectId(Kind.RELEASE, sample.of_directory))
    with pytest.raises(NotHeld, match="Snapshot with id"):
        query.directory_of(sample.archive, ObjectId(Kind.SNAPSHOT, MISSING))


def test_releases_of_releases_end(fresh: Sample) -> None:
    target = fresh.release
    for n in range(120):
        target = fresh._add(Release(b"%d" % n, b"", target, Kind.RELEASE, ADA, NOON))
    with pytest.raises(InvalidInput, match="nested too deeply"):
        query.directory_of(fresh.archive, ObjectId(Kind.RELEASE, target))


def test_resolve_checks_all_that_is_named(sample: Sample) -> None:
    core = f"swh:1:cnt:{sample.hello.sha1_git.hex()}"
    query.resolve(
        sample.archive, parse_qualified(f"{core};origin={URL};anchor=swh:1:rev:{sample.first.hex()}")
    )
    missing = MISSING.hex()
    for text, reason in {
        f"swh:1:dir:{missing}": f"Directory with sha1_git {missing} not found",
        f"{core};origin=x": "Origin with url x not found!",
        f"{core};anchor=swh:1:rel:{missing}": f"Release with sha1_git {missing} not found.",
        f"{core};visit=swh:1:snp:{missing}": f"Snapshot with id {missing} not found!",
    }.items():
        with pytest.raises(NotHeld) as caught:
            query.resolve(sample.archive, parse_qualified(text))
        assert str(caught.value) == reason


class Streaming:
    """Objects that note when a stream is closed."""

    def __init__(self, pieces: list[bytes], error: Exception | None = None) -> None:
        self.pieces, self.error, self.closed = pieces, error, False

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        try:
            yield from self.pieces
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_pieces_are_let_go(sample: Sample, taken: int) -> None:
    objects: Any = Streaming([b"a", b"b", b"c"])
    archive = Archive(objects, sample.catalog, None)
    _, pieces = query.content_bytes(archive, "sha1_git", sample.hello.sha1_git)
    assert [next(pieces) for _ in range(taken)] == [b"a", b"b", b"c"][:taken]
    assert not objects.closed
    pieces.close()
    assert objects.closed


def test_damage_in_the_first_piece_raises_at_once(sample: Sample) -> None:
    archive = Archive(Streaming([], Corrupt("damaged")), sample.catalog, None)  # type: ignore[arg-type]
    with pytest.raises(Corrupt):
        query.content_bytes(archive, "sha1_git", sample.hello.sha1_git)


def test_a_damaged_snapshot_is_not_given_out(sample: Sample) -> None:
    class Lying:
        def snapshot(self, id: bytes) -> Snapshot:
            return Snapshot({b"HEAD": Branch(BranchType.REVISION, MISSING)})

    with pytest.raises(Corrupt, match="does not hash to its id"):
        query.body(Archive(sample.objects, Lying(), None), ObjectId(Kind.SNAPSHOT, sample.snp))  # type: ignore[arg-type]


def test_unreadable_objects_say_so(sample: Sample) -> None:
    with pytest.raises(query.Unreadable, match="is held, but cannot be read"):
        query.directory(sample.archive, sample.truncated)
    length, pieces = query.body(sample.archive, ObjectId(Kind.DIRECTORY, sample.truncated))
    assert b"".join(pieces) == b"100644 a\0short"
    assert length == 14


def test_added_bytes_count_once_their_row_exists(fresh: Sample) -> None:
    data = b"late\n"
    row = ContentRow.of(hash_content(data))
    fresh.objects.add([(ObjectId(Kind.CONTENT, row.sha1_git), Bytes(data))])
    with pytest.raises(NotHeld):
        query.content_bytes(fresh.archive, "sha1_git", row.sha1_git)
    fresh.catalog.add([row])
    assert b"".join(query.content_bytes(fresh.archive, "sha1_git", row.sha1_git)[1]) == data
