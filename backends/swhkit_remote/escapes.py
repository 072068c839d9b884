"""What a text in the JSON of the web API may have been before it was escaped (``swhkit.escapes``).

A text with ``\\xNN`` in it can mean two things, and only a hash can tell which: readings are given as candidates.
"""

from __future__ import annotations

from swhkit.escapes import unescaped


def literal(text: str) -> bytes:
    """The bytes of a text that was not escaped."""
    return text.encode("utf-8", "surrogatepass")


def ambiguous(text: str) -> bool:
    """Whether the text may be an escaped form."""
    return unescaped(text) is not None


def readings(text: str, failed: bool | None = None) -> list[bytes]:
    """What ``text`` may stand for, the likeliest first. ``failed``: whether decoding is said to have failed (None: not
    said)."""
    other = unescaped(text)
    if other is None or failed is False:
        return [literal(text)]
    return [other] if failed else [other, literal(text)]
