"""A loose plugin whose loader ``made`` behaves as the last part of a URL says: what jobs of tests visit.

``swhkit_loose_made`` is the module it becomes. Tests copy it into a ``plugins_dir``.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from swhkit.plugin import (
    Branch,
    BranchType,
    Bytes,
    Content,
    Load,
    NotFound,
    Provider,
    Snapshot,
    Unavailable,
    VisitContext,
    hash_content,
    hookimpl,
)


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loader ``made``."""
    return [Provider("made", "behaves as it is told", "swhkit_loose_made:make")]


def make(config: object) -> Made:
    """The factory."""
    return Made()


class Made:
    """Loads a branch to a content whose bytes are the URL's last part; what stands before its first ``-`` may prevent
    that."""

    def load(self, context: VisitContext) -> Load:
        """See the class."""
        folder, _, name = context.url.removeprefix("file://").rpartition("/")
        behaviour = BEHAVIOURS.get(name.partition("-")[0])
        if behaviour is not None:
            behaviour(Path(folder), name)
        data = name.encode()
        yield Content(Bytes(data))
        yield Snapshot({b"HEAD": Branch(BranchType.CONTENT, hash_content(data).sha1_git)})
        return None


def _kill(folder: Path, name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _abort(folder: Path, name: str) -> None:
    os.abort()


def _exit(folder: Path, name: str) -> None:
    os.write(2, b"a library has had enough\n")
    os._exit(3)


def _hang(folder: Path, name: str) -> None:
    while True:
        with suppress(BaseException):
            time.sleep(3600)


def _loud(folder: Path, name: str) -> None:
    while True:
        os.write(2, b"blah " * 1000)


def _eat(folder: Path, name: str) -> None:
    held = []
    while True:
        held.append(bytearray(b"x" * (8 << 20)))


def _garbage(folder: Path, name: str) -> None:
    """Write to every pipe there is."""
    for descriptor in range(3, 64):
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"{]")


def _print(folder: Path, name: str) -> None:
    print("a loader should not print")
    sys.stdout.flush()


def _gone(folder: Path, name: str) -> None:
    raise NotFound(f"{name} is not there")


def _away(folder: Path, name: str) -> None:
    raise Unavailable(f"{name} does not answer: https://me:geheim@example.org/")


def _busy(folder: Path, name: str) -> None:
    raise Unavailable(f"{name} is busy", 3600.0)


def _wait(folder: Path, name: str) -> None:
    """Tell that it began, and wait to be let go."""
    with (folder / f"began-{name}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not (folder / f"go-{name}").exists():
        time.sleep(0.01)


def _span(folder: Path, name: str) -> None:
    """Note when it began and ended."""
    began = time.time()
    time.sleep(0.4)
    with (folder / "spans").open("a") as file:
        file.write(f"{began} {time.time()}\n")


BEHAVIOURS = {
    "kill": _kill,
    "abort": _abort,
    "exit": _exit,
    "hang": _hang,
    "loud": _loud,
    "eat": _eat,
    "garbage": _garbage,
    "print": _print,
    "gone": _gone,
    "away": _away,
    "busy": _busy,
    "wait": _wait,
    "span": _span,
}
