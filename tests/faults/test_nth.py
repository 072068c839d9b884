"""A sample of all the calls of a load that can fail; ``python -m tests.faults.nth`` tries every one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.inject import KINDS, Injector
from faults.nth import SCENARIOS, Case, cases, disturb, sample

SEED = 7
#: Of each scenario and kind of fault.
RUNS = 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Injector, dict[str, Case], Path]]:
    folder = tmp_path_factory.mktemp("nth")
    with Injector(folder / "injector") as injector:
        yield injector, cases(folder), folder


def test_before_and_after_are_told_apart(prepared: tuple[Injector, dict[str, Case], Path]) -> None:
    for case in prepared[1].values():
        different = {name for name in case.before if case.before[name] != case.after[name]}
        assert {"visit", "history", "snapshot", "closed", "content", "counter", "object"} <= different


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_load_whose_nth_call_fails(
    kind: str, scenario: str, prepared: tuple[Injector, dict[str, Case], Path]
) -> None:
    injector, known, folder = prepared
    met = 0
    for nth in sample(injector, known[scenario], kind, RUNS, SEED, folder):
        met += bool(disturb(injector, known[scenario], kind, nth, folder).hit)
    # that only half is written can happen to writes alone
    assert met >= (1 if kind == "short" else RUNS - 2), f"only {met} of {RUNS} faults were met (seed {SEED})"


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_a_load_into_objects_in_sqlite_whose_walk_fails(
    kind: str, prepared: tuple[Injector, dict[str, Case], Path], tmp_path: Path
) -> None:
    """There git cannot prove that nothing is missing: we walk, with a file of our own in the stage."""
    injector, known = prepared[0], cases(tmp_path, "sqlite")
    total = disturb(injector, known["more"], kind, 1 << 40, tmp_path).calls
    hits = [disturb(injector, known["more"], kind, nth, tmp_path).hit for nth in range(total // 2, total, 9)]
    assert all(hits)
