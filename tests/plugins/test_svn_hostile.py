"""Dumps and deltas that nobody should write: what cannot be read is said, and costs neither time nor memory."""

from __future__ import annotations

import random
import resource
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from archives import archive, shell
from hypothesis import given, settings
from hypothesis import strategies as st
from svn_servers import SvnRepository, folder, history_of, node, properties_block

from swhkit import visit
from swhkit.archive import Archive
from swhkit.plugin import Limits
from swhkit_svn import SvnConfig, loader
from swhkit_svn.dump import Damaged
from swhkit_svn.svndiff import MAX_VIEW, apply

HEAD = b"SVN-fs-dump-format-version: 3\n\nUUID: 00000000-0000-4000-8000-000000000001\n\n"


def revision(number: int, *nodes: bytes) -> bytes:
    block = properties_block({"svn:log": "x"})
    return b"Revision-number: %d\nProp-content-length: %d\nContent-length: %d\n\n%s\n%s" % (
        number, len(block), len(block), block, b"".join(nodes),
    )  # fmt: skip


GOOD = HEAD + revision(1, folder("a"), node("a/f", text=b"text", properties={}))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Archive]:
    with archive("memory", tmp_path) as opened:
        yield opened


def load(target: Archive, tmp_path: Path, dump: bytes, limits: Limits = Limits()) -> visit.Report:  # noqa: B008 (frozen)
    file = tmp_path / "it.svndump"
    file.write_bytes(dump)
    report = visit.run(
        target, loader.make(SvnConfig(retries=0)), str(file), "svn", network=shell(), limits=limits
    )
    assert "internal" not in (report.error or ""), report.error
    return report


