"""Archives made to harm: each is refused with a reason or read without harm, in bounded memory, and nothing of a refused
one is kept."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import shell
from tarball_samples import loads, tar

from swhkit import visit
from swhkit.plugin import Chunks, Content, Limits, read_directory
from swhkit_tarball import TarballConfig
from swhkit_tarball.loader import make_tarball

LINK, HARD, FOLDER = ({"type": kind} for kind in (b"2", b"1", b"5"))


def zeros(path: Path) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file, tarfile.open(fileobj=file, mode="w|") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 300 << 20
        archive.addfile(info, _Zeros(info.size))  # type: ignore[arg-type]
    return path


class _Zeros:
    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, count: int) -> bytes:
        given = min(count, self.left)
        self.left -= given
        return bytes(given)


def overlapping(path: Path) -> Path:
    """A kernel that all entries of the directory share, as in the zip bombs of David Fifield."""
    kernel = zlib.compress(bytes(8 << 20), 9, wbits=-15)
    crc = zlib.crc32(bytes(8 << 20))
    fields = (20, 0, 8, 0, 0x21, crc, len(kernel), 8 << 20, 1, 0)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *fields) + b"f" + kernel
    entries = b"".join(
        struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, *fields[:8], 5, 0, 0, 0, 0, 0, 0) + b"%05d" % number
        for number in range(1000)
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1000, 1000, len(entries), len(local), 0)
    path.write_bytes(local + entries + end)
    return path


def gzip_in_gzip(path: Path) -> Path:
    path.write_bytes(gzip.compress(gzip.compress(tar(path, {"f": b"x"}).read_bytes())))
    return path


def encrypted(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("f", b"secret")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    return path


def lying(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("f", b"x" * 100)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 99)
    path.write_bytes(data)
    return path


def long_name(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(tarfile.TarInfo("n" * (1 << 20)))
    return path


def deep(path: Path) -> Path:
    return tar(path, {"d/" * 3000: (FOLDER, b"")})


def many(path: Path) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for first in range(0, 30_000, 1000):
            block = io.BytesIO()
            with tarfile.open(fileobj=block, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for number in range(first, first + 1000):
                    archive.addfile(tarfile.TarInfo(f"{number}"))
            file.write(block.getvalue()[: 1000 * 512])
    return path


def cut(path: Path) -> Path:
    data = tar(path, {"first": b"x" * 100_000, "last": os.urandom(100_000)}).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def circle(path: Path) -> Path:
    return tar(
        path, {"a": ({**LINK, "linkname": "b"}, b""), "b": ({**LINK, "linkname": "a"}, b""), "a/f": b"x"}
    )


def through_a_file(path: Path) -> Path:
    return tar(path, {"a": b"x", "a/f": b"x"})


def rewound(path: Path) -> Path:
    """A length that would lead back to the beginning, if it were taken for a signed number."""
    data = bytearray(tar(path, {"f": b"x"}).read_bytes())
    data[124:136] = b"\xff" * 12
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)
    return path


def nul_in_a_name(path: Path) -> Path:
    return tar(path, {"f": ({"pax_headers": {"path": "a\0b"}}, b"x")})


def endless_map(path: Path) -> Path:
    """A map of a sparse file that never says how many parts it has, packed well."""
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    plain = tar(path, {"f": ({"pax_headers": sparse}, b"\n" * (200 << 20))}).read_bytes()
    path.write_bytes(gzip.compress(plain, 1))
    return path


def endless_parts(path: Path) -> Path:
    """An old GNU sparse file whose header goes on and on with no parts."""
    block = bytearray(tar(path, {"f": ({"type": b"S"}, b"")}).read_bytes()[:512])
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(gzip.compress(bytes(block) + (bytes(504) + b"\1" + bytes(7)) * (140 << 11), 9))
    return path


def map_for_all(path: Path) -> Path:
    with tarfile.open(
        path, "w", pax_headers={"GNU.sparse.map": "0,0", "GNU.sparse.realsize": "0"}
    ) as archive:
        archive.addfile(tarfile.TarInfo("f"))
    return path


def empty_streams(path: Path) -> Path:
    path.write_bytes(gzip.compress(b"") * 20_000 + gzip.compress(tar(path, {"f": b"x"}).read_bytes()))
    return path


def links_of_dots(path: Path) -> Path:
    """A link through whose target each member is led: 60,000 bytes that lead nowhere."""
    return tar(
        path,
        {"l": ({**LINK, "linkname": "./" * 30_000 + "d"}, b"")}
        | {f"l/{number}": b"" for number in range(1000)},
    )


def zip_place(path: Path) -> Path:
    """A zip archive whose one member is said to be behind any file there can be."""
    extra = struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 1, 1, 1, len(extra), 0, 0, 0, 0, 0xFFFFFFFF
    )
    directory = entry + b"f" + extra
    path.write_bytes(
        b"PK\3\4" + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(directory), 4, 0)
    )
    return path


REFUSED: list[tuple[Callable[[Path], Path], str, dict[str, Any]]] = [
    (zeros, "decompression bomb", {}),
    (overlapping, "decompression bomb", {}),
    (gzip_in_gzip, "no archive that can be read", {}),
    (encrypted, "'f' is encrypted", {}),
    (lying, "length or checksum of 'f'", {}),
    (long_name, "extended header|name of more than", {}),
    (deep, "deeper than 2048", {}),
    (many, "more than 20000 members", {"max_members": 20_000}),
    (zeros, "more than 104857600 bytes|more than the 104857600", {"max_total_size": 100 << 20, "max_ratio": 10_000}),
    (zeros, "'zeros' has 314572800 bytes, more than the 1000", {"max_file_size": 1000}),
    (cut, "cut short", {}),
    (circle, "in a circle", {}),
    (through_a_file, "leads through a file", {}),
    (rewound, "damaged", {}),
    (nul_in_a_name, "the name 'a.x00b'", {}),
    (endless_map, "decompression bomb", {}),
    (endless_parts, "decompression bomb", {}),
    (map_for_all, "a global header", {}),
    (empty_streams, "streams with nothing in them", {}),
    (links_of_dots, "more than 20000000 steps", {}),
    (zip_place, "the place of 'f'", {}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words", "options"), REFUSED)
def test_refused_as_a_whole(
    make: Callable[[Path], Path], words: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = make(tmp_path / "hostile")
    with loads(tmp_path / "archive", "filesystem") as target:
        begun = time.monotonic()
        report = target.load(path, **options)
        assert time.monotonic() - begun < 30
        assert (report.status, report.load_status, report.snapshot) == ("failed", "failed", None)
        assert re.search(words, report.error or ""), report.error
        assert str(path) in (report.error or "")
        assert target.counts() == (0, 0)
        assert list(target.archive.objects.scan(limit=10)) == []
    assert list((tmp_path / "archive" / "stage" / "visits").iterdir()) == []


def test_nothing_lands_outside(tmp_path: Path) -> None:
    """Names and links that lead out are left out; canaries around see nothing."""
    canary = tmp_path / "canary"
    canary.write_text("alive")
    out = tmp_path / "out"
    out.mkdir()
    path = tar(
        tmp_path / "p.tar",
        {
            "../canary": b"dead",
            str(canary): b"dead",
            "in/../../canary": b"dead",
            "root": ({**LINK, "linkname": "/"}, b""),
            f"root{canary}": b"dead",
            "up": ({**LINK, "linkname": ".."}, b""),
            "up/canary": b"dead",
            "absolute": ({**LINK, "linkname": str(canary)}, b""),
            "hard": ({**HARD, "linkname": str(canary)}, b""),
            "harder": ({**HARD, "linkname": "../canary"}, b""),
            "device": ({"type": b"3", "devmajor": 1, "devminor": 3}, b""),
            "good": b"good",
        },
    )
    before = sorted(item for item in tmp_path.rglob("*"))
    with loads(tmp_path / "archive") as target:
        report = target.load(path)
        assert report.status == "full"
        assert target.files(target.head(report)) == {
            b"root": b"/", b"up": b"..", b"absolute": os.fsencode(canary), b"device": b"", b"good": b"good",
        }  # fmt: skip
    assert canary.read_text() == "alive"
    after = sorted(
        item for item in tmp_path.rglob("*") if (tmp_path / "archive") not in (item, *item.parents)
    )
    assert after == before


def test_a_write_through_an_absolute_link_is_left_out(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", {"l": ({**LINK, "linkname": "/tmp"}, b""), "l/f": b"x", "g": b"y"})
    with loads(tmp_path / "archive") as target:
        report = target.load(path)
        assert target.files(target.head(report)) == {b"l": b"/tmp", b"g": b"y"}


def test_a_zip_whose_names_lead_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as file:
        for name in ("../up", "/root", "a/../../b", "good"):
            file.writestr(name, b"x")
    with loads(tmp_path / "archive") as target:
        assert target.files(target.head(target.load(tmp_path / "p.zip"))) == {b"good": b"x"}


def test_a_visit_whose_time_is_up(tmp_path: Path) -> None:
    with loads(tmp_path / "archive") as target:
        path = tar(tmp_path / "p.tar", {f"{number}": b"" for number in range(2000)})
        report = target.load(path, limits=Limits(visit_time=0.0))
    assert (report.status, "visit_time" in (report.error or "")) == ("failed", True)


def test_a_file_that_changes_while_it_is_loaded(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", {"f": b"x" * 10, "g": b"y"})
    with loads(tmp_path / "archive") as target:

        def meddle(phase: str, done: int = 0, total: int | None = None) -> None:
            if phase == "unpacking":
                tar(path, {"f": b"z" * 10, "g": b"y"})

        report = visit.run(
            target.archive, make_tarball(TarballConfig()), f"file://{path}", "tarball-directory",
            network=shell(), progress=meddle,
        )  # fmt: skip
        assert (report.status, "changed while it was read" in (report.error or "")) == ("failed", True)
        assert target.counts() == (0, 0)


def test_a_folder_that_changes_while_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    big = tmp_path / "d" / "big"
    big.write_bytes(bytes(40 << 20))
    with loads(tmp_path / "archive") as target:
        items = read_directory(tmp_path / "d")
        content = next(items)
        assert isinstance(content, Content)
        assert isinstance(content.source, Chunks)
        chunks = content.source.chunks()
        next(chunks)
        with big.open("ab") as file:
            file.write(b"more")
        with pytest.raises(Exception, match="changed while it was read"):
            for _ in chunks:
                pass
        assert target.load(tmp_path / "d", "directory").status == "full"


MEASURE = r"""
import re, sys, threading, time
from pathlib import Path
from tarball_samples import loads
peak = 0
def watch():
    global peak
    while True:
        text = Path("/proc/self/smaps_rollup").read_text()
        peak = max(peak, int(re.search(r"Anonymous: +(\d+)", text)[1]))
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
with loads(Path(sys.argv[2]), "filesystem") as target:
    report = target.load(Path(sys.argv[1]))
    print(report.status, peak // 1024, report.error)
"""


def measured(path: Path, folder: Path) -> tuple[str, int]:
    """Status of a visit in a process of its own, and the most anonymous memory it had, in MiB."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    status, peak, _ = done.stdout.split(maxsplit=2)
    return status, int(peak)


@pytest.mark.slow
def test_a_member_of_a_gibibyte_takes_no_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("big")
    info.size = 1 << 30
    with (tmp_path / "p.tar").open("wb") as file:
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)
    status, peak = measured(tmp_path / "p.tar", tmp_path / "archive")
    assert status == "full"
    assert peak < 128


@pytest.mark.slow
def test_many_members_take_little_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "p.tar.gz", "wb", compresslevel=1) as file:
        for first in range(0, 150_000, 1000):
            blocks = []
            for number in range(first, first + 1000):
                blocks.append(tarfile.TarInfo(f"file-number-{number:09d}").tobuf(tarfile.USTAR_FORMAT))
            file.write(b"".join(blocks))
    status, peak = measured(tmp_path / "p.tar.gz", tmp_path / "archive")
    assert status == "full"
    assert peak < 256
