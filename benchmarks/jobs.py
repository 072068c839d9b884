"""How many jobs a second the job store takes, leases and ends, beside SQLite that only writes rows.

    python benchmarks/jobs.py [--jobs N] [--batch N] [--times N]

Jobs are visits of made-up origins on a hundred hosts. The other side is a table with a unique key and one index, in the
same mode (WAL, ``synchronous=FULL``), with as many rows a transaction: rows are inserted instead of enqueued, updated by
number instead of leased, deleted instead of ended. Both sides run in turn and change places each round.

Claims: in batches and singly, the store takes at most so many times as long as the bare rows; ten thousand origins are
enqueued in one batch, and asked for over HTTP in one request, which judges, writes and enqueues them; a lease with a
hundred thousand jobs before it that may not begin takes at most three times as long as without them.
"""

from __future__ import annotations

import argparse
import datetime
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import bulk_requests
import measure

from swhkit.batches import batched
from swhkit.jobs import Ending, Jobs, JobState, Lease, NewJob
from swhkit.queueing import visit_job
from swhkit_sqlite import SqliteJobsConfig, open_jobs

#: Times as long as bare rows, in batches and singly; times as long as a lease with nobody in the way.
LIMITS = {"enqueue": (6.0, 4.0), "lease": (20.0, 8.0), "end": (8.0, 4.0)}
BULK, BULK_LIMIT, REQUEST_LIMIT = 10_000, 12.0, 40.0
WAITING, WAITING_LIMIT = 100_000, 3.0
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


class Side(Protocol):
    """What is measured: three calls, of which each gets what the one before gave."""

    def enqueue(self, jobs: Sequence[NewJob]) -> None: ...
    def lease(self, count: int) -> Any: ...
    def end(self, leases: Any) -> None: ...
    def close(self) -> None: ...


class Store:
    """The job store."""

    def __init__(self, folder: Path) -> None:
        self.jobs: Jobs = open_jobs(SqliteJobsConfig(path=folder / "jobs.sqlite"), True)
        self.close = self.jobs.close

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        """New ones."""
        self.jobs.enqueue(jobs, NOW)

    def lease(self, count: int) -> list[Lease]:
        """As a worker does that spares hosts."""
        leases = self.jobs.lease("worker", 3600, NOW, count=count, per_group=1 << 30)
        assert len(leases) == count
        return leases

    def end(self, leases: list[Lease]) -> None:
        """All of them done."""
        result = {"status": "full", "snapshot": "0" * 40}
        assert all(
            self.jobs.end([Ending(lease=one, state=JobState.DONE, result=result) for one in leases], NOW)
        )


class Rows:
    """A table and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
        self.connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384;"
            f"PRAGMA wal_autocheckpoint={(64 << 20) >> 12};"
            "CREATE TABLE job (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, host TEXT NOT NULL, due INTEGER NOT NULL,"
            "state TEXT NOT NULL, worker TEXT, ends INTEGER);"
            "CREATE INDEX job_due ON job (state, due);"
        )
        self.leased, self.close = 0, self.connection.close

    def many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """A transaction."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(sql, rows)
        self.connection.execute("COMMIT")

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        """Insert."""
        sql = "INSERT INTO job (key, host, due, state) VALUES (?, ?, 0, 'queued')"
        self.many(sql, [(job.key, job.group) for job in jobs])

    def lease(self, count: int) -> list[tuple[int]]:
        """Update."""
        ids = [(self.leased + n + 1,) for n in range(count)]
        self.leased += count
        self.many("UPDATE job SET state = 'leased', worker = 'worker', ends = 1 WHERE id = ?", ids)
        return ids

    def end(self, leases: list[tuple[int]]) -> None:
        """Delete."""
        self.many("DELETE FROM job WHERE id = ?", leases)


def origins(number: int, of: str) -> list[NewJob]:
    """Jobs that visit so many origins."""
    return [
        visit_job(f"https://host{n % 100}.example.org/{of}/project-{n}.git", "git") for n in range(number)
    ]


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def timed(side: Side, jobs: Sequence[NewJob], batch: int) -> dict[str, float]:
    """Seconds for all jobs, by what is done with them."""
    parts, leases = list(batched(jobs, batch)), list[Any]()

    def enqueue() -> None:
        for part in parts:
            side.enqueue(part)

    def lease() -> None:
        leases.extend(side.lease(len(part)) for part in parts)

    def end() -> None:
        for part in leases:
            side.end(part)

    return {"enqueue": seconds(enqueue), "lease": seconds(lease), "end": seconds(end)}


