"""``snapshot/``: branches in pages."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import ValidationError
from swhkit.api.parameters import git_hash, strict_integer
from swhkit.api.routing import Route
from swhkit.model import BranchType

BRANCHES_MAX = 1000


def snapshot(call: Call) -> Data:
    """The branches of a snapshot."""
    digest = git_hash(call.parameters["id"])
    count = strict_integer(call.query, "branches_count", BRANCHES_MAX, 1, BRANCHES_MAX)
    first = shapes.untext(call.query.get("branches_from", ""))
    types = _types(call.query.get("target_types"))
    found = query.branches(call.archive, digest, first, count, types)
    following = None
    if found.page.next_branch is not None:
        following = call.here(
            "snapshot",
            branches_count=count,
            branches_from=found.page.next_branch,
            target_types=None if types is None else ",".join(types),
        )
    return Data(shapes.snapshot(call.links, digest, found), following)


def _types(text: str | None) -> list[BranchType] | None:
    if not text:
        return None
    try:
        return list(dict.fromkeys(BranchType(word.strip()) for word in text.split(",")))
    except ValueError:
        words = ", ".join(BranchType)
        raise ValidationError("target_types", f"Valid target type values are: {words}") from None


ROUTES = (Route("snapshot", "snapshot/{id:hex}/", snapshot),)
