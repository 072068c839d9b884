"""Packs that are written here are what git reads, in bounded memory; damage never passes for good."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swhkit.errors import Corrupt, InvalidInput
from swhkit.git import Git
from swhkit.hashes import git_digest
from swhkit.model import Bytes, ByteSource, Chunks, File, Pack
from swhkit.pack import PackWriter, pack_checksum_ok, walk
from swhkit.packindex import show_index
from swhkit.process import Runner
from swhkit.swhid import GIT_KINDS, Kind, ObjectId

MIB = 1 << 20


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    home = tmp_path / "home"
    home.mkdir()
    return Runner(home)


@pytest.fixture
def git(runner: Runner, tmp_path: Path) -> Git:
    return Git.init(runner, tmp_path / "repo.git")


def walked(pack: Pack, runner: Runner) -> dict[ObjectId, bytes]:
    found = {}
    for id, size, pieces in walk(pack, runner):
        found[id] = b"".join(pieces)
        assert len(found[id]) == size
    return found


def written(path: Path, *objects: tuple[Kind, bytes]) -> tuple[Path, list[ObjectId]]:
    writer = PackWriter(path)
    ids = [writer.add(kind, Bytes(body)) for kind, body in objects]
    return writer.finish(), ids


def sources(body: bytes, folder: Path, cut: int) -> Iterator[ByteSource]:
    """The same bytes as each kind of source."""
    yield Bytes(body)
    (folder / "source").write_bytes(body)
    yield File(folder / "source", len(body))
    yield Chunks(len(body), iter([body[:cut], b"", body[cut:]]))


BODIES = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=20), st.integers(1, 20_000)),
)


@settings(max_examples=25, deadline=None)
@given(objects=st.lists(st.tuples(st.sampled_from(GIT_KINDS), BODIES, st.integers(0, 300)), max_size=12))
def test_git_accepts_what_is_written_and_gives_the_same_bytes(objects: list[tuple[Kind, bytes, int]]) -> None:
    expected = {ObjectId(kind, git_digest(kind.git, body)): (body, cut) for kind, body, cut in objects}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runner = Runner(folder)
        writers = [PackWriter(folder / f"{form}.pack") for form in ("bytes", "file", "chunks")]
        for id, (body, cut) in expected.items():
            for writer, source in zip(writers, sources(body, folder, cut), strict=True):
                assert writer.add(id.kind, source) == id
        for writer in writers:
            assert len(writer) == len(expected)
            pack = Git(runner).index_pack(writer.finish())
            assert pack.path.stat().st_size == writer.bytes_written
            Git(runner).run("verify-pack", pack.idx)
            assert walked(pack, runner) == {id: body for id, (body, _) in expected.items()}
            assert pack_checksum_ok(pack.path)
            assert pack_checksum_ok(pack.idx)


def test_a_pack_may_hold_an_object_twice(git: Git, runner: Runner, tmp_path: Path) -> None:
    path, (id, other, _) = written(tmp_path / "a.pack", *((Kind.CONTENT, b) for b in (b"x", b"y", b"x")))
    assert walked(git.index_pack(path), runner) == {id: b"x", other: b"y"}


def test_an_empty_pack_is_a_pack(git: Git, runner: Runner, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "empty.pack")
    assert path.stat().st_size == 32
    pack = git.index_pack(path)
    assert walked(pack, runner) == {}


@pytest.mark.parametrize(
    "length", [0, 1, 15, 16, 2047, 2048, 65535, 65536, MIB - 1, MIB, MIB + 1, 2 * MIB + 1]
)
def test_every_length_survives(git: Git, runner: Runner, tmp_path: Path, length: int) -> None:
    body = os.urandom(length)
    path, (id,) = written(tmp_path / "a.pack", (Kind.CONTENT, body))
    assert walked(git.index_pack(path), runner) == {id: body}


MALFORMED = [
    (Kind.REVISION, b""),
    (Kind.REVISION, b"parent only\n"),
    (Kind.REVISION, b"tree 0000\nauthor <\0>\n\n"),
    (Kind.RELEASE, b"object nothing\ntype weird\n"),
    (Kind.RELEASE, b""),
    (Kind.DIRECTORY, b"no tree at all"),
    (Kind.DIRECTORY, b"100644 b\0" + bytes(20) + b"100644 a\0" + bytes(20)),
    (Kind.DIRECTORY, b"40000 .git\0" + bytes(20) + b"0 \0" + bytes(20)),
    (Kind.DIRECTORY, b"100644 cut\0" + bytes(7)),
    (Kind.CONTENT, b""),
]


def test_malformed_objects_are_walked_byte_for_byte(git: Git, runner: Runner, tmp_path: Path) -> None:
    path, ids = written(tmp_path / "odd.pack", *MALFORMED)
    assert walked(git.index_pack(path), runner) == {
        id: body for id, (_, body) in zip(ids, MALFORMED, strict=True)
    }


def test_one_digest_under_the_name_of_its_kind(tmp_path: Path) -> None:
    _, ids = written(tmp_path / "a.pack", *((kind, b"") for kind in GIT_KINDS))
    assert [id.kind for id in ids] == list(GIT_KINDS)
    assert ids[1].hex == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert ids[0].hex == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


class Broken(Exception):
    pass


def failing() -> Iterator[bytes]:
    yield b"some bytes" * 100_000
    raise Broken


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Chunks(10, iter([b"short"])), Corrupt),
        (Chunks(3, iter([b"long"])), Corrupt),
        (Chunks(0, iter([b"x"])), Corrupt),
        (Chunks(5, iter([])), Corrupt),
        (Chunks(5 * MIB, iter([bytes(MIB)] * 4)), Corrupt),
        (Chunks(3 * MIB, failing()), Broken),
        (File(Path("/nowhere/at/all"), 5), OSError),
        (File(Path(__file__), 5), Corrupt),
        (File(Path(__file__), 500_000), Corrupt),
    ],
)
def test_a_source_that_lies_leaves_no_trace(
    git: Git, runner: Runner, tmp_path: Path, source: ByteSource, error: type[Exception]
) -> None:
    writer = PackWriter(tmp_path / "a.pack")
    first = writer.add(Kind.CONTENT, Bytes(b"before"))
    size = writer.bytes_written
    with pytest.raises(error):
        writer.add(Kind.CONTENT, source)
    assert (len(writer), writer.bytes_written) == (1, size)
    last = writer.add(Kind.CONTENT, Bytes(b"after"))
    assert walked(git.index_pack(writer.finish()), runner) == {first: b"before", last: b"after"}


def test_kinds_that_are_no_git_object_are_refused(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "a.pack")
    for kind in (Kind.SNAPSHOT, Kind.ORIGIN):
        with pytest.raises(InvalidInput, match=r"cannot hold a (snapshot|origin)"):
            writer.add(kind, Bytes(b"x"))
    assert len(writer) == 0


def test_the_name_appears_only_when_all_is_written(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "a.pack")
    writer.add(Kind.CONTENT, Bytes(b"x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pack.tmp"]
    writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pack"]
    writer.abort()
    assert (tmp_path / "a.pack").exists()


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path / "a.pack")
    writer.add(Kind.CONTENT, Bytes(b"x"))
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


HUGE = """
import sys
from pathlib import Path
from swhkit.model import Chunks
from swhkit.pack import PackWriter, walk
from swhkit.git import Git
from swhkit.process import Runner
from swhkit.swhid import Kind

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) >> 10

