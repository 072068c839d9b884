"""SWHIDs: what is read, what is refused, what is written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swhkit.errors import InvalidSwhid
from swhkit.swhid import (
    CORE_KINDS,
    Kind,
    ObjectId,
    QualifiedSwhid,
    parse_core,
    parse_extended,
    parse_qualified,
)

ZERO = "0" * 40
CORE = ObjectId(Kind.CONTENT, bytes(20))


@pytest.mark.parametrize("kind", list(Kind))
def test_kinds_have_words_that_lead_back(kind: Kind) -> None:
    assert Kind.from_word(kind.word) is kind
    if kind in CORE_KINDS:
        assert Kind.from_git(kind.git) is kind
    else:
        with pytest.raises(InvalidSwhid, match="manifest"):
            _ = kind.git


def test_unknown_words_are_refused() -> None:
    with pytest.raises(InvalidSwhid, match="known: content"):
        Kind.from_word("blob")
    with pytest.raises(InvalidSwhid):
        Kind.from_git("content")


@pytest.mark.parametrize("kind", CORE_KINDS)
def test_core_round_trip(kind: Kind) -> None:
    text = f"swh:1:{kind.value}:94a9ed024d3859793618152ea559a168bbcbb5e2"
    parsed = parse_core(text)
    assert parsed == ObjectId(kind, bytes.fromhex("94a9ed024d3859793618152ea559a168bbcbb5e2"))
    assert str(parsed) == text
    assert parsed.hex == text.rpartition(":")[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "swh:1:cnt",
        f"swh:2:cnt:{ZERO}",
        f"swh:1:foo:{ZERO}",
        f"swh:1:ori:{ZERO}",
        f"swh:1:cnt:{ZERO[1:]}",
        f"swh:1:cnt:{ZERO}0",
        f"swh:1:cnt:{'A' * 40}",
        f"SWH:1:cnt:{ZERO}",
        f"swh:1:CNT:{ZERO}",
        f"swh:1:cnt:{ZERO}\n",
        f" swh:1:cnt:{ZERO}",
        f"swh:1:cnt:{'٠' * 40}",
        f"swh:1:cnt:{ZERO};",
        f"swh:1:cnt:{ZERO};origin=https://example.org",
        "\ud800",
    ],
)
def test_core_refuses(text: str) -> None:
    with pytest.raises(InvalidSwhid):
        parse_core(text)


def test_core_says_that_qualifiers_are_the_trouble() -> None:
    with pytest.raises(InvalidSwhid, match=r"^CoreSWHID does not support qualifiers\.$"):
        parse_core(f"swh:1:cnt:{ZERO};lines=1")


@pytest.mark.parametrize("kind", [Kind.ORIGIN, Kind.METADATA, Kind.CONTENT])
def test_extended_takes_origins_and_metadata(kind: Kind) -> None:
    assert parse_extended(f"swh:1:{kind.value}:{ZERO}").kind is kind


def test_all_qualifiers_come_in_the_order_of_the_specification() -> None:
    snapshot = ObjectId(Kind.SNAPSHOT, b"\x01" * 20)
    release = ObjectId(Kind.RELEASE, b"\x02" * 20)
    text = f"{CORE};bytes=7;lines=3-4;path=/a;anchor={release};visit={snapshot};origin=https://example.org/x"
    parsed = parse_qualified(text)
    assert parsed == QualifiedSwhid(
        CORE, "https://example.org/x", snapshot, release, b"/a", (3, 4), (7, None)
    )
    assert list(parsed.qualifiers()) == ["origin", "visit", "anchor", "path", "lines", "bytes"]
    assert str(parsed) == (
        f"{CORE};origin=https://example.org/x;visit={snapshot};anchor={release};path=/a;lines=3-4;bytes=7"
    )


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        ("https://example.org/a;b", "https://example.org/a%3Bb"),
        ("https://example.org/a%3Bb", "https://example.org/a%253Bb"),
        ("https://example.org/?q=é&r=[x]#y", "https://example.org/?q=é&r=[x]#y"),
        ("file:///two words", "file:///two%20words"),
        ("", ""),
    ],
)
def test_origin_escapes(origin: str, written: str) -> None:
    text = str(QualifiedSwhid(CORE, origin=origin))
    assert text == f"{CORE};origin={written}"
    assert parse_qualified(text).origin == origin


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (b"/a;b%c d", "/a%3Bb%25c%20d"),
        (b"/\xff\n\x00+?#", "/%FF%0A%00%2B%3F%23"),
        ("/é".encode(), "/%C3%A9"),
        (b"%3B", "%253B"),
        (b"", ""),
    ],
)
def test_path_escapes(path: bytes, written: str) -> None:
    text = str(QualifiedSwhid(CORE, path=path))
    assert text == f"{CORE};path={written}"
    assert parse_qualified(text).path == path


def test_path_need_not_be_escaped_more_than_it_must() -> None:
    assert parse_qualified(f"{CORE};path=/a+b?é\"<>[]`{{}}|^#&=,:@!$'()*~%zz%4").path == (
        "/a+b?é\"<>[]`{}|^#&=,:@!$'()*~%zz%4".encode()
    )
    assert parse_qualified(f"{CORE};path=/\udcff").path == b"/\xff"


@given(st.text(), st.binary())
def test_any_origin_and_path_survive(origin: str, path: bytes) -> None:
    swhid = QualifiedSwhid(CORE, origin=origin, path=path)
    text = str(swhid)
    assert not any(character.isspace() for character in text)
    try:
        origin.encode()
    except UnicodeError:
        with pytest.raises(InvalidSwhid):
            parse_qualified(text)
    else:
        assert parse_qualified(text) == swhid


@pytest.mark.parametrize(
    "qualifiers",
    [
        "",
        "origin",
        "foo=1",
        "=1",
        "lines=",
        "lines=a",
        "lines=1-",
        "lines=-1",
        "lines=1-2-3",
        "lines=" + "9" * 19,
        "lines=²",
        "bytes=0x1",
        "origin=https://a;origin=https://b",
        "path=/a b",
        "path=/a\tb",
        "path=/\ud800",
        "origin=https://a\n",
        "origin=%ff",
        "origin=\udcff",
        f"visit=swh:1:dir:{ZERO}",
        "visit=x",
        f"anchor=swh:1:cnt:{ZERO}",
        f"anchor=swh:1:ori:{ZERO}",
        f"anchor=swh:1:dir:{'A' * 40}",
        "ORIGIN=https://a",
    ],
)
def test_qualified_refuses(qualifiers: str) -> None:
    with pytest.raises(InvalidSwhid):
        parse_qualified(f"{CORE};{qualifiers}")


@given(st.text())
def test_nothing_but_invalid_swhid_is_raised(text: str) -> None:
    for candidate in (text, f"{CORE};{text}", f"{CORE};path={text}"):
        for parser in (parse_core, parse_extended, parse_qualified):
            with contextlib.suppress(InvalidSwhid):
                assert str(parser(candidate)).startswith("swh:1:")
