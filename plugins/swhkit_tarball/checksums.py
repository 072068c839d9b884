"""Checksums that an archive must have: read in the forms people write them in, computed in one pass, compared."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: The algorithms by the names that checksums have, and what makes one.
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha224": hashlib.sha224,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "blake2s256": hashlib.blake2s,
    "blake2b512": hashlib.blake2b,
}
#: Those for which two files of one digest have been made: they tell that bytes have come whole, not which they are.
WEAK = ("md5", "sha1")
#: Nix writes digests in base 32 with these, least digit last.
_NIX = "0123456789abcdfghijklmnpqrsvwxyz"


def parse_checksums(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Algorithm → digest. Raises ``ValueError`` naming the one that is none."""
    return {name: _parse(name, text) for name, text in texts.items()}


def _parse(name: str, text: str) -> bytes:
    if name not in ALGORITHMS:
        raise ValueError(f"checksums: {name!r} is no known algorithm; known: {', '.join(ALGORITHMS)}")
    size = ALGORITHMS[name]().digest_size
    plain = text.removeprefix(f"{name}-").removeprefix(f"{name}:")
    digest = None
    if re.fullmatch(rf"[0-9A-Fa-f]{{{2 * size}}}", plain):
        digest = bytes.fromhex(plain)
    elif len(plain) == -(-size * 8 // 5) and all(character in _NIX for character in plain):
        digest = _base32(plain, size)
    elif len(plain.rstrip("=")) == -(-size * 8 // 6):
        digest = _base64(plain)
    if digest is None or len(digest) != size:
        raise ValueError(
            f"checksums.{name}: expected {size} bytes as {2 * size} hex digits or in base64, got {text!r}"
        )
    return digest


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _base32(text: str, size: int) -> bytes | None:
    """Nix's base 32: the digits of the digest as a little-endian number, the greatest first."""
    number = 0
    for character in text:
        number = number << 5 | _NIX.index(character)
    return None if number >> (8 * size) else number.to_bytes(size, "little")


class Sums:
    """Several digests of one stream of bytes."""

    def __init__(self, names: Iterable[str]) -> None:
        self._digests = {name: ALGORITHMS[name]() for name in names}

    def update(self, data: bytes) -> None:
        """More bytes."""
        for digest in self._digests.values():
            digest.update(data)

    def finish(self) -> dict[str, bytes]:
        """The digests so far."""
        return {name: digest.digest() for name, digest in self._digests.items()}


def difference(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> str | None:
    """What does not agree, in words; None if all does."""
    wrong = [name for name, digest in wanted.items() if found[name] != digest]
    if not wrong:
        return None
    return "; ".join(f"its {name} is {found[name].hex()}, not {wanted[name].hex()}" for name in wrong)
