"""Shared by the fault tools: stores to break, and what must be true of one whatever has happened to it.

A store is a folder in which ``swhkit`` is run (``archive/`` lies in it). ``clean_run`` tells what a store without faults
has after the same visits; ``assert_sound`` compares. It works through public doors: recovery by the programs
themselves, reading through a server, ``check --full``, another load.
"""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
for _folder in (TESTS, TESTS.parent, TESTS.parent / "plugins", TESTS.parent / "backends"):
    if str(_folder) not in sys.path:  # a tool that is run alone finds what pytest's settings name
        sys.path.insert(0, str(_folder))

from archives import archive, shell, unheld  # noqa: E402
from program import load, run, start  # noqa: E402

from swhkit import visit  # noqa: E402
from swhkit.archive import Archive  # noqa: E402
from swhkit.check import check  # noqa: E402
from swhkit.model import VisitStatus  # noqa: E402
from swhkit.publish import recover  # noqa: E402
from swhkit.reindex import counted  # noqa: E402
from swhkit_git import GitConfig  # noqa: E402
from swhkit_git.loader import make  # noqa: E402

#: Stores of objects that a fault is tried on.
KINDS = ("filesystem", "sqlite")
#: Counters that say how often it was tried, not what is held.
_TRIES = ("origin_visit",)


@dataclass(frozen=True)
class Expected:
    """What a store without faults has: origin URL → SWHID of its snapshot, and counters (not those of tries)."""

    snapshots: dict[str, str]
    counters: dict[str, int]


def make_store(folder: Path, kind: str = "filesystem") -> Path:
    """A new folder in which ``swhkit`` keeps its objects in ``kind`` (the catalog is SQLite)."""
    folder.mkdir(parents=True)
    if kind != "filesystem":
        (folder / "swhkit.yaml").write_text(f"archive:\n  objects: {{backend: {kind}}}\n")
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Archive]:
    """The archive of a store, opened in this process."""
    kind = "sqlite" if (folder / "swhkit.yaml").exists() else "filesystem"
    with archive(kind, folder / "archive") as target:
        yield target


def visit_here(folder: Path, url: str) -> visit.Report:
    """One visit of a git repository, made in this process: quicker than a program of its own."""
    with opened(folder) as target:
        return visit.run(target, make(GitConfig()), url, "git", network=shell())


def counters_of(target: Archive) -> dict[str, int]:
    """The counters, without those of tries."""
    return {name: count for name, count in target.catalog.counters().items() if name not in _TRIES}


def clean_run(folder: Path, urls: Sequence[str], kind: str = "filesystem") -> Expected:
    """What visits of ``urls``, one after the other, give in a new store at ``folder``."""
    make_store(folder, kind)
    reports = [visit_here(folder, url) for url in urls]
    assert {report.status for report in reports} == {"full"}, reports
    with opened(folder) as target:
        return Expected({report.origin: str(report.snapshot) for report in reports}, counters_of(target))


def unfinished(folder: Path) -> list[str]:
    """What shows that somebody was in the middle of something: open visits, stages, a publish, temporary files."""
    with opened(folder) as target:
        found = [f"visit {v.number} of {v.origin} is {v.status}" for v in target.catalog.unfinished_visits()]
    stage = folder / "archive" / "stage"
    visits = stage / "visits"
    found += sorted(str(path.relative_to(stage)) for path in visits.iterdir()) if visits.is_dir() else []
    found += [path.name for pattern in ("publishing*", ".*") for path in stage.glob(pattern)]
    return found + [path.name for path in (folder / "archive").glob(".*")]


