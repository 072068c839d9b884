"""Runs one git child and watches it while it works, so that a limit holds before disk or memory is full."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from swhkit.plugin import Git, LimitExceeded

#: Seconds between two looks.
INTERVAL = 0.2


def run_watched(
    git: Git,
    arguments: Sequence[str],
    look: Callable[[int], None],
    *,
    env: Mapping[str, str],
    input: bytes | None = None,
    most: int = 1 << 20,
) -> bytes:
    """The stdout of ``git ARGUMENTS``. ``look`` is called with the child's number every ``INTERVAL`` or more often;
    what it raises ends the child.

    Raises ``ChildFailed``, ``ChildTimeout``, and ``LimitExceeded`` when stdout exceeds ``most`` bytes.
    """
    output = bytearray()
    with git.start(*arguments, env=dict(env), stdin=input is not None) as child:
        if input is not None:
            child.feed([input])
        while True:
            ready, _, _ = select.select([child.stdout], [], [], INTERVAL)
            look(child.pid)
            if not ready:
                continue
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                break
            output += piece
            if len(output) > most:
                raise LimitExceeded(
                    f"git {arguments[0]} said more than the {most} bytes it may: it was stopped"
                )
        child.wait()
    return bytes(output)


def memory_of(pid: int) -> int:
    """Bytes of memory in use by a process and its descendants (proc(5)); they may end while we look."""
    total, pids = 0, [pid]
    while pids:
        process = Path("/proc", str(pids.pop()))
        with suppress(OSError, IndexError, ValueError):
            total += int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            pids += [
                int(child) for child in (process / "task" / process.name / "children").read_text().split()
            ]
    return total
