"""A child while it runs: its pipes, its last words, its time, and its end. Started by ``swhkit.process`` alone.

Whoever reads or writes its pipes is let go when it is killed. Ending it reaps it and leaves no thread and no descriptor.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from typing import BinaryIO, cast

from swhkit.errors import ChildFailed, ChildTimeout, LimitExceeded
from swhkit.interrupts import uninterrupted
from swhkit.pipes import PIPE_BUFFER, Pipe
from swhkit.text import clean_text

#: Bytes of stderr that are kept, counted from its end.
STDERR_TAIL = 8 << 10
#: How long a child that has ended may keep its stderr open (a grandchild may hold it) before we stop listening.
STDERR_PATIENCE = 1.0


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
        self._heard.wait(STDERR_PATIENCE)
        self.raise_ours()
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
                thread.join(STDERR_PATIENCE)
        for file in (self.stdin, self.stdout, self._stderr):
            with contextlib.suppress(OSError, ValueError):
                if file is not None:
                    file.close()
        with contextlib.suppress(OSError):
            # A feeder that is still inside its own iterable finds closed files; the event must not become another file.
            if self._feeder is None or not self._feeder.is_alive():
                os.close(self._wake)

    def raise_ours(self) -> None:
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
