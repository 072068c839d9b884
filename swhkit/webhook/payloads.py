"""Bodies of deliveries: JSON that a stranger wrote. Whatever it is, it is a value or refused, in bounded time and memory."""

from __future__ import annotations

import json

import msgspec

from swhkit.webhook.contract import NotJson


def decoded(body: bytes) -> object:
    """The JSON value that ``body`` is (UTF-8, as RFC 8259 wants it). Raises ``NotJson``, also for what is nested too
    deeply and for numbers that are too large."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise NotJson("JSON parse error - it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"JSON parse error - {_in_python(body) or error}") from None


def _in_python(body: bytes) -> str | None:
    # In the words of Python's own decoder, which clients of the public API see.
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass
    return None


def value_at(payload: object, *keys: str) -> object:
    """What stands below ``keys`` in nested objects; None if that is nothing."""
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def text_at(payload: object, *keys: str) -> str | None:
    """The text below ``keys``; None if there is none, or an empty one."""
    value = value_at(payload, *keys)
    return value if isinstance(value, str) and value else None
