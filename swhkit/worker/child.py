"""The process of one job: ``python -m swhkit.worker.child [FILE]``, FILE being the configuration.

It reads a task and its arguments from stdin, does it, and writes one ``Outcome`` to stdout, both in JSON. Whatever else
is printed in it goes to stderr. SIGTERM ends it with code 143, after the visit under way has ended as ``failed``.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from swhkit import assemble, config
from swhkit import desk as desks
from swhkit.errors import SwhkitError
from swhkit.interrupts import INTERRUPTS, ended_by_signals
from swhkit.tasks import Outcome, Verdict, perform

#: The code of a process that SIGTERM (or Ctrl-C) has ended in order.
INTERRUPTED = 128 + signal.SIGTERM
#: When memory gets short the kernel is to take a job before it takes what watches over it (proc(5), oom_score_adj).
_EXPENDABLE = "500"
_LOG = logging.getLogger("swhkit.worker")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. ``memory``: bytes that this process, and each it starts, may have for itself."""

    task: str
    arguments: dict[str, Any]
    memory: int | None = None


def main() -> int:
    """Do what stdin says."""
    answers = _keep_stdout()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        with ended_by_signals():
            asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
            _bound(asked.memory)
            outcome = _outcome(asked, file)
    except INTERRUPTS:
        return INTERRUPTED
    answers.write(msgspec.json.encode(outcome))
    answers.close()
    return 0


def _keep_stdout() -> BinaryIO:
    """Stdout for us alone: a plugin that prints does so on stderr."""
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


def _bound(memory: int | None) -> None:
    """Limits that everything started from here inherits: anonymous memory of each process (setrlimit(2), RLIMIT_DATA),
    and no core files."""
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE, "ascii")
    except OSError as error:  # a sandbox may keep /proc from us: then the kernel chooses as it likes
        _LOG.info("the kernel was not told that this process is expendable: %s", error)


def _outcome(asked: Asked, file: Path | None) -> Outcome:
    try:
        found = config.load(file)
        archive = assemble.open_archive(found.settings, found.registry)
        try:
            desk = desks.open_desk(archive, found, create=False)
            try:
                return perform(desk, asked.task, asked.arguments)
            finally:
                desk.close()
        finally:
            archive.close()
    except MemoryError:
        return _again("there was not enough memory (jobs.memory)")
    except (SwhkitError, OSError) as error:
        return _again(str(error))
    except Exception as error:  # noqa: BLE001 (a stranger's plugin may raise anything)
        _LOG.exception("the task %s failed", asked.task)
        return _again(f"internal error: {type(error).__name__}: {error}")


def _again(error: str) -> Outcome:
    return Outcome(verdict=Verdict.AGAIN, error=error)


if __name__ == "__main__":
    sys.exit(main())