def in_turn(options: argparse.Namespace, work: Callable[[Side], Any]) -> dict[str, list[Any]]:
    """What ``work`` gives for both sides, in each round."""
    found: dict[str, list[Any]] = {"store": [], "rows": []}
    for number in range(max(options.times, 1)):
        with measure.scratch(options.folder) as folder:
            sides: list[tuple[str, Side]] = [("store", Store(folder)), ("rows", Rows(folder))]
            for name, side in sides if number % 2 else reversed(sides):
                found[name].append(work(side))
                side.close()
    return found


def compared(options: argparse.Namespace, number: int, batch: int) -> list[measure.Result]:
    """The three calls, with so many jobs a transaction."""
    jobs = origins(number, "one")
    found = in_turn(options, lambda side: timed(side, jobs, batch))
    results = []
    for call, limits in LIMITS.items():
        store, rows = ([times[call] for times in found[side]] for side in ("store", "rows"))
        words = f"{call}, {batch} a batch" if batch > 1 else f"{call}, singly"
        results.append(against(words, store, rows, limits[batch == 1], number))
    return results


def against(
    name: str, store: Sequence[float], rows: Sequence[float], limit: float, number: int
) -> measure.Result:
    """A claim; its detail begins with what there is of it a second."""
    result = measure.ratio(name, store, rows, limit)
    rates = (f"{number / statistics.median(times):,.0f}" for times in (store, rows))
    result.detail = f"{' / '.join(rates)} a second; {result.detail}"
    return result


def bulk(options: argparse.Namespace) -> measure.Result:
    """As many origins as a bulk request may have, in one batch."""
    jobs = origins(BULK, "bulk")
    found = in_turn(options, lambda side: seconds(lambda: side.enqueue(jobs)))
    return against(f"enqueue {BULK:,} at once", found["store"], found["rows"], BULK_LIMIT, BULK)


def requested(options: argparse.Namespace) -> measure.Result:
    """The same as one request to a server: every URL is judged, requests and jobs are written, the answer has come."""
    served, rows = list[float](), list[float]()
    with measure.scratch(options.folder) as folder, bulk_requests.server(folder) as (url, secret):
        bare = Rows(folder)
        for number in range(max(options.times, 1)):
            jobs = origins(BULK, f"request-{number}")
            served.append(bulk_requests.asked(url, secret, [job.arguments["url"] for job in jobs]))
            rows.append(seconds(partial(bare.enqueue, jobs)))
        bare.close()
    result = against(f"ask for {BULK:,} at once", served, rows, REQUEST_LIMIT, BULK)
    result.detail = f"{statistics.median(served):.2f} s a request; {result.detail}"
    return result


def waiting(options: argparse.Namespace) -> measure.Result:
    """Leases of single jobs, without and with others before them: half of these paused, half on a busy host."""
    with measure.scratch(options.folder) as folder:
        store = Store(folder)
        alone = [lone(store, number) for number in range(options.single)]
        for host in ("paused.example.org", "busy.example.org"):
            urls = [f"https://{host}/{n}" for n in range(WAITING // 2)]
            for part in batched([visit_job(url, "git", priority=9) for url in urls], 5000):
                store.enqueue(part)
        store.jobs.pause("paused.example.org", NOW + HOUR)
        store.jobs.lease("worker", 3600, NOW, per_group=1)
        behind = [lone(store, number) for number in range(options.single)]
        store.close()
    medians = [statistics.median(times) for times in (behind, alone)]
    return against(f"lease behind {WAITING:,}", medians[:1], medians[1:], WAITING_LIMIT, 1)


def lone(store: Store, number: int) -> float:
    """Seconds for the lease of one job of a host of its own."""
    store.enqueue([visit_job(f"https://lone.example.org/{number}", "git")])
    begun = time.perf_counter()
    leases = store.jobs.lease("worker", 3600, NOW, per_group=1)
    taken = time.perf_counter() - begun
    store.end(leases)
    return taken


def main() -> int:
    """Measure; print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs in batches")
    parser.add_argument("--single", type=int, default=500, help="jobs one by one")
    parser.add_argument("--batch", type=int, default=100, help="jobs of a batch")
    parser.add_argument("--times", type=int, default=5, help="rounds")
    parser.add_argument("--folder", type=Path, help="where scratch folders are made (default: TMPDIR)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument("--check", action="store_true", help="end with 1 when a limit is exceeded")
    parser.set_defaults(repository="made-up origins", transport="none")
    options = parser.parse_args()
    results = [
        *compared(options, options.jobs, options.batch),
        *compared(options, options.single, 1),
        bulk(options),
        requested(options),
        waiting(options),
    ]
    return measure.finish(results, options)


if __name__ == "__main__":
    sys.exit(main())
