"""The loader alone gives the snapshots that the Software Heritage git loader gives, over every protocol.

What the archive makes of them (status, objects held) is tested where visits are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from git_samples import Visits

from swhkit.manifest import object_id
from swhkit.plugin import NotFound, Unavailable

VECTORS = Path(__file__).parent.parent / "data" / "vectors" / "git.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]
#: That loader gives up on them; git can read them (all, or all but one branch), and so can we.
BETTER = {
    "git-authors": "full",
    "git-author-2": "full",
    "git-author-3": "full",
    "git-author-5": "full",
    "git-date-8-author": "full",
    "git-date-8-committer": "full",
    "git-date-8-tagger": "full",
    "git-date-11-author": "full",
    "git-date-14-author": "full",
    "git-ref-missing": "partial",
    "git-shallow": "partial",
}


@pytest.mark.parametrize("way", ["file", "daemon"])
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_snapshots(
    visits: Visits,
    unpacked: Callable[[str], Path],
    request: pytest.FixtureRequest,
    case: dict[str, Any],
    way: str,
) -> None:
    folder = unpacked(case["id"])
    elsewhere = way != "file" and not case["same_over_git_protocol"]
    expected = case["visits_over_git_protocol" if elsewhere else "visits"]
    base = folder.as_uri() if way == "file" else f"{request.getfixturevalue(way)}/{case['id']}"
    for number, visit in enumerate(expected):
        path = case["path"]
        if "steps" in case:
            shutil.rmtree(folder / "live", ignore_errors=True)
            shutil.copytree(folder / case["steps"][number], folder / "live", symlinks=True)
            path = f"live/{path}"
        status, snapshot = outcome(visits, f"{base}/{path}")
        assert status == BETTER.get(case["id"], visit["visit_status"])
        if visit["snapshot"] or case["id"] not in BETTER:
            assert snapshot == visit["snapshot"]


def outcome(visits: Visits, url: str) -> tuple[str, str | None]:
    """Status and snapshot of a visit; what came becomes the previous visit."""
    try:
        loaded = visits.load(url)
    except NotFound:
        return "not_found", None
    except Unavailable:
        return "failed", None
    visits.publish(loaded, url)
    status = loaded.outcome.status if loaded.outcome else None
    return status.value if status else "full", str(object_id(loaded.snapshot))
