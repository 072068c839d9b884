"""The job stores keep their contract, do the same whatever happens, and what is special about a file."""

from __future__ import annotations

import datetime
import functools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import swhkit_memory
import swhkit_sqlite
import swhkit_sqlite.connection
from swhkit.errors import Corrupt, InvalidInput, NotHeld
from swhkit.jobs import Ending, Jobs, JobState, Lease
from swhkit.plugin import NoConfig
from swhkit.testing import DurableJobsContract, JobsContract
from swhkit.testing.job_queue import ended, job, keys, leased
from swhkit.testing.jobs import Opener
from swhkit.testing.samples import NOON, moment
from swhkit_sqlite import SqliteJobsConfig

DONE = JobState.DONE


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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


def opened(file: Path, create: bool = False) -> Jobs:
    return swhkit_sqlite.open_jobs(SqliteJobsConfig(path=file), create)


def changed(file: Path, *statements: str) -> None:
    """Change the file behind the store's back."""
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


_SECONDS = st.sampled_from([-7, 0, 0.5, 3, 10])
_JOBS = st.builds(
    lambda n, **changes: job(
        str(n), group=("", "g", "h")[n % 3], task=("visit", "listing")[n % 2], **changes
    ),
    st.integers(0, 6),
    arguments=st.fixed_dictionaries({"n": st.integers(0, 9)}),
    not_before=st.none() | st.builds(moment, _SECONDS),
    priority=st.sampled_from([0, 10]),
    attempts=st.integers(1, 3),
)


