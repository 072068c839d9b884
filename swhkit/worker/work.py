"""One job in a process of its own, and an outcome of it whatever that process does."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from swhkit.child import Child
from swhkit.config import Configuration, JobsSettings
from swhkit.errors import ChildTimeout, LimitExceeded, SwhkitError
from swhkit.jobs import Job
from swhkit.process import Runner
from swhkit.tasks import Outcome, Verdict
from swhkit.text import without_secrets
from swhkit.worker.child import INTERRUPTED, Asked

_LOG = logging.getLogger("swhkit.worker")
#: Characters of a reason: it is to be one line of a table.
_LONGEST = 1000


def runner_in(folder: Path) -> Runner:
    """A runner of children that are swhkit itself: they have our environment, and ``folder`` for what is temporary."""
    environment = {name: value for name, value in os.environ.items() if name != "PATH"}
    return Runner(folder, environment=environment)


class Work:
    """A job that is done by a process. ``run`` blocks, the others are for other threads."""

    def __init__(self, job: Job, configuration: Configuration, runner: Runner) -> None:
        self.job, self._configuration, self._runner = job, configuration, runner
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._asked_to_end = self._killed = False

    def run(self) -> Outcome:
        """Do the job. Never raises: a process that crashes, hangs, is killed, talks too much or says nothing that can be
        understood is a job to be tried again."""
        try:
            return self._run()
        except ChildTimeout:
            return _again(f"its process was killed: it took longer than {self._limits.time:g} s (jobs.time)")
        except LimitExceeded:
            return _again(
                f"its process said more than {self._limits.output} bytes (jobs.output): it was killed"
            )
        except (SwhkitError, OSError, MemoryError) as error:
            return _again(f"its process could not be run: {error or 'there is not enough memory'}")
        except Exception as error:  # noqa: BLE001 (whatever it is, only this job is to meet it)
            _LOG.exception("job %d failed", self.job.id)
            return _again(f"internal error: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Ask the process to end; what it was doing ends in order."""
        with self._lock:
            self._asked_to_end = True
            if self._child is not None:
                self._child.terminate()

    def kill(self) -> None:
        """End the process at once."""
        with self._lock:
            self._killed = True
            if self._child is not None:
                self._child.kill()

    @property
    def _limits(self) -> JobsSettings:
        return self._configuration.settings.jobs

    def _run(self) -> Outcome:
        # -P: what lies in the current folder is no module of ours.
        argv: list[str | Path] = [sys.executable, "-P", "-m", "swhkit.worker.child"]
        if self._configuration.file is not None:
            argv.append(self._configuration.file)
        with self._runner.start(
            argv, cwd=Path.cwd(), timeout=self._limits.time, max_stderr=self._limits.output
        ) as child:
            self._begun(child)
            asked = Asked(task=self.job.task, arguments=dict(self.job.arguments), memory=self._limits.memory)
            child.feed([msgspec.json.encode(asked)])
            said = child.whole(self._limits.output)
            code = child.wait(check=False)
            words = child.stderr().strip()
        if words:
            _LOG.info("job %d: %s", self.job.id, words)
        return _outcome(code, said, words)

    def _begun(self, child: Child) -> None:
        with self._lock:
            self._child = child
            if self._killed:
                child.kill()
            elif self._asked_to_end:
                child.terminate()


def _outcome(code: int, said: bytes, words: str) -> Outcome:
    """What a process that has ended with ``code`` says."""
    if code in (INTERRUPTED, -signal.SIGTERM):
        return _again("it was interrupted")
    if code < 0:
        return _again(f"its process was killed by {_signal(-code)}")
    if code > 0:
        last = words.splitlines()[-1] if words else "it said nothing"
        return _again(f"its process ended with code {code}: {last}")
    try:
        outcome = msgspec.json.decode(said, type=Outcome)
    except (msgspec.DecodeError, RecursionError):
        return _again("its process ended without an outcome that can be understood")
    return msgspec.structs.replace(outcome, error=outcome.error and _line(outcome.error))


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _again(error: str) -> Outcome:
    return Outcome(verdict=Verdict.AGAIN, error=_line(error))


def _line(text: str) -> str:
    line = " ".join(without_secrets(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
