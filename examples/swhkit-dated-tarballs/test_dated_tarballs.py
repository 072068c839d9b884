"""The loader keeps the contract, and does what it says with a folder, a web page, and a damaged archive."""

import functools
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from swhkit_dated_tarballs import swhkit_loaders

from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change
from swhkit.testing.visits import Subject, scene

(PROVIDER,) = swhkit_loaders()


def tarball(file: Path, members: dict[str, bytes | str]) -> Path:
    """An archive with these files (bytes) and symbolic links (text)."""
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as out:
        for name, what in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(what, str):
                member.type, member.linkname = tarfile.SYMTYPE, what
                out.addfile(member)
            else:
                member.size = len(what)
                out.addfile(member, io.BytesIO(what))
    return file


def project(folder: Path) -> str:
    """Three dated archives, one of them of another project, and files that are none."""
    folder.mkdir(exist_ok=True)
    tarball(folder / "a-2024-01-31.tar.gz", {"a/README": b"one\n", "a/run": b"#!/bin/sh\n", "a/link": "README"})
    tarball(folder / "a-20240229.tar.gz", {"a/README": b"two\n", "a/src/main.c": b"int main;\n", "a/empty": b""})
    tarball(folder / "b_2023.12.24.tar", {"b": b"another\n"})
    (folder / "a-2024-02-30.tar.gz").write_bytes(b"of a day that never was")
    (folder / "notes-2024-01-01.txt").write_bytes(b"no archive")
    return folder.as_uri()


class TestContract(LoaderContract):
    provider = PROVIDER

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return project(tmp_path / "origin")

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        url = project(tmp_path / "changing")

        def change() -> None:
            tarball(tmp_path / "changing/a-2024-02-14.tar.gz", {"a/README": b"between\n"})
            (tmp_path / "changing/b_2023.12.24.tar").unlink()

        return url, change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        zeros, folder = tmp_path / "zeros", tmp_path / "big"
        folder.mkdir()
        zeros.touch()
        os.truncate(zeros, 300 << 20)
        with tarfile.open(folder / "big-2024-01-31.tar", "w") as out:
            out.add(zeros, "zeros")
        tarball(folder / "big-2024-02-29.tar", {f"d{n % 99}/{n}": b"%d\n" % n for n in range(20_000)})
        return folder.as_uri()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server that lists the folder ``tmp_path/project``."""
    (tmp_path / "project").mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/project/"
        server.shutdown()


def test_the_last_one_is_the_head(tmp_path: Path) -> None:
    project(tmp_path / "project")
    with scene(tmp_path / "archive", Subject(PROVIDER, {"names": "a-*"}, (tmp_path / "project").as_uri())) as here:
        report = here.must_be_full()
        assert (report.branches, report.new["revision"], report.new["content"]) == (3, 2, 6)
        snapshot = here.archive.catalog.snapshot(bytes.fromhex((report.snapshot or "")[-40:]))
        assert snapshot is not None
        assert sorted(snapshot.branches) == [b"HEAD", b"a-2024-01-31.tar.gz", b"a-20240229.tar.gz"]
        head = snapshot.branches[b"HEAD"]
        assert head is not None
        assert head.target == b"a-20240229.tar.gz"


def test_a_web_page_gives_what_its_folder_gives(tmp_path: Path, web: str) -> None:
    url = project(tmp_path / "project")
    with (
        scene(tmp_path / "one", Subject(PROVIDER, {}, url)) as here,
        scene(tmp_path / "two", Subject(PROVIDER, {}, web)) as there,
    ):
        assert here.must_be_full().snapshot == there.must_be_full().snapshot
        assert here.held() == there.held()


def test_a_web_page_cannot_make_us_read_our_own_files(tmp_path: Path, web: str) -> None:
    secret = tarball(tmp_path / "secret-2024-01-31.tar", {"secret": b"secret\n"})
    links = (secret.as_uri(), "../secret-2024-01-31.tar", "http://127.0.0.1:1/x-2024-01-31.tar")
    (tmp_path / "project/index.html").write_text("".join(f'<a href="{link}">' for link in links))
    with scene(tmp_path / "archive", Subject(PROVIDER, {}, web)) as here:
        report = here.must_fail()
        assert "no sound archive" in (report.error or "")


def test_a_damaged_archive_costs_only_itself(tmp_path: Path) -> None:
    url = project(tmp_path / "project")
    damaged = tmp_path / "project/a-2024-01-31.tar.gz"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with scene(tmp_path / "archive", Subject(PROVIDER, {}, url)) as here:
        report = here.visit()
        assert (report.status, report.branches, report.new["revision"]) == ("partial", 3, 2)
        assert "a-2024-01-31.tar.gz" in (report.error or "")
        here.must_be_sound()


def test_a_dead_link_costs_only_itself(tmp_path: Path, web: str) -> None:
    tarball(tmp_path / "project/a-2024-01-31.tar", {"a": b"a\n"})
    (tmp_path / "project/index.html").write_text("<a href='a-2024-01-31.tar'> <a href='gone-2024-02-29.tar'>")
    with scene(tmp_path / "archive", Subject(PROVIDER, {}, web)) as here:
        report = here.visit()
        assert (report.status, report.branches) == ("partial", 2)
        assert "gone-2024-02-29.tar" in (report.error or "")
