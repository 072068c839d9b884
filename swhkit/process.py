"""The one room in which children are started: every program swhkit runs is run by a ``Runner``.

A child gets an argv list, an environment of ours alone, a session of its own, and dies with us: by process group when
its ``with`` block is left, when its time is up, and by PR_SET_PDEATHSIG when the thread that started it ends (the
kernel's rule: a child must not outlive the thread that began it). What it says on stderr is kept as a bounded tail,
cleaned of control characters and of passwords. What a child may connect to is judged elsewhere (``swhkit.net``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from swhkit.child import STDERR_PATIENCE, Child
from swhkit.errors import ChildFailed, ChildTimeout, InvalidInput, MissingProgram
from swhkit.interrupts import INTERRUPTS, uninterrupted
from swhkit.text import without_secrets

_NOTHING: Mapping[str, str] = MappingProxyType({})
#: Debian packages of programs that are not called like their package.
_PACKAGES = {
    "hg": "mercurial",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "svn": "subversion",
    "svnadmin": "subversion",
    "svnrdump": "subversion",
    "svnlook": "subversion",
    "svnserve": "subversion",
    "svnsync": "subversion",
}


class Completed(msgspec.Struct, frozen=True):
    """How a child ended. ``argv`` has its passwords masked; ``stderr`` is the cleaned tail."""

    argv: list[str]
    code: int
    stdout: bytes
    stderr: str


def search_path() -> str:
    """The PATH children get: absolute folders of ours only, then the folder of our own Python (``hg`` may live there)."""
    folders = [f for f in os.environ.get("PATH", os.defpath).split(os.pathsep) if f.startswith("/")]
    return os.pathsep.join([*folders, str(Path(sys.executable).parent)])


def find_program(name: str, path: str | None = None) -> str:
    """The absolute path of a program. Raises ``MissingProgram`` naming the Debian package that brings it."""
    found = shutil.which(name, path=search_path() if path is None else path)
    if found is None:
        program = Path(name).name
        package = _PACKAGES.get(program, program)
        raise MissingProgram(
            f"the program {program!r} is not installed: install it (Debian: apt install {package})"
        )
    return found


class Runner:
    """Starts every child of swhkit.

    ``home``: an existing private folder, which becomes HOME and the like, and the working folder of children that
    are given no other. ``pass_fds``: descriptors every child inherits (the lock of a stage). ``environment``: added
    to that of each child. ``deadline``: a ``time.monotonic()`` after which every child is killed.
    """

    def __init__(
        self,
        home: Path,
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] = _NOTHING,
        deadline: float | None = None,
    ) -> None:
        self.home, self.deadline = home.absolute(), deadline
        self.pass_fds, self.environment = tuple(pass_fds), dict(environment)

    def with_(
        self,
        *,
        pass_fds: Sequence[int] | None = None,
        environment: Mapping[str, str] = _NOTHING,
        deadline: float | None = None,
    ) -> Runner:
        """A copy with these added to what there is. Of two deadlines the sooner holds: no part of a visit can give
        itself more time than the visit has."""
        deadlines = [moment for moment in (self.deadline, deadline) if moment is not None]
        return Runner(
            self.home,
            pass_fds=(*self.pass_fds, *(pass_fds or ())),
            environment={**self.environment, **environment},
            deadline=min(deadlines, default=None),
        )

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        input: bytes | Iterable[bytes] | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
        max_output: int = 64 << 20,
    ) -> Completed:
        """Run a child to its end. ``input`` is fed from a thread (an iterable is consumed there).

        Raises ``MissingProgram``; ``ChildFailed`` when ``check`` and the code is not 0; ``ChildTimeout`` after
        ``timeout`` seconds or at the deadline; ``LimitExceeded`` when stdout exceeds ``max_output`` bytes.
        """
        with self.start(argv, cwd=cwd, env=env, timeout=timeout, stdin=input is not None) as child:
            if input is not None:
                child.feed([input] if isinstance(input, bytes) else input)
            stdout = child.whole(max_output)
            code = child.wait(check=check)
            return Completed(child.argv, code, stdout, child.stderr())

    @contextlib.contextmanager
    def start(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: bool = True,
        max_stderr: int | None = None,
        loud: bool = False,
    ) -> Iterator[Child]:
        """A running child for the time of the ``with`` block; leaving it kills and reaps what still runs.

        Relative ``Path`` arguments are made absolute first, since the child works in ``home`` unless ``cwd`` is
        given. Who says more than ``max_stderr`` bytes on stderr is killed; a ``loud`` one has our own stderr instead.
        Raises ``MissingProgram``; and ``ChildTimeout`` or ``LimitExceeded`` at the latest when the block ends.
        """
        arguments = [str(a.absolute()) if isinstance(a, Path) else a for a in argv]
        child: Child | None = None
        try:
            with uninterrupted():  # else a program could be running by now, and nobody have it
                child = self._begin(arguments, cwd, env, timeout, stdin, max_stderr, loud)
            yield child
            child.raise_ours()
        except ChildTimeout:
            raise
        except Exception as error:
            if child is not None:
                _raise_cause(child, error)
            raise
        finally:
            if child is not None:
                try:
                    with uninterrupted():
                        child.end()
                except INTERRUPTS:  # it may have come just before it was held off: then nothing has ended yet
                    with uninterrupted():
                        child.end()
                    raise

    def _begin(
        self,
        argv: list[str],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        timeout: float | None,
        stdin: bool,
        max_stderr: int | None,
        loud: bool,
    ) -> Child:
        environment = {**self._base_environment(), **self.environment, **(env or {})}
        program = find_program(argv[0], environment["PATH"])
        shown = [without_secrets(argument) for argument in argv]
        seconds = self._seconds(timeout, shown)
        # setpriv sets the death signal and execs: Python code between fork and exec (preexec_fn) may deadlock when
        # there are threads, and rules out vfork. It costs about a millisecond. Should we die before it is set, the
        # inherited lock still tells that the child lives.
        launcher = [find_program("setpriv", environment["PATH"]), "--pdeathsig", "KILL", "--", program]
        if any("\0" in argument for argument in argv):
            raise InvalidInput(f"an argument of {shown[0]} has a NUL byte: {shown!r}")
        popen = subprocess.Popen(
            [*launcher, *argv[1:]],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if loud else subprocess.PIPE,
            bufsize=0,
            cwd=self.home if cwd is None else cwd,
            env=environment,
            close_fds=True,
            pass_fds=self.pass_fds,
            start_new_session=True,
        )
        try:
            return Child(popen, shown, seconds, max_stderr)
        except BaseException:  # no descriptors or threads left: the child must not run on without us
            popen.kill()
            popen.wait()
            raise

    def _base_environment(self) -> dict[str, str]:
        home = str(self.home)
        return {
            "PATH": search_path(),
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "XDG_DATA_HOME": f"{home}/.local/share",
            "TMPDIR": home,
            "LC_ALL": "C",
            "TZ": "UTC",
        }

    def _seconds(self, timeout: float | None, argv: list[str]) -> float | None:
        """How long a child that is started now may run. Raises ``ChildTimeout`` if not at all."""
        limits = [timeout] if timeout is not None else []
        if self.deadline is not None:
            limits.append(self.deadline - time.monotonic())
        if not limits:
            return None
        if min(limits) <= 0:
            raise ChildTimeout(argv, -signal.SIGKILL, "not started: the time for it was up")
        return min(limits)


def _raise_cause(child: Child, error: Exception) -> None:
    """Raise what lies behind an error in the ``with`` block of a child: its time was up, or it died while written to."""
    try:
        child.raise_ours()
        if isinstance(error, BrokenPipeError) and child.ended(STDERR_PATIENCE):
            child.wait()
    except ChildFailed as cause:
        raise cause from error
