"""Bencode (BEP 3), the notation of Bazaar's protocol, of its tags and of its revisions: values to bytes and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

#: What a value may be. Keys of dictionaries are bytes.
Value = int | bytes | list["Value"] | dict[bytes, "Value"]
#: Lists in lists: nothing that is read here has more.
_DEEPEST = 8
#: Values within a value: small ones take many times their length in memory.
_MOST = 500_000
#: Digits of a number; more would take long to read.
_DIGITS = 20


def encode(value: int | bytes | Sequence[bytes] | Mapping[bytes, bytes]) -> bytes:
    """The bytes of a value, keys in order."""
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, Mapping):
        return b"d%se" % b"".join(encode(part) for key in sorted(value) for part in (key, value[key]))
    return b"l%se" % b"".join(map(encode, value))


def decode(data: bytes) -> Value:
    """The value that ``data`` is. Raises ``ValueError`` if it is none, nested too deep, or of too many parts."""
    value, end = _value(data, 0, _DEEPEST, iter(range(_MOST)))
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the end of a value")
    return value


def _value(data: bytes, at: int, depth: int, left: Iterator[int]) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if next(left, None) is None:
        raise ValueError(f"more than {_MOST} values in one")
    if kind.isdigit():
        size, start = _number(data, at, b":")
        if size < 0 or start + size > len(data):
            raise ValueError("a string is longer than what is there")
        return data[start : start + size], start + size
    if kind == b"i":
        return _number(data, at + 1, b"e")
    if kind not in (b"l", b"d") or not depth:
        raise ValueError(f"no value begins with {kind!r} here")
    parts: list[Value] = []
    at += 1
    while data[at : at + 1] != b"e":
        part, at = _value(data, at, depth - 1, left)
        parts.append(part)
    return (parts if kind == b"l" else _pairs(parts)), at + 1


def _number(data: bytes, at: int, end: bytes) -> tuple[int, int]:
    """A number and where it has ended. Raises ``ValueError``."""
    stop = data.index(end, at, at + _DIGITS)
    digits = data[at:stop]
    if not digits.removeprefix(b"-").isdigit():
        raise ValueError(f"{digits!r} is no number")
    return int(digits), stop + 1


def _pairs(parts: list[Value]) -> dict[bytes, Value]:
    found: dict[bytes, Value] = {}
    if len(parts) % 2:
        raise ValueError("a key has no value")
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        if not isinstance(key, bytes):
            raise ValueError("a key is no string")
        found[key] = value
    return found