HOSTILE = {
    "no node before a revision": node("x", text=b""),
    "an absurd length": b"Node-path: x\nNode-action: add\nNode-kind: file\nText-content-length: 1073741824\n\nshort",
    "a negative length": b"Node-path: x\nNode-action: add\nNode-kind: file\nText-content-length: -5\n\nshort",
    "a length of many digits": b"Node-path: x\nNode-action: add\nContent-length: " + b"9" * 4000 + b"\n\n",
    "lengths that do not add up": b"Node-path: x\nNode-action: add\nText-content-length: 9\nContent-length: 3\n\nabcdefghi",
    "an endless header": b"Node-path: " + b"x" * 200_000,
    "many headers": b"Node-path: x\n" + b"".join(b"H%d: x\n" % n for n in range(1000)) + b"\n",
    "a path upwards": node("../../x", text=b"x"),
    "a path with a dot": node("a/./x", text=b"x"),
    "a path of another encoding": node("a/f", "change", text=b"x").replace(b"a/f", b"a/\xff"),
    "a deep path": node("/".join("d" * 3000), text=b"x"),
    "an unknown action": node("x", "explode", text=b"x"),
    "an unknown kind": node("x", kind="pipe", text=b"x"),
    "a change of nothing": node("x", "change", text=b"x"),
    "a deletion of nothing": node("x", "delete", None),
    "a deletion of everything": node("", "delete", None),
    "a copy of itself": node("x", kind="dir", source=(2, "x")),
    "a copy of the future": node("x", kind="dir", source=(3, "a")),
    "a copy of the past that is not there": node("x", kind="dir", source=(0, "a")),
    "a copy of nothing": node("x", kind="dir", source=(1, "nothing")),
    "a copy without a revision": node("x", kind="dir", source=(1, "a")).replace(
        b"Node-copyfrom-rev: 1\n", b""
    ),
    "a file that was a folder": node("x", source=(1, "a")),
    "a wrong sum": node("x", text=b"x", properties={}, Text_content_md5="0" * 32),
    "a wrong sum of the base": node(
        "a/f", "change", text=b"SVN\0", Text_delta="true", Text_delta_base_md5="0" * 32
    ),
    "a property without end": b"Node-path: x\nNode-action: add\nProp-content-length: 8\nContent-length: 8\n\nK 999\nab\n",
    "a property of odd length": b"Node-path: x\nNode-action: add\nProp-content-length: 8\nContent-length: 8\n\nK -1\nabc\n",
    "properties of 4 GiB": b"Node-path: x\nNode-action: add\nProp-content-length: 4294967296\n\nK 1\n",
    "no delta": node("a/f", "change", text=b"text", Text_delta="true"),
    "a link to nothing": node("x", text=b"link ", properties={"svn:special": "*"}),
    "a link that is too long": node("x", text=b"link " + b"x" * 5000, properties={"svn:special": "*"}),
    "a revision that comes again": revision(2) + revision(2),
    "a revision of many digits": revision(2) + b"Revision-number: 99999999999\n\n",
    "something else": b"Elephant: 7\n\n",
    "another version": b"SVN-fs-dump-format-version: 4\n\n",
    "bytes": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_came_before_stands(name: str, target: Archive, tmp_path: Path) -> None:
    """A dump that goes wrong in revision 2 gives revision 1, and a reason."""
    begun = time.monotonic()
    broken = HOSTILE[name] if name.startswith("a revision") else revision(2, HOSTILE[name])
    if name.startswith("no node"):
        assert load(target, tmp_path, HEAD + HOSTILE[name]).status == "failed"
        return
    report = load(target, tmp_path, GOOD + broken)
    assert (report.status, report.load_status) == ("partial", "eventful"), report
    assert "only in part" in (report.error or "")
    assert history_of(target, report)[0][0] in (1, 2)
    assert time.monotonic() - begun < 5


def test_cut_anywhere(target: Archive, tmp_path: Path) -> None:
    dump = GOOD + revision(2, node("a/f", "change", text=b"SVN\0\0\4\4\2\0\x04\0", Text_delta="true"))
    assert load(target, tmp_path, dump).status == "full"
    for end in range(0, len(dump) - 4, 7):
        report = load(target, tmp_path, dump[:end])
        boundary = dump[:end].endswith(b"\n") or end > len(dump) - 3  # between records it cannot be told
        assert boundary or report.status in ("partial", "failed", "not_found"), (end, report)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_changed_anywhere(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Whatever is in a dump, a visit ends as a visit ends."""
    pick = random.Random(seed)
    dump = bytearray(
        GOOD + revision(2, node("a/g", source=(1, "a/f")), node("a/f", "change", text=b"new")) + revision(3)
    )
    for _ in range(pick.randint(1, 5)):
        at = pick.randrange(len(dump))
        dump[at : at + pick.randint(0, 3)] = bytes(
            pick.choice(b"\n 0192-/:ax\0\xff") for _ in range(pick.randint(0, 3))
        )
    folder = tmp_path_factory.mktemp("changed")
    with archive("memory", folder) as target:
        assert load(target, folder, bytes(dump)).status in ("full", "partial", "failed", "not_found")


def test_the_folder_of_a_working_copy(target: Archive, tmp_path: Path) -> None:
    """Where a working copy has its own folder there is nothing of the repository's, though it says so."""
    inside = (
        folder(".svn"),
        node(".svn/entries", text=b"x", properties={}),
        node("a/.svn", text=b"y", properties={}),
    )
    report = load(target, tmp_path, GOOD + revision(2, *inside) + revision(3, node(".svn", "delete", None)))
    assert report.status == "full"
    revisions = history_of(target, report)
    assert [number for number, _ in revisions] == [3, 2, 1]
    assert len({kept.directory for _, kept in revisions}) == 1


def test_a_large_folder(target: Archive, tmp_path: Path) -> None:
    """100,000 entries, of which single ones change."""
    entries = (node(f"a/{n:06}", text=b"x", properties={}) for n in range(100_000))
    changes = b"".join(revision(n, node(f"a/{n:06}", "change", text=b"y%d" % n)) for n in range(2, 4))
    report = load(target, tmp_path, HEAD + revision(1, folder("a"), *entries) + changes)
    assert (report.status, report.new["revision"]) == ("full", 3)


def test_many_claims_cost_little_memory(target: Archive, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    zeros = _delta_of_zeros(3000)  # some 60 KB that make 300 MB
    dump = GOOD + revision(2, node("z", text=zeros, properties={}, Text_delta="true"))
    report = load(target, tmp_path, dump, Limits(max_pack_size=100 << 20))
    assert report.status == "failed"
    assert "max_pack_size" in (report.error or "")
    assert load(target, tmp_path, dump, Limits(max_content_size=1 << 20)).status == "full"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80 << 10


def _number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _window(offset: int, source: int, size: int, instructions: bytes, data: bytes = b"") -> bytes:
    numbers = (offset, source, size, len(instructions), len(data))
    return b"".join(map(_number, numbers)) + instructions + data


def _delta_of_zeros(windows: int) -> bytes:
    run = b"\x81" + b"\x40" + _number(MAX_VIEW - 1) + _number(0)
    return b"SVN\0" + _window(0, 0, MAX_VIEW, run, b"\0") * windows


def patched(delta: bytes, base: bytes = b"") -> bytes:
    return b"".join(apply(BytesIO(delta), lambda offset, length: base[offset : offset + length]))


@settings(max_examples=25, deadline=None)
@given(
    st.binary(max_size=3000),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=300)), max_size=5),
    st.booleans(),
)
def test_deltas_of_subversion(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, edits: list[tuple[int, bytes]], long: bool
) -> None:
    """What ``svnadmin dump --deltas`` writes gives the texts back, of some windows too."""
    old = text * 90 if long else text
    new = bytearray(old)
    for at, piece in edits:
        new[at : at + len(piece) // 2] = piece
    repository = SvnRepository(tmp_path_factory.mktemp("deltas") / "repo")
    repository.commit(node("f", text=old, properties={}))
    repository.commit(node("f", "change", text=bytes(new)))
    found, base = [], b""
    for part in repository.dump("--deltas").split(b"Text-content-length: ")[1:]:
        begin = part.index(b"SVN\0")
        base = patched(part[begin : begin + int(part.split(b"\n")[0])], base)
        found.append(base)
    assert found == [old, bytes(new)][: len(found)]
    assert len(found) == 2 or old == new


def test_compressed_deltas() -> None:
    """Version 1: each section may be deflated."""
    instructions, data = b"\x80" + _number(1000), b"a" * 1000
    packed = _number(1000) + zlib.compress(data)
    delta = b"SVN\1" + _window(0, 0, 1000, _number(len(instructions)) + instructions, packed)
    assert patched(delta) == data
    bomb = b"SVN\1" + _window(
        0, 0, 1000, _number(3) + instructions, _number(1000) + zlib.compress(bytes(1 << 24))
    )
    with pytest.raises(Damaged, match="another length"):
        patched(bomb)
    with pytest.raises(Damaged, match="decompressed"):
        patched(b"SVN\1" + _window(0, 0, 1000, _number(3) + instructions, _number(1000) + b"junk"))


DELTAS = {
    "another format": b"SVN\2",
    "no format": b"",
    "a source behind the end": _window(0, 100, 100, b"\0\x64\0"),
    "a source far away": _window(1 << 60, 4, 4, b"\x04\0"),
    "views that slide back": _window(5, 4, 4, b"\x04\0") + _window(0, 4, 4, b"\x04\0"),
    "a window too large": _window(0, 0, 1 << 30, b"\x80" + _number(1 << 30)),
    "a number too large": b"\xff" * 30,
    "a copy from outside the view": _window(0, 4, 4, b"\x04\x01"),
    "a copy of what is not there": _window(0, 0, 4, b"\x44\0"),
    "a copy from ahead": _window(0, 0, 5, b"\x81\x44\x01", b"x"),
    "more data than there is": _window(0, 0, 4, b"\x84", b"xy"),
    "data that is left": _window(0, 0, 2, b"\x82", b"xyz"),
    "too short": _window(0, 0, 5, b"\x82", b"xy"),
    "too long": _window(0, 0, 1, b"\x82", b"xy"),
    "an instruction that does not exist": _window(0, 0, 4, b"\xc4\0", b"xy"),
    "a length of nothing": _window(0, 0, 4, b"\x80\0", b"xy"),
    "instructions cut": _window(0, 0, 4, b"\x80\xff", b"xy"),
    "cut": _window(0, 0, 4, b"\x84", b"xyzz")[:-1],
    "too many instructions": b"\0\0\x04" + _number(1 << 40) + b"\0",
}


@pytest.mark.parametrize("name", DELTAS)
def test_bad_deltas(name: str) -> None:
    begin = b"" if name.endswith("format") else b"SVN\0"
    with pytest.raises(Damaged):
        patched(begin + DELTAS[name], bytes(range(20)))


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_delta(delta: bytes, base: bytes) -> None:
    """It is applied, or refused."""
    with suppress(Damaged):
        patched(b"SVN\0" + delta, base)