class Twins(RuleBasedStateMachine):
    """The store in a file and the one in memory, which are asked the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "jobs.sqlite"
        self.stores = (swhkit_memory.open_jobs(NoConfig(), True), opened(self.file, create=True))
        self.leases: list[tuple[Lease, ...]] = []
        self.now = NOON

    def both(self, call: Callable[..., Any], *per_store: tuple[Any, ...]) -> Any:
        """What both say, which is the same."""
        model, real = (call(store, *(each[n] for each in per_store)) for n, store in enumerate(self.stores))
        assert model == real
        return model

    def some(self, numbers: list[int]) -> list[tuple[Lease, ...]]:
        return [self.leases[n % len(self.leases)] for n in numbers] if self.leases else []

    @rule(wanted=st.lists(_JOBS, max_size=4))
    def enqueue(self, wanted: list[Any]) -> None:
        self.both(lambda store: store.enqueue(wanted, self.now))

    @rule(
        count=st.integers(0, 5),
        per_group=st.none() | st.integers(0, 2),
        spacing=st.sampled_from([0.0, 0.0, 2.0]),
        tasks=st.sampled_from([None, None, ["visit"], []]),
    )
    def lease(self, **how: Any) -> None:
        model, real = (store.lease("w", 5, self.now, **how) for store in self.stores)
        assert [lease.job for lease in model] == [lease.job for lease in real]
        self.leases += zip(model, real, strict=True)

    @rule(
        numbers=st.lists(st.integers(0, 99), max_size=3),
        state=st.sampled_from([DONE, JobState.FAILED, JobState.QUEUED]),
        due=st.none() | st.builds(moment, _SECONDS),
        counts=st.booleans(),
        error=st.sampled_from([None, "odd"]),
    )
    def end(self, numbers: list[int], due: datetime.datetime | None, **how: Any) -> None:
        endings = tuple(
            [Ending(lease=pair[n], not_before=due, result=numbers, **how) for pair in self.some(numbers)]
            for n in range(2)
        )
        self.both(lambda store, mine: store.end(mine, self.now), endings)

    @rule(numbers=st.lists(st.integers(0, 99), max_size=3))
    def extend(self, numbers: list[int]) -> None:
        pairs = self.some(numbers)
        model, real = (
            store.extend([pair[n] for pair in pairs], 5, self.now) for n, store in enumerate(self.stores)
        )
        assert [lease.job for lease in model] == [lease.job for lease in real]

    @rule(group=st.sampled_from(["", "g", "h"]), seconds=_SECONDS)
    def pause(self, group: str, seconds: float) -> None:
        until = self.now + datetime.timedelta(seconds=seconds)
        self.both(lambda store: store.pause(group, until))

    @rule(seconds=_SECONDS)
    def wait(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    @rule(seconds=_SECONDS)
    def prune(self, seconds: float) -> None:
        self.both(lambda store: store.prune(self.now - datetime.timedelta(seconds=seconds)))

    @invariant()
    def they_tell_the_same(self) -> None:
        self.both(lambda store: (store.latest(limit=999), store.counts(), store.next_due()))
        self.both(lambda store: (store.pauses(self.now), store.open("3"), store.job(2), store.jobs(range(5))))
        for state in JobState:
            self.both(lambda store, state=state: store.latest(state, before=5, limit=3))

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        assert strange_lanes(self.file) == []
        self.folder.cleanup()


def strange_lanes(file: Path) -> list[tuple[Any, ...]]:
    """Lanes that are not what follows from the jobs, and those that are missing."""
    firsts = """
        SELECT group_name, task, priority, due, id FROM job AS first WHERE state = 'queued' AND NOT EXISTS (
            SELECT 1 FROM job WHERE state = 'queued' AND (group_name, task, priority)
                = (first.group_name, first.task, first.priority) AND (due, id) < (first.due, first.id))"""
    with sqlite3.connect(file) as connection:
        lanes = set(connection.execute("SELECT group_name, task, priority, due, job FROM lane").fetchall())
        expected = set(connection.execute(firsts).fetchall())
    connection.close()
    return sorted(lanes ^ expected)


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize(
    "damage",
    [
        "arguments = '{'",
        "arguments = x'ff'",
        "due = 'soon'",
        "created = 1 << 62",
        "priority = 1.5",
        "task = x'ff'",
        "result = 'x'",
        "leased = 'often'",
        "lease_number = x'00'",
    ],
)
def test_a_row_that_makes_no_sense_is_told(file: Path, damage: str) -> None:
    store = opened(file, create=True)
    (kept,) = store.enqueue([job("a")], NOON)
    changed(file, f"UPDATE job SET {damage}")
    for ask in (
        lambda: store.job(kept.id),
        store.latest,
        lambda: store.open("a"),
        lambda: store.lease("w", 60, NOON),
    ):
        with pytest.raises(Corrupt, match=r"damaged .*: (restore a backup|stop writing to it)"):
            ask()
    store.close()


@pytest.mark.parametrize("damage", ["DELETE FROM job", "UPDATE job SET state = 'leased'"])
def test_no_job_is_leased_twice_because_a_lane_is_wrong(file: Path, damage: str) -> None:
    store = opened(file, create=True)
    store.enqueue([job("a")], NOON)
    changed(file, damage)
    with pytest.raises(Corrupt, match="lanes name jobs that are not queued"):
        store.lease("w", 60, NOON)
    store.close()


def test_another_program_s_file_is_left_alone(file: Path) -> None:
    swhkit_sqlite.open_catalog(swhkit_sqlite.SqliteCatalogConfig(path=file), True).close()
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="no job store of swhkit"):
        opened(file, create=True)
    assert file.read_bytes() == before


def test_the_file_is_pleasant_to_read(file: Path) -> None:
    store = opened(file, create=True)
    store.enqueue([job("a", group="example.org", priority=5), job("b", group="example.org")], NOON)
    first, _ = store.lease("w", 60, NOON, count=2)
    store.pause("example.org", moment(3600))
    store.enqueue([job("c", group="example.org", not_before=moment(60))], NOON)
    ended(store, first, JobState.FAILED, moment(1), error="no answer", result={"status": "failed"})
    store.close()
    with sqlite3.connect(file) as connection:
        jobs = connection.execute("SELECT * FROM v_jobs ORDER BY id").fetchall()
        groups = connection.execute("SELECT * FROM v_groups").fetchall()
    connection.close()
    assert jobs[0] == (
        1, "failed", "visit", "a", "example.org", 5, "2024-02-29 12:00:00", 1, 5, None, None, None,
        "2024-02-29 12:00:00", "2024-02-29 12:00:01", "no answer", '{"url":"a"}', '{"status":"failed"}',
    )  # fmt: skip
    assert jobs[1][1:2] + jobs[1][9:11] == ("leased", "w", "2024-02-29 12:01:00")
    assert groups == [("example.org", "2024-02-29 13:00:00", "2024-02-29 12:00:00", 1, 1)]


def test_a_worker_that_waits_waits_for_no_lock(file: Path) -> None:
    store = opened(file, create=True)
    store.enqueue([job("a", not_before=moment(10)), job("b")], NOON)
    leased(store)
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert store.lease("w", 60, moment(9)) == []  # would wait for the lock otherwise
    blocker.execute("ROLLBACK")
    blocker.close()
    store.close()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that SQLite is given."""
    said: list[str] = []

    class Traced(swhkit_sqlite.connection.Connection):
        def __init__(self, *arguments: Any, **how: Any) -> None:
            super().__init__(*arguments, **how)
            self.set_trace_callback(said.append)

    monkeypatch.setattr(swhkit_sqlite.connection, "Connection", Traced)
    return said


