"""JSON that a stranger wrote: a value, or one sentence on why it is none, in bounded time and memory."""

from __future__ import annotations

import json

import msgspec


class NoJson(ValueError):
    """What is not JSON; the text says why."""


def decoded(data: bytes) -> object:
    """The value that ``data`` is (UTF-8, as RFC 8259 wants it). Raises ``NoJson``, also for what is nested too deeply and
    for numbers that are too large."""
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise NoJson("JSON parse error - it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoJson(f"JSON parse error - {_in_python(data) or error}") from None


def _in_python(data: bytes) -> str | None:
    # In the words of Python's own decoder, which clients of the public API see.
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass
    return None
