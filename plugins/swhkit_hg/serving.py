"""Servers that are started for one visit: by us for a local repository, by ssh on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import BinaryIO, Protocol

from swhkit.plugin import ChildTimeout, Unavailable, VisitContext, without_secrets
from swhkit_hg.errors import Broken, CutShort
from swhkit_hg.peer import Peer, Stdio
from swhkit_hg.ssh import is_away

#: Seconds in which a server that has failed says why.
_PATIENCE = 5.0
#: Characters of what it says that are told on.
_LONGEST = 400


class _Server(Protocol):
    """A child of ``Runner.start``."""

    stdin: BinaryIO
    stdout: BinaryIO

    def kill(self) -> None: ...
    def ended(self, seconds: float) -> bool: ...
    def wait(self, check: bool = True) -> int: ...
    def stderr(self) -> str: ...


@contextmanager
def served(
    context: VisitContext, command: Sequence[str | Path], environment: Mapping[str, str], within: float
) -> Iterator[Peer]:
    """The peer that ``command`` starts, which has said ``within`` so many seconds what it has.

    Raises ``Unavailable`` when it does not, or the connection to it ends; ``Broken``, with what the server says, when
    it cannot give its repository.
    """
    late = f"{without_secrets(context.url)}: the server did not answer in time"
    try:
        with context.runner.start(command, env=environment) as child:
            try:
                with _killed_after(child, within) as is_late:
                    peer = Stdio(child.stdin, child.stdout)
                yield peer
            except Broken as error:
                if is_late():
                    raise Unavailable(late) from error
                raise _explained(context, child, error) from error
    except ChildTimeout as error:
        raise Unavailable(late) from error


@contextmanager
def _killed_after(child: _Server, seconds: float) -> Iterator[Callable[[], bool]]:
    """Kill ``child`` if the block takes longer; what is given tells whether that has happened."""
    happened = Event()

    def kill() -> None:
        happened.set()
        child.kill()

    timer = Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield happened.is_set
    finally:
        timer.cancel()


def _explained(context: VisitContext, child: _Server, error: Broken) -> Broken | Unavailable:
    """The error that a broken answer amounts to, by what the server, or ssh, has said."""
    cut = isinstance(error, CutShort)
    code = child.wait(check=False) if child.ended(_PATIENCE if cut else _PATIENCE / 10) else 0
    said = _words(child.stderr())
    killed = code < 0 or (cut and not said)
    if is_away(child.stderr()) or killed:
        shown = without_secrets(context.url)
        return Unavailable(f"{shown}: the server or the connection to it has ended ({said or error})")
    return Broken(f"{error} ({said})" if said else str(error))


def _words(stderr: str) -> str:
    """What a server or ssh has said, as one short line."""
    said = [" ".join(line.split()) for line in without_secrets(stderr).splitlines()]
    return "; ".join(filter(None, said))[-_LONGEST:]
