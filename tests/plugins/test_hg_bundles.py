"""Bundles: every form of them gives the same, and those that lie are refused with one error."""

from __future__ import annotations

import bz2
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hg_samples import END, ENVIRONMENT, NULL, Change, Loads, Rev, Writer, chunk, loads, node_of

from swhkit.model import Branch, BranchType
from swhkit.plugin import Limits
from swhkit.swhid import Kind, ObjectId
from swhkit_hg import texts


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[Loads]:
    """Visits into an archive of this test."""
    with loads(tmp_path / "archive") as made:
        yield made


def sample() -> Writer:
    """Two branches, a merge, copies, deletions, flags, a file that becomes a folder and the other way round."""
    writer = Writer()
    one = writer.commit({b"a": b"1\n", b"dir/b": b"\1\nnot metadata", b"gone": b"x"})
    two = writer.commit({b"a": b"1\n2\n", b"gone": None, b"gone/now/folder": b"y"}, one, flags={b"a": b"x"})
    three = writer.commit(
        {b"copy": b"1\n", b"dir/b": None, b"dir": b"a"}, one,
        flags={b"dir": b"l"}, metadata={b"copy": b"copy: a\ncopyrev: " + b"0" * 40 + b"\n"},
    )  # fmt: skip
    writer.commit({b"empty": b""}, two, three)
    return writer


def test_every_form_gives_the_same(visits: Loads, tmp_path: Path) -> None:
    writer = sample()
    raw = writer.changegroup(1)
    forms = {
        "1": b"HG10UN" + raw,
        "1-gzip": b"HG10GZ" + zlib.compress(raw),
        "1-bzip2": b"HG10" + bz2.compress(raw),
        "2-1": writer.bundle(1),
        "2-2": writer.bundle(2),
        "2-3": writer.bundle(3),
    }
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
    repository = tmp_path / "repository"
    subprocess.run(["hg", "init", repository], env=ENVIRONMENT, check=True)
    subprocess.run(["hg", "-R", repository, "unbundle", "-q", tmp_path / "2-2"], env=ENVIRONMENT, check=True)
    for kind in ("bzip2-v1", "gzip-v2", "bzip2-v2", "zstd-v2", "none-v2"):
        argv: list[str | Path] = [
            "hg",
            "-R",
            repository,
            "bundle",
            "-q",
            "--all",
            "-t",
            kind,
            tmp_path / kind,
        ]
        subprocess.run(argv, env=ENVIRONMENT, check=True)
        forms[kind] = b""
    found = {name: visits.full(tmp_path / name) for name in forms}
    expected = visits.full(repository)
    assert list(expected.branches) == [b"HEAD", b"branch-tip/default"]
    assert {name for name, snapshot in found.items() if snapshot != expected} == set()


def test_a_bundle_cut_anywhere_is_refused(visits: Loads, tmp_path: Path) -> None:
    data = sample().bundle()
    file = tmp_path / "bundle.hg"
    for length in (1, 3, 5, 9, 50, 60, 100, *range(200, len(data) - 1, 317), len(data) - 5):
        file.write_bytes(data[:length])
        report = visits.run(file)
        assert report.status == "not_found", length
        assert "no clone can be made of it" in (report.error or ""), length
    assert visits.target.catalog.counters()["revision"] == 0


def test_one_damaged_byte_is_found(visits: Loads, tmp_path: Path) -> None:
    data = b"HG10UN" + sample().changegroup(1)
    file = tmp_path / "bundle.hg"
    file.write_bytes(data)
    good = visits.full(file)
    for place in range(10, len(data), 61):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
        report = visits.run(file)
        if report.status == "full":  # it tells nothing that is not told elsewhere too
            assert visits.snapshot(report) == good
            continue
        assert report.status in ("not_found", "partial"), (place, report)
        assert "internal" not in (report.error or "")


Spoil = Callable[[Writer, Change], None]


def absurd_hunk(writer: Writer, one: Change) -> None:
    rev = writer.files[b"a"][-1]
    rev.base, rev.delta = NULL, struct.pack(">III", 5, 2, 0)


def far_hunk(writer: Writer, one: Change) -> None:
    rev = writer.files[b"a"][-1]
    rev.base, rev.delta = NULL, struct.pack(">III", 0, 1 << 30, 1) + b"x"


def long_hunk(writer: Writer, one: Change) -> None:
    rev = writer.files[b"a"][-1]
    rev.base, rev.delta = NULL, struct.pack(">III", 0, 0, 0xFFFFFFFF) + b"x"


