"""``snapshot/``: branches in pages."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import ValidationError
from swhkit.api.parameters import git_hash, strict_integer
from swhkit.api.routing import Parameter, Route
from swhkit.api.schemas import ref
from swhkit.model import BranchType

BRANCHES_MAX = 1000


def snapshot(call: Call) -> Data:
    """The branches of a snapshot: the state of an origin when it was visited.

    Branches come in the order of their names, a page at a time; ``next_branch`` is the first of the next page, whose
    address is in the ``Link`` header. The target of an alias is the name of a branch, and its ``target_url`` leads to
    what the chain of aliases ends at. A branch that is null points at nothing that was there.
    """
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
    if text is None:
        return None
    try:
        return list(dict.fromkeys(BranchType(word.strip()) for word in text.split(",")))
    except ValueError:
        words = ", ".join(BranchType)
        raise ValidationError("target_types", f"Valid target type values are: {words}") from None


_TYPES_PATTERN = "^({0})(,({0}))*$".format("|".join(BranchType))
ROUTES = (
    Route(
        "snapshot",
        "snapshot/{id:hex}/",
        snapshot,
        category="Snapshot",
        query=(
            Parameter(
                "branches_from", "The name of the first branch of the page; if there is none, the next one."
            ),
            Parameter(
                "branches_count",
                "How many branches a page has.",
                {"type": "integer", "minimum": 1, "maximum": BRANCHES_MAX, "default": BRANCHES_MAX},
            ),
            Parameter(
                "target_types",
                "Only branches with targets of these types, separated by commas: "
                + ", ".join(BranchType)
                + ".",
                {"type": "string", "pattern": _TYPES_PATTERN},
            ),
        ),
        answer=ref("Snapshot"),
        paged=True,
    ),
)
