"""The part of the loader's contract on visits that break off: by an error, a signal, an end of time, or a kill.

Whatever the moment: nothing of the visit is visible, nothing that belongs to it is left, and the next visit ends as a
first one does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType

import msgspec
import pytest

from swhkit.interrupts import INTERRUPTS, Cancelled, ask
from swhkit.model import VisitStatus
from swhkit.plugin import Limits, Loader, Unavailable
from swhkit.testing.processes import SPAWN, await_nobody_in
from swhkit.testing.visits import Held, Scene, Subject, must_be_a_reason, scene
from swhkit.testing.wrapped import Interrupted
from swhkit.visit import Report

#: Moments of a visit, as shares of the time that one takes; the last may be too late.
_MOMENTS = (0.05, 0.3, 0.6, 0.9)
#: The signal that stands for SIGTERM and Ctrl-C: pytest has handlers of its own for those.
_SIGNAL = signal.SIGUSR2
_PATIENCE = 120


class Reference(msgspec.Struct, frozen=True):
    """A visit that went well: its report, all that the archive held afterwards, and how many items the loader gave."""

    report: Report
    held: Held
    items: int


class FaultsContract:
    """Needs the fixtures of ``LoaderContract``."""

    def test_a_loader_that_fails_leaves_nothing(self, here: Scene, reference: Reference) -> None:
        """After none of its items, the first, half of them, all but the snapshot."""
        for after in sorted({0, 1, reference.items // 2, reference.items - 1} - {reference.items}):
            report = here.must_fail(_after(after, _make_up))
            assert report.error == "made up: the origin went away"
        here.must_be_sound()
        _must_recover(here, reference)

    def test_a_loader_that_fails_after_its_snapshot_is_believed(
        self, here: Scene, reference: Reference
    ) -> None:
        report = here.visit(_after(reference.items, _make_up))
        assert report.status is VisitStatus.PARTIAL
        assert (report.snapshot, report.error) == (
            reference.report.snapshot,
            "made up: the origin went away",
        )
        here.must_be_sound()
        _must_recover(here, reference)

    @pytest.mark.parametrize("error", INTERRUPTS)
    def test_an_interrupted_loader_leaves_nothing(
        self, here: Scene, reference: Reference, error: type[BaseException]
    ) -> None:
        """As if a signal came between two items: the loader is closed where it is."""

        def interrupt() -> None:
            raise error

        for after in sorted({1, reference.items // 2} - {reference.items}):
            with pytest.raises(error):
                here.visit(_after(after, interrupt))
            _must_have_failed(here)
        _must_recover(here, reference)

    @pytest.mark.parametrize("moment", _MOMENTS)
    def test_a_visit_may_be_cancelled_at_any_moment(
        self, here: Scene, reference: Reference, moment: float
    ) -> None:
        """By a signal, wherever the loader is: in its own code, or waiting for a child."""
        try:
            with _cancelled(after=moment * reference.report.seconds):
                here.visit()
        except Cancelled:
            here.must_be_sound()
        _must_recover(here, reference)

    @pytest.mark.parametrize("moment", _MOMENTS)
    def test_the_time_may_be_up_at_any_moment(self, here: Scene, reference: Reference, moment: float) -> None:
        """Children are killed at the deadline; that is no end of an origin, and no reason to say it was not there."""
        report = here.visit(limits=Limits(visit_time=moment * reference.report.seconds))
        assert report.status is not VisitStatus.NOT_FOUND, report
        if report.status is not VisitStatus.FULL:
            must_be_a_reason(report.error)
        here.must_be_sound()
        _must_recover(here, reference)

    @pytest.mark.parametrize("seed", range(4))
    def test_a_visit_may_be_killed_at_any_moment(
        self, subject: Subject, reference: Reference, tmp_path: Path, seed: int
    ) -> None:
        chance, begun = random.Random(seed), SPAWN.Event()  # noqa: S311 (moments, no secrets)
        folder = tmp_path / "archive"
        child = SPAWN.Process(target=_visit_in_child, args=(folder, subject, begun))
        child.start()
        assert begun.wait(_PATIENCE)
        time.sleep(chance.uniform(0, 1.2) * reference.report.seconds)
        child.kill()
        _must_outlive(child.join, folder, subject, reference)

    def test_a_visit_may_be_killed_between_two_items(
        self, subject: Subject, reference: Reference, tmp_path: Path
    ) -> None:
        folder, begun = tmp_path / "archive", SPAWN.Event()
        arguments = folder, subject, begun, reference.items // 2
        child = SPAWN.Process(target=_visit_in_child, args=arguments)
        child.start()
        _must_outlive(child.join, folder, subject, reference)
        assert child.exitcode == -signal.SIGKILL


def _make_up() -> None:
    raise Unavailable("made up: the origin went away")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(items: int, fault: Callable[[], object]) -> Callable[[Loader], Loader]:
    return lambda loader: Interrupted(loader, items, fault)


def _must_have_failed(here: Scene) -> None:
    """The visits so far have ended as failed, and nothing is held."""
    visits = here.archive.catalog.visits(here.subject.url)
    assert {made.status for made in visits} == {VisitStatus.FAILED}
    assert not here.held().objects | here.held().contents
    here.must_be_sound()


def _must_recover(here: Scene, reference: Reference) -> None:
    """The next visit is full and ends as the reference did."""
    assert here.must_be_full().snapshot == reference.report.snapshot
    assert here.held() == reference.held
    here.must_be_sound()


def _must_outlive(
    join: Callable[[float], None], folder: Path, subject: Subject, reference: Reference
) -> None:
    """What a process has left that was killed is put in order by the next visit."""
    join(_PATIENCE)
    await_nobody_in(folder)
    with scene(folder, subject) as here:
        _must_recover(here, reference)


@contextmanager
def _cancelled(after: float) -> Iterator[None]:
    """A signal asks for ``Cancelled`` so many seconds after the begin of the block, if it has not ended by then."""

    def handler(_signal: int, _frame: FrameType | None) -> None:
        ask(Cancelled)

    main = threading.get_ident()
    before = signal.signal(_SIGNAL, handler)
    timer = threading.Timer(after, lambda: signal.pthread_kill(main, _SIGNAL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        signal.signal(_SIGNAL, before)


def _visit_in_child(folder: Path, subject: Subject, begun: Event, after: int | None = None) -> None:
    """A visit in a process of its own, which kills itself after so many items."""
    with scene(folder, subject) as here:
        begun.set()
        here.visit(_after(sys.maxsize if after is None else after, _die))
