"""Byte strings as the web API writes them in JSON, and back to bytes.

Bytes that are UTF-8 stand as they are. Others are escaped: ``\\xNN`` for each bad byte, and backslashes doubled. So a text
with ``\\xNN`` in it can mean two things.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


def escaped(value: bytes) -> str:
    """As the web API writes it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def unescaped(text: str) -> bytes | None:
    """The bytes whose escaped form ``text`` is, None if it is not the escaped form of any."""
    if "\\x" not in text:
        return None
    raw = _ESCAPE.sub(lambda match: chr(0xDC00 + int(match[1], 16)) if match[1] else "\\", text)
    try:
        data = raw.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return data if escaped(data) == text else None