def unknown_base(writer: Writer, one: Change) -> None:
    rev = writer.files[b"a"][-1]
    rev.base, rev.delta = b"\7" * 20, b""


def unknown_manifest_base(writer: Writer, one: Change) -> None:
    writer.manifests[-1].base, writer.manifests[-1].delta = b"\7" * 20, b""


def unknown_changeset_base(writer: Writer, one: Change) -> None:
    writer.changesets[-1].base, writer.changesets[-1].delta = b"\7" * 20, b""


def unknown_link(writer: Writer, one: Change) -> None:
    writer.files[b"a"][-1].link = b"\7" * 20


def unknown_parent(writer: Writer, one: Change) -> None:
    rev = writer.changesets[-1]
    rev.p1 = b"\7" * 20
    rev.node = node_of(rev.p1, rev.p2, rev.text)


def twice(writer: Writer, one: Change) -> None:
    writer.changesets.append(writer.changesets[-1])


def own_parent(writer: Writer, one: Change) -> None:
    rev = writer.changesets[-1]
    rev.p1 = rev.node


def ellipsis(writer: Writer, one: Change) -> None:
    writer.changesets[-1].flags = 1 << 14


def no_date(writer: Writer, one: Change) -> None:
    text = b"0" * 40 + b"\nuser\nnever\n\nx"
    writer.changesets.append(Rev(node_of(NULL, NULL, text), NULL, NULL, node_of(NULL, NULL, text), text))


def no_manifest(writer: Writer, one: Change) -> None:
    text = b"z" * 40 + b"\nuser\n0 0\n\nx"
    writer.changesets.append(Rev(node_of(NULL, NULL, text), NULL, NULL, node_of(NULL, NULL, text), text))


def open_metadata(writer: Writer, one: Change) -> None:
    rev = writer.files[b"a"][-1]
    rev.text = b"\1\ncopy"
    rev.node = node_of(rev.p1, rev.p2, rev.text)


LIES = [
    absurd_hunk, far_hunk, long_hunk, unknown_base, unknown_manifest_base, unknown_changeset_base, unknown_link,
    unknown_parent, twice, own_parent, ellipsis, no_date, no_manifest, open_metadata,
]  # fmt: skip


