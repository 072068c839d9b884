"""``reindex``: what can be derived comes back as it was, and what is lost is no longer trusted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from archives import KINDS, archive, shell, unheld
from generate import add_revisions, repository
from test_visit import URL, Yields, history
from upkeep import checked, content_rows, load, make_archive, only_pack, small_repository, sql

from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.check import check
from swhkit.hashes import hash_content
from swhkit.model import Skipped
from swhkit.reindex import Reindexed, reindex
from swhkit.swhid import Kind, ObjectId, parse_core

ON_DISK = ("filesystem", "sqlite")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_repository(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory, url: str) -> dict[str, Path]:
    """One sound archive for each kind of store; tests work on copies."""
    root = tmp_path_factory.mktemp("masters")
    return {kind: make_archive(kind, root / kind, url) for kind in ON_DISK}


@pytest.fixture(params=ON_DISK)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, masters: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(masters[kind], tmp_path / "archive"))


def run(kind: str, place: Path, scratch: Path) -> Reindexed:
    scratch.mkdir(exist_ok=True)
    with archive(kind, place) as target:
        return reindex(target, scratch)


def changes(done: Reindexed) -> tuple[int, ...]:
    return (done.added, done.corrected, done.removed, done.persons, done.damaged, done.distrusted)


def assert_sound(kind: str, place: Path, tmp_path: Path) -> None:
    """Nothing is found, and a second run changes nothing."""
    assert checked(kind, place, tmp_path / "s").problems == []
    before = content_rows(place)
    assert changes(run(kind, place, tmp_path / "s")) == (0, 0, 0, 0, 0, 0)
    assert content_rows(place) == before


def test_a_sound_archive_is_left_as_it_is(kind: str, place: Path, tmp_path: Path) -> None:
    before = content_rows(place)
    with archive(kind, place) as target:
        counters = target.catalog.counters()
    done = run(kind, place, tmp_path / "s")
    assert changes(done) == (0, 0, 0, 0, 0, 0)
    assert done.counters == counters
    assert content_rows(place) == before


def test_lost_rows_come_back(kind: str, place: Path, tmp_path: Path) -> None:
    before = content_rows(place)
    sql(place / "catalog.sqlite", "DELETE FROM content WHERE id % 3 = 0")
    lost = len(before) - len(content_rows(place))
    assert lost > 5
    done = run(kind, place, tmp_path / "s")
    assert changes(done) == (lost, 0, 0, 0, 0, 0)
    assert content_rows(place) == before
    assert_sound(kind, place, tmp_path)


@pytest.mark.parametrize(
    "damage",
    ["sha1 = zeroblob(20)", "length = length + 1", "sha256 = 'text', blake2s256 = x'00'",
     "absent = 1, reason = 'why', sha1 = zeroblob(20)", "absent = 1, reason = 'why'"],
)  # fmt: skip
def test_wrong_rows_are_corrected(kind: str, place: Path, tmp_path: Path, damage: str) -> None:
    before = content_rows(place)
    sql(place / "catalog.sqlite", f"UPDATE content SET {damage} WHERE id % 4 = 0")
    assert content_rows(place) != before
    done = run(kind, place, tmp_path / "s")
    assert done.corrected > 5
    assert (done.added, done.removed) == (0, 0)
    assert content_rows(place) == before
    assert_sound(kind, place, tmp_path)


def test_everything_derived_comes_back_beside_full_objects(kind: str, place: Path, tmp_path: Path) -> None:
    before = content_rows(place)
    with archive(kind, place) as target:
        counters = target.catalog.counters()
    for file in place.glob("catalog.sqlite*"):
        file.unlink()
    done = run(kind, place, tmp_path / "s")
    assert content_rows(place) == before
    assert done.persons == counters["person"]
    derived = ("content", "directory", "revision", "release", "person", "skipped_content")
    assert {name: done.counters[name] for name in derived} == {name: counters[name] for name in derived}
    assert (done.counters["origin"], done.counters["snapshot"]) == (0, 0)
    assert_sound(kind, place, tmp_path)


def test_counters_are_set_right(kind: str, place: Path, tmp_path: Path) -> None:
    with archive(kind, place) as target:
        counters = target.catalog.counters()
        target.writer()[1].set_counters({name: value * 3 + 7 for name, value in counters.items()})
    assert run(kind, place, tmp_path / "s").counters == counters
    sql(place / "catalog.sqlite", "UPDATE counter SET value = 0")
    assert run(kind, place, tmp_path / "s").counters == counters
    assert_sound(kind, place, tmp_path)


@pytest.mark.parametrize("of", [Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE])
def test_what_is_lost_is_fetched_again(kind: str, place: Path, url: str, tmp_path: Path, of: Kind) -> None:
    """A visit of an unchanged origin must not end ``full`` on the word of the visit before."""
    before = content_rows(place)
    with archive(kind, place) as target:
        counters = target.catalog.counters()
        lost = [id for id in target.objects.scan(limit=9999) if id.kind is of][::5]
        target.writer()[0].remove(lost)
    done = run(kind, place, tmp_path / "s")
    assert done.removed == (len(lost) if of is Kind.CONTENT else 0)
    assert done.distrusted == 1
    assert run(kind, place, tmp_path / "s").distrusted == 0, (
        "what is not trusted need not be distrusted again"
    )
    with archive(kind, place) as target:
        report = load(target, url)
        assert (report.status, report.error) == ("full", None)
        assert target.objects.missing(lost) == set()
        assert unheld(target, parse_core(str(report.snapshot)).digest, tmp_path / "walk") == set()
        assert target.catalog.counters() == counters | {"origin_visit": 2}
        again = load(target, url)
        assert (again.status, again.load_status, set(again.new.values())) == ("full", "uneventful", {0})
    assert content_rows(place) == before
    assert_sound(kind, place, tmp_path)


def test_a_lost_pack_is_fetched_again(masters: dict[str, Path], url: str, tmp_path: Path) -> None:
    place = Path(shutil.copytree(masters["filesystem"], tmp_path / "archive"))
    before, pack = content_rows(place), only_pack(place)
    for path in (pack, pack.with_suffix(".idx")):
        path.unlink()
    done = run("filesystem", place, tmp_path / "s")
    assert (done.removed, done.distrusted) == (len(before), 1)
    with archive("filesystem", place) as target:
        assert load(target, url).status == "full"
    assert content_rows(place) == before
    assert_sound("filesystem", place, tmp_path)


def test_what_upstream_has_no_longer_is_not_claimed(tmp_path: Path) -> None:
    """The origin's only copy of an object was ours: its visits do not end as if we had it."""
    repo = repository(tmp_path / "r.git", 10)
    place = make_archive("filesystem", tmp_path / "a", f"file://{repo}")
    pack = only_pack(place)
    for path in (pack, pack.with_suffix(".idx")):
        path.unlink()
    run("filesystem", place, tmp_path / "s")
    shutil.rmtree(repo)
    with archive("filesystem", place) as target:
        assert load(target, f"file://{repo}").status in ("failed", "not_found")


