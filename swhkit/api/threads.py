"""A few threads that answer requests. One hop costs about half of what ``run_in_executor`` takes.

The threads are daemons: a store that hangs does not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)


class _Job(NamedTuple):
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any] | None


class Threads:
    """``count`` threads that take jobs in the order in which they were given."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._count = count
        for number in range(count):
            Thread(target=self._run, name=f"swhkit-api-{number}", daemon=True).start()

    async def call(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of ``work(*arguments)`` in one of the threads, or what it raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(work, arguments, future))
        return await future

    def send(self, work: Callable[[], object]) -> None:
        """Have ``work()`` done some time; nobody waits for it, and an error is only logged."""
        self._jobs.put(_Job(work, (), None))

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken yet."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Let the threads end after the jobs they have."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            try:
                result = job.work(*job.arguments)
            except BaseException as raised:  # noqa: BLE001 - it belongs to who awaits the result
                error = raised
            if job.future is not None:
                _settle(job.future, result, error)
            elif error is not None:
                _log.warning("work in the background failed", exc_info=error)
            del job, result, error  # nothing is held on to while waiting


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
