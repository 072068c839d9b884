"""External ids: what an identifier of another system names, and which ones name an object."""

from __future__ import annotations

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import ExtId
from swhkit.swhid import ObjectId


def extid(archive: Archive, type: str, value: bytes, version: int | None, shown: str) -> ExtId:
    """The external id of a type and value, of the highest version if none is asked for.

    Raises ``NotHeld``, which names the value as it was ``shown``.
    """
    found = archive.catalog.extids(type, (value,), version)
    if not found:
        raise NotHeld(f"ExtID of type {type} and value {shown} not found.")
    return min(found, key=lambda one: (-one.version, one.target))


def extids_of(archive: Archive, target: ObjectId, type: str | None, version: int | None) -> list[ExtId]:
    """The external ids that name an object, of one type and version if asked for. Raises ``NotHeld`` for none."""
    found = archive.catalog.extids_of((target,), type, version)
    if not found:
        raise NotHeld(f"ExtID targeting {target} not found.")
    return sorted(found, key=lambda one: (one.type, one.version, one.value))
