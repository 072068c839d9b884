"""Bodies of deliveries: JSON that a stranger wrote, and what stands in it, whatever it is."""

from __future__ import annotations

from swhkit import jsonbody
from swhkit.webhook.contract import NotJson


def decoded(body: bytes) -> object:
    """The JSON value that ``body`` is. Raises ``NotJson`` as ``jsonbody.decoded`` raises ``NoJson``."""
    try:
        return jsonbody.decoded(body)
    except jsonbody.NoJson as error:
        raise NotJson(str(error)) from None


def value_at(payload: object, *keys: str) -> object:
    """What stands below ``keys`` in nested objects; None if that is nothing."""
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def text_at(payload: object, *keys: str) -> str | None:
    """The text below ``keys``; None if there is none, or an empty one."""
    value = value_at(payload, *keys)
    return value if isinstance(value, str) and value else None
