"""Archives of every form: what they hold is the same; those read by libarchive, in a child that may do what it likes."""

from __future__ import annotations

import lzma
import os
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import libarchive
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tarball_samples import loads, root_of, sha256, tar

from swhkit.errors import ChildTimeout, InvalidInput, MissingProgram
from swhkit.plugin import ArchiveLimits, ArchiveTree, Runner, open_archive
from swhkit.testing.processes import descendants
from swhkit.unpack import foreign, is_archive

#: Suffix → format and filter as libarchive names them.
WRITTEN = {
    "7z": ("7zip", None),
    "cpio": ("cpio_newc", None),
    "odc.cpio": ("cpio", None),
    "cpio.gz": ("cpio_newc", "gzip"),
    "cpio.Z": ("cpio_newc", "compress"),
    "xar": ("xar", None),
    "iso": ("iso9660", None),
    "tar.lz4": ("gnutar", "lz4"),
    "tar.lzma": ("pax", "lzma"),
    "tar.lz": ("pax", "lzip"),
    "tar.Z": ("pax", "compress"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything, in a folder of its own."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "pkg" / "sub" / "empty").mkdir(parents=True)
    (folder / "pkg" / "f").write_bytes(b"hello\n" * 100_000)
    (folder / "pkg" / "none").write_bytes(b"")
    (folder / "pkg" / "sub" / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "pkg" / "sub" / "run").chmod(0o755)
    (folder / "pkg" / "ü").write_bytes(b"u")
    (folder / "pkg" / "link").symlink_to("f")
    os.link(folder / "pkg" / "f", folder / "pkg" / "hard")
    return folder


def written(tree: Path, path: Path, form: str) -> Path:
    """An archive of ``pkg`` in a tree, by libarchive."""
    here = Path.cwd()
    os.chdir(tree)
    try:
        with libarchive.file_writer(str(path), *WRITTEN[form]) as file:
            file.add_files("pkg")
    finally:
        os.chdir(here)
    return path


@pytest.mark.parametrize("form", WRITTEN)
def test_what_libarchive_writes(form: str, tree: Path, tmp_path: Path) -> None:
    path = written(tree, tmp_path / "misnamed", form)
    assert is_archive(path)
    assert root_of(path) == root_of(tree)
    with loads(tmp_path / "archive") as target:
        report = target.load(path)
        assert (report.status, report.error, target.head(report)) == ("full", None, root_of(tree))


# -- forms that nobody writes here: made by hand, each with a file ``f`` of these bytes --------------------------------

BYTES = b"by hand\n"


def ar() -> bytes:
    return b"!<arch>\n" + b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (b"f/", 0, 0, 0, b"100644", len(BYTES)) + BYTES


def cpio() -> bytes:
    def entry(name: bytes, mode: int, data: bytes) -> bytes:
        fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    return entry(b"./f", 0o100644, BYTES) + entry(b"TRAILER!!!", 0, b"")


def rpm() -> bytes:
    lead = struct.pack(">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, b"p-1-1", 1, 5, b"")
    header = b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">ii", 0, 0)
    return lead + header + header + zlib.compress(cpio(), wbits=31)


def lha() -> bytes:
    crc = 0
    for byte in BYTES:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    body = (
        b"-lh0-"
        + struct.pack("<IIIBBB", len(BYTES), len(BYTES), 0, 0x20, 0, 1)
        + b"f"
        + struct.pack("<H", crc)
    )
    return bytes([len(body), sum(body) & 255]) + body + BYTES + b"\0"


def cab() -> bytes:
    file = struct.pack("<IIHHHH", len(BYTES), 0, 0, 0, 0, 0x20) + b"f\0"
    first = 36 + 8 + len(file)
    data = struct.pack("<IHH", 0, len(BYTES), len(BYTES)) + BYTES
    folder = struct.pack("<IHH", first, 1, 0)
    size = first + len(data)
    return (
        struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, size, 0, 44, 0, 3, 1, 1, 1, 0, 0, 0) + folder + file + data
    )


def rar() -> bytes:
    def block(type: int, flags: int, fields: bytes) -> bytes:
        rest = struct.pack("<BHH", type, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest

    size = len(BYTES)
    file = struct.pack("<IIBIIBBHI", size, size, 3, zlib.crc32(BYTES), 0, 20, 0x30, 1, 0o100644) + b"f"
    return (
        b"Rar!\x1a\x07\0"
        + block(0x73, 0, bytes(6))
        + block(0x74, 0x8000, file)
        + BYTES
        + block(0x7B, 0x4000, b"")
    )


@pytest.mark.parametrize("make", [ar, cpio, rpm, lha, cab, rar])
def test_forms_made_by_hand(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make())
    with loads(tmp_path / "archive") as target:
        report = target.load(tmp_path / "a")
        assert (report.status, report.error) == ("full", None)
        assert target.files(target.head(report)) == {b"f": BYTES}


def test_a_package_of_debian(tree: Path, tmp_path: Path) -> None:
    (tree / "DEBIAN").mkdir()
    control = "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n"
    (tree / "DEBIAN" / "control").write_text(control)
    subprocess.run(["dpkg-deb", "--build", tree, tmp_path / "p.deb"], check=True, capture_output=True)
    with loads(tmp_path / "archive") as target:
        report = target.load(tmp_path / "p.deb")
        assert report.status == "full"
        names = target.files(target.head(report))
    assert names[b"debian-binary"] == b"2.0\n"
    assert {name.split(b".")[0] for name in names} == {b"debian-binary", b"control", b"data"}
    for file in (tree / "DEBIAN").iterdir():
        file.unlink()
    (tree / "DEBIAN").rmdir()


# -- what that child may do -----------------------------------------------------------------------------------------


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    (tmp_path / "home").mkdir()
    return Runner(tmp_path / "home")


def read(path: Path, runner: Runner, limits: ArchiveLimits | None = None) -> None:
    with open_archive(path, limits, runner) as archive:
        ArchiveTree(archive.meter).read(archive.members)


def test_without_the_library_one_line_says_what_to_install(tmp_path: Path, runner: Runner) -> None:
    (tmp_path / "a").write_bytes(ar())
    with pytest.raises(MissingProgram, match=r"swhkit\[archives\].*libarchive13"):
        read(tmp_path / "a", runner.with_(environment={"LIBARCHIVE": "/nonexistent/libarchive.so"}))


FRAME, MEMBER = "import struct, sys, os\nout = sys.stdout.buffer\n", "struct.pack('<BBqI', 0, 0, 8, 1) + b'f'"
SAY = "out.write(struct.pack('<cI', b'M', len(m)) + m)\nout.flush()\n"
BEGIN = f"{FRAME}m = {MEMBER}\n{SAY}"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "has died of it"),
        (f"{BEGIN}os.abort()", "has died of it"),
        (f"{BEGIN}out.write(struct.pack('<cI', b'D', 9) + b'x' * 9)", "the length of 'f'"),
        (f"{BEGIN}out.write(struct.pack('<cI', b'D', 0))", "the length of 'f'"),
        (f"{BEGIN}out.write(struct.pack('<cI', b'D', 1 << 30))", "has died|nonsense"),
        (f"{FRAME}out.write(struct.pack('<cI', b'M', 1 << 30))", "has died|nonsense"),
        (f"{FRAME}out.write(struct.pack('<cI', b'?', 0))", "has died|nonsense"),
        (f"{FRAME}m = struct.pack('<BBqI', 9, 0, 0, 0)\n{SAY}", "nonsense|died"),
        (f"{FRAME}m = struct.pack('<BBqI', 0, 0, 1 << 40, 0)\n{SAY}", "bytes, more than"),
        (f"{FRAME}out.write(struct.pack('<cI', b'X', 9) + b'it \\x1b[2J no')", "it  "),
        ("x = bytearray(4 << 30)", "has died of it"),
    ],
)  # fmt: skip
def test_whatever_the_child_says_or_does(
    program: str, words: str, tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
    (tmp_path / "reader.py").write_text(limit + program)
    monkeypatch.setattr(foreign, "_READER", tmp_path / "reader.py")
    (tmp_path / "a").write_bytes(ar())
    with pytest.raises(InvalidInput, match=words) as caught:
        read(tmp_path / "a", runner)
    assert "\x1b" not in str(caught.value)


def test_a_child_that_hangs_is_ended(tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reader.py").write_text("import time\ntime.sleep(600)")
    monkeypatch.setattr(foreign, "_READER", tmp_path / "reader.py")
    (tmp_path / "a").write_bytes(ar())
    with pytest.raises(ChildTimeout):
        read(tmp_path / "a", runner.with_(deadline=time.monotonic() + 0.5))


def test_the_limits_hold_for_it_too(tmp_path: Path, tree: Path, runner: Runner) -> None:
    path = written(tree, tmp_path / "a.7z", "7z")
    for limits, words in (
        (ArchiveLimits(file_size=599_999), "600000 bytes"),
        (ArchiveLimits(total_size=600_000), "more than 600000 bytes"),
        (ArchiveLimits(members=3), "more than 3 members"),
    ):
        with pytest.raises(InvalidInput, match=words):
            read(path, runner, limits)
    bomb = tmp_path / "bomb.7z"
    with libarchive.file_writer(str(bomb), "7zip") as file:
        file.add_file_from_memory("zeros", 200 << 20, (bytes(1 << 20) for _ in range(200)))
    with pytest.raises(InvalidInput, match="decompression bomb"):
        read(bomb, runner)


def test_what_leads_out_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.cpio"
    with libarchive.file_writer(str(path), "cpio_newc") as file:
        for name in ("../out", "/tmp/out", "in/../../out", "good"):
            file.add_file_from_memory(name, 1, b"x")
    with loads(tmp_path / "archive") as target:
        report = target.load(path)
        assert target.files(target.head(report)) == {b"good": b"x"}


def test_a_child_ends_with_the_visit(tmp_path: Path, tree: Path, runner: Runner) -> None:
    path = written(tree, tmp_path / "a.7z", "7z")
    before = set(descendants(os.getpid()))
    with open_archive(path, None, runner) as archive:
        assert next(archive.members).name
        assert set(descendants(os.getpid())) - before
    assert set(descendants(os.getpid())) <= before


@pytest.fixture(scope="module")
def samples(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("samples")
    forms = ("7z", "cpio", "xar", "tar.Z", "tar.lzma")
    made = [written(tree, folder / form, form).read_bytes() for form in forms]
    return [*made, rpm(), lha(), cab(), rar()]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_harmless(
    data: st.DataObject, samples: list[bytes], tmp_path: Path, runner: Runner
) -> None:
    whole = bytearray(data.draw(st.sampled_from(samples)))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, min(len(whole), 4000) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(whole)
    try:
        read(tmp_path / "a", runner)
    except InvalidInput as error:
        assert str(tmp_path) in str(error)  # noqa: PT017 - both ways out are good


# -- compress, and Nix archives -------------------------------------------------------------------------------------


def test_compressed_zeros_take_no_memory_to_speak_of(tmp_path: Path) -> None:
    # Each code stands for a string that is one byte longer than the one before.
    path = tmp_path / "z.tar.Z"
    with libarchive.file_writer(str(path), "gnutar", "compress") as file:
        file.add_file_from_memory("zeros", 30 << 20, (bytes(1 << 20) for _ in range(30)))
    plain = tar(tmp_path / "z.tar", {"zeros": bytes(30 << 20)})
    assert root_of(path) == root_of(plain)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x88", b"\x91", b"\x90\xff\xff", b"\xf0aaaa", b"\x90" + b"\0\xff" * 300],
)
def test_damaged_compress(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.Z").write_bytes(b"\x1f\x9d" + data)
    with pytest.raises(InvalidInput):
        root_of(tmp_path / "a.Z")


def words(*texts: bytes) -> bytes:
    return b"".join(len(text).to_bytes(8, "little") + text + bytes(-len(text) % 8) for text in texts)


def nar_of(*entries: bytes) -> bytes:
    return words(b"nix-archive-1", b"(", b"type", b"directory") + b"".join(entries) + words(b")")


def entry(name: bytes, node: bytes) -> bytes:
    return words(b"entry", b"(", b"name", name, b"node", b"(", b"type") + node + words(b")", b")")


FILE = words(b"regular", b"contents", b"12345")


def nested(levels: int) -> Iterator[bytes]:
    for _ in range(levels):
        yield words(b"entry", b"(", b"name", b"d", b"node", b"(", b"type", b"directory")
    yield words(*[b")"] * 2 * levels)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (nar_of(entry(b"b", FILE), entry(b"a", FILE)), "'a', or its place"),
        (nar_of(entry(b"a", FILE), entry(b"a", FILE)), "'a', or its place"),
        (nar_of(entry(b"..", FILE)), r"'\.\.', or its place"),
        (nar_of(entry(b"a/b", FILE)), "'a/b', or its place"),
        (nar_of(entry(b"", FILE)), "'', or its place"),
        (nar_of(entry(b"a", words(b"fifo"))), "type 'fifo'"),
        (nar_of(entry(b"a", FILE[:-1] + b"x")), "padding"),
        (nar_of(entry(b"a", FILE))[:-20], "cut short"),
        (nar_of(words(b"what")), "'what' in a directory"),
        (nar_of(entry(b"a", words(b"regular", b"what"))), "'what' in a file"),
        (nar_of(entry(b"a", words(b"regular", b"contents") + b"\xff" * 8)), "more than the"),
        (nar_of(words(b"entry", b"(", b"name") + b"\xff\xff\xff\0\0\0\0\0"), "a word of 16777215 bytes"),
        (nar_of(*nested(2049)), "more than 2048 folders"),
        (words(b"nix-archive-1", b"(", b"type") + FILE + words(b")"), "of a single file"),
    ],
)
def test_nix_archives_that_are_none(data: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.nar").write_bytes(data)
    with loads(tmp_path / "archive") as target:
        report = target.load(tmp_path / "a.nar")
        assert report.status == "failed"
        assert re.search(problem, report.error or ""), report.error


def test_nix_archives_packed_and_plain(tmp_path: Path) -> None:
    empty = words(b"regular", b"executable", b"", b"contents", b"")
    data = nar_of(
        entry(b"a", FILE),
        entry(b"b", words(b"directory") + entry(b"run", empty)),
        entry(b"c", words(b"symlink", b"target", b"a")),
    )
    (tmp_path / "a.nar").write_bytes(data)
    (tmp_path / "a.nar.xz").write_bytes(lzma.compress(data))
    with loads(tmp_path / "archive") as target:
        first, second = target.load(tmp_path / "a.nar"), target.load(tmp_path / "a.nar.xz")
        assert target.files(target.head(first)) == {b"a": b"12345", b"b/run": b"", b"c": b"a"}
        assert target.head(first) == target.head(second)
        assert sha256(tmp_path / "a.nar") != sha256(tmp_path / "a.nar.xz")


def test_a_deep_nix_archive(tmp_path: Path) -> None:
    (tmp_path / "a.nar").write_bytes(nar_of(*nested(2000)))
    assert root_of(tmp_path / "a.nar").startswith("swh:1:dir:")
