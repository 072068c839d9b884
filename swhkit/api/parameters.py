"""What stands in paths and query strings: hashes, SWHIDs, origin URLs, numbers, booleans. Texts of refusals are here."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from swhkit.api.errors import BadInput, ValidationError, clean
from swhkit.errors import InvalidSwhid
from swhkit.hashes import HASH_LENGTHS, HashName
from swhkit.swhid import ObjectId, QualifiedSwhid, parse_core, parse_qualified

T = TypeVar("T")
_HEX = re.compile(r"[0-9a-f]*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,100}\s*", re.ASCII)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))
#: The largest integer that databases take.
INTEGER_MAX = (1 << 63) - 1


def content_hash(text: str) -> tuple[HashName, bytes]:
    """Algorithm and digest of ``[ALGORITHM:]HEX``; without algorithm 40 digits are sha1, 64 sha256."""
    algorithm, colon, digits = text.rpartition(":")
    if ":" in algorithm:
        raise BadInput(f"Invalid checksum query string {text}")
    if not colon:
        return _bare_hash(text)
    known = next((name for name in HASH_LENGTHS if name == algorithm), None)
    if known is None:
        raise BadInput(f"Unknown hash algorithm {algorithm}")
    if not _HEX.fullmatch(digits) or not _length_fits(known, digits):
        raise BadInput(f"Invalid hash {digits} for algorithm {algorithm}")
    return known, bytes.fromhex(digits)


def _bare_hash(digits: str) -> tuple[HashName, bytes]:
    by_length: dict[int, HashName] = {40: "sha1", 64: "sha256"}
    algorithm = by_length.get(len(digits))
    if algorithm is None or not _HEX.fullmatch(digits):
        raise BadInput(f"Invalid checksum query string {digits}")
    return algorithm, bytes.fromhex(digits)


def _length_fits(algorithm: HashName, digits: str) -> bool:
    # The length of a blake2s256 is not judged: a wrong one is merely not found. Half a byte is no digest at all.
    if algorithm == "blake2s256":
        return len(digits) % 2 == 0
    return len(digits) == 2 * HASH_LENGTHS[algorithm]


def git_hash(digits: str) -> bytes:
    """The 20 bytes of a sha1_git (or of a snapshot id) in hex."""
    if len(digits) != 40 or not _HEX.fullmatch(digits):
        raise BadInput(f"Invalid checksum query string {digits}")
    return bytes.fromhex(digits)


def swhid_core(text: str, *, fold: bool = False) -> ObjectId:
    """A core SWHID; ``fold`` takes one in upper case, too."""
    return _parsed(parse_core, _folded(text) if fold else text)


def swhid_qualified(text: str) -> QualifiedSwhid:
    """A SWHID with any qualifiers, its core in any case."""
    return _parsed(parse_qualified, _folded(text))


def origin_urls(text: str) -> list[str]:
    """The spellings of an origin URL as it stood, decoded, in a path: ``:/`` (mangled by a proxy) is ``://``, and
    where a space is, ``%20`` may have been meant."""
    url = scheme_mended(clean(text))
    urls = [url, url.replace(" ", "%20")]
    if url.startswith("file://") and not text.startswith("file://"):
        urls += [other.replace("file://", "file:///", 1) for other in urls]
    return list(dict.fromkeys(urls))


def scheme_mended(text: str) -> str:
    """``text`` with ``://`` where a proxy has made it ``:/``, behind a scheme at its beginning."""
    return re.sub(r"^(\^?[A-Za-z][A-Za-z0-9+.-]*):/(?!/)", r"\1://", text)


def number(digits: str) -> int:
    """A number of a path, of digits alone."""
    # Python reads only so many digits; nothing has a number of twenty.
    return int(digits[:20])


def soft_integer(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A number that is clamped to ``low..high``. Raises ``ValidationError`` if it is none."""
    value = integer(query, name)
    return default if value is None else min(max(value, low), high)


def kept_number(digits: str) -> int:
    """As ``number``, clamped to what databases take: nothing is kept under a higher one."""
    return min(number(digits), INTEGER_MAX)


def strict_integer(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A number of ``low..high``. Raises ``ValidationError``."""
    value = integer(query, name)
    if value is None:
        return default
    if value > high:
        raise ValidationError(name, f"Ensure this value is less than or equal to {high}.")
    if value < low:
        raise ValidationError(name, f"Ensure this value is greater than or equal to {low}.")
    return value


def integer(query: Mapping[str, str], name: str) -> int | None:
    """A number, clamped to what databases take; None if it is not given. Raises ``ValidationError``."""
    text = query.get(name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise ValidationError(name, "A valid integer is required.")
    return min(max(int(text), -INTEGER_MAX), INTEGER_MAX)


def boolean(query: Mapping[str, str], name: str) -> bool:
    """A yes or no; False if it is not given. Raises ``ValidationError``."""
    text = query.get(name)
    if text is None:
        return False
    if text.lower() not in _TRUE | _FALSE:
        raise ValidationError(name, "Must be a valid boolean.")
    return text.lower() in _TRUE


def file_name(query: Mapping[str, str], default: str) -> str:
    """The last part of ``?filename=``, 1 to 255 characters; ``default`` if it is not given."""
    text = query.get("filename")
    if text is None:
        return default
    if len(text) > 255:
        raise ValidationError("filename", "Ensure this field has no more than 255 characters.")
    name = clean(text.rpartition("/")[2])
    if not name:
        raise ValidationError("filename", "This field may not be blank.")
    return name


def to_base64url(data: bytes) -> str:
    """base64 with the alphabet for URLs, without padding (RFC 4648, 5)."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def from_base64url(text: str) -> bytes:
    """What ``to_base64url`` makes, back to bytes. Raises ``ValueError``, also for the other alphabet."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _folded(text: str) -> str:
    core, semicolon, qualifiers = text.partition(";")
    return core.lower() + semicolon + qualifiers


def _parsed(parser: Callable[[str], T], text: str) -> T:
    try:
        return parser(text)
    except InvalidSwhid as error:
        reason = str(error)
        # What a qualifier may name is said by itself; all else is prefixed.
        plain = reason.startswith(("Visit must", "Anchor must"))
        raise BadInput(reason if plain else f"Error when parsing identifier: {reason}") from None
