"""A short run of the tool that kills workers; ``python -m tests.faults.worker_kill`` does longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.worker_kill import run


@pytest.mark.slow
def test_no_job_is_lost_stuck_or_done_to_two_ends(tmp_path: Path) -> None:
    assert "200 jobs done" in run(tmp_path, jobs=200, seed=20_261, kills=9)
