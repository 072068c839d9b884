"""The one room in which children are started: every program swhkit runs is run by a ``Runner``.

A child gets an argv list, an environment of ours alone, a session of its own, and dies with us: by process group when
its ``with`` block is left, when its time is up, and by PR_SET_PDEATHSIG when the thread that started it ends (the
kernel's rule: a child must not outlive the thread that began it). What it says on stderr is kept as a bounded tail,
cleaned of control characters and of passwords. What a child may connect to is judged elsewhere (``swhkit.net``).
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, cast

import msgspec

from swhkit.errors import ChildFailed, ChildTimeout, InvalidInput, LimitExceeded, MissingProgram
from swhkit.interrupts import INTERRUPTS, uninterrupted
from swhkit.pipes import PIPE_BUFFER, Pipe
from swhkit.text import clean_text, without_secrets

#: Bytes of stderr that are kept, counted from its end.
STDERR_TAIL = 8 << 10
#: How long a child that has ended may keep its stderr open (a grandchild may hold it) before we stop listening.
_STDERR_PATIENCE = 1.0
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


class Child:
    """A running child, made by ``Runner.start``.

    ``stdin`` and ``stdout`` are buffered binary files (``stdin`` is a closed one when it was not asked for).
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        argv: list[str],
        seconds: float | None,
        max_stderr: int | None = None,
    ) -> None:
        self.pid, self.argv, self._popen, self._seconds = popen.pid, argv, popen, seconds
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock, self._reaped, self._timed_out = threading.Lock(), False, False
        self._has_ended = False
        self._feeder: threading.Thread | None = None
        self._feed_error: BaseException | None = None
        self._tail, self._cut = b"", False
        self._said, self._max_stderr = 0, max_stderr
        out = cast(BinaryIO, popen.stdout)
        self.stdout: BinaryIO = io.BufferedReader(Pipe(out, self._wake), PIPE_BUFFER)
        self.stdin: BinaryIO = io.BytesIO()
        if popen.stdin is None:
            self.stdin.close()
        else:
            raw = Pipe(cast(BinaryIO, popen.stdin), self._wake, writes=True)
            self.stdin = io.BufferedWriter(raw, 1 << 16)
        self._stderr = None if popen.stderr is None else Pipe(cast(BinaryIO, popen.stderr), self._wake)
        self._heard = threading.Event()
        self._listener = threading.Thread(target=self._listen, name=f"stderr of {self.pid}", daemon=True)
        self._listener.start()
        self._alarm = None if seconds is None else threading.Timer(seconds, self._time_is_up)
        if self._alarm is not None:
            self._alarm.daemon = True
            self._alarm.start()

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write ``chunks`` to stdin from a thread of its own, then close it.

        That the child stops reading is no error here: its code tells. An error of the iterable itself kills the
        child and is raised by ``wait``.
        """
        feeder = threading.Thread(target=self._feed, args=(chunks,), name=f"stdin of {self.pid}", daemon=True)
        with uninterrupted():  # a thread that is only half started can be neither joined nor forgotten
            feeder.start()
            self._feeder = feeder

    def wait(self, check: bool = True) -> int:
        """Wait for the end and return the code (negative: the signal).

        Raises ``ChildTimeout`` when its time was up, ``ChildFailed`` when ``check`` and the code is not 0, and
        whatever the iterable given to ``feed`` raised. Close ``stdin`` before, if the child waits for its end.
        """
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT) if not self._reaped else None
        # Not join(): a thread whose join is interrupted counts as stopped from then on, though it runs (CPython 3.11).
        self._heard.wait(_STDERR_PATIENCE)
        self._raise_ours()
        code = self._popen.returncode if end is None else end.si_status
        if end is not None and end.si_code != os.CLD_EXITED:
            code = -code
        if check and code != 0:
            raise ChildFailed(self.argv, code, self.stderr())
        return int(code)

    def stderr(self) -> str:
        """The last words so far, at most ``STDERR_TAIL`` bytes of them, cleaned."""
        tail = self._tail
        if self._cut:  # a URL cut in its middle would show its password: begin with a whole line, or word
            words = tail.split(b"\n" if b"\n" in tail[:-1] else None, 1)
            tail = words[1] if len(words) == 2 else b"(one line, too long to be shown)"
        return clean_text(tail)

    def ended(self, seconds: float) -> bool:
        """Whether it ends within ``seconds``; it is not reaped by this."""
        until = time.monotonic() + seconds
        while (
            not self._reaped and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
        ):
            if time.monotonic() >= until:
                return False
            time.sleep(0.005)
        return True

    def whole(self, limit: int) -> bytes:
        """All of stdout. Raises ``LimitExceeded`` when it has more than ``limit`` bytes; the child is killed then."""
        pieces, total = [], 0
        while piece := self.stdout.read(min(PIPE_BUFFER, limit + 1 - total)):
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                self.kill()
                raise self._too_loud(limit)
        return b"".join(pieces)

    def terminate(self) -> None:
        """Ask the child itself, not its group, to end (SIGTERM). May be repeated."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._reaped:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the whole process group and let go whoever reads or writes its pipes. May be repeated."""
        with self._lock:
            if self._reaped:  # the number may belong to somebody else by now
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            os.eventfd_write(self._wake, 1)

    def end(self) -> None:
        """Kill what still runs of the group, reap, close the pipes. The leader is reaped last of all, so that the
        number of its group stays ours until then. May be repeated."""
        if self._has_ended:  # the number of its event may be another file's by now
            return
        self._has_ended = True
        if self._alarm is not None:
            self._alarm.cancel()
        self.kill()
        with self._lock:
            if not self._reaped:
                self._popen.wait()
                self._reaped = True
        for thread in (self._listener, self._feeder):
            if thread is not None and thread is not threading.current_thread():
                thread.join(_STDERR_PATIENCE)
        for file in (self.stdin, self.stdout, self._stderr):
            with contextlib.suppress(OSError, ValueError):
                if file is not None:
                    file.close()
        with contextlib.suppress(OSError):
            # A feeder that is still inside its own iterable finds closed files; the event must not become another file.
            if self._feeder is None or not self._feeder.is_alive():
                os.close(self._wake)

    def _raise_ours(self) -> None:
        """Raise what ended the child from our side."""
        if self._feed_error is not None:
            raise self._feed_error
        if self._max_stderr is not None and self._said > self._max_stderr:
            raise self._too_loud(self._max_stderr)
        if self._timed_out:
            text = f"{self.stderr().rstrip()}\nkilled: its time of {self._seconds:.1f} s was up"
            raise ChildTimeout(self.argv, -signal.SIGKILL, text.lstrip())

    def _too_loud(self, limit: int) -> LimitExceeded:
        return LimitExceeded(
            f"{' '.join(self.argv[:3])} said more than the {limit} bytes it may: it was stopped"
        )

    def _listen(self) -> None:
        piece = bytearray(1 << 16)
        try:
            while count := 0 if self._stderr is None else self._stderr.readinto(memoryview(piece)):
                self._said += count
                if self._max_stderr is not None and self._said > self._max_stderr:
                    self.kill()
                tail = self._tail + piece[:count]
                self._cut = self._cut or len(tail) > STDERR_TAIL
                self._tail = tail[-STDERR_TAIL:]
        finally:
            self._heard.set()

    def _feed(self, chunks: Iterable[bytes]) -> None:
        try:
            with contextlib.suppress(BrokenPipeError):
                for chunk in chunks:
                    self.stdin.write(chunk)
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        except BaseException as error:  # noqa: BLE001  # it is raised again by wait(), in the thread that can handle it
            if not self._reaped:
                self._feed_error = error
                self.kill()

    def _time_is_up(self) -> None:
        self._timed_out = True
        self.kill()


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
            child._raise_ours()
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
        child._raise_ours()
        if isinstance(error, BrokenPipeError) and child.ended(_STDERR_PATIENCE):
            child.wait()
    except ChildFailed as cause:
        raise cause from error
