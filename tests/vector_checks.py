"""What every visit of a vector must come to, whatever the loader: as expected, and with all it names held.

``visits`` puts the origin of each step in its place and gives what to expect of the visit; the loader's own test visits.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archives import unheld
from vectors import unpack

from swhkit import visit
from swhkit.archive import Archive
from swhkit.model import Branch, BranchType, ObjectMetadata, Snapshot
from swhkit.swhid import Kind, ObjectId, parse_core

KINDS_OF_OBJECTS = ("content", "skipped_content", "directory", "revision", "release", "snapshot")


def visits(case: dict[str, Any], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """URL (``file://``) and expectation of each visit; before each the origin is as its step has it."""
    unpack(case["id"], folder / "unpacked", case)
    steps = case.get("steps", [None] * len(case["visits"]))
    for step, expected in zip(steps, case["visits"], strict=True):
        repository = place(folder, case, step)
        yield f"file://{repository}{case.get('url_suffix') or ''}", expected


def place(folder: Path, case: dict[str, Any], step: str | None, unpacked: Path | None = None) -> Path:
    """Put the repository of a step below ``folder/live``, out of ``unpacked``; returns its path."""
    target: Path = folder / "live" / case["path"]
    source = (unpacked or folder / "unpacked") / (step or "") / case["path"]
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy(source, target)
    return target


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


def check_as_expected(
    target: Archive, report: visit.Report, case: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Statuses, snapshot, branches, number of objects, and the ids and facts that the case lists."""
    status = expected["visit_status"]
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
    counters = target.catalog.counters()
    assert {kind: counters[kind] for kind in KINDS_OF_OBJECTS} == {
        kind: expected["objects"].get(kind, 0) for kind in KINDS_OF_OBJECTS
    }
    check_listed_ids(target, case)


def check_listed_ids(target: Archive, case: dict[str, Any]) -> None:
    detail = case.get("objects_detail", {})
    listed = [parse_core(f"swh:1:rev:{item['id']}") for item in detail.get("revisions", ())]
    listed += [parse_core(f"swh:1:rel:{item['id']}") for item in detail.get("releases", ())]
    listed += [parse_core(f"swh:1:dir:{hex}") for hex in detail.get("directories", ())]
    if "steps" in case:
        return
    assert target.missing(listed) == set()
    rows = target.catalog.metadata(listed)
    for kind, items in ((Kind.REVISION, "revisions"), (Kind.RELEASE, "releases")):
        for item in detail.get(items, ()):
            id = ObjectId(kind, bytes.fromhex(item["id"]))
            row = rows.get(id, ObjectMetadata(kind, id.digest, "git" if kind is Kind.REVISION else None))
            type = item.get("type") if kind is Kind.REVISION else None
            assert (row.revision_type or (type and "git"), row.synthetic) == (type, item["synthetic"])


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
