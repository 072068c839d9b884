"""Snapshots: whole, page by page, one branch; aliases followed to their end."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from swhkit.archive import Archive
from swhkit.errors import NotHeld
from swhkit.model import Branch, BranchType, Snapshot
from swhkit.query.objects import BATCH
from swhkit.storage import BranchPage

#: Alias branches are followed so many times at most.
ALIAS_DEPTH = 100


class SnapshotPage(msgspec.Struct, frozen=True):
    """A page of branches; ``ends`` has the branch at the end of the chain of each alias that leads somewhere."""

    page: BranchPage
    ends: Mapping[bytes, Branch]


def snapshot(archive: Archive, digest: bytes) -> Snapshot:
    """A whole snapshot. Raises ``NotHeld``."""
    found = archive.catalog.snapshot(digest)
    if found is None:
        raise NotHeld(f"Snapshot with id {digest.hex()} not found!")
    return found


def branches(
    archive: Archive,
    digest: bytes,
    first: bytes = b"",
    count: int = BATCH,
    types: Collection[BranchType] | None = None,
) -> SnapshotPage:
    """A page of a snapshot's branches, aliases followed even across pages. Raises ``NotHeld``."""
    page = archive.catalog.branches(digest, first, count, types)
    if page is None:
        raise NotHeld(f"Snapshot with id {digest.hex()} not found!")
    return _page(archive, digest, page)


def every_branch(archive: Archive, digest: bytes) -> SnapshotPage:
    """All branches of a snapshot at once. Raises ``NotHeld``."""
    return _page(archive, digest, BranchPage(dict(snapshot(archive, digest).branches), None))


def branch(archive: Archive, digest: bytes, name: bytes) -> Branch | None:
    """What a branch finally points at, aliases followed; None if it is absent, dangling, or leads in a circle."""
    found = archive.catalog.branch(digest, name)
    return None if found is None else _follow(archive, digest, found, {})


def _page(archive: Archive, digest: bytes, page: BranchPage) -> SnapshotPage:
    ends = {}
    for name, branch in page.branches.items():
        if branch is not None and branch.type is BranchType.ALIAS:
            end = _follow(archive, digest, branch, page.branches)
            if end is not None:
                ends[name] = end
    return SnapshotPage(page, ends)


def _follow(
    archive: Archive, snapshot: bytes, start: Branch, near: Mapping[bytes, Branch | None]
) -> Branch | None:
    found: Branch | None = start
    for _ in range(ALIAS_DEPTH):
        if found is None or found.type is not BranchType.ALIAS:
            return found
        name = found.target
        found = near[name] if name in near else archive.catalog.branch(snapshot, name)
    return None
