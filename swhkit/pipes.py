"""Our end of a child's pipes: buffered, and never a place to wait in for ever."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
from typing import Any, BinaryIO

#: Bytes of a child's stdout that are buffered, and of the pipe where the kernel grants it.
PIPE_BUFFER = 1 << 20


class Pipe(io.RawIOBase):
    """Our end of a pipe. Reads and writes wait for the child or for ``wake``, so that a pipe which some stray
    process keeps open cannot hold us for ever: once ``wake`` is set, reading gives the end and writing fails."""

    def __init__(self, file: BinaryIO, wake: int, *, writes: bool = False) -> None:
        self._file, self._wake, self._writes = file, wake, writes
        self._fd = file.fileno()
        os.set_blocking(self._fd, False)  # of our end alone: the child's end is another file description
        with contextlib.suppress(OSError):  # more than an ordinary user is granted
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BUFFER)

    def readable(self) -> bool:
        return not self._writes

    def writable(self) -> bool:
        return self._writes

    def fileno(self) -> int:
        return self._fd

    def readinto(self, buffer: Any, /) -> int:
        while True:
            try:
                return os.readv(self._fd, [buffer])
            except BlockingIOError:
                if self._woken(select.POLLIN):
                    return 0

    def write(self, data: Any, /) -> int:
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                if self._woken(select.POLLOUT):
                    raise BrokenPipeError("the child was killed") from None

    def _woken(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self._fd, event)
        poll.register(self._wake, select.POLLIN)
        return any(fd == self._wake for fd, _ in poll.poll())

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()
