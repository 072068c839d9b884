"""Persons by the numbers that the catalog gives them."""

from __future__ import annotations

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.manifest import person_of
from swhkit.model import Person


def person(archive: Archive, number: int) -> Person:
    """The person with a number. Raises ``NotHeld``."""
    fullname = archive.catalog.person(number)
    if fullname is None:
        raise NotHeld(f"Person with id {number} not found.")
    return person_of(fullname)
