"""How a visit ends, judged by what has come: its status, whether it was eventful, and why it is not ``full``."""

from __future__ import annotations

import msgspec

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.intake import Intake
from swhkit.model import LoadStatus, Outcome, Snapshot, Visit, VisitStatus


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How the visit ends if it can be sealed."""

    snapshot: Snapshot
    status: VisitStatus
    load_status: LoadStatus
    reason: str | None


def judge(
    snapshot: Snapshot, intake: Intake, outcome: Outcome, late: Exception | None, previous: Visit | None
) -> Verdict:
    """The verdict on what is in ``intake``. ``late``: what the loader raised after its snapshot; ``previous``: the last
    visit that had one."""
    status = outcome.status or (VisitStatus.PARTIAL if intake.gaps or late else VisitStatus.FULL)
    if intake.gaps and status is VisitStatus.FULL:
        status = VisitStatus.PARTIAL
    uneventful = (same(snapshot, previous) and intake.empty) or (previous is None and not snapshot.branches)
    return Verdict(
        snapshot=snapshot,
        status=status,
        load_status=outcome.load_status or (LoadStatus.UNEVENTFUL if uneventful else LoadStatus.EVENTFUL),
        reason=outcome.reason or (str(late) if late else _gap_reason(intake)),
    )


def repeats(archive: Archive, verdict: Verdict, previous: Visit | None) -> bool:
    """Whether a visit that brings nothing repeats a complete one: its graph was checked then and need not be again.

    Unless something below it turned out to be lost: its tips are then no longer closed.
    """
    tips = set(manifest.edges_of_snapshot(verdict.snapshot))
    return (
        previous is not None
        and previous.status is VisitStatus.FULL
        and verdict.status is VisitStatus.FULL
        and same(verdict.snapshot, previous)
        and archive.catalog.closed(tips) == tips
    )


def same(snapshot: Snapshot, previous: Visit | None) -> bool:
    """Whether a visit had this snapshot."""
    return previous is not None and previous.snapshot == manifest.object_id(snapshot).digest


def _gap_reason(intake: Intake) -> str | None:
    if not intake.gaps:
        return None
    more = f" (and {len(intake.gaps) - 1} more)" if len(intake.gaps) > 1 else ""
    return f"{intake.gaps[0].reason}{more}"
