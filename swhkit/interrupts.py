"""Signals that end what is under way, but never in the middle of what has to be whole.

A handler calls ``ask``. What it asks for is raised where the main thread is at that moment, or, where that is inside
``uninterrupted()``, when the block ends; ``interruptible()`` makes an exception inside such a block. Other threads are
never interrupted, and the blocks mean nothing there.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Cancelled(BaseException):
    """What is under way is to end now (SIGTERM)."""


#: What interrupts; it is not the fault of what it interrupts.
INTERRUPTS = (KeyboardInterrupt, Cancelled)


class _State:
    """What the main thread is in."""

    held = False
    asked: type[BaseException] | None = None


def ask(error: type[BaseException]) -> None:
    """For a signal's handler: raise ``error``, now or as soon as it may be."""
    _State.asked = error
    _raise_asked()


def _raise_asked() -> None:
    if _State.asked is not None and not _State.held:
        error, _State.asked = _State.asked, None
        raise error


class _Block:
    """A block in which the main thread is held together, or not. No generator: one that is interrupted between its
    ``yield`` and the block would end at some later moment."""

    def __init__(self, held: bool) -> None:
        self._held, self._before = held, False
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._main:
            self._before = _State.held
            try:
                _State.held = self._held
                _raise_asked()
            except BaseException:
                _State.held = self._before
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            _State.held = self._before
            _raise_asked()


def uninterrupted() -> _Block:
    """A block that is done as a whole; keep it short. What was asked for meanwhile is raised at its end."""
    return _Block(held=True)


def interruptible() -> _Block:
    """A block inside one that is ``uninterrupted`` where interrupting does no harm: a wait, or work that may be lost."""
    return _Block(held=False)


def let_go(error: BaseException) -> None:
    """End what the frames that ``error`` came through still hold, locks above all: it may have come at any moment, so
    perhaps between taking one and the block that would release it."""
    known: BaseException | None = error
    while known is not None:
        traceback.clear_frames(known.__traceback__)
        known = known.__context__


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """SIGTERM raises ``Cancelled`` in the block, so that a visit ends as ``failed`` and is not left to recovery; the event
    tells that it came. Ctrl-C raises ``KeyboardInterrupt``, unless whoever started us had it ignored.

    Python drops an exception that is raised while C code calls back, and SQLite gives ``KeyboardInterrupt`` for ours.
    """
    asked = threading.Event()

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        ask(Cancelled)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        ask(KeyboardInterrupt)

    handlers = {signal.SIGTERM: cancel}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handlers[signal.SIGINT] = interrupt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield asked
    except KeyboardInterrupt:
        if asked.is_set():
            raise Cancelled from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
