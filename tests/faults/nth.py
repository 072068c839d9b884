"""The Nth call fails: whatever a load was doing, the archive is as before or as after, and says so in one sentence.

For each N a copy of a store gets a load in which the Nth call that changes a file fails (``shim.c``: EIO, ENOSPC, half a
write, a disk that is full from then on), or the Nth allocation (``inject.py``), until none is left to fail. Two loads
are tried: the first of an origin, and one that finds more there. Runnable alone, from the project's root (about a
second for each N)::

    python -m tests.faults.nth --kinds EIO memory --seed 7 --runs 50     a sample of each
    python -m tests.faults.nth                                           all up to 300, then every 7th
    python -m tests.faults.nth --store sqlite --step 5                   every 5th, objects in SQLite, too
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import KINDS as STORES
from faults.common import Expected, assert_sound, clean_run, counters_of, make_store, opened, visit_here
from faults.inject import KINDS, Ended, Injector
from generate import add_revisions, repository

from swhkit.publish import recover

SCENARIOS = ("first", "more")
#: Every N up to this one, then every so many.
_ALL, _STEP = 300, 7
#: Facts of the catalog, without row numbers and moments; visits that failed, and what they alone brought, left out.
_FACTS = {
    "visit": "SELECT o.url, o.visit_types, v.number, v.type, v.status, lower(hex(s.digest)), v.reason FROM visit v "
    "JOIN origin o ON o.id = v.origin LEFT JOIN snapshot s ON s.id = v.snapshot WHERE v.status != 'failed'",
    "history": "SELECT o.url, v.number, t.seq, t.status, t.reason FROM visit_status t JOIN visit v ON v.id = t.visit "
    "JOIN origin o ON o.id = v.origin WHERE v.status != 'failed'",
    "snapshot": "SELECT lower(hex(digest)), branches FROM snapshot",
    "run": "SELECT lower(hex(s.digest)), r.first, lower(hex(b.key)), b.types, b.length FROM snapshot_run r "
    "JOIN snapshot s ON s.id = r.snapshot JOIN branch_run b ON b.id = r.run",
    "branches": "SELECT lower(hex(key)) FROM branch_run",
    "gap": "SELECT o.url, v.number, g.seq, g.reason FROM gap g JOIN visit v ON v.id = g.visit "
    "JOIN origin o ON o.id = v.origin",
    "closed": "SELECT lower(hex(digest)), kind, name FROM closed_tip",
    "content": "SELECT lower(hex(sha1_git)), lower(hex(sha1)), lower(hex(sha256)), lower(hex(blake2s256)), length, "
    "absent, reason FROM content",
    "person": "SELECT fullname FROM person",
    "extid": "SELECT type, lower(hex(value)), version, kind, lower(hex(digest)) FROM extid",
    "metadata": "SELECT lower(hex(digest)), kind, revision_type, synthetic, metadata FROM object_metadata",
    "extrinsic": "SELECT lower(hex(digest)) FROM extrinsic_metadata",
    "counter": "SELECT name, value FROM counter WHERE name NOT IN ('origin', 'origin_visit')",
}
#: Names that only what is being written may have.
_TEMPORARY = ("*.tmp", "tmp_*", ".tmp-*", "*.trash", ".*.*", "*.rest", "*.lock-*")

Dump = dict[str, list[Any]]


def dump(store: Path) -> Dump:
    """What an archive holds and knows, in a form that is equal for equal archives."""
    facts: Dump = {}
    with closing(sqlite3.connect(store / "archive" / "catalog.sqlite")) as db:
        for name, sql in _FACTS.items():
            facts[name] = sorted(map(repr, db.execute(sql)))
        for name in ("origin", "visit"):
            counter = "origin_visit" if name == "visit" else name
            ((rows,),) = db.execute(f"SELECT count(*) FROM {name}")
            ((counted,),) = db.execute("SELECT value FROM counter WHERE name = ?", (counter,))
            assert rows == counted, f"{rows} rows of {name}, counted are {counted}"
    with opened(store) as target:
        facts["object"] = [str(id) for id in target.objects.scan(limit=100_000)]
    return facts


@dataclass(frozen=True)
class Case:
    """A load to be disturbed: the store before it, and what is right before and after it."""

    scenario: str
    store: Path
    url: str
    before: Dump
    after: Dump
    expected: Expected


def cases(folder: Path, kind: str = "filesystem") -> dict[str, Case]:
    """Both scenarios on one small repository (16 objects at first, then 26). The first load makes the archive, too.

    ``kind``: what keeps the objects.
    """
    origin = repository(folder / "origin.git", 3, branches=1)
    url = f"file://{origin}"
    make_store(folder / "nothing", kind)
    empty = make_store(folder / "empty", kind)
    with opened(empty):
        pass
    clean_run(folder / "some", [url], kind)
    add_revisions(origin, 2)
    made = {}
    for scenario, store, before in (
        ("first", "nothing", dump(empty)),
        ("more", "some", dump(folder / "some")),
    ):
        clean = shutil.copytree(folder / store, folder / f"clean-{scenario}")
        report = visit_here(clean, url)
        assert report.status == "full", report
        with opened(clean) as target:
            expected = Expected({url: str(report.snapshot)}, counters_of(target))
        made[scenario] = Case(scenario, folder / store, url, before, dump(clean), expected)
    return made


def disturb(injector: Injector, case: Case, kind: str, nth: int, folder: Path) -> Ended:
    """Load with a fault at the Nth call, in a copy of the store; raises ``AssertionError`` if a promise is broken."""
    store = folder / f"{case.scenario}-{kind}-{nth}"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(case.store, store)
    arguments = ("load", "--json", "--type", "git", case.url)
    ended = injector.run(*arguments, cwd=store, root=store, kind=kind, nth=nth)
    try:
        _judge(case, store, ended)
    except Exception as error:
        told = f"{ended.code}: {ended.out.strip()} {ended.err.strip()}"
        at = f"{case.scenario} load, {kind} at call {nth} ({ended.hit})"
        raise AssertionError(
            f"{at}: {type(error).__name__}: {error}\nit ended with {told}\n[store: {store}]"
        ) from error
    shutil.rmtree(store)
    return ended


def _judge(case: Case, store: Path, ended: Ended) -> None:
    said = f"{ended.out}\n{ended.err}"
    assert "Traceback" not in said, "a traceback was shown"
    assert "internal error" not in said, "an error was not understood"
    assert ended.code in (0, 1), f"the exit code is {ended.code}"
    if ended.code == 1:
        assert ended.err.strip() or _reports(ended), "nothing was said"
        named = case.url in said or str(store) in said or "memory" in ended.err
        assert named, "the message names neither the origin nor the archive"
    at_once = _statuses(store)
    with opened(store) as target:
        recover(target)
        assert not target.catalog.unfinished_visits(), "a visit stays unfinished"
    _tell_the_truth(case, ended, at_once, _statuses(store))
    now = dump(store)
    if ended.code == 0:
        assert now == case.after, f"it said it was well; wrong are {differences(now, case.after)}"
    assert now in (case.before, case.after), (
        f"between: unlike before {differences(now, case.before)}, unlike after {differences(now, case.after)}"
    )
    assert_sound(store, case.expected, programs=False)
    again = dump(store)
    for name in set(again) - {"visit", "history"}:
        assert again[name] == case.after[name], f"after another load {name} is not that of a clean one"
    with opened(store) as target:
        objects, catalog, _ = target.writer()
        objects.maintain()
        catalog.maintain()
    assert not (left := sorted(leftovers(store))), f"left over: {left}"


def _statuses(store: Path) -> list[str]:
    """The status of each visit as it is now."""
    file = store / "archive" / "catalog.sqlite"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as db:
        made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'visit'").fetchone()
        return [status for (status,) in db.execute("SELECT status FROM visit ORDER BY id")] if made else []


def _reports(ended: Ended) -> list[dict[str, Any]]:
    try:
        reports = json.loads(ended.out)
    except ValueError:
        return []
    assert isinstance(reports, list)
    return reports


def _tell_the_truth(case: Case, ended: Ended, at_once: Sequence[str], recovered: Sequence[str]) -> None:
    """The report says what the catalog said at that moment, or what recovery made of it where nothing could be noted."""
    for report in _reports(ended):
        status = report["status"]
        assert report["origin"] == case.url
        assert status in (at_once[-1], recovered[-1]), f"reported {status}, first {at_once}, then {recovered}"
        assert at_once[-1] in (status, "created", "ongoing"), f"reported {status}, in the catalog {at_once}"
        assert status == "full" or report["error"], "a visit that is not full without a reason"
        assert status != "ongoing" or recovered[-1] == "full", f"what was kept became {recovered}"


def differences(one: Dump, other: Dump) -> list[str]:
    """Where two archives differ, in short."""
    return [
        f"{name} ({len(one[name])} here, {len(other[name])} there: {sorted(set(one[name]) ^ set(other[name]))[:2]})"
        for name in one
        if one[name] != other[name]
    ]


def leftovers(store: Path) -> Iterator[str]:
    """Files and folders of an archive at rest that only something unfinished would leave."""
    archive = store / "archive"
    for path in archive.rglob("*"):
        if any(path.match(pattern) for pattern in _TEMPORARY):
            yield str(path.relative_to(archive))
    yield from (path.name for path in archive.glob(".*"))
    for folder in (archive / "stage" / "visits", archive / "objects" / "swhkit" / "tmp"):
        yield from (str(path.relative_to(archive)) for path in (folder.iterdir() if folder.is_dir() else ()))
    yield from (name for name in ("publishing",) if (archive / "stage" / name).exists())


def every(step: int = 0, start: int = 1) -> Iterator[int]:
    """1, 2, 3 … and from some point on every so many, without end; or, with ``step``, every so many at once."""
    number = start
    while True:
        yield number
        number += step or (1 if number < _ALL else _STEP)


def sample(injector: Injector, case: Case, kind: str, runs: int, seed: int, folder: Path) -> list[int]:
    """``runs`` different N, drawn from all that the undisturbed load has."""
    total = disturb(injector, case, kind, 1 << 40, folder).calls
    assert total > runs, f"the load makes {total} calls only"
    return sorted(random.Random(f"{seed} {kind} {case.scenario}").sample(range(1, total + 1), runs))


def sweep(
    injector: Injector, case: Case, kind: str, numbers: Iterator[int], folder: Path
) -> tuple[int, list[str]]:
    """Disturb at each N until there is nothing left to disturb; how many runs, and what went wrong."""
    problems: list[str] = []
    done = 0
    for nth in numbers:
        try:
            if disturb(injector, case, kind, nth, folder).calls < nth:
                return done, problems
        except AssertionError as error:
            problems.append(str(error))
            print(error, flush=True)
        done += 1
        if done % 50 == 0:
            print(f"{case.scenario} {kind}: {done} runs, call {nth}", file=sys.stderr, flush=True)
    return done, problems


def main() -> int:
    """The tool."""
    parser = argparse.ArgumentParser(description="Let the Nth call of a load fail, for each N.")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--store", choices=STORES, default=STORES[0], help="what keeps the objects")
    parser.add_argument("--runs", type=int, help="how many N of each; all without it")
    parser.add_argument("--step", type=int, default=0, help="every so many N")
    parser.add_argument("--start", type=int, default=1, help="the first N")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--at", type=int, nargs="*", help="these N only")
    options = parser.parse_args()
    failed, folder = 0, Path(tempfile.mkdtemp(prefix="faults-nth-"))
    known = cases(folder, options.store)
    with Injector(folder / "injector") as injector:
        for scenario in options.scenarios:
            for kind in options.kinds:
                case, start = known[scenario], time.monotonic()
                numbers = iter(options.at) if options.at else every(options.step, options.start)
                if options.runs:
                    numbers = iter(sample(injector, case, kind, options.runs, options.seed, folder))
                runs, problems = sweep(injector, case, kind, numbers, folder)
                failed += len(problems)
                spent = time.monotonic() - start
                print(
                    f"{options.store} {scenario} {kind}: {runs} runs, {len(problems)} problems, {spent:.0f} s",
                    flush=True,
                )
    if not failed:
        shutil.rmtree(folder)
    print(f"seed {options.seed}: {failed} problems")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
