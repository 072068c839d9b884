"""An archive becomes objects, in two readings: the first proves it sound and tells the tree, the second brings the bytes.

So nothing of a damaged or hostile archive is ever staged; members that a later one replaces are left out; and of an
archive whose files are nearly all held (the next version of a package) only the new ones are taken.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec

from swhkit.plugin import (
    Archive,
    ArchiveLimits,
    ArchiveTree,
    Bytes,
    Chunks,
    Content,
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


class Survey(msgspec.Struct):
    """What the first reading tells: the tree, and the digests of the members that are files, in their order."""

    tree: ArchiveTree
    digests: bytearray


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
    survey = _survey(context, source.path, limits, source.url)
    if survey.tree.skipped:
        context.log.warning(
            "%s: %d members that lead out of the archive or nowhere are left out",
            source.url,
            survey.tree.skipped,
        )
    wanted: set[bytes] = set()
    leaves: list[bytes] = []
    root = b""
    for placed in survey.tree.objects():
        if placed.directory is not None:
            yield placed.directory
            root = placed.id.digest
        else:
            leaves.append(placed.id.digest)
            if len(leaves) >= _BATCH:
                wanted |= _missing(context, leaves)
                leaves = []
    wanted |= _missing(context, leaves)
    if wanted:
        yield from _contents(context, source, limits, survey.digests, wanted)
    source.still()
    return root


def _missing(context: VisitContext, digests: list[bytes]) -> set[bytes]:
    return {id.digest for id in context.missing(ObjectId(Kind.CONTENT, digest) for digest in digests)}


def _members(context: VisitContext, archive: Archive, phase: str, url: str) -> Iterator[Member]:
    """The members, with progress, as long as the visit has time."""
    for number, member in enumerate(archive.members):
        if number % _TOLD == 0:
            context.progress(phase, number)
        deadline = context.runner.deadline
        if deadline is not None and time.monotonic() > deadline:
            raise LimitExceeded(f"{url}: not unpacked within the time of a visit (limits.visit_time)")
        yield member


def _survey(context: VisitContext, path: Path, limits: ArchiveLimits, url: str) -> Survey:
    with open_archive(path, limits, context.runner, name=url) as archive:
        tree, digests = ArchiveTree(archive.meter), bytearray()
        for member in _members(context, archive, "looking through the archive", url):
            digest = None
            if member.type is MemberType.FILE:
                hasher = hashlib.sha1(b"blob %d\0" % member.length)
                for chunk in member.chunks:
                    hasher.update(chunk)
                digest = hasher.digest()
                digests += digest
            tree.add(member, digest)
        return Survey(tree, digests)


def _contents(
    context: VisitContext, source: Source, limits: ArchiveLimits, digests: bytearray, wanted: set[bytes]
) -> Iterator[Content]:
    """The contents whose digests are ``wanted``, each once."""
    if _EMPTY in wanted:
        wanted.discard(_EMPTY)
        yield Content(Bytes(b""))
    position = 0
    with open_archive(source.path, limits, context.runner, name=source.url) as archive:
        for member in _members(context, archive, "unpacking", source.url):
            if member.type is MemberType.FILE:
                digest = bytes(digests[position : position + _DIGEST])
                position += _DIGEST
                if digest in wanted:
                    yield Content(Chunks(member.length, member.chunks))
            elif member.type is MemberType.SYMLINK:
                digest = hash_content(member.target).sha1_git
                if digest in wanted:
                    yield Content(Bytes(member.target))
            else:
                continue
            wanted.discard(digest)
            if not wanted:
                return
