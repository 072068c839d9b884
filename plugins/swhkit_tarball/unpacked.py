"""An archive becomes objects, in two readings: the first proves it sound and tells the tree, the second brings the bytes.

So nothing of a damaged or hostile archive is ever staged; members that a later one replaces are left out; and of an
archive whose files are nearly all held (the next version of a package) only the new ones are taken.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO

from swhkit.plugin import (
    Archive,
    ArchiveLimits,
    ArchiveTree,
    Bytes,
    Chunks,
    Content,
    Directory,
    Item,
    Kind,
    LimitExceeded,
    Member,
    MemberType,
    ObjectId,
    VisitContext,
    hash_content,
    open_archive,
)
from swhkit_tarball import Bounds
from swhkit_tarball.source import Source

_DIGEST = 20
#: How many digests the archive is asked for at once; every how many members progress is told.
_BATCH, _TOLD = 1000, 256
_EMPTY = hash_content(b"").sha1_git


def limits_of(bounds: Bounds) -> ArchiveLimits:
    """The limits of the settings, as those who unpack take them."""
    return ArchiveLimits(
        file_size=bounds.max_file_size,
        total_size=bounds.max_total_size,
        ratio=bounds.max_ratio,
        members=bounds.max_members,
        depth=bounds.max_depth,
    )


def unpacked(context: VisitContext, source: Source, limits: ArchiveLimits) -> Generator[Item, None, bytes]:
    """Yield the objects of an archive; returns the digest of its root directory.

    Raises ``InvalidInput`` for what is no archive, is damaged, or exceeds the limits: then nothing was yielded.
    """
    with TemporaryFile(dir=context.scratch) as digests:
        tree = _survey(context, source, limits, digests)
        if tree.skipped:
            context.log.warning(
                "%s: %d members that lead out of the archive or nowhere are left out",
                source.url,
                tree.skipped,
            )
        wanted = Wanted()
        root = yield from _directories(context, tree, wanted)
        del tree
        wanted.settle()
        digests.seek(0)
        yield from _contents(context, source, limits, digests, wanted)
    source.still()
    return root


class Wanted:
    """Digests that are wanted, each once: a million of them in 21 MB. ``add`` all, ``settle`` once, then ``take``."""

    def __init__(self) -> None:
        self._named, self._digests, self._taken = bytearray(), b"", bytearray()
        #: How many are still to be taken.
        self.left = 0

    def add(self, digests: Iterable[bytes]) -> None:
        """These are wanted; some may be named twice."""
        for digest in digests:
            self._named += digest

    def settle(self) -> None:
        """All are named."""
        named, self._named = self._named, bytearray()
        found = sorted({bytes(named[start : start + _DIGEST]) for start in range(0, len(named), _DIGEST)})
        self._digests = b"".join(found)
        self.left = len(found)
        self._taken = bytearray(self.left)

    def take(self, digest: bytes) -> bool:
        """Whether it is wanted, and was not taken before."""
        digests = self._digests
        place = bisect_left(
            range(len(self._taken)), digest, key=lambda at: digests[at * _DIGEST : (at + 1) * _DIGEST]
        )
        start = place * _DIGEST
        if digests[start : start + _DIGEST] != digest or self._taken[place]:
            return False
        self._taken[place] = 1
        self.left -= 1
        return True


def _survey(context: VisitContext, source: Source, limits: ArchiveLimits, digests: IO[bytes]) -> ArchiveTree:
    """The first reading: the tree; and in ``digests``, one after the other, those of the members that are files."""
    with open_archive(source.path, limits, context.runner, name=source.url) as archive:
        tree = ArchiveTree(archive.meter)
        for member in _members(context, archive, "looking through the archive", source.url):
            digest = None
            if member.type is MemberType.FILE:
                hasher = hashlib.sha1(b"blob %d\0" % member.length)
                for chunk in member.chunks:
                    hasher.update(chunk)
                digest = hasher.digest()
                digests.write(digest)
            tree.add(member, digest)
        return tree


def _directories(
    context: VisitContext, tree: ArchiveTree, wanted: Wanted
) -> Generator[Directory, None, bytes]:
    """Yield the directories, and note which contents the archive lacks; returns the digest of the root."""
    leaves: list[bytes] = []
    root = b""
    for placed in tree.objects():
        if placed.directory is None:
            leaves.append(placed.id.digest)
        else:
            yield placed.directory
            root = placed.id.digest
        if len(leaves) >= _BATCH:
            wanted.add(_missing(context, leaves))
            leaves = []
    wanted.add(_missing(context, leaves))
    return root


def _missing(context: VisitContext, digests: list[bytes]) -> list[bytes]:
    return [id.digest for id in context.missing(ObjectId(Kind.CONTENT, digest) for digest in digests)]


def _members(context: VisitContext, archive: Archive, phase: str, url: str) -> Iterator[Member]:
    """The members, with progress, as long as the visit has time."""
    for number, member in enumerate(archive.members):
        if number % _TOLD == 0:
            context.progress(phase, number)
        deadline = context.runner.deadline
        if deadline is not None and time.monotonic() > deadline:
            raise LimitExceeded(f"{url}: not unpacked within the time of a visit (limits.visit_time)")
        yield member


def _contents(
    context: VisitContext, source: Source, limits: ArchiveLimits, digests: IO[bytes], wanted: Wanted
) -> Iterator[Content]:
    """The second reading: the contents whose digests are wanted."""
    if wanted.take(_EMPTY):
        yield Content(Bytes(b""))
    if not wanted.left:
        return
    with open_archive(source.path, limits, context.runner, name=source.url) as archive:
        for member in _members(context, archive, "unpacking", source.url):
            if member.type is MemberType.FILE and wanted.take(digests.read(_DIGEST)):
                yield Content(Chunks(member.length, member.chunks))
            elif member.type is MemberType.SYMLINK and wanted.take(hash_content(member.target).sha1_git):
                yield Content(Bytes(member.target))
            if not wanted.left:
                return
