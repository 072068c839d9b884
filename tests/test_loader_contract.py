"""The contract of loaders finds what it is there for: each faulty loader fails the test of its fault, a sound one none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Loaders of ``faulty_loaders`` and the tests of the contract that have to find their faults.
FAULTS = {
    "Greedy": "test_memory_is_bounded",
    "Messy": "test_nothing_is_written_but_to_the_archive",
    "Meddling": "test_nothing_is_written_but_to_the_archive",
    "Moody": "test_a_visit_is_full_and_a_second_one_uneventful",
    "Trusting": "test_what_is_held_damaged_is_brought_anew",
    "Forgetful": "test_a_changed_origin_is_loaded_as_if_for_the_first_time",
    "Blunt": "test_an_origin_that_is_not_there",
    "Untidy": "test_a_loader_that_fails_leaves_nothing",
    "Muddled": "test_the_time_may_be_up_at_any_moment",
}


def failed(*tests: str) -> set[tuple[str, str]]:
    """Run tests of ``faulty_loaders`` in a process of their own; loaders and tests (without parameters) that failed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=line", "-rfE", "-p", "no:cacheprovider"),
            *(f"tests/faulty_loaders.py::{test}" for test in tests),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::Test(\w+)::(\w+)", done.stdout, re.MULTILINE))


def test_each_fault_is_found_and_only_that() -> None:
    faulty = [f"Test{loader}::{test}" for loader, test in FAULTS.items()]
    sound = [f"TestSound::{test}" for test in sorted({*FAULTS.values()})]
    assert failed(*faulty, *sound) == set(FAULTS.items())
