"""Revisions as they are archived, and what the archive already has of an origin's history."""

from __future__ import annotations

import calendar
import re

import msgspec

from swhkit.plugin import (
    BranchType,
    Kind,
    ObjectId,
    Person,
    Revision,
    Snapshot,
    SwhkitError,
    Timestamp,
    VisitContext,
)
from swhkit_svn.dump import Properties

_DATE = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z")
_EPOCH = Timestamp(0, 0, b"+0000")
#: In place of the UUID of a dump that has none (version 1).
NO_UUID = b"00000000-0000-0000-0000-000000000000"
HEAD = b"HEAD"


class Head(msgspec.Struct, frozen=True):
    """The last archived revision of an origin, as far as it is needed to go on from it."""

    digest: bytes
    number: int
    uuid: bytes
    directory: bytes
    parents: tuple[bytes, ...]


def make_revision(
    number: int, properties: Properties, uuid: bytes, directory: bytes, parents: tuple[bytes, ...]
) -> Revision:
    """The revision of that number."""
    author = Person(properties.get(b"svn:author") or b"")
    date = timestamp(properties.get(b"svn:date"))
    return Revision(
        message=properties.get(b"svn:log") or b"",
        author=author,
        committer=author,
        date=date,
        committer_date=date,
        directory=directory,
        parents=parents,
        extra_headers=((b"svn_repo_uuid", uuid or NO_UUID), (b"svn_revision", b"%d" % number)),
        type="svn",
        synthetic=True,
    )


def timestamp(date: bytes | None) -> Timestamp:
    """The moment of a ``svn:date``; the epoch if there is none, or it is none."""
    match = _DATE.fullmatch(date or b"")
    if match is None:
        return _EPOCH
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61 and year > 0):
        return _EPOCH
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    return Timestamp(seconds, int((match[7] or b"0").ljust(6, b"0")), b"+0000")


def head_of(context: VisitContext, snapshot: Snapshot) -> Head | None:
    """The revision that a snapshot of ours has as its head; None if it has none that can be read."""
    branch = snapshot.branches.get(HEAD)
    if branch is None or branch.type is not BranchType.REVISION:
        return None
    return read_head(context, branch.target)


def read_head(context: VisitContext, digest: bytes) -> Head | None:
    """An archived revision of this loader; None if it is not held, is damaged, or of another make."""
    id = ObjectId(Kind.REVISION, digest)
    try:
        body = context.read([id]).get(id)
    except SwhkitError as error:
        context.log.warning("%s cannot be read: %s", id, error)
        return None
    if body is None:
        return None
    lines = body.partition(b"\n\n")[0].split(b"\n")
    fields: dict[bytes, bytes] = {}
    parents = []
    for line in lines:
        name, _, value = line.partition(b" ")
        if name == b"parent":
            parents.append(bytes.fromhex(value.decode("ascii")))
        else:
            fields.setdefault(name, value)
    number, tree = fields.get(b"svn_revision", b""), fields.get(b"tree", b"")
    if not number.isdigit() or len(tree) != 40:
        return None
    directory = bytes.fromhex(tree.decode("ascii"))
    return Head(digest, int(number), fields.get(b"svn_repo_uuid", b""), directory, tuple(parents))


def first_parent(context: VisitContext, head: Head) -> tuple[bytes, ...]:
    """The parents of the first revision of the run that ``head`` ends.

    Where an origin's history was altered, the run that began anew has the old head as its parent: there the numbers,
    which fall from child to parent, rise.
    """
    while head.parents:
        parent = read_head(context, head.parents[0])
        if parent is None:
            return ()
        if parent.number >= head.number:
            return head.parents
        head = parent
    return ()
