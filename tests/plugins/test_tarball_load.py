"""Visits of archive files, single files and local folders: what becomes of them, where they come from, what is kept."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tarball_samples import Loads, Members, loads, root_of, sha256, tar, unpacked_by_tar, web
from upkeep import sql

from swhkit.check import check
from swhkit.model import ExtrinsicMetadata
from swhkit.plugin import Kind, Limits, Network, ObjectId, hash_content
from swhkit.swhid import parse_core
from swhkit_tarball import TarballConfig, swhkit_loaders, swhkit_visit_type

TREE: Members = {
    "p-1/f": b"one\n",
    "p-1/run": ({"mode": 0o755}, b"#!/bin/sh\n"),
    "p-1/link": ({"type": b"2", "linkname": "f"}, b""),
    "p-1/empty": ({"type": b"5"}, b""),
}


def metadata(target: Loads, directory: str) -> list[ExtrinsicMetadata]:
    return [record for _, record in target.archive.catalog.extrinsic_metadata(directory)]


# -- where it comes from --------------------------------------------------------------------------------------------


def test_from_a_web_server(tmp_path: Path) -> None:
    path = tar(tmp_path / "p-1.tar.gz", TREE, "w:gz")
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        url = f"http://127.0.0.1:{server.server_port}"
        for name in ("p-1.tar.gz", "moved/p-1.tar.gz"):
            report = target.load(f"{url}/{name}")
            assert (report.status, report.load_status, report.error) == ("full", "eventful", None)
            assert target.head(report) == root_of(path)
        assert target.load(f"{url}/p-1.tar.gz").load_status == "uneventful"
        gone = target.load(f"{url}/gone.tar.gz")
        assert (gone.status, gone.load_status, gone.snapshot) == ("not_found", "uneventful", None)
    assert list((tmp_path / "archive" / "stage" / "visits").iterdir()) == []


def test_addresses_are_judged(tmp_path: Path) -> None:
    tar(tmp_path / "p.tar", TREE)
    stranger = Network(from_cli=False)
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        with pytest.raises(Exception, match="private address"):
            target.load(f"http://127.0.0.1:{server.server_port}/p.tar", network=stranger)
        with pytest.raises(Exception, match="local paths are not allowed"):
            target.load(tmp_path / "p.tar", network=stranger)
        report = target.load(
            "http://127.0.0.1/home", "tar",
            artifacts=[{"time": "2020-01-01", "url": "ext::sh -c id", "version": "1"}],
        )  # fmt: skip
        assert (report.status, server.requests) == ("partial", [])
        assert "not allowed" in (report.error or "")


def test_what_is_larger_than_a_visit_may_bring_is_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "f.tar").write_bytes(os.urandom(100_000))
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        report = target.load(
            f"http://127.0.0.1:{server.server_port}/f.tar", limits=Limits(max_pack_size=99_999)
        )
        here = target.load(tmp_path / "f.tar", limits=Limits(max_pack_size=99_999))
    for one in (report, here):
        assert (one.status, "limits.max_pack_size" in (one.error or "")) == ("failed", True)


@pytest.mark.parametrize("type", ["tarball-directory", "content", "directory"])
def test_what_is_not_there_or_no_file(tmp_path: Path, type: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with loads(tmp_path / "archive") as target:
        missing = target.load(tmp_path / "none.tar", type)
        assert (missing.status, missing.load_status) == ("failed", "failed")
        assert "no such file" in (missing.error or "")
        pipe = target.load(tmp_path / "pipe", type)
        assert (pipe.status, "no regular file" in (pipe.error or "")) == ("failed", True)
        if type != "directory":
            assert "a folder" in (target.load(tmp_path, type).error or "")


def test_passwords_of_a_url_are_nowhere(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", TREE)
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        place = f"127.0.0.1:{server.server_port}"
        report = target.load(f"http://me:hush@{place}/p.tar")
        assert report.origin == f"http://{place}/p.tar"
        (found,) = metadata(target, root_of(path))
        assert "hush" not in str(found) + str(report)
        item = {"time": "2020-01-01", "url": f"http://me:hush@{place}/none.tar", "version": "1"}
        good = {"time": "2020-01-01", "url": f"http://me:hush@{place}/p.tar", "version": "2"}
        report = target.load(f"http://me:hush@{place}/", "tar", artifacts=[item, good])
        assert (report.status, "hush" in str(report)) == ("partial", False)
        release = target.archive.catalog.snapshot(parse_core(report.snapshot or "").digest)
        assert release is not None
        branch = release.branches[b"releases/2"]
        assert branch is not None
        id = ObjectId(Kind.RELEASE, branch.target)
        assert f"archive at http://{place}/p.tar\n".encode() in target.archive.read([id])[id]


# -- checksums ------------------------------------------------------------------------------------------------------


def test_checksums_in_all_their_forms(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", TREE)
    data = path.read_bytes()
    digest = hashlib.sha256(data).digest()
    plain = base64.b64encode(digest).decode()
    with loads(tmp_path / "archive") as target:
        for text in (digest.hex(), digest.hex().upper(), plain, plain.rstrip("="), f"sha256-{plain}"):
            assert target.load(path, checksums={"sha256": text}).status == "full"
        every = {
            name: hashlib.new(name, data).hexdigest()
            for name in ("md5", "sha1", "sha224", "sha384", "sha512")
        }
        every |= {
            "blake2s256": hashlib.blake2s(data).hexdigest(),
            "blake2b512": hashlib.blake2b(data).hexdigest(),
        }
        assert target.load(path, checksums=every).status == "full"
        for name, value in every.items():
            wrong = ("1" if value[0] == "0" else "0") + value[1:]
            report = target.load(path, checksums={name: wrong})
            assert report.status == "failed"
            assert value in (report.error or "")
            assert wrong in (report.error or "")


def test_checksums_in_the_base_32_of_nix() -> None:
    # nix-hash --to-base32 of the SHA-256 of nothing, as the Nix manual has it
    nothing = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
    from swhkit_tarball.checksums import parse_checksums

    assert parse_checksums({"sha256": nothing}) == {"sha256": hashlib.sha256().digest()}
    with pytest.raises(ValueError, match=r"checksums\.sha256"):
        parse_checksums({"sha256": "z" + nothing[1:]})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"crc32": "00"}, "'crc32' is no known algorithm; known: md5"),
        ({"sha256": "00"}, "expected 32 bytes as 64 hex digits"),
        ({"sha256": "g" * 64}, "expected 32 bytes"),
        ({"sha1": "é" * 27}, "expected 20 bytes"),
    ],
)
def test_nonsense_checksums_are_refused_by_the_settings(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TarballConfig(checksums=given)


def test_a_known_checksum_spares_the_download(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", TREE)
    with web(tmp_path) as server, loads(tmp_path / "archive") as target:
        url = f"http://127.0.0.1:{server.server_port}"
        first = target.load(f"{url}/p.tar")
        assert server.requests == ["/p.tar"]
        for other in ("p.tar", "mirror/p.tar"):
            report = target.load(f"{url}/{other}", checksums={"sha256": sha256(path)})
            assert (report.status, target.head(report)) == ("full", target.head(first))
        assert server.requests == ["/p.tar"]
        assert report.load_status == "eventful"
        # What two files can share says nothing.
        weak = hashlib.sha1(path.read_bytes()).hexdigest()
        assert target.load(f"{url}/gone.tar", checksums={"sha1": weak}).status == "not_found"
        # A file is not an archive.
        assert (
            target.load(f"{url}/gone.tar", "content", checksums={"sha256": sha256(path)}).status
            == "not_found"
        )


def test_the_same_file_again_is_not_unpacked_and_nothing_is_told_twice(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", TREE)
    with loads(tmp_path / "archive") as target:
        first, again = target.load(path), target.load(path)
        assert (first.load_status, again.load_status) == ("eventful", "uneventful")
        assert len(metadata(target, root_of(path))) == 1
        again = target.load(tar(tmp_path / "q.tar", TREE), max_members=1)
        assert (again.status, target.head(again)) == ("full", root_of(path)), "it was unpacked"


# -- Nix archives as checksums --------------------------------------------------------------------------------------


def nar(path: Path) -> bytes:
    """What ``nix-store --dump`` writes, by the grammar of the Nix manual."""

    def word(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)

    def node(path: Path) -> bytes:
        if path.is_symlink():
            body = [b"type", b"symlink", b"target", os.fsencode(path.readlink())]
        elif path.is_file():
            executable = [b"executable", b""] if path.stat().st_mode & stat.S_IXUSR else []
            body = [b"type", b"regular", *executable, b"contents", path.read_bytes()]
        else:
            words = [word(b"type"), word(b"directory")]
            for name in sorted(os.fsencode(entry.name) for entry in path.iterdir()):
                inner = node(path / os.fsdecode(name))
                words += [
                    word(b"entry"),
                    word(b"("),
                    word(b"name"),
                    word(name),
                    word(b"node"),
                    inner,
                    word(b")"),
                ]
            return b"".join([word(b"("), *words, word(b")")])
        return b"".join(map(word, [b"(", *body, b")"]))

    return word(b"nix-archive-1") + node(path)


@pytest.mark.parametrize("below", ["", "p-1"])
def test_checksums_over_the_nix_archive(tmp_path: Path, below: str) -> None:
    path = tar(tmp_path / "p.tar.xz", TREE, "w:xz")
    folder = unpacked_by_tar(path, tmp_path / "out") / below
    sums = {"sha256": hashlib.sha256(nar(folder)).hexdigest()}
    with loads(tmp_path / "archive") as target:
        report = target.load(path, checksums=sums, checksum_layout="nar")
        assert (report.status, target.head(report)) == ("full", root_of(path))
        (tmp_path / "p.tar.xz").unlink()
        assert target.load(path, checksums=sums, checksum_layout="nar").load_status == "uneventful"
        folder = tmp_path / "out"
        wrong = target.load(folder, "directory", checksums={"sha256": "00" * 32}, checksum_layout="nar")
        assert (wrong.status, "00" * 32 in (wrong.error or "")) == ("failed", True)
        report = target.load(folder, "directory", checksums=sums, checksum_layout="nar")
        assert report.status == "full"


def test_checksums_over_the_nix_archive_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * 1001)
    sums = {"sha512": hashlib.sha512(nar(file)).hexdigest()}
    with loads(tmp_path / "archive") as target:
        report = target.load(file, "content", checksums=sums, checksum_layout="nar")
        assert report.status == "full"
        assert target.load(file, "content", checksums=sums).status == "failed"
        file.unlink()
        again = target.load(file, "content", checksums=sums, checksum_layout="nar")
        assert (again.status, again.load_status) == ("full", "uneventful")


def test_a_nix_archive_is_an_archive_itself(tmp_path: Path) -> None:
    folder = unpacked_by_tar(tar(tmp_path / "p.tar", TREE), tmp_path / "out")
    (tmp_path / "p.nar").write_bytes(nar(folder))
    with loads(tmp_path / "archive") as target:
        report = target.load(tmp_path / "p.nar")
        assert (report.status, target.head(report)) == ("full", root_of(folder))


# -- what is kept beside the objects --------------------------------------------------------------------------------


def test_the_original_file_is_told_of(tmp_path: Path) -> None:
    path = tar(tmp_path / "p 1.tar", TREE)
    before = datetime.datetime.now(datetime.UTC)
    with loads(tmp_path / "archive") as target:
        report = target.load(f"file://{tmp_path}/p%201.tar")
        (found,) = metadata(target, target.head(report))
    assert (found.authority_type, found.authority_url, found.fetcher_name) == (
        "registry",
        "file://",
        "swhkit",
    )
    assert (found.format, found.origin) == ("original-artifacts-json", report.origin)
    assert before - datetime.timedelta(seconds=1) <= found.discovery_date
    data = path.read_bytes()
    assert json.loads(found.metadata) == [
        {
            "filename": "p 1.tar",
            "length": len(data),
            "checksums": {"sha1": hashlib.sha1(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()},
            "url": f"file://{tmp_path}/p%201.tar",
        }
    ]


# -- only what is new -----------------------------------------------------------------------------------------------


def test_of_the_next_version_only_what_is_new_is_taken(tmp_path: Path) -> None:
    files = {f"p/{number}": b"%d" % number for number in range(50)}
    with loads(tmp_path / "archive") as target:
        target.load(tar(tmp_path / "1.tar", files))
        report = target.load(tar(tmp_path / "2.tar", files | {"p/7": b"new"}))
        assert report.new["content"] == 1
        assert report.new["directory"] == 2
        assert target.files(target.head(report))[b"p/7"] == b"new"
        same = target.load(tar(tmp_path / "3.tar.gz", files | {"p/7": b"new"}, "w:gz"))
        assert (same.status, same.new["content"]) == ("full", 0)


def test_what_a_later_member_replaces_is_not_kept(tmp_path: Path) -> None:
    first, second = (
        tar(tmp_path / "1", {"f": b"old", "l": ({"type": b"2", "linkname": "f"}, b"")}),
        {"f": b"new"},
    )
    path = tmp_path / "p.tar"
    path.write_bytes(first.read_bytes()[: 512 * 3] + tar(tmp_path / "2", second).read_bytes())
    with loads(tmp_path / "archive") as target:
        report = target.load(path)
        assert target.files(target.head(report)) == {b"f": b"new", b"l": b"f"}
        assert target.counts() == (2, 1)


def test_contents_above_the_limit_are_skipped_by_length(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", {"at": b"x" * 1000, "above": b"y" * 1001})
    with loads(tmp_path / "archive") as target:
        report = target.load(path, limits=Limits(max_content_size=1000))
        assert (report.status, report.new["content"], report.new["skipped_content"]) == ("full", 1, 1)


def test_what_is_held_damaged_is_brought_again(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", {"f": b"some bytes\n"})
    known = {"sha256": sha256(path)}
    content = ObjectId(Kind.CONTENT, hash_content(b"some bytes\n").sha1_git)
    with loads(tmp_path / "archive", "sqlite") as target:
        target.load(path)
        assert target.load(path, checksums=known).load_status == "uneventful"
    sql(
        tmp_path / "archive" / "objects.sqlite",
        "UPDATE object SET body = zeroblob(length(body)) WHERE digest = ?",
        content.digest,
    )
    with loads(tmp_path / "archive", "sqlite") as target:
        assert check(target.archive, tmp_path, full=True).problems
        report = target.load(path, checksums=known)
        assert (report.status, report.error) == ("full", None)
        assert target.archive.read([content]) == {content: b"some bytes\n"}
        assert check(target.archive, tmp_path, full=True).problems == []


# -- single files and folders ---------------------------------------------------------------------------------------


def test_content(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"any\n")
    with loads(tmp_path / "archive") as target:
        report = target.load(file, "content")
        assert (report.status, report.load_status) == ("full", "eventful")
        assert target.head(report) == str(ObjectId(Kind.CONTENT, hash_content(b"any\n").sha1_git))
        assert target.load(file, "content").load_status == "uneventful"
        file.write_bytes(b"other\n")
        assert target.load(file, "content").load_status == "eventful"


def test_a_folder_as_it_lies(tmp_path: Path) -> None:
    folder = unpacked_by_tar(tar(tmp_path / "p.tar", TREE), tmp_path / "out")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"raw")
    (folder / "big").write_bytes(os.urandom(5 << 20))
    with loads(tmp_path / "archive") as target:
        report = target.load(folder, "directory")
        assert (report.status, target.head(report)) == ("full", root_of(folder))
        assert len(target.files(target.head(report))[b"big"]) == 5 << 20
        assert target.load(folder, "directory").load_status == "uneventful"
        refused = target.load(folder, "directory", checksums={"sha256": "00" * 32})
        assert (refused.status, "checksum_layout nar" in (refused.error or "")) == ("failed", True)


def test_an_archive_as_a_directory(tmp_path: Path) -> None:
    path = tar(tmp_path / "p.tar", TREE)
    with loads(tmp_path / "archive") as target:
        assert target.head(target.load(path, "directory")) == root_of(path)


# -- guessing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "type"),
    [
        ("https://example.org/p-1.0.tar.gz", "tarball-directory"),
        ("https://example.org/p-1.0.TAR.XZ?download=1#x", "tarball-directory"),
        ("ftp://example.org/p.tgz", "tarball-directory"),
        ("https://example.org/p.zip", "tarball-directory"),
        ("https://example.org/x/p%2Ejar", "tarball-directory"),
        ("https://example.org/p.nar.xz", "tarball-directory"),
        ("file:///srv/p.crate", "tarball-directory"),
        ("https://example.org/.zip", None),
        ("https://example.org/p.zip/", None),
        ("https://example.org/p?name=x.zip", None),
        ("https://example.org/p.txt", None),
        ("https://example.org/p.gz", None),
        ("git://example.org/p.zip", None),
        ("https://[bad/p.zip", None),
        ("file:///nonexistent/folder", None),
        ("/nul\0.d", None),
    ],
)
def test_guess(url: str, type: str | None) -> None:
    assert swhkit_visit_type(url) == type


@pytest.mark.parametrize("mark", [".git", ".hg", ".svn", ".bzr", "CVS", "CVSROOT", "HEAD", "format"])
def test_only_folders_that_are_nothing_else(tmp_path: Path, mark: str) -> None:
    assert swhkit_visit_type(f"file://{tmp_path}") == "directory"
    (tmp_path / "a b").mkdir()
    assert swhkit_visit_type(f"file://{tmp_path}/a%20b") == "directory"
    (tmp_path / mark).mkdir()
    assert swhkit_visit_type(str(tmp_path)) is None


def test_every_setting_is_explained() -> None:
    for provider in swhkit_loaders():
        for field in msgspec.structs.fields(provider.config):
            assert "description" in str(field.type) or field.name in str(provider.config.__doc__)


# -- as tar does it -------------------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["a", "b", "c", "ü", "A", "a.b", "a-b"]), min_size=1, max_size=4).map(
    "/".join
)
NODES: st.SearchStrategy[bytes | tuple[dict[str, Any], bytes]] = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=5).map(lambda data: ({"mode": 0o755}, data)),
    st.sampled_from(["a", "../b", "nowhere"]).map(lambda to: ({"type": b"2", "linkname": to}, b"")),
    st.just(({"type": b"5", "mode": 0o755}, b"")),
)


def fitting(members: Members) -> bool:
    """Whether every member's parents are folders, or are not named."""
    return not any(
        members.get("/".join(name.split("/")[:depth])) not in (None, ({"type": b"5", "mode": 0o755}, b""))
        for name in members
        for depth in range(1, name.count("/") + 1)
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    members=st.dictionaries(NAMES, NODES, max_size=12).filter(fitting),
    mode=st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]),
)
def test_any_tree_is_what_tar_unpacks(
    members: dict[str, bytes], mode: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    path = tar(folder / "p", members, mode)
    out = unpacked_by_tar(path, folder / "out")
    with loads(folder / "archive") as target:
        report = target.load(path)
        assert (report.status, target.head(report)) == ("full", root_of(out))
        report = target.load(out, "directory")
        assert (report.status, target.head(report), sum(report.new.values())) == ("full", root_of(out), 0)


def test_checksums_of_the_list_count_for_what_is_held_too(tmp_path: Path) -> None:
    path = tar(tmp_path / "p-1.tar", TREE)
    item = {"time": "2020-01-01", "url": path.as_uri(), "version": "1"}
    wrong = item | {"checksums": {"sha256": "0" * 64}}
    right = item | {"checksums": {"sha256": sha256(path)}}
    with loads(tmp_path / "archive") as target:
        assert target.load("https://example.org/p", "tar", artifacts=[item]).status == "full"
        refused = target.load("https://example.org/p", "tar", artifacts=[wrong])
        assert (refused.status, refused.branches) == ("partial", 0)
        known = target.load("https://example.org/p", "tar", artifacts=[right])
        assert (known.status, known.branches) == ("full", 2)
