"""Archive files (tar, zip, Nix archives, and what libarchive reads) as streams of members, and trees built of them,
without a disk.

``open_archive`` knows an archive by its first bytes and gives its members one after the other; ``ArchiveTree`` turns
them into directories as unpacking would, links included. Nothing is ever extracted, memory is bounded, and whatever
exceeds the limits, is damaged or cannot be unpacked is an ``InvalidInput`` that says so.
"""

from swhkit.unpack.archive import Archive, is_archive, open_archive
from swhkit.unpack.member import ArchiveLimits, Member, MemberType
from swhkit.unpack.tree import ArchiveTree, Placed

__all__ = [
    "Archive",
    "ArchiveLimits",
    "ArchiveTree",
    "Member",
    "MemberType",
    "Placed",
    "is_archive",
    "open_archive",
]