folder = Path(sys.argv[1])
before = peak()
writer = PackWriter(folder / "big.pack")
id = writer.add(Kind.CONTENT, Chunks(300 << 20, iter([bytes(1 << 20)] * 300)))
pack = Git(Runner(folder)).index_pack(writer.finish())
total = sum(len(piece) for _, _, pieces in walk(pack, Runner(folder)) for piece in pieces)
print(id.hex, total, peak() - before)
"""


def test_a_content_of_300_mib_passes_in_bounded_memory(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HUGE, str(tmp_path)], capture_output=True, check=True)
    hex, total, grown = done.stdout.split()
    digest = hashlib.sha1(b"blob %d\0" % (300 * MIB))
    for _ in range(300):
        digest.update(bytes(MIB))
    assert (hex.decode(), int(total)) == (digest.hexdigest(), 300 * MIB)
    assert int(grown) < 24  # MiB


def three(folder: Path, git: Git) -> tuple[Pack, list[ObjectId]]:
    bodies = [(Kind.CONTENT, os.urandom(n)) for n in (5000, 2 * MIB, 7000)]
    path, ids = written(folder / "three.pack", *bodies)
    pack = git.index_pack(path)
    pack.idx.chmod(0o644)
    return pack, ids


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def test_a_full_disk_leaves_no_pack(tmp_path: Path) -> None:
    (tmp_path / "a.pack.tmp").symlink_to("/dev/full")
    writer = PackWriter(tmp_path / "a.pack")
    with pytest.raises(OSError, match="No space left"):
        writer.add(Kind.CONTENT, Chunks(8 * MIB, iter([os.urandom(MIB)] * 8)))
    with pytest.raises(ValueError, match="closed"):
        writer.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_body_is_corrupt(git: Git, runner: Runner, tmp_path: Path, number: int) -> None:
    pack, ids = three(tmp_path, git)
    flip(pack.path, dict(show_index(pack.idx))[ids[number].digest] + 2000)
    with pytest.raises(Corrupt):
        walked(pack, runner)
    assert not pack_checksum_ok(pack.path)


def test_an_index_that_names_another_id_is_corrupt(git: Git, runner: Runner, tmp_path: Path) -> None:
    pack, ids = three(tmp_path, git)
    data = pack.idx.read_bytes()
    for id in ids:  # the last byte of one id: order and fan-out stay right
        other = id.digest[:-1] + bytes([id.digest[-1] ^ 1])
        pack.idx.write_bytes(data.replace(id.digest, other))
        with pytest.raises(Corrupt):
            walked(pack, runner)
        with pytest.raises(Corrupt):
            list(walk(pack, runner))  # nobody has looked at a body


def test_an_index_that_hides_an_object_is_corrupt(git: Git, runner: Runner, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "a.pack", *((Kind.CONTENT, body) for body in (b"one", b"two")))
    pack = git.index_pack(path)
    pack.idx.chmod(0o644)
    first, second = (digest[0] for digest, _ in show_index(pack.idx))
    assert first != second
    data = bytearray(pack.idx.read_bytes())
    for byte in range(first, second):  # the fan-out says that no id begins with the first byte of the first
        data[8 + 4 * byte : 12 + 4 * byte] = bytes(4)
    pack.idx.write_bytes(data)
    with pytest.raises(Corrupt):
        walked(pack, runner)


def test_the_last_piece_of_a_wrong_body_is_never_given(git: Git, runner: Runner, tmp_path: Path) -> None:
    pack, ids = three(tmp_path, git)
    large = ids[1].digest
    pack.idx.write_bytes(pack.idx.read_bytes().replace(large, large[:-1] + bytes([large[-1] ^ 1])))
    got = dict.fromkeys([5000, 2 * MIB, 7000], 0)

    def take() -> None:
        for _, size, pieces in walk(pack, runner):
            for piece in pieces:
                got[size] += len(piece)

    with pytest.raises(Corrupt, match="do not hash"):
        take()
    assert got[2 * MIB] < 2 * MIB


def test_an_index_of_another_pack_is_corrupt(git: Git, runner: Runner, tmp_path: Path) -> None:
    pack, _ = three(tmp_path, git)
    path, _ = written(tmp_path / "other.pack", (Kind.CONTENT, b"x"))
    other = git.index_pack(path)
    for wrong in (Pack(pack.path, other.idx), Pack(other.path, pack.idx)):
        with pytest.raises(Corrupt, match="number of objects"):
            walked(wrong, runner)


def test_what_is_no_pack_is_corrupt(git: Git, runner: Runner, tmp_path: Path) -> None:
    pack, _ = three(tmp_path, git)
    for data in (b"", b"PACK", b"<html>not a pack</html>"):
        pack.path.write_bytes(data)
        with pytest.raises(Corrupt, match="no git pack"):
            walked(pack, runner)


def test_a_pack_with_deltas_is_walked(git: Git, runner: Runner, tmp_path: Path) -> None:
    text = os.urandom(40_000)
    bodies = [text + b"%d" % n for n in range(30)]
    path, ids = written(
        tmp_path / "repo.git/objects/pack/pack-own.pack", *((Kind.CONTENT, b) for b in bodies)
    )
    git.index_pack(path)
    out = git.run(
        "pack-objects",
        "--delta-base-offset",
        "--no-reuse-delta",
        "-q",
        tmp_path / "deltas",
        input="".join(f"{i.hex}\n" for i in ids).encode(),
    )
    name = f"deltas-{out.stdout.decode().strip()}"
    pack = Pack(tmp_path / f"{name}.pack", tmp_path / f"{name}.idx")
    assert pack.path.stat().st_size < 100_000
    assert walked(pack, runner) == dict(zip(ids, bodies, strict=True))


def test_a_walk_that_is_broken_off_leaves_nothing(git: Git, runner: Runner, tmp_path: Path) -> None:
    pack, _ = three(tmp_path, git)
    steps = walk(pack, runner)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not list(runner.home.glob("walk-*"))


def test_checksums_tell_every_flipped_byte(git: Git, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "repo.git/objects/pack/pack-a.pack", (Kind.CONTENT, b"some text"))
    pack = git.index_pack(path)
    git.run("multi-pack-index", "write")
    for file in (pack.path, pack.idx, path.with_name("multi-pack-index")):
        file.chmod(0o644)
        good = file.read_bytes()
        assert pack_checksum_ok(file)
        for position in [*range(0, len(good), 97), len(good) - 1]:
            flip(file, position)
            assert not pack_checksum_ok(file)
            file.write_bytes(good)
        file.write_bytes(good[:-1])
        assert not pack_checksum_ok(file)
        file.write_bytes(b"")
        assert not pack_checksum_ok(file)
