"""What other processes do, by /proc (Linux): their memory, their children, the folders they work in; and children of
Python itself that end as they should."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

#: Children begin as fresh interpreters: nothing of this process, its threads or its locks is in them.
SPAWN = multiprocessing.get_context("spawn")
#: Seconds that a child of a test may take, and that what it started may take to follow it.
_PATIENCE, _AFTER_DEATH = 120, 15.0


def killed(target: Callable[..., object], *arguments: object) -> None:
    """Run ``target`` in a child that ends by killing itself."""
    child = SPAWN.Process(target=target, args=arguments)
    child.start()
    child.join(_PATIENCE)
    assert child.exitcode == -signal.SIGKILL, child.exitcode


def two_at_once(target: Callable[..., object], *arguments: object) -> None:
    """Run ``target(*arguments, number)`` in two children at the same time; both end well."""
    children = [SPAWN.Process(target=target, args=(*arguments, number)) for number in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(_PATIENCE)
    assert [child.exitcode for child in children] == [0, 0]


def anonymous(process: int | str = "self") -> int:
    """Bytes of anonymous memory of a process (proc(5), RssAnon); 0 when it has gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


def descendants(process: int) -> list[int]:
    """The processes below one."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def command_line(process: int) -> str:
    """What a process was started with; empty when it has gone."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(bytes(1), b" ").decode(errors="replace")
    return ""


def working_in(folder: Path) -> list[str]:
    """Number and command line of each other process that names ``folder``, works in it, or has a file of it open.

    One that is dying has no command line any more, but for a moment still its files, and their locks.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            line = command_line(int(entry.name))
            if any(f"{folder}{end}" in place for place in (line, *_places(entry)) for end in "/ "):
                found.append(f"{entry.name} {line[:200]}")
    return found


def await_nobody_in(folder: Path) -> None:
    """Wait until nothing works in ``folder`` any more: children die with what started them, but not in its moment."""
    deadline = time.monotonic() + _AFTER_DEATH
    while left := working_in(folder):
        assert time.monotonic() < deadline, f"children outlive what started them: {left}"
        time.sleep(0.005)


def _places(process: Path) -> list[str]:
    """Where a process is, and the files it has open, each with a slash at its end."""
    found = []
    with suppress(OSError):
        for link in (process / "cwd", *(process / "fd").iterdir()):
            with suppress(OSError):
                found.append(f"{link.readlink()}/")
    return found


def _is_ours(process: int) -> bool:
    """Whether a process is Python that runs a module, a text, or a file with the ending of a module: the scripts of
    other programs have none."""
    with suppress(OSError):
        if Path(f"/proc/{process}/exe").readlink().name.startswith("python"):
            words = command_line(process).split(" ")[1:]
            script = next((word for word in words if not word.startswith("-")), "")
            before = words[: words.index(script)] if script else words
            return bool({"-m", "-c"} & set(before)) or script.endswith((".py", "/swhkit"))
    return False


class Watcher:
    """Samples the anonymous memory of a process and of all below it in a thread, until ``stop``.

    ``ours``: the most that it, or a child that is Python of ours, had, in bytes; ``others``: any other child, such as git
    (or Mercurial, which is Python as we are).
    """

    def __init__(self, process: int) -> None:
        self.ours = self.others = 0
        self._process, self._end = process, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the sampling."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.01):
            for process in (self._process, *descendants(self._process)):
                if process == self._process or _is_ours(process):
                    self.ours = max(self.ours, anonymous(process))
                else:
                    self.others = max(self.others, anonymous(process))


class PeakMemory:
    """A ``with`` block whose ``growth`` is how many bytes of anonymous memory this process took at most beyond what
    it had before (sampled every few milliseconds, so a short spike may escape)."""

    def __enter__(self) -> PeakMemory:
        self.growth = 0
        self._before, self._done = anonymous(), threading.Event()
        assert self._before, "/proc/self/status has no RssAnon line"
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.is_set():
            self.growth = max(self.growth, anonymous() - self._before)
            time.sleep(0.003)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
