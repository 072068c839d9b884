"""Snapshots to the bytes that are hashed (ISO/IEC 18670, section 5), and back."""

from __future__ import annotations

import re

from swhkit.errors import InvalidManifest
from swhkit.model import Branch, BranchType, Snapshot

_BRANCH_TYPE = re.compile(rb"(alias|content|dangling|directory|release|revision|snapshot) ")
_TARGET_LENGTH = {
    **{kind.value: re.compile(rb"\0(20):") for kind in BranchType},
    "alias": re.compile(rb"\0([0-9]{1,9}):"),
    "dangling": re.compile(rb"\0(0):"),
}


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The body of a snapshot. Raises ``InvalidManifest`` if an alias names itself or a branch that is not there."""
    parts: list[bytes] = []
    for name, branch in sorted(snapshot.branches.items()):
        if branch is None:
            parts.append(b"dangling %s\x000:" % name)
            continue
        if branch.type is BranchType.ALIAS and (
            branch.target == name or branch.target not in snapshot.branches
        ):
            problem = "itself" if branch.target == name else f"{branch.target[:200]!r}, which is no branch"
            raise InvalidManifest(f"the branch {name[:200]!r} of the snapshot is an alias to {problem}")
        parts.append(b"%s %s\0%d:%s" % (branch.type.value.encode(), name, len(branch.target), branch.target))
    return b"".join(parts)


def parse_snapshot(body: bytes) -> Snapshot:
    """The snapshot of a body. Raises ``InvalidManifest`` unless ``encode_snapshot`` gives these very bytes again."""
    branches: dict[bytes, Branch | None] = {}
    position = 0
    while position < len(body):
        name, branch, position = _parse_branch(body, position)
        branches[name] = branch
    snapshot = Snapshot(branches)
    if encode_snapshot(snapshot) != body:
        raise InvalidManifest("the branches of the snapshot are out of order or repeated")
    return snapshot


def _parse_branch(body: bytes, position: int) -> tuple[bytes, Branch | None, int]:
    head = _BRANCH_TYPE.match(body, position)
    if head is None:
        raise InvalidManifest("the snapshot is cut short or no snapshot")
    word, start = head[1].decode("ascii"), head.end()
    for length in _TARGET_LENGTH[word].finditer(body, start):
        end = length.end() + int(length[1])
        # A name may hold a NUL (git's never do): it ends where a target is followed by another branch or the end.
        if end == len(body) or (end < len(body) and _BRANCH_TYPE.match(body, end)):
            name, target = body[start : length.start()], body[length.end() : end]
            return name, None if word == "dangling" else Branch(BranchType(word), target), end
    raise InvalidManifest(f"the snapshot has a {word} branch that is cut short")
