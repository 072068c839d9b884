"""A sample of all the calls of a load that can fail; ``python -m tests.faults.nth`` tries every one."""

from __future__ import annotations

import random
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
    # That only half is written can happen to writes alone, a tenth of the calls: then more are tried until one is met.
    enough, most = (1, 10 * RUNS) if kind == "short" else (RUNS - 2, RUNS)
    numbers = sample(injector, known[scenario], kind, most, SEED, folder)
    random.Random(SEED).shuffle(numbers)
    for tried, nth in enumerate(numbers):
        if tried >= RUNS and met >= enough:
            break
        met += bool(disturb(injector, known[scenario], kind, nth, folder).hit)
    assert met >= enough, f"only {met} faults were met (seed {SEED})"
