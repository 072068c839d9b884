"""Durations, sizes, rates and addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swhkit import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("6h", 21600),
        ("1d", 86400),
        ("1.5h", 5400),
        (" 2 m ", 120),
        (7, 7),
        (0.5, 0.5),
        ("7", 7),
    ],
)
def test_a_duration_is_seconds(text: str | float, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("100MiB", 100 << 20),
        ("4GiB", 4 << 30),
        ("1TiB", 1 << 40),
        ("10B", 10),
        ("1.5KiB", 1536),
        (0, 0),
    ],
)
def test_a_size_is_bytes(text: str | int, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "5",
        "5x",
        "-5m",
        "m",
        "5 m m",
        "1e3s",
        "٣s",
        True,
        None,
        [],
        -1,
        float("nan"),
        1e300,
        "9" * 400 + "s",
    ],
)
def test_what_is_no_duration_is_refused(bad: object) -> None:
    if bad == "5":
        assert units.parse_duration("5") == 5
        return
    with pytest.raises(ValueError, match="expected a duration"):
        units.parse_duration(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["4GB", "4gib", "0.3B", 1.5, False, "-1MiB", "9" * 400 + "GiB"])
def test_what_is_no_size_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected a"):
        units.parse_size(bad)  # type: ignore[arg-type]


@given(st.integers(0, 1 << 62))
def test_a_size_survives_its_notation(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@given(st.one_of(st.integers(0, 1 << 40), st.floats(0, 1e6, allow_nan=False).map(lambda x: round(x, 3))))
def test_a_duration_survives_its_notation(seconds: float) -> None:
    assert units.parse_duration(units.format_duration(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-9)


def test_the_shortest_exact_notation_is_written() -> None:
    assert units.format_duration(21600.0) == "6h"
    assert units.format_duration(90) == "90s"
    assert units.format_duration(0) == "0s"
    assert units.format_size(4 << 30) == "4GiB"
    assert units.format_size(1000) == "1000B"


@pytest.mark.parametrize("good", ["127.0.0.1:5080", "[::1]:0", "localhost:65535", "0.0.0.0:80"])
def test_listen_addresses(good: str) -> None:
    assert units.parse_listen(good) == good


@pytest.mark.parametrize(
    "bad", ["5080", "host", "host:", ":80", "host:65536", "::1:80", "a b:1", "host:80\n", 5080, None]
)
def test_what_is_no_listen_address_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        units.parse_listen(bad)


def test_web_addresses() -> None:
    assert units.parse_web_address("https://a.example/b/") == "https://a.example/b"
    for bad in ("ftp://a", "https://", "https://u:p@a", "https://a/?q", "https://a b", 3):
        with pytest.raises(ValueError, match="expected a URL"):
            units.parse_web_address(bad)
    with pytest.raises(ValueError, match="u:\\*\\*\\*@a"):
        units.parse_web_address("https://u:p@a")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("120/h", (120, 3600)),
        (" 7 / m ", (7, 60)),
        ("10/s", (10, 1)),
        ("1/d", (1, 86400)),
        ("999999999/h", (999_999_999, 3600)),
    ],
)
def test_a_rate_is_a_count_in_seconds(text: str, rate: tuple[int, int]) -> None:
    assert units.rate_of(text) == rate
    assert units.parse_rate(text) == text.replace(" ", "")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "120",
        "/h",
        "0/h",
        "-1/h",
        "1.5/h",
        "1/w",
        "1/hour",
        "1/h/h",
        "1e3/h",
        "9999999999/h",
        "١/h",
        120,
        None,
    ],
)
def test_what_is_no_rate_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="expected a rate such as 10/s"):
        units.parse_rate(bad)


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("::1", "::1/128"),
        ("2001:DB8:0:0::/32", "2001:db8::/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_address_ranges(text: str, usual: str) -> None:
    assert units.parse_address_range(text) == usual
    assert units.parse_address_range(usual) == usual


@pytest.mark.parametrize(
    "bad", ["", "x", "10.0.0.1/8", "10.0.0.0/33", "localhost", "1.2.3", 17, 1 << 33, None, b"::1"]
)
def test_what_is_no_address_range_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"expected an address or a network such as 10\.0\.0\.0/8"):
        units.parse_address_range(bad)
