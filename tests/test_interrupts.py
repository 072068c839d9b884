"""What a signal asks for is raised at once, or at the end of what has to be whole."""

from __future__ import annotations

from threading import Thread

import pytest

from swhkit.interrupts import Cancelled, ask, interruptible, let_go, uninterrupted


def test_it_is_raised_at_once_where_nothing_is_held() -> None:
    with pytest.raises(Cancelled):
        ask(Cancelled)


def test_it_waits_for_the_end_of_the_outermost_block() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            with uninterrupted():
                ask(KeyboardInterrupt)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    with uninterrupted():
        pass  # it is raised once


def test_a_wait_inside_can_be_interrupted() -> None:
    with uninterrupted():
        with pytest.raises(Cancelled), interruptible():
            ask(Cancelled)
        ask(Cancelled)  # and after it the block is whole again
        with pytest.raises(Cancelled), interruptible():
            raise AssertionError("what was asked for before is raised at the beginning")


def test_an_error_on_the_way_does_not_swallow_it() -> None:
    def work() -> None:
        with uninterrupted():
            ask(Cancelled)
            raise ValueError

    with pytest.raises(Cancelled):
        work()


def test_blocks_of_other_threads_hold_nothing_here() -> None:
    def holds_for_ever() -> None:
        uninterrupted().__enter__()

    thread = Thread(target=holds_for_ever)
    thread.start()
    thread.join()
    with pytest.raises(Cancelled):
        ask(Cancelled)


def test_what_the_frames_of_an_error_hold_is_let_go() -> None:
    gone = []

    class Held:
        def __del__(self) -> None:
            gone.append(True)

    def fails() -> None:
        held = Held()
        raise ValueError(str(bool(held)))

    try:
        fails()
    except ValueError as error:
        assert not gone
        let_go(error)
        assert gone