@pytest.mark.parametrize("spoil", LIES)
def test_what_lies_is_refused(visits: Loads, tmp_path: Path, spoil: Spoil) -> None:
    writer = Writer()
    one = writer.commit({b"a": b"1\n"})
    writer.commit({b"a": b"2\n"}, one)
    spoil(writer, one)
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle(3))
    report = visits.run(file)
    assert report.status == ("failed" if spoil is ellipsis else "not_found"), report
    assert "internal" not in (report.error or "")
    assert visits.target.catalog.counters()["revision"] == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HG10UN" + struct.pack(">i", 0x7FFFFFFF),
        b"HG10UN" + struct.pack(">i", -5),
        b"HG10UN" + struct.pack(">i", 50) + b"x" * 46,
        b"HG10UN" + END + END + struct.pack(">i", 0x7FFFFFFF),
        b"HG10UN" + END + END + chunk(b"name"),
        b"HG10XX",
        b"HG99",
        b"HGS1UN",
        b"HG10GZ" + b"no zlib",
        b"HG10BZ" + b"no bzip2",
        b"HG20" + struct.pack(">i", 0x7FFFFFFF),
        b"HG20" + struct.pack(">i", 14) + b"Compression=QQ",
        b"HG20" + struct.pack(">i", 14) + b"Compression=ZS" + b"no zstd",
        b"HG20" + struct.pack(">i", 5) + b"Other",
        b"HG20" + END + struct.pack(">i", 0x7FFFFFFF),
        b"HG20" + END + struct.pack(">i", 3) + b"\xffab",
        b"HG20" + END + struct.pack(">i", 11) + b"\x04WHAT" + END + b"\0\0" + END + END,
        b"HG20" + END + struct.pack(">i", -1),
        b"HG20" + END + struct.pack(">i", 11) + b"\x04what" + END + b"\0\0" + struct.pack(">i", -7),
        b"HG20" + END + (struct.pack(">i", 11) + b"\x04what" + END + b"\0\0" + struct.pack(">i", -1)) * 9999,
        b"no bundle at all",
        b"",
    ],
)
def test_what_is_no_bundle_is_refused(visits: Loads, tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bundle.hg"
    file.write_bytes(data)
    report = visits.run(file)
    assert report.status in ("not_found", "failed"), report
    assert str(file) in (report.error or "")
    assert "internal" not in (report.error or "")


def test_a_server_that_gives_up_in_the_middle_is_heard(visits: Loads, tmp_path: Path) -> None:
    last_words = b"\x0berror:abort" + END + bytes([1, 0, 7, 6]) + b"messagesorry!"
    part = b"\x0bCHANGEGROUP" + END + bytes([0, 0])
    data = b"HG20" + END + struct.pack(">i", len(part)) + part + struct.pack(">i", -1)
    file = tmp_path / "bundle.hg"
    file.write_bytes(data + struct.pack(">i", len(last_words)) + last_words + END)
    report = visits.run(file)
    assert report.status == "not_found"
    assert "sorry!" in (report.error or "")


def test_what_was_forgotten_is_made_again(
    visits: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deltas for far bases, when no text is remembered but the last."""
    writer = Writer()
    change = writer.commit({b"a": b"".join(b"%d\n" % i for i in range(200)), b"b": b"0"})
    first = change
    for number in range(30):
        lines = b"".join(b"%d\n" % (i if i != number else -i) for i in range(200))
        metadata = {b"a": b"copy: b\ncopyrev: " + b"0" * 40 + b"\n"} if number % 3 else None
        change = writer.commit({b"a": lines, b"n%d" % number: b"x"}, change, metadata=metadata)
    for group in (writer.changesets, writer.manifests, writer.files[b"a"]):
        for rev in group[2:]:
            rev.base = group[1].node if rev.node[0] % 2 else group[0].node
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    expected = visits.full(file)
    monkeypatch.setattr(texts.Recent, "get", lambda self, node: None)
    with loads(tmp_path / "other") as others:
        assert others.full(file) == expected
        others.limits = Limits(max_content_size=100)  # what is skipped cannot be read again
    with loads(tmp_path / "third") as others:
        others.limits = Limits(max_content_size=100)
        assert others.full(file) == expected
        assert others.target.catalog.counters()["skipped_content"] == 30
    assert first.node != change.node


def test_large_texts_go_through_files(visits: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bundle.hg"
    file.write_bytes(sample().bundle())
    expected = visits.full(file)
    for module in ("texts", "changegroup"):
        monkeypatch.setattr(f"swhkit_hg.{module}.BIG", 10)
    monkeypatch.setattr(texts, "_LONG", 5)
    with loads(tmp_path / "other") as others:
        assert others.full(file) == expected
        assert others.target.catalog.counters() == visits.target.catalog.counters()


def test_what_a_changeset_lacks_leaves_it_and_its_descendants_out(visits: Loads, tmp_path: Path) -> None:
    writer = Writer()
    one = writer.commit({b"a": b"1", b"b": b"1"})
    two = writer.commit({b"a": b"2"}, one)
    writer.commit({b"b": b"3"}, two)
    four = writer.commit({b"b": b"4"}, one)
    del writer.files[b"a"][1]
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    report = visits.run(file)
    assert (report.status, report.load_status) == ("partial", "eventful")
    assert "2 of 4 changesets" in (report.error or "")
    [held] = visits.target.catalog.extids("hg-nodeid", [four.node], 1)
    branches = visits.snapshot(report).branches
    assert Branch(BranchType.REVISION, held.digest) in branches.values()
    assert visits.target.catalog.counters()["revision"] == 2
    gaps = {gap.branch for gap in visits.target.catalog.gaps(report.origin, report.visit)}
    assert len(gaps) in (1, 2)
    assert gaps.isdisjoint(branches)


def test_a_manifest_that_is_none_leaves_its_changeset_out(visits: Loads, tmp_path: Path) -> None:
    for line in (b"..\0%s\n", b"a//b\0%s\n", b"/a\0%s\n", b"a/../b\0%s\n"):
        writer = Writer()
        one = writer.commit({b"a": b"1"})
        two = writer.commit({b"b": b"2"}, one)
        rev, change = writer.manifests[1], writer.changesets[1]
        rev.text = line % two.files[b"b"][0].hex().encode()
        rev.node = node_of(rev.p1, rev.p2, rev.text)
        change.text = rev.node.hex().encode() + change.text[40:]
        change.node = node_of(change.p1, change.p2, change.text)
        rev.link = change.link = writer.files[b"b"][0].link = change.node
        file = tmp_path / f"bundle-{len(line)}-{line[0]}.hg"
        file.write_bytes(writer.bundle())
        report = visits.run(file)
        assert report.status == "partial", report
        assert "1 of 2 changesets" in (report.error or "")


def test_a_bundle_that_builds_upon_others_is_refused(visits: Loads, tmp_path: Path) -> None:
    writer = sample()
    writer.changesets.pop(0)
    writer.changesets[0].base = NULL
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    report = visits.run(file)
    assert report.status == "not_found"
    assert "which it does not have" in (report.error or "")


def test_censored_files_and_those_kept_elsewhere_are_not_made_up(visits: Loads, tmp_path: Path) -> None:
    for flag, text in ((1 << 15, b"\1\ncensored: gone\n\1\n"), (1 << 13, b"version https://lfs\n")):
        writer = Writer()
        one = writer.commit({b"a": b"1"})
        writer.commit({b"b": b"2"}, one)
        writer.files[b"b"][0].text, writer.files[b"b"][0].flags = text, flag
        file = tmp_path / f"{flag}.hg"
        file.write_bytes(writer.bundle(3))
        report = visits.run(file)
        assert report.status == "partial", report
        assert "1 of 2 changesets" in (report.error or "")
        assert visits.target.catalog.counters()["revision"] == 1


def test_extras_and_dates_are_as_the_reference_has_them(visits: Loads, tmp_path: Path) -> None:
    """The branch first, whatever the other names; what is not UTF-8 taken for Latin-1, but for extras and paths."""
    writer = Writer()
    extras = [rb"a:a\nb\\n\0c", b"branch:caf\xe9", b"close:", b"transplant_source:" + b"\xab" * 20]
    writer.commit(
        {b"caf\xe9 \xff": b"1"},
        user=b"J\xf6rg",
        date=b"-12345.7 -3600 " + b"\0".join(extras),
        description=b"\xff\n",
    )
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    branches = visits.full(file).branches
    assert list(branches) == ["branch-tip/caf\u00e9".encode()]
    [tip] = [branch for branch in branches.values() if branch]
    body = visits.read(ObjectId(Kind.REVISION, tip.target))
    lines = body.split(b"\n")
    person = "J\u00f6rg -12345 +0000".encode()
    assert lines[1:4] == [b"author " + person, b"committer " + person, b"time_offset_seconds -3600"]
    assert lines[4:9] == [
        b"branch caf\xe9", b"a a", b" b\\n\0c", b"close ", b"transplant_source " + b"ab" * 20,
    ]  # fmt: skip
    assert lines[9:] == [b"", b"\xc3\xbf", b""]
    root = visits.read(ObjectId(Kind.DIRECTORY, bytes.fromhex(lines[0][5:].decode())))
    assert root.startswith(b"100644 caf\xe9 \xff\0")


def test_names_without_end_are_refused(
    visits: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer()
    one = writer.commit({b"a": b"1"})
    tags = b"".join(b"%s v%d\n" % (one.node.hex().encode(), number) for number in range(20))
    writer.commit({b".hgtags": tags}, one, date=b"0 0 branch:" + b"x" * 200)
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    assert len(visits.full(file).branches) == 23
    for limit, value in (("branches.MOST_TAGS", 19), ("history.NAMES_LIMIT", 300)):
        with monkeypatch.context() as patch, loads(tmp_path / limit) as others:
            patch.setattr(f"swhkit_hg.{limit}", value)
            report = others.run(file)
            assert report.status == "failed"
            assert "more than" in (report.error or "")


def test_a_delta_with_a_hunk_in_every_twelve_bytes_takes_no_memory(visits: Loads, tmp_path: Path) -> None:
    writer = Writer()
    writer.commit({b"a": b"1"})
    rev = writer.files[b"a"][0]
    rev.base, rev.delta = NULL, bytes(12) * 500_000 + struct.pack(">III", 0, 0, 1) + b"1"
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    tracemalloc.start()
    try:
        visits.full(file)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_manifest_does_not_pass_for_that_of_a_held_changeset(visits: Loads, tmp_path: Path) -> None:
    """Which changeset has brought a manifest is not hashed: a lie about it must not give another's directory."""
    writer = Writer()
    one = writer.commit({b"a": b"1"})
    file = tmp_path / "bundle.hg"
    file.write_bytes(writer.bundle())
    visits.full(file)
    writer.commit({b"a": b"2"}, one)
    with loads(tmp_path / "honest") as others:
        file.write_bytes(writer.bundle())
        honest = others.full(file)
    for manifest in writer.manifests:
        manifest.link = one.node
    file.write_bytes(writer.bundle())
    assert visits.full(file) == honest
