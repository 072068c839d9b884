"""Walking a graph: what is reached, what is absent, and how much of it is in memory at a time."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha1
from pathlib import Path

import pytest
from archives import archive, shell
from test_visit import URL, Yields, history

from swhkit import manifest, visit
from swhkit.affected import tolerant_read
from swhkit.archive import Archive
from swhkit.batches import sized
from swhkit.closure import Walk, held_bodies
from swhkit.hashes import git_digest
from swhkit.model import Bytes
from swhkit.swhid import Kind, ObjectId

#: Bytes of bodies that may be asked for at once, as the modules say.
TOGETHER = 16 << 20
BLOB = ObjectId(Kind.CONTENT, b"\x07" * 20)


def stored(target: Archive, kind: Kind, body: bytes) -> ObjectId:
    id = ObjectId(kind, git_digest(kind.git, body))
    target.writer()[0].add([(id, Bytes(body))])
    return id


def many_large_trees(target: Archive, count: int, size: int) -> ObjectId:
    """A directory of so many directories with one long name each."""
    trees = [
        stored(target, Kind.DIRECTORY, b"100644 %05d%s\0%s" % (n, b"n" * size, BLOB.digest))
        for n in range(count)
    ]
    root = b"".join(b"40000 %05d\0%s" % (n, tree.digest) for n, tree in enumerate(trees))
    return stored(target, Kind.DIRECTORY, root)


@pytest.mark.parametrize("read", ["held", "tolerant"])
def test_bodies_are_asked_for_in_parts_by_their_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """All fifty directories are in one batch of the walk, and no more than memory is meant for is read at once."""
    with archive("memory", tmp_path) as target:
        root = many_large_trees(target, 50, 1 << 20)
        asked: list[int] = []
        real = target.objects.read

        def counting(ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
            found = real(ids)
            asked.append(sum(map(len, found.values())))
            return found

        monkeypatch.setattr(target.objects, "read", counting)
        how = tolerant_read(target) if read == "tolerant" else partial(held_bodies, target.objects)
        with Walk(tmp_path, how) as walk:
            walk.run([root])
            assert list(walk.contents()) == [BLOB.digest]
            assert walk.absent() == []
        assert sum(asked) > 50 << 20
        assert max(asked) <= TOGETHER


def test_a_message_of_any_size_and_an_object_that_is_too_large_to_be_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit_memory.objects.READ_LIMIT", 1 << 20)
    with archive("memory", tmp_path) as target:
        tree = many_large_trees(target, 2, 2 << 20)
        head = b"tree %s\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n" % tree.hex.encode()
        commit = stored(target, Kind.REVISION, head + b"m" * (3 << 20))
        ((id, body),) = held_bodies(target.objects, [commit])
        assert (id, body) == (commit, head)
        with Walk(tmp_path, tolerant_read(target)) as walk:
            walk.run([commit])
            assert (len(list(walk.reached())), walk.absent()) == (5, [])


@pytest.mark.parametrize("kind", ["filesystem", "sqlite", "memory"])
def test_what_is_damaged_or_lost_is_absent_and_the_rest_is_reached(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path) as target:
        items, snapshot = history()
        visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
        directory, revision, release = (manifest.object_id(item) for item in items[1:])  # type: ignore[arg-type]
        target.writer()[0].remove([directory])
        with Walk(tmp_path, tolerant_read(target)) as walk:
            walk.run([release])
            assert set(walk.reached()) == {release, revision, directory}
            assert walk.absent() == [(directory, revision.digest)]


def test_parts_by_size() -> None:
    sizes = {"a": 3, "b": 3, "c": 9, "d": 1}
    assert list(sized("abcde", sizes, 6)) == [["a", "b"], ["c"], ["d", "e"]]
    assert list(sized("", sizes, 6)) == []


def _nothing(_ids: Sequence[ObjectId]) -> Iterator[tuple[ObjectId, bytes]]:
    return iter(())


def test_a_full_disk_is_an_error_of_the_disk_that_names_the_file(tmp_path: Path) -> None:
    """Not one of SQLite, which nobody above knows of."""
    heads = (ObjectId(Kind.REVISION, sha1(b"%d" % number).digest()) for number in range(1_000_000))
    with Walk(tmp_path, _nothing) as walk:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
        try:
            with pytest.raises(OSError, match=r"walk\.sqlite"):
                walk.run(heads)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"walk\.sqlite"):
        Walk(tmp_path / "nowhere", _nothing)
