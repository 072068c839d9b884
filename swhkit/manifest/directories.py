"""Trees: directories to the bytes that are hashed, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swhkit.errors import InvalidManifest
from swhkit.hashes import git_header
from swhkit.model import Directory, Entry

_OCTAL = re.compile(rb"[0-7]+")
_MODE_MAX = 0xFFFFFFFF


def parse_directory(body: bytes) -> Directory:
    """A tree. Entries are in canonical order; a ``/`` in a name reads ``_``; ``raw_manifest`` where that is not all.

    Raises ``InvalidManifest`` if the bytes are cut short or a mode is no octal number of 32 bits.
    """
    entries: list[Entry] = []
    canonical = True
    for mode, perms, name, target in entries_of(body):
        if b"/" in name:
            name, canonical = name.replace(b"/", b"_"), False
        if mode.startswith(b"0") and mode != b"0":
            canonical = False
        entries.append(Entry(name, _entry_type(perms), target, perms))
    keys = [_entry_key(entry) for entry in entries]
    if any(map(bytes.__ge__, keys, keys[1:])) or len({entry.name for entry in entries}) != len(entries):
        canonical = False
        entries.sort(key=_entry_key)
    return Directory(tuple(entries), None if canonical else git_header("tree", len(body)) + body)


def entries_of(body: bytes) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """(mode as written, mode, name, target) of each entry of a tree. Raises ``InvalidManifest`` at the damage."""
    modes: dict[bytes, int] = {}
    find, position, end = body.find, 0, len(body)
    while position < end:
        space = find(b" ", position)
        mode = body[position : max(space, position)]
        perms = modes.get(mode)
        if perms is None:
            perms = modes[mode] = _parse_mode(mode)
        zero = find(b"\0", space)
        position = zero + 21
        if zero < 0 or position > end:
            raise InvalidManifest("the tree is cut short")
        yield mode, perms, body[space + 1 : zero], body[zero + 1 : position]


def _parse_mode(mode: bytes) -> int:
    if not _OCTAL.fullmatch(mode) or (value := int(mode, 8)) > _MODE_MAX:
        raise InvalidManifest(f"the tree has an entry whose mode is {mode[:20]!r}")
    return value


def _entry_type(perms: int) -> str:
    if perms & 0o160000 == 0o160000:
        return "rev"
    return "dir" if perms & 0o40000 else "file"


def _entry_key(entry: Entry) -> bytes:
    """What git sorts by: a directory's name compares as if it ended in a slash."""
    return entry.name + b"/" if entry.type == "dir" else entry.name


def encode_directory(directory: Directory) -> bytes:
    """The body that the entries give, in canonical order; a raw manifest is not looked at."""
    entries = sorted(directory.entries, key=_entry_key)
    return b"".join([b"%o %s\0%s" % (entry.perms, entry.name, entry.target) for entry in entries])
