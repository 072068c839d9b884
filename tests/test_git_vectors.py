"""All git cases of the public reference loader: same snapshots, statuses, branches, ids and object counts.

Each case is loaded over file:// and over git:// into each kind of store. Where the reference gives up and we load,
the ids must be git's own; those cases are listed here by name, with the reason.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import KINDS, archive, shell, unheld
from servers import git_daemon
from vectors import CASES, unpack

from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.model import Branch, BranchType, Snapshot
from swhkit.plugin import Limits
from swhkit.swhid import ObjectId, parse_core
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


def place(unpacked: Path, live: Path, case: dict[str, Any], step: str | None) -> Path:
    """Put the repository of a step where it is served; returns its path."""
    target: Path = live / case["id"] / case["path"]
    source = unpacked / case["id"] / (step or "") / case["path"]
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy(source, target)
    return target


def expected_visits(case: dict[str, Any], protocol: str) -> list[dict[str, Any]]:
    visits: list[dict[str, Any]] = case["visits"]
    if (protocol == "git" or case["id"] == SHALLOW) and not case["same_over_git_protocol"]:
        visits = case["visits_over_git_protocol"]
    return visits


def branch_texts(snapshot: Snapshot) -> dict[str, str | None]:
    """Branches as the vectors write them."""

    def name(raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "base64:" + base64.b64encode(raw).decode()

    def target(branch: Branch | None) -> str | None:
        if branch is None:
            return None
        if branch.type is BranchType.ALIAS:
            return "alias:" + name(branch.target)
        assert branch.type.kind is not None
        return str(ObjectId(branch.type.kind, branch.target))

    return {name(raw): target(branch) for raw, branch in snapshot.branches.items()}


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
            repository = place(unpacked, live, case, step)
            url = f"file://{repository}" if protocol == "file" else f"{daemon}/{id}/{case['path']}"
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


def check_as_expected(
    target: Archive, report: visit.Report, case: dict[str, Any], expected: dict[str, Any]
) -> None:
    status = "partial" if case["id"] == SHALLOW else expected["visit_status"]
    assert (report.status, report.load_status, report.snapshot, report.error is None) == (
        status, expected["load_status"], expected["snapshot"], status == "full",
    ), report  # fmt: skip
    if expected["snapshot"] is None:
        assert target.catalog.counters()["snapshot"] == 0
        return
    snapshot = target.catalog.snapshot(parse_core(expected["snapshot"]).digest)
    assert snapshot is not None
    assert branch_texts(snapshot) == expected["branches"]
    assert report.branches == len(expected["branches"])
    counts = dict(expected["objects"])
    if case["id"] == MODE_ZERO:
        counts["content"] = 0
    kinds = ("content", "skipped_content", "directory", "revision", "release", "snapshot")
    counters = target.catalog.counters()
    assert {kind: counters[kind] for kind in kinds} == {kind: counts.get(kind, 0) for kind in kinds}
    check_listed_ids(target, case)


def check_listed_ids(target: Archive, case: dict[str, Any]) -> None:
    detail = case.get("objects_detail", {})
    listed = [parse_core(f"swh:1:rev:{item['id']}") for item in detail.get("revisions", ())]
    listed += [parse_core(f"swh:1:rel:{item['id']}") for item in detail.get("releases", ())]
    listed += [parse_core(f"swh:1:dir:{hex}") for hex in detail.get("directories", ())]
    if "steps" not in case:
        assert target.missing(listed) == set()


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


def check_promise(target: Archive, report: visit.Report, tmp_path: Path) -> None:
    """A full visit's graph is held, found by a walk that shares nothing with the load's own check."""
    held_visit = target.catalog.visit(report.origin, report.visit)
    assert held_visit is not None
    assert held_visit.status == report.status
    assert held_visit.reason == report.error
    if report.snapshot is None:
        assert held_visit.snapshot is None
        return
    snapshot = parse_core(report.snapshot).digest
    assert held_visit.snapshot == snapshot
    missing = unheld(target, snapshot, tmp_path / "walk")
    skipped = target.catalog.contents(
        parse_core(swhid).digest for swhid in missing if swhid.startswith("swh:1:cnt:")
    )
    missing -= {f"swh:1:cnt:{digest.hex()}" for digest, row in skipped.items() if row.status == "absent"}
    gaps = {gap.digest for gap in target.catalog.gaps(report.origin, report.visit)}
    assert {swhid for swhid in missing if parse_core(swhid).digest not in gaps} == set()