def test_a_group_that_has_to_wait_costs_one_look(file: Path, said: list[str]) -> None:
    store = opened(file, create=True)
    for group, number in (("paused", 900), ("full", 900), ("", 3)):
        wanted = [job(f"{group}{n}", group=group, priority=len(group)) for n in range(number)]
        store.enqueue(wanted, NOON)
    store.pause("paused", moment(9))
    said.clear()
    assert keys(store.lease("w", 60, NOON, count=3, per_group=1)) == ["full0", "0", "1"]
    assert len(said) < 40
    said.clear()
    assert keys(store.lease("w", 60, NOON, count=3, per_group=1)) == ["2"]
    assert len(said) < 40
    store.close()


def test_no_call_reads_more_jobs_than_it_is_about(file: Path, said: list[str]) -> None:
    opened(file, create=True).close()
    said.clear()
    store = opened(file)
    store.enqueue([job(key, group=key) for key in "abcde"], NOON)
    a, b, c = store.lease("w", 60, NOON, count=3, per_group=1, spacing=1, tasks={"visit"})
    store.enqueue([job("a"), job("d")], NOON)
    assert store.extend([a, b, c], 30, NOON) == [a, b, c]
    assert ended(store, a)
    assert keys(store.lease("w", 60, moment(30), count=9)) == ["a", "b", "c", "d", "e"]
    store.next_due()
    store.open("a")
    store.jobs([1, 2])
    store.latest(DONE, before=9)
    store.latest()
    store.prune(NOON)
    store.close()
    with sqlite3.connect(file) as connection:
        plans = {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in set(said)
            if any(table in sql for table in ("FROM job", "UPDATE job", "lane"))
        }
    connection.close()
    assert len(plans) > 20
    for sql, plan in plans.items():
        looks = [line for line in plan if " job" in line or "lane" in line]
        assert looks, (sql, plan)
        whole = [line for line in looks if line.startswith("SCAN")]
        assert whole == [], (sql, plan)
        if "state = 'leased'" in sql or "state = 'queued'" in sql:
            assert not any("job_state" in line for line in plan), (sql, plan)


def test_it_is_provided_by_name(file: Path) -> None:
    for module, config in ((swhkit_sqlite, SqliteJobsConfig), (swhkit_memory, NoConfig)):
        (provider,) = module.swhkit_jobs()
        package, _, name = provider.factory.partition(":")
        assert (package, provider.config) == (module.__name__, config)
        assert callable(getattr(module, name))
    with pytest.raises(NotHeld):
        opened(file)
