"""All git cases of the public reference loader: same snapshots, statuses, branches, ids and object counts.

Each case is loaded over file:// and over git:// into each kind of store. Where the reference gives up and we load,
the ids must be git's own; those cases are listed here by name, with the reason.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import KINDS, archive, shell
from servers import git_daemon
from vector_checks import check_as_expected, check_promise, place
from vectors import CASES, unpack

from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.model import BranchType
from swhkit.plugin import Limits
from swhkit.swhid import parse_core
from swhkit_git import GitConfig
from swhkit_git.loader import make

#: The reference fails on these author and date lines; git reads them, and so do we.
BETTER = {
    "git-authors", "git-author-2", "git-author-3", "git-author-5", "git-date-8-author", "git-date-8-committer",
    "git-date-8-tagger", "git-date-11-author", "git-date-14-author",
}  # fmt: skip
#: Over file:// the reference fails on a shallow origin; over git:// it calls the visit full. Ours is partial.
SHALLOW = "git-shallow"
#: The reference fails as a whole; all but the broken branch is loaded, and the visit is partial.
BROKEN_REF = "git-ref-missing"
#: A tree entry of mode 0 is a submodule to git, so git never sends its content; the reference reads it from disk.
MODE_ZERO = "git-tree-modezero"


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All inputs, unpacked once a session; tests never write there."""
    root = tmp_path_factory.mktemp("vectors")
    for id in CASES:
        unpack(id, root / id)
    return root


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the git daemon serves."""
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="session")
def daemon(live: Path) -> Iterator[str]:
    """The URL of a git daemon over ``live``."""
    with git_daemon(live) as url:
        yield url


def expected_visits(case: dict[str, Any], protocol: str) -> list[dict[str, Any]]:
    visits: list[dict[str, Any]] = case["visits"]
    if (protocol == "git" or case["id"] == SHALLOW) and not case["same_over_git_protocol"]:
        visits = case["visits_over_git_protocol"]
    if case["id"] == SHALLOW:
        return [visit | {"visit_status": "partial"} for visit in visits]
    if case["id"] == MODE_ZERO:
        return [visit | {"objects": visit["objects"] | {"content": 0}} for visit in visits]
    return visits


@pytest.mark.parametrize("protocol", ["file", "git"])
@pytest.mark.parametrize("store", KINDS)
@pytest.mark.parametrize("id", CASES)
def test_case(
    id: str, store: str, protocol: str, unpacked: Path, live: Path, daemon: str, tmp_path: Path
) -> None:
    case = CASES[id]
    limits = Limits(max_content_size=case.get("options", {}).get("max_content_size"))
    with archive(store, tmp_path) as target:
        for number, (step, expected) in enumerate(
            zip(case.get("steps", [None]), expected_visits(case, protocol), strict=True), 1
        ):
            repository = place(live / id, case, step, unpacked / id)
            url = f"file://{repository}" if protocol == "file" else f"{daemon}/{id}/live/{case['path']}"
            report = visit.run(target, make(GitConfig()), url, "git", network=shell(), limits=limits)
            assert report.visit == number
            if id in BETTER:
                check_better(target, report, repository)
            elif id == BROKEN_REF:
                check_broken_ref(target, report)
            else:
                check_as_expected(target, report, case, expected)
            check_promise(target, report, tmp_path)
    assert not any((tmp_path / "stage" / "visits").iterdir()), "a stage was left behind"


def check_better(target: Archive, report: visit.Report, repository: Path) -> None:
    assert (report.status, report.load_status) == ("full", "eventful"), report
    assert report.snapshot is not None
    snapshot = target.catalog.snapshot(parse_core(report.snapshot).digest)
    assert snapshot is not None
    tips = {
        branch.target.hex()
        for branch in snapshot.branches.values()
        if branch and branch.type is not BranchType.ALIAS
    }
    shown = subprocess.run(
        ["git", "-c", "safe.directory=*", "--git-dir", repository, "for-each-ref", "--format=%(objectname)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert tips == set(shown.stdout.split())
    assert report.snapshot == str(manifest.object_id(snapshot))


def check_broken_ref(target: Archive, report: visit.Report) -> None:
    assert (report.status, report.load_status) == ("partial", "eventful"), report
    assert "refs/heads/bad" in (report.error or "")
    assert report.snapshot is not None
    snapshot = target.catalog.snapshot(parse_core(report.snapshot).digest)
    assert snapshot is not None
    assert b"refs/heads/bad" not in snapshot.branches
    assert b"refs/heads/main" in snapshot.branches
    assert [gap.branch for gap in target.catalog.gaps(report.origin, report.visit)] == [b"refs/heads/bad"]
