"""Directories: their entries with what is known of each, and paths through them."""

from __future__ import annotations

from typing import cast

import msgspec

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import ContentRow, Directory, Entry
from swhkit.query.objects import read
from swhkit.swhid import Kind, ObjectId


class Listed(msgspec.Struct, frozen=True):
    """An entry of the directory ``parent``, with the row of its content if it has one (visible or absent)."""

    parent: bytes
    entry: Entry
    row: ContentRow | None = None


def directory(archive: Archive, digest: bytes) -> Directory:
    """A directory. Raises ``NotHeld``, ``Unreadable``."""
    obj = read(archive, ObjectId(Kind.DIRECTORY, digest))
    if obj is None:
        raise NotHeld(f"Directory with sha1_git {digest.hex()} not found")
    assert isinstance(obj, Directory)
    return obj


def listing(archive: Archive, digest: bytes) -> list[Listed]:
    """The entries of a directory in its own order, each file with its row: one question to each store."""
    entries = directory(archive, digest).entries
    rows = archive.catalog.contents({entry.target for entry in entries if entry.type == "file"})
    return [
        Listed(digest, entry, rows.get(entry.target) if entry.type == "file" else None) for entry in entries
    ]


def entry(archive: Archive, root: bytes, path: bytes) -> Listed:
    """The entry at ``path`` (names joined by ``/``) below directory ``root``. Raises ``NotHeld``."""
    found = walk(archive, root, path)
    if found is None:
        directory(archive, root)
        text = path.decode(errors="backslashreplace")
        raise NotHeld(f"Directory entry with path {text} from root directory {root.hex()} not found")
    return found


def walk(archive: Archive, root: bytes, path: bytes) -> Listed | None:
    """The entry at ``path`` below ``root``; None if any part of the way is not there. Raises ``Unreadable``."""
    parent, found = root, None
    for name in path.strip(b"/").split(b"/"):
        if found is not None:
            if found.type != "dir":
                return None
            parent = found.target
        obj = read(archive, ObjectId(Kind.DIRECTORY, parent))
        if obj is None:
            return None
        found = next((entry for entry in cast(Directory, obj).entries if entry.name == name), None)
        if found is None:
            return None
    assert found is not None
    row = archive.content(found.target) if found.type == "file" else None
    return Listed(parent, found, row)
