"""The contract of forges finds what it is there for: each faulty forge fails the tests of its fault, a sound one none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Forges of ``faulty_forges`` and the tests of the contract that have to find their faults.
FAULTS = {
    ("Careless", "test_an_error_anywhere_is_no_shorter_listing"),
    ("Careless", "test_a_long_wait_is_left_to_the_caller"),
    ("Careless", "test_half_an_answer_is_no_answer"),
    ("Indiscreet", "test_what_is_private_is_never_listed"),
    ("Indiscreet", "test_what_changed_since_is_listed"),
    ("Named", "test_a_renamed_repository_keeps_its_key"),
    ("Trusting", "test_json_of_another_shape_is_unavailable_or_does_not_matter"),
    ("Hasty", "test_everything_is_listed_once"),
    ("Late", "test_what_changed_since_is_listed"),
    ("Wayward", "test_nothing_leads_to_another_server"),
    ("Wayward", "test_a_short_wait_is_waited"),
    ("Wayward", "test_the_token_is_sent_and_not_told"),
    ("Wayward", "test_an_unchanged_forge_is_asked_whether_it_is"),
    ("Wayward", "test_a_redirect_to_another_server_is_refused"),
}


def failed(*tests: str) -> set[tuple[str, str]]:
    """Run tests of ``faulty_forges`` in a process of their own; forges and tests (without parameters) that failed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=line", "-rfE", "-p", "no:cacheprovider"),
            *(f"tests/faulty_forges.py::{test}" for test in tests),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::Test(\w+)::(\w+)", done.stdout, re.MULTILINE))


@pytest.mark.slow
def test_each_fault_is_found_and_a_sound_forge_has_none() -> None:
    faulty = [f"Test{forge}::{test}" for forge, test in sorted(FAULTS)]
    assert failed(*faulty, "TestSound") == FAULTS
