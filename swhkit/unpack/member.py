"""What an archive consists of, and how much of it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from swhkit.errors import InvalidInput

#: Bytes asked for and given at a time.
CHUNK = 1 << 18
#: So many bytes come out of any archive, however well it was packed, before the ratio is looked at.
RATIO_FLOOR = 64 << 20
#: The longest name of a member, and the longest extended header, in bytes.
NAME_LIMIT, HEADER_LIMIT = 1 << 16, 1 << 20


class MemberType(StrEnum):
    """What a member is. ``SPECIAL`` stands for pipes, devices and sockets."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    SPECIAL = "special"


class Member(msgspec.Struct, frozen=True):
    """One member: ``name`` and ``target`` (of links) are raw bytes, ``length`` counts the bytes of a file.

    ``chunks`` gives a file's bytes once, and only until the next member is asked for.
    """

    name: bytes
    type: MemberType
    executable: bool = False
    length: int = 0
    target: bytes = b""
    chunks: Iterator[bytes] = iter(())


class ArchiveLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one archive may hold: bytes of one file, bytes in all, bytes out for a byte in, members and folders, and
    folders within folders (git itself goes no deeper than this)."""

    file_size: int = 1 << 30
    total_size: int = 10 << 30
    ratio: int = 200
    members: int = 1_000_000
    depth: int = 2048


class Meter:
    """Counts what goes into and comes out of one archive, and stops it at the limits."""

    def __init__(self, name: str, limits: ArchiveLimits) -> None:
        self.name, self.limits = name, limits
        self.read = self.written = self.members = 0

    def error(self, problem: str) -> InvalidInput:
        """The error to raise: the archive's name and what is wrong with it."""
        return InvalidInput(f"{self.name}: {problem}")

    def give(self, count: int) -> None:
        """So many bytes came out. Raises ``InvalidInput`` beyond a limit."""
        self.written += count
        if self.written > self.limits.total_size:
            raise self.error(f"holds more than {self.limits.total_size} bytes, the most that is unpacked")
        if self.written > RATIO_FLOOR and self.written > self.limits.ratio * self.read:
            raise self.error(
                f"unpacks to more than {self.limits.ratio} times its size: it is taken for a decompression bomb"
            )

    def member(self) -> None:
        """One more member. Raises ``InvalidInput`` if it is one too many."""
        self.members += 1
        if self.members > self.limits.members:
            raise self.error(f"has more than {self.limits.members} members, the most that is read")

    def file(self, name: bytes, length: int) -> None:
        """A file of that length comes. Raises ``InvalidInput`` if it is too long."""
        if length > self.limits.file_size:
            raise self.error(
                f"the member {show(name)} has {length} bytes, more than the {self.limits.file_size} that are read"
            )


def show(name: bytes) -> str:
    """A name for a message."""
    return ascii(name[:200].decode("utf-8", "surrogateescape"))
