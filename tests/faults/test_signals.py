"""A sample of all the moments at which a signal may interrupt a load; ``python -m tests.faults.signals`` tries more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from faults.nth import SCENARIOS, Case, cases
from faults.signals import Place, disturb, places

SEED = 3
#: Of each scenario.
RUNS = 8
#: Where half of something would be left, or a lock: all these moments are tried in the suite.
DELICATE = ("Stage.create", "link_pair", "_Run.run", "FileLock.__enter__")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Case], Path]:
    folder = tmp_path_factory.mktemp("signals")
    return cases(folder), folder


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_load_that_is_interrupted(scenario: str, prepared: tuple[dict[str, Case], Path]) -> None:
    known, folder = prepared
    found, chance = places(known[scenario], folder), random.Random(f"{SEED} {scenario}")
    assert len(found) > 300, "a load goes through many places"
    met = [disturb(known[scenario], chance.choice(found[place]), folder) for place in _sample(found, chance)]
    assert sum(map(bool, met)) >= RUNS - 2, f"only {met} were met"


def _sample(found: dict[Place, list[int]], chance: random.Random) -> list[Place]:
    return chance.sample(sorted(found), RUNS)


@pytest.mark.parametrize("name", DELICATE)
def test_a_load_that_is_interrupted_at_the_worst_moment(
    name: str, prepared: tuple[dict[str, Case], Path]
) -> None:
    known, folder = prepared
    found = places(known["first"], folder)
    moments = [
        moment for (_, where, _), counts in sorted(found.items()) if where == name for moment in counts
    ]
    assert moments, f"{name} is not on the way of a load"
    for moment in random.Random(SEED).sample(moments, min(len(moments), 7)):
        disturb(known["first"], moment, folder)
