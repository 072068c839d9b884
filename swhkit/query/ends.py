"""Follow a snapshot, a release or a revision to the revision or the directory that it stands for."""

from __future__ import annotations

from swhkit.archive import Archive
from swhkit.errors import InvalidInput, NotHeld
from swhkit.query.history import release, revision
from swhkit.query.snapshots import ALIAS_DEPTH, branch, snapshot
from swhkit.swhid import Kind, ObjectId


def directory_of(archive: Archive, id: ObjectId) -> ObjectId:
    """Follow a snapshot (its ``HEAD``), a release or a revision to the directory it stands for.

    Raises ``NotHeld`` where something on the way is not held, ``InvalidInput`` where there is no directory.
    """
    return _followed(archive, id, Kind.DIRECTORY)


def revision_of(archive: Archive, id: ObjectId) -> ObjectId:
    """Follow a snapshot (its ``HEAD``) or a release to the revision it stands for; errors as ``directory_of``."""
    return _followed(archive, id, Kind.REVISION)


def _followed(archive: Archive, start: ObjectId, goal: Kind) -> ObjectId:
    id = start
    for _ in range(ALIAS_DEPTH):
        if id.kind is goal:
            return id
        if id.kind in (Kind.CONTENT, Kind.DIRECTORY):
            raise InvalidInput(f"{start} has no {goal.word}: it leads to the {id.kind.word} {id}")
        id = _next(archive, id)
    raise InvalidInput(f"{start} has no {goal.word}: its releases are nested too deeply to be followed")


def _next(archive: Archive, id: ObjectId) -> ObjectId:
    if id.kind is Kind.REVISION:
        return ObjectId(Kind.DIRECTORY, revision(archive, id.digest).directory)
    if id.kind is Kind.RELEASE:
        target = release(archive, id.digest)
        if target.target is None:
            raise NotHeld(f"Release with sha1_git {id.hex} has no target.")
        return ObjectId(target.target_type, target.target)
    return _head_of(archive, id)


def _head_of(archive: Archive, id: ObjectId) -> ObjectId:
    head = branch(archive, id.digest, b"HEAD")
    if head is None:
        snapshot(archive, id.digest)
        raise NotHeld(f"Snapshot with id {id.hex} has no branch HEAD that leads to an object.")
    kind = head.type.kind
    assert kind is not None
    return ObjectId(kind, head.target)
