"""What is claimed is safe by then: the order of writes and fsyncs of a load, and what a loss of power leaves of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.crash import Disk, Recorded, judge, record, states, too_early
from faults.inject import Injector
from faults.nth import SCENARIOS, cases
from faults.shim import Call

SEED = 7
#: Of each load; the tool does more: ``python -m tests.faults.crash``.
STATES = 40


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recorded]]:
    folder = tmp_path_factory.mktemp("crash")
    with Injector(folder / "injector") as injector:
        yield {name: record(injector, case, folder) for name, case in cases(folder).items()}


@pytest.fixture(params=SCENARIOS)
def recorded(request: pytest.FixtureRequest, recordings: dict[str, Recorded]) -> Recorded:
    return recordings[request.param]


def test_a_disk_knows_what_is_safe(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"1234")
    disk, number = Disk(tmp_path), (tmp_path / "old").stat().st_ino
    chance = random.Random(SEED)

    def call(
        op: str, path: str, inode: int, other: str = "", data: bytes = b"", created: bool = False
    ) -> None:
        other = str(tmp_path / other) if other else ""
        disk.play(Call(op, 1, inode, 2, -1, created, str(tmp_path / path), other, data))

    call("write", "old", number, data=b"xyz")
    call("open", "new", 1, created=True)
    assert disk.state("lost", chance) == {"old": b"1234"}
    assert disk.state("names", chance) == {"old": b"1234", "new": b""}
    assert disk.state("there", chance) == {"old": b"12xyz", "new": b""}
    assert disk.unsafe(str(tmp_path / "new")) == ["the name new"]
    call("sync", "old", number)
    call("rename", "new", 1, other="newer")
    assert disk.state("lost", chance) == {"old": b"12xyz"}
    call("sync", ".", tmp_path.stat().st_ino)
    call("unlink", "old", number)
    assert disk.state("lost", chance) == {"old": b"12xyz", "newer": b""}
    assert disk.state("there", chance) == {"newer": b""}


def test_the_log_has_all_that_was_written(recorded: Recorded) -> None:
    """Else all of this would be about another load."""
    disk = recorded.disk()
    for call in recorded.calls:
        disk.play(call)
    assert disk.state("there", random.Random(SEED)) == recorded.after


def test_nothing_is_claimed_before_it_is_safe(recorded: Recorded) -> None:
    assert list(too_early(recorded, recorded.calls)) == []


@pytest.mark.parametrize(
    "lacking",
    [
        lambda call: call.path.endswith("/objects/objects/pack"),
        lambda call: "/tmp_pack_" in call.path or call.path.endswith(".pack"),
        lambda call: call.path.endswith("/sealed") or ".sealed." in call.path,
        lambda call: call.path.endswith("/stage/visits"),
        lambda call: call.path.endswith("log-persons"),
        lambda call: call.path.endswith("catalog.sqlite-wal"),
    ],
    ids=["pack folder", "packs", "marker", "visits", "records", "catalog"],
)
def test_an_fsync_that_lacks_is_noticed(recorded: Recorded, lacking: Callable[[Call], bool]) -> None:
    calls = [call for call in recorded.calls if not (call.op == "sync" and lacking(call))]
    assert len(calls) < len(recorded.calls)
    assert list(too_early(recorded, calls))


def test_power_may_be_lost_at_any_moment(recorded: Recorded) -> None:
    tried = 0
    for number, mode, state in states(recorded, STATES, SEED):
        judge(recorded, number, mode, state)
        tried += 1
    assert tried > STATES, f"only {tried} different states were found (seed {SEED})"
