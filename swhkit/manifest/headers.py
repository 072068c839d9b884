"""Header lines and a message: the form that commits, tags and metadata records share.

A header is a name and a value; the lines of a value after its first are continued with a blank. The message stands
behind an empty line, and is None where that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable

Header = tuple[bytes, bytes]


def split(body: bytes, position: int) -> tuple[list[Header], bytes | None]:
    """The headers from ``position`` (continued lines joined) and the message, None without an empty line.

    A header without a value has an empty one; a first line that begins with a blank has an empty name.
    """
    # The newline before ``position`` belongs to the search: it may be followed at once by the empty line.
    end = body.find(b"\n\n", position - 1)
    message = None if end < 0 else body[end + 2 :]
    block = body[position:] if end < 0 else body[position : max(end, position)]
    if not block:
        return [], message
    headers: list[Header] = []
    name, lines = b"", list[bytes]()
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
        if number and line.startswith(b" "):
            lines.append(line[1:])
            continue
        if number:
            headers.append((name, b"\n".join(lines)))
        name, _, value = line.partition(b" ")
        lines = [value]
    headers.append((name, b"\n".join(lines)))
    return headers, message


def take(headers: list[Header], name: bytes) -> bytes | None:
    """Remove the first header of that name and return its value."""
    for index, (key, value) in enumerate(headers):
        if key == name:
            del headers[index]
            return value
    return None


def join(headers: Iterable[Header], message: bytes | None) -> bytes:
    """The body of headers and message: the inverse of ``split``."""
    lines = [b"%s %s\n" % (key, value.replace(b"\n", b"\n ")) for key, value in headers]
    if message is not None:
        lines += [b"\n", message]
    return b"".join(lines)