def assert_sound(
    folder: Path,
    expected: Expected,
    *,
    programs: bool = True,
    urls: Sequence[str] | None = None,
    note: str = "",
) -> None:
    """The store in ``folder`` keeps the promise of the archive, and ends where ``expected`` does.

    ``programs``: with ``serve``, ``check`` and ``load`` as processes of their own; else, quicker, the same steps in
    this process. ``urls``: what is loaded again at the end (all of ``expected``); ``note`` is told in failures (a seed).
    Whoever calls this has seen to it that no process works in the store any more.
    """
    try:
        _recovers(folder, programs)
        left = unfinished(folder)
        assert not left, f"recovery left behind: {left}"
        _claims_are_true(folder)
        _is_clean(folder, programs)
        for url in expected.snapshots if urls is None else urls:
            _ends_as(folder, url, expected.snapshots[url], programs)
        _counts_as(folder, expected)
        if programs:
            _answers(folder, expected)
    except AssertionError as error:
        raise AssertionError(f"{note}{': ' if note else ''}{error} [store: {folder}]") from error


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """``swhkit serve`` in a store; yields the base URL of its API. It has to end well on SIGTERM."""
    process = start("serve", "--listen", "127.0.0.1:0", cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"serve did not start: {line!r} {process.communicate()[1]}"
        yield "http://" + line.split("http://")[1].split()[0].rstrip("/") + "/api/1"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, f"serve ended with {process.returncode}: {err}"
        assert "Traceback" not in err, err
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def get(url: str) -> Any:
    """The JSON of a GET."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def _recovers(folder: Path, programs: bool) -> None:
    """Start what recovers by itself."""
    if programs:
        with serving(folder) as base:
            assert get(f"{base}/ping/") == "pong"
            get(f"{base}/stat/counters/")
    else:
        with opened(folder) as target:
            recover(target)


def _claims_are_true(folder: Path) -> None:
    """No visit is full whose snapshot has anything below it that is not held."""
    with opened(folder) as target:
        for origin in target.catalog.origins(limit=10_000):
            for made in target.catalog.visits(origin.url, limit=10_000):
                if made.status is VisitStatus.FULL:
                    assert made.snapshot is not None
                    lost = unheld(target, made.snapshot, folder / "archive" / "stage")
                    assert not lost, (
                        f"visit {made.number} of {made.origin} is full and lacks {sorted(lost)[:3]}"
                    )
        claimed, there = target.catalog.counters(), counted(target)
        more = {name: (claimed[name], there[name]) for name in there if claimed[name] > there[name]}
        assert not more, f"counters (claimed, there) say more than there is: {more}"


def _is_clean(folder: Path, programs: bool) -> None:
    if programs:
        done = run("check", "--full", cwd=folder, code=None)
        assert done.returncode == 0, f"check found: {done.stdout}{done.stderr}"
        return
    with opened(folder) as target:
        assert target.stage is not None
        verdict = check(target, target.stage, full=True)
        assert verdict.complete, "the check did not come to its end"
        assert not verdict.problems, f"check found: {verdict.problems}"


def _ends_as(folder: Path, url: str, snapshot: str, programs: bool) -> None:
    """Another load ends full, in the snapshot of a clean run."""
    if programs:
        (report,) = load(url, cwd=folder, code=None)
        outcome = report["status"], report["snapshot"], report["error"]
    else:
        made = visit_here(folder, url)
        outcome = str(made.status.value), made.snapshot, made.error
    assert outcome == ("full", snapshot, None), (
        f"the next load of {url} ended as {outcome}, not in {snapshot}"
    )


def _counts_as(folder: Path, expected: Expected) -> None:
    """The counters, and what a scan of the stores counts, are those of a clean store."""
    with opened(folder) as target:
        claimed, there = counters_of(target), counted(target)
    scanned = {name: there[name] for name in claimed}
    assert scanned == expected.counters, f"the stores hold {scanned}, a clean one {expected.counters}"
    assert claimed == expected.counters, (
        f"the counters say {claimed}, those of a clean store {expected.counters}"
    )


def _answers(folder: Path, expected: Expected) -> None:
    """A server has the snapshots and the counters."""
    with serving(folder) as base:
        counts = get(f"{base}/stat/counters/")
        assert counts["content"] == expected.counters["content"], counts
        for snapshot in set(expected.snapshots.values()):
            assert get(f"{base}/snapshot/{snapshot[-40:]}/")["id"] == snapshot[-40:]
