"""A few threads that answer requests. One hop costs about half of what ``run_in_executor`` takes.

One of them does all the work as long as it gets on: threads that compute at the same time take turns at the interpreter,
and each turn costs more than a look-up does. Where the work waits for something (a disk, another archive, a long scan),
the others join in, one more every ``_STUCK`` seconds. The threads are daemons: a store that hangs does not keep the
program from ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: Seconds without a job taken, while some wait, after which one more thread helps.
_STUCK = 0.01


class _Job(NamedTuple):
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any] | None


class Threads:
    """Up to ``count`` threads that take jobs in the order in which they were given."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._helps: SimpleQueue[bool] = SimpleQueue()
        self._spares = count - 1
        #: Of the event loop alone: whether it looks after the queue, and how many jobs had been taken at the last look.
        self._looking, self._seen = False, 0
        self._taken = 0
        Thread(target=self._work, name="swhkit-api-0", daemon=True).start()
        for number in range(1, count):
            Thread(target=self._help, name=f"swhkit-api-{number}", daemon=True).start()

    async def call(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of ``work(*arguments)`` in one of the threads, or what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, arguments, future))
        self._look_later(loop)
        return await future

    def send(self, work: Callable[[], object]) -> None:
        """Have ``work()`` done some time; nobody waits for it, and an error is only logged. From any thread."""
        self._jobs.put(_Job(work, (), None))

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken yet."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Let the threads end after the jobs they have."""
        self._jobs.put(None)
        for _ in range(self._spares):
            self._helps.put(False)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._looking:
            self._looking, self._seen = True, self._taken
            loop.call_later(_STUCK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call for help if jobs wait and none was taken since the last look."""
        self._looking = False
        if self._jobs.empty():
            return
        if self._taken == self._seen and self._helps.qsize() < self._spares:
            self._helps.put(True)
        self._look_later(loop)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            del job  # nothing is held on to while waiting

    def _help(self) -> None:
        while self._helps.get():
            self._help_out()

    def _help_out(self) -> None:
        """Do jobs until none waits."""
        try:
            while (job := self._jobs.get_nowait()) is not None:
                self._do(job)
                del job
            self._jobs.put(None)  # the end is not for helpers
        except Empty:
            pass

    def _do(self, job: _Job) -> None:
        self._taken += 1  # a look that misses one of two at once only helps a little later
        result, error = None, None
        try:
            result = job.work(*job.arguments)
        except BaseException as raised:  # noqa: BLE001 - it belongs to who awaits the result
            error = raised
        if job.future is not None:
            _settle(job.future, result, error)
        elif error is not None:
            _log.warning("work in the background failed", exc_info=error)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    try:
        future.get_loop().call_soon_threadsafe(_set, future, result, error)
    except RuntimeError:
        _log.debug("a result came after the event loop had ended")


def _set(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
