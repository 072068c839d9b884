"""The job stores keep their contract, do the same whatever happens, and what is special about a file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import swhkit_memory
import swhkit_sqlite
from swhkit.jobs import Jobs
from swhkit.plugin import NoConfig
from swhkit.testing import DurableJobsContract, JobsContract
from swhkit.testing.jobs import Opener
from swhkit_sqlite import SqliteJobsConfig


class TestMemoryJobs(JobsContract):
    @pytest.fixture
    def jobs(self) -> Iterator[Jobs]:
        jobs = swhkit_memory.open_jobs(NoConfig(), True)
        yield jobs
        jobs.close()


class TestSqliteJobs(DurableJobsContract):
    @pytest.fixture
    def opener(self, place: Path) -> Opener:
        return functools.partial(
            swhkit_sqlite.open_jobs, SqliteJobsConfig(path=place / "deeper" / "jobs.sqlite")
        )