@pytest.mark.parametrize("kind", KINDS)
def test_a_loader_that_repeats_itself_is_held_to_its_word(kind: str, tmp_path: Path) -> None:
    """Any loader: the snapshot of before and nothing else is not enough when something below it is lost."""
    with archive(kind, tmp_path / "a") as target:
        items, snapshot = history()
        visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
        id = ObjectId(Kind.CONTENT, hash_content(b"hello\n").sha1_git)
        target.writer()[0].remove([id])
        done = reindex(target, tmp_path)
        assert (done.removed, done.distrusted) == (1, 1)
        report = visit.run(target, Yields(snapshot), URL, "git", network=shell())
        assert report.status == "failed"
        assert id.hex in (report.error or "")
        report = visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
        assert (report.status, report.new["content"]) == ("full", 1)
        assert check(target, tmp_path, full=True).problems == []


def test_a_fork_is_not_trusted_either(masters: dict[str, Path], tmp_path: Path) -> None:
    """Its tips stand on the same history; so does what it is asked to be told as had."""
    repo = repository(tmp_path / "r.git", 20)
    fork = Path(shutil.copytree(repo, tmp_path / "fork" / "r.git"))
    add_revisions(fork, 2)
    place = make_archive("filesystem", tmp_path / "a", f"file://{repo}", f"file://{fork}")
    with archive("filesystem", place) as target:
        lost = [id for id in target.objects.scan(limit=9999) if id.kind is Kind.CONTENT][0:1]
        target.writer()[0].remove(lost)
        assert reindex(target, tmp_path).distrusted in (1, 2)
        for one in (repo, fork):
            assert load(target, f"file://{one}").status == "full"
        assert target.missing(lost) == set()
        assert check(target, tmp_path, full=True).problems == []


def test_a_damaged_snapshot_costs_all_trust(kind: str, place: Path, url: str, tmp_path: Path) -> None:
    with archive(kind, place) as target:
        tips = tips_of(target)
    sql(place / "catalog.sqlite", "UPDATE branch_run SET body = zeroblob(5)")
    assert run(kind, place, tmp_path / "s").distrusted == 1
    with archive(kind, place) as target:
        assert target.catalog.closed(tips) == set()


def tips_of(target: Archive) -> set[ObjectId]:
    (id,) = target.catalog.snapshots()
    snapshot = target.catalog.snapshot(id)
    assert snapshot is not None
    tips = set(manifest.edges_of_snapshot(snapshot))
    assert target.catalog.closed(tips) == tips
    return tips


def test_damaged_objects_are_counted_and_keep_their_rows(place: Path, kind: str, tmp_path: Path) -> None:
    """Damaged is not gone: a copy of the file may bring it back, and then the row is there."""
    if kind == "sqlite":
        sql(place / "objects.sqlite", "UPDATE object SET length = length + 1 WHERE kind = 3 AND id % 7 = 0")
    else:
        pack = only_pack(place)
        pack.chmod(0o600)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 0xFF
        pack.write_bytes(data)
    before = content_rows(place)
    done = run(kind, place, tmp_path / "s")
    assert done.damaged > 0
    assert done.removed == 0
    assert content_rows(place) == before


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_contents_stay_skipped(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        items, snapshot = history()
        skipped = hash_content(b"left out")
        visit.run(target, Yields(*items, Skipped(skipped, "odd"), snapshot), URL, "git", network=shell())
        counters = target.catalog.counters()
        assert changes(reindex(target, tmp_path)) == (0, 0, 0, 0, 0, 0)
        row = target.content(skipped.sha1_git)
        assert row is not None
        assert (row.status, row.reason) == ("absent", "odd")
        assert target.catalog.counters() == counters


def test_more_rows_without_bytes_than_a_page(tmp_path: Path) -> None:
    """Rows that are removed are those a scan would have resumed after."""
    from swhkit.model import ContentRow

    with archive("sqlite", tmp_path / "a") as target:
        rows = [ContentRow.of(hash_content(b"%d" % n)) for n in range(2500)]
        target.writer()[1].add(rows)
        assert reindex(target, tmp_path).removed == 2500
        assert target.catalog.counters()["content"] == 0
