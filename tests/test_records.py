"""The record stream: what is written comes back, and a stream that was cut or damaged says so."""

from __future__ import annotations

import contextlib
import datetime
import io

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swhkit import records
from swhkit.errors import Corrupt
from swhkit.model import ContentRow, ExtId, ExtrinsicMetadata, Gap, ObjectMetadata, PersonRow
from swhkit.swhid import Kind

NOW = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC)
SAMPLES: list[records.AnyRecord] = [
    ContentRow(b"a" * 20, b"b" * 20, b"c" * 32, b"d" * 32, 5),
    ContentRow(b"a" * 20, b"b" * 20, b"c" * 32, b"d" * 32, 1 << 40, "absent", "Content too large"),
    ObjectMetadata(Kind.REVISION, b"x" * 20, "hg", True, {"a": [1, None, "é"]}),
    ExtId("hg-nodeid", 1, b"\0" * 20, Kind.REVISION, b"y" * 20),
    PersonRow(b"\xff <x>"),
    Gap("shallow", Kind.REVISION, b"1" * 20, b"2" * 20),
    Gap("not our ref", branch=b"refs/heads/\xff"),
    ExtrinsicMetadata(
        target="swh:1:ori:" + "0" * 40, discovery_date=NOW, authority_type="forge", authority_url="https://f.example",
        fetcher_name="f", fetcher_version="1", format="json", metadata=b"{}", path=b"a\xff",
    ),
]  # fmt: skip


def stream(data: bytes) -> list[records.AnyRecord]:
    return list(records.read(io.BytesIO(data)))


def written(items: list[records.AnyRecord]) -> bytes:
    file = io.BytesIO()
    assert records.write(file, items) == len(items)
    return file.getvalue()


def test_every_kind_of_record_comes_back() -> None:
    assert stream(written(SAMPLES * 300)) == SAMPLES * 300


def test_an_empty_stream_is_no_records() -> None:
    assert stream(b"") == []


def test_any_msgpack_library_reads_it() -> None:
    assert [item[0] for item in msgpack.Unpacker(io.BytesIO(written(SAMPLES)), timestamp=3)] == [
        "content", "content", "metadata", "extid", "person", "gap", "gap", "emd",
    ]  # fmt: skip


@given(st.integers(1, len(written(SAMPLES)) - 1))
def test_a_cut_stream_is_never_taken_for_a_whole_one(cut: int) -> None:
    data = written(SAMPLES)[:cut]
    ends = {len(written(SAMPLES[:n])) for n in range(len(SAMPLES))}
    if cut in ends:
        assert len(stream(data)) < len(SAMPLES)
    else:
        with pytest.raises(Corrupt):
            stream(data)


@given(st.binary(max_size=200))
def test_damage_is_corrupt_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Corrupt):
        stream(written(SAMPLES[:1]) + data)
