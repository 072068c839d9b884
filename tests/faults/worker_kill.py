"""Kill what works on jobs, at any moment, and see that every job is done, and none twice to two ends.

Run alone: ``python -m tests.faults.worker_kill --jobs 200 --seed 7``. What is killed (SIGKILL) at random moments:
a worker, a server with workers beside it, or the process of one job. Whoever was killed is started again, until all jobs
have ended.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from generate import repository
from waiting import soon
from workers import Place, settings

from swhkit.check import check
from swhkit.jobs import JobState
from swhkit.publish import recover
from swhkit.queueing import visit_job
from swhkit.testing.processes import await_nobody_in, command_line, descendants

#: Seconds that a lease lasts: whose worker was killed is taken up again after this.
LEASE = 2
#: Seconds that are waited at most between a sign of progress and a kill.
MOMENT = 0.7
COMMANDS = (("worker", "--slots", "2"), ("serve", "--listen", "127.0.0.1:0", "--workers", "2"))


def run(folder: Path, jobs: int, seed: int, kills: int) -> str:
    """One run in a new folder; what happened, in a line. Raises ``AssertionError``."""
    chance = random.Random(seed)
    place = Place(folder / "place", settings({"lease": LEASE, "retry": 0.05, "longest_retry": 0.2}))
    urls = _enqueue(place, folder, jobs)
    killed = {"worker": 0, "serve": 0, "job": 0}
    for number in range(kills):
        arguments = chance.choice(COMMANDS)
        process = place.start(*arguments)
        try:
            for part in range(chance.randrange(3)):
                _await_ended(place, jobs * (number + part / 3) / (kills + 1), chance)
                killed["job"] += _kill_a_job(process, chance)
            _await_ended(place, jobs * (number + chance.random()) / (kills + 1), chance)
        finally:
            process.kill()
            process.communicate()
        killed[arguments[0]] += 1
        await_nobody_in(place.folder)
    with place.desk() as desk:
        left = desk.jobs.counts()[JobState.QUEUED] + desk.jobs.counts()[JobState.LEASED]
    _finish(place, seed)
    _assert_all_done(place, urls, seed)
    return f"{jobs} jobs done, {left} of them after {killed} were killed (seed {seed})"


def _enqueue(place: Place, folder: Path, jobs: int) -> dict[str, str]:
    """Jobs for so many origins, some of them git repositories; returns the origins with their types."""
    origins = {place.url(f"ok-{number}"): "made" for number in range(jobs - jobs // 20)}
    for number in range(jobs // 20):
        origins[f"file://{repository(folder / f'{number}.git', 2, seed=number)}"] = "git"
    place.enqueue(*(visit_job(url, type, trusted=True, attempts=100) for url, type in origins.items()))
    return origins


def _await_ended(place: Place, count: float, chance: random.Random) -> None:
    """Wait until so many jobs have ended, and then for a moment that nobody knows."""
    with place.desk() as desk:
        assert soon(lambda: desk.jobs.counts()[JobState.DONE] >= count, 120), desk.jobs.counts()
    time.sleep(chance.uniform(0, MOMENT))


def _kill_a_job(process: subprocess.Popen[str], chance: random.Random) -> int:
    """Kill the process of one job; how many there were to kill."""
    children = [child for child in descendants(process.pid) if " swhkit.worker.child" in command_line(child)]
    if not children:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(children), signal.SIGKILL)
    return 1


def _finish(place: Place, seed: int) -> None:
    """Work undisturbed until nothing is open."""
    process = place.start(*COMMANDS[0])
    try:
        assert place.all_end(240), f"jobs are stuck (seed {seed}): {_open_jobs(place)}"
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "Traceback" not in err, err
    finally:
        process.kill()
        process.communicate()
    await_nobody_in(place.folder)


def _open_jobs(place: Place) -> list[object]:
    return [job for job in place.jobs().values() if job.is_open]


def _assert_all_done(place: Place, urls: dict[str, str], seed: int) -> None:
    """Each job is done; each origin has visits that ended, a full one among them, and one snapshot at most."""
    with place.desk() as desk:
        counts = desk.jobs.counts()
        assert counts == {"queued": 0, "leased": 0, "done": len(urls), "failed": 0}, (seed, counts)
        recover(desk.archive)
        assert desk.archive.catalog.unfinished_visits() == []
        for url in urls:
            visits = desk.archive.catalog.visits(url, limit=1000)
            found = {visit.snapshot for visit in visits if visit.snapshot is not None}
            statuses = {visit.status for visit in visits}
            assert len(found) == 1, (seed, url, visits)
            assert "full" in statuses, (seed, url, visits)
            assert statuses <= {"full", "failed"}, (seed, url, visits)
            row = desk.requests.schedule.freshness(url, urls[url])
            assert row is not None, (seed, url)
            assert row.state == "ok", (seed, row)
        root = desk.archive.writer()[2]
        verdict = check(desk.archive, root, full=True)
        assert not verdict.problems, (seed, verdict.problems)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="worker-kill-") as folder:
        began = time.monotonic()
        print(
            run(Path(folder), options.jobs, options.seed, options.kills), f"{time.monotonic() - began:.0f} s"
        )


if __name__ == "__main__":
    main()
