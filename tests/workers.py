"""Archives with jobs for tests of workers: a folder in which ``swhkit`` is run, and its desk as this process sees it."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from program import run, start
from waiting import soon

from swhkit import assemble, config
from swhkit.desk import Desk, open_desk
from swhkit.jobs import Job, JobState, NewJob
from swhkit.model import Visit
from swhkit.queueing import visit_job

PLUGIN = Path(__file__).parent / "made_plugin.py"
#: Settings under which nothing waits for long.
QUICK: dict[str, Any] = {"retry": 0.01, "longest_retry": 0.02, "attempts": 2, "lease": 30, "workers": 2}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Place:
    """An archive in a folder."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        (folder / "plugins").mkdir(parents=True)
        shutil.copy(PLUGIN, folder / "plugins" / "made.py")
        (folder / "swhkit.yaml").write_text(yaml.safe_dump(settings | {"plugins_dir": "plugins"}))
        with self.desk():
            pass

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """The desk, opened in this process."""
        found = config.load(self.folder / "swhkit.yaml")
        archive = assemble.open_archive(found.settings, found.registry, create=True)
        desk = open_desk(archive, found)
        try:
            yield desk
        finally:
            desk.close()
            archive.close()

    def url(self, name: str) -> str:
        """An origin of the visit type ``made``."""
        return f"file://{self.folder}/{name}"

    def job(self, name: str, **more: Any) -> NewJob:
        """The job that visits such an origin."""
        attempts = more.pop("attempts", QUICK["attempts"])
        return msgspec.structs.replace(
            visit_job(self.url(name), "made", trusted=True, attempts=attempts), **more
        )

    def enqueue(self, *jobs: NewJob | str) -> list[int]:
        """Numbers of jobs; a text is the name of an origin ``made``."""
        with self.desk() as desk:
            made = [self.job(job) if isinstance(job, str) else job for job in jobs]
            return [job.id for job in desk.jobs.enqueue(made, now())]

    def jobs(self) -> dict[str, Job]:
        """All jobs by the last part of their key."""
        with self.desk() as desk:
            return {job.key.rpartition("/")[2]: job for job in desk.jobs.latest(limit=10_000)}

    def pauses(self) -> dict[str, datetime.datetime]:
        """The groups that are paused."""
        with self.desk() as desk:
            return desk.jobs.pauses(now())

    def visits(self, url: str) -> list[Visit]:
        """All visits of an origin."""
        with self.desk() as desk:
            return desk.archive.catalog.visits(url, limit=1000)

    def work(self, *options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """``swhkit worker --once``."""
        return run("worker", "--once", *options, cwd=self.folder, code=code, timeout=120)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Any command, started."""
        return start(*arguments, cwd=self.folder)

    def began(self, name: str, times: int = 1) -> bool:
        """Whether a visit of an origin ``wait-…`` has begun so often, soon."""
        file = self.folder / f"began-{name}"
        return soon(lambda: file.exists() and len(file.read_text().splitlines()) >= times, 30)

    def let_go(self, name: str) -> None:
        """Let such visits go on."""
        (self.folder / f"go-{name}").touch()

    def all_end(self, seconds: float = 60) -> bool:
        """Whether no job is open any more, soon."""
        with self.desk() as desk:

            def ended() -> bool:
                counts = desk.jobs.counts()
                return not counts[JobState.QUEUED] and not counts[JobState.LEASED]

            return soon(ended, seconds)


@contextmanager
def running(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that is killed at the end of the block if it still runs."""
    process = place.start(*arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], seconds: float = 30) -> tuple[int, str]:
    """The code of a process and what it said on stderr, which is never a traceback."""
    _, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    return process.returncode, err


def settings(jobs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A configuration."""
    return {"jobs": QUICK | (jobs or {}), **more}


def states(jobs: Sequence[Job]) -> list[str]:
    return [job.state.value for job in jobs]
