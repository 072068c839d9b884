"""The parts the Mercurial loader is made of: tables on disk, deltas, lines of manifests."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hg_samples import delta
from hypothesis import given
from hypothesis import strategies as st

from swhkit_hg.errors import Broken
from swhkit_hg.lines import changes, regions
from swhkit_hg.tables import NULL, NodeMap, Rows
from swhkit_hg.texts import Recent, hunks, patched

PATHS = st.sampled_from([b"a", b"a-", b"a/b", b"a/bc", b"ab", b"b", b"b/a/c", b"c"])
NODES = st.sampled_from([b"0" * 40, b"1" * 40, b"0" * 39 + b"1x", b"10" * 20 + b"l"])
MANIFESTS = st.dictionaries(PATHS, NODES)


def text_of(manifest: dict[bytes, bytes]) -> bytes:
    return b"".join(b"%s\0%s\n" % line for line in sorted(manifest.items()))


def several(base: bytes, text: bytes, cuts: list[int]) -> bytes:
    """A delta of several hunks: the one that differs, cut in pieces that replace and pieces that add."""
    one = delta(base, text)
    start, end, _ = struct.unpack(">III", one[:12])
    data, out = one[12:], b""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    old = [min(start + place, end) for place in places[:-1]] + [end]
    for i, (first, behind) in enumerate(pairwise(places)):
        out += struct.pack(">III", old[i], old[i + 1], behind - first) + data[first:behind]
    return out or one


@given(MANIFESTS, MANIFESTS, st.lists(st.integers(0, 300)))
def test_changes_are_what_differs(
    before: dict[bytes, bytes], after: dict[bytes, bytes], cuts: list[int]
) -> None:
    base, expected = text_of(before), text_of(after)
    data = several(base, expected, cuts)
    found = hunks(base, data, 0)
    text = patched(base, data, found, Path())
    assert text == expected
    told = dict(before)
    order = []
    for region in regions(base, text, found):
        for path, old, new in changes(base, text, region):
            assert (before.get(path), after.get(path)) == (old, new)
            order.append(path)
            if new is None:
                del told[path]
            else:
                told[path] = new
    assert told == after
    assert order == sorted(set(order))


def test_lines_that_are_none_are_refused() -> None:
    for text in (
        b"a\0" + b"0" * 40,
        b"a\n",
        b"a\0" + b"0" * 39 + b"\n",
        b"b\0%s\na\0%s\n" % (b"0" * 40, b"0" * 40),
    ):
        data = struct.pack(">III", 0, 0, len(text)) + text
        [region] = regions(b"", text, hunks(b"", data, 0))
        with pytest.raises(Broken):
            list(changes(b"", text, region))


def test_lines_are_in_order_with_those_around_them() -> None:
    line = b"%s\0" + b"0" * 40 + b"\n"
    base = b"".join(line % path for path in (b"b", b"d", b"f"))
    for path, good in ((b"a", False), (b"b", False), (b"c", True), (b"d", False), (b"e", False)):
        added = line % path
        data = struct.pack(">III", len(line) - 1, len(line) - 1, len(added)) + added
        found = hunks(base, data, 0)
        text = patched(base, data, found, Path())
        [region] = regions(base, text, found)
        if good:
            assert [change.path for change in changes(base, text, region)] == [path]
            continue
        with pytest.raises(Broken):
            list(changes(base, text, region))


def test_a_table_of_nodes_keeps_what_it_is_given(tmp_path: Path) -> None:
    table = NodeMap(tmp_path / "table", 4)
    nodes = [hashlib.sha1(b"%d" % i).digest() for i in range(20_000)]
    for number, node in enumerate(nodes):
        assert table.get(node) is None
        table.put(node, number.to_bytes(4, "big"))
    table.put(nodes[0], b"last")
    assert len(table) == 20_000
    assert [table.get(node) for node in nodes[1:]] == [i.to_bytes(4, "big") for i in range(1, 20_000)]
    assert table.get(nodes[0]) == b"last"
    assert table.get(hashlib.sha1(b"other").digest()) is None
    assert table.get(NULL) is None
    table.close()


def test_rows_are_as_they_were_written(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows", ">iQ")
    for number in range(10_000):
        assert rows.append(number, 2 * number) == number
    rows[5] = (-1, 7)
    assert (rows[5], rows[9_999], len(rows)) == ((-1, 7), (9_999, 19_998), 10_000)
    for number in (-1, 10_000):
        with pytest.raises(IndexError):
            rows[number]
        with pytest.raises(IndexError):
            rows[number] = (0, 0)
    rows.close()


def test_only_the_last_texts_are_remembered() -> None:
    recent = Recent(1000)
    for number in range(10):
        recent.put(b"%d" % number, b"x" * 100)
        assert recent.get(b"0") == b"x" * 100
    assert [n for n in range(10) if recent.get(b"%d" % n) is not None] == [0, 8, 9]
    recent.clear()
    assert recent.get(b"0") is None
