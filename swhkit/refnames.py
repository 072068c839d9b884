"""Which refs of a git repository are branches of its snapshot, as the Software Heritage git loader has it.

Full names and ``HEAD``; no peeled entries, no merge results of pull and merge requests, nothing of CI pipelines and
Gerrit changes.
"""

from __future__ import annotations


def is_branch(name: bytes) -> bool:
    """Whether a ref of that name becomes a branch."""
    if name.endswith(b"^{}") or name.startswith((b"refs/pipelines/", b"refs/changes/")):
        return False
    return not (name.startswith((b"refs/pull/", b"refs/merge-requests/")) and name.endswith(b"/merge"))
