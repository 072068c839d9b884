"""Whatever is killed, at whatever moment: the archive claims nothing it does not hold and loses nothing it claims.

A failure names the seed with which ``python -m tests.faults.kill`` repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from archives import shell
from faults.common import assert_sound, clean_run, get, make_store, opened, serving, unfinished, visit_here
from faults.kill import CHILDREN, Bench, a_bench, hit_child, one
from generate import repository

from swhkit import visit
from swhkit.errors import Collision
from swhkit.files import locked
from swhkit.interrupts import Cancelled
from swhkit.publish import recover
from swhkit.stage import Stage
from swhkit.storage import Added, Record
from swhkit_git import GitConfig
from swhkit_git.loader import make

#: Runs of the suite: the fault, how many, the share of those on 20,000 objects.
RUNS = [("load", 16, 0.07), ("window", 24, 0.07), ("term", 10, 0.1), ("upkeep", 6, 0.0), ("stop", 3, 0.0)]
SEEDS = random.Random(20)
PLAN = [(fault, SEEDS.getrandbits(32), big) for fault, count, big in RUNS for _ in range(count)]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with a_bench() as made:
        yield made


@pytest.mark.parametrize(("fault", "seed", "big"), PLAN, ids=lambda value: str(value))
def test_a_store_is_sound_after(bench: Bench, fault: str, seed: int, big: float) -> None:
    where = one(fault, seed, bench, big=big)
    assert where.startswith(fault)


@pytest.mark.parametrize("child", CHILDREN)
def test_a_load_whose_child_dies_tells_the_truth(bench: Bench, child: str) -> None:
    """The child is caught in one of a few loads: some live for a few milliseconds only."""
    hits = (hit_child(bench, random.Random(seed), child, big=seed / 8) for seed in range(8))
    assert any(code is not None for code in hits), f"{child} was never caught"


def test_programs_see_a_sound_store(bench: Bench) -> None:
    """Recovery, check and the next load as processes of their own, as after a reboot."""
    one("window", 5, bench, programs=True)


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt(), Collision("another body")], ids=repr)
def test_what_a_broken_publish_has_adopted_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The packs are held by then: the visit after it finds nothing new, and the counters are still those of a scan."""
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    expected = clean_run(tmp_path / "clean", [url])
    store = make_store(tmp_path / "store")
    with opened(store) as target:
        _, catalog, _ = target.writer()
        steps, add = iter([error]), catalog.add

        def fail_once(records: Iterable[Record]) -> Added:
            for step in steps:
                raise step
            return add(records)

        with monkeypatch.context() as patch:
            patch.setattr(catalog, "add", fail_once)
            if isinstance(error, Exception):
                report = visit.run(target, make(GitConfig()), url, "git", network=shell())
                assert report.status == "failed"
            else:
                with pytest.raises(type(error)):
                    visit.run(target, make(GitConfig()), url, "git", network=shell())
        ended = target.catalog.visit(url, 1)
        assert ended is not None
        assert ended.status == "failed"
        assert "broke off while it was published" in (ended.reason or "")
        assert target.catalog.counters()["revision"] == expected.counters["revision"]
    assert unfinished(store) == []
    assert_sound(store, expected, programs=False)


def test_the_mark_of_a_publisher_that_died_at_its_very_end_goes(tmp_path: Path) -> None:
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    expected = clean_run(tmp_path / "store", [url])
    stage = tmp_path / "store" / "archive" / "stage"
    (stage / "publishing").write_text("20200101T000000-1-00000000")
    (stage / ".publishing.x").write_text("2020")
    (stage / ".check.json.abcd1234").write_text("{")
    with opened(tmp_path / "store") as target:
        assert recover(target) == []
    assert not [*stage.glob("*publishing*"), *stage.glob(".*")]
    assert_sound(tmp_path / "store", expected, programs=False)


def test_who_serves_does_not_wait_for_one_that_stands_still(tmp_path: Path) -> None:
    """A process that is stopped keeps its locks; reading goes on."""
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    clean_run(tmp_path / "store", [url])
    lock = tmp_path / "store" / "archive" / "stage" / "mutex"
    with locked(lock), serving(tmp_path / "store") as base:
        assert get(f"{base}/ping/") == "pong"


def test_a_visit_that_had_ended_is_not_recovered_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load died between the end of an uneventful visit and the deletion of its stage."""
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    clean_run(tmp_path / "store", [url])
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "trash", lambda stage: stage.lock.release())
        assert visit_here(tmp_path / "store", url).status == "full"
    assert unfinished(tmp_path / "store") != []
    with opened(tmp_path / "store") as target:
        assert recover(target) == []
        assert [made.status for made in target.catalog.visits(url)] == ["full", "full"]
    assert unfinished(tmp_path / "store") == []


def test_a_store_that_was_killed_in_its_making_is_made_anew(tmp_path: Path) -> None:
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    expected = clean_run(tmp_path / "clean", [url])
    half = make_store(tmp_path / "store") / "archive" / ".objects-killed"
    (half / "refs").mkdir(parents=True)
    visit_here(tmp_path / "store", url)
    assert not half.exists()
    assert_sound(tmp_path / "store", expected, programs=False)


def test_a_signal_in_the_middle_of_sqlite_is_no_damage(tmp_path: Path) -> None:
    """SQLite drops what a handler raises while it calls a function of ours back."""
    url = f"file://{repository(tmp_path / 'origin.git', 6)}"
    expected = clean_run(tmp_path / "store", [url])

    def interrupt(*_: object) -> None:
        raise Cancelled

    with opened(tmp_path / "store") as target:
        database = target.catalog._db  # type: ignore[attr-defined]
        with database.reading() as connection:
            connection.create_function("interrupted", 0, interrupt)
        with pytest.raises(KeyboardInterrupt), database.reading() as connection:
            connection.execute("SELECT interrupted()").fetchall()
    assert_sound(tmp_path / "store", expected, programs=False)
