"""What Bazaar knows of a revision."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Record(msgspec.Struct, frozen=True):
    """A revision: ``timestamp`` as its text, ``timezone`` in seconds east of UTC, ids and texts as they are."""

    id: bytes
    parents: tuple[bytes, ...]
    committer: bytes
    timestamp: bytes
    timezone: int
    message: bytes
    properties: dict[bytes, bytes]


def record_of(fields: Mapping[str, object]) -> Record:
    """A record of these fields. Raises ``ValueError`` if one is not of its type."""
    try:
        return msgspec.convert(fields, Record)
    except msgspec.ValidationError as error:
        raise ValueError(f"a revision is not as it should be ({error})") from None
