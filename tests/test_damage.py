"""What is known to be damaged is not vouched for by a visit that has not brought a good copy of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from archives import archive, shell
from generate import add_revisions, git, repository
from test_visit import Yields, history
from upkeep import extent, flip, load, only_pack, sql

from swhkit import damage, manifest, visit
from swhkit.archive import Archive
from swhkit.check import check
from swhkit.closure import Walk, held_bodies
from swhkit.hashes import hash_content
from swhkit.model import Snapshot
from swhkit.reindex import reindex
from swhkit.swhid import Kind, ObjectId


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return repository(tmp_path / "first.git", 12, branches=1)


def bare_clone(origin: Path, name: str) -> str:
    git(origin.parent, "clone", "-q", "--mirror", origin, origin.parent / name)
    return f"file://{origin.parent / name}"


def some(target: Archive, kind: Kind) -> ObjectId:
    return next(id for id in target.objects.scan(limit=1000) if id.kind is kind)


def harm(kind: str, place: Path, id: ObjectId) -> None:
    """Change the bytes that are stored for an object."""
    if kind == "filesystem":
        start, end = extent(only_pack(place), id)
        flip(only_pack(place), (start + end) // 2)
    else:
        sql(
            place / "objects.sqlite",
            "UPDATE object SET body = zeroblob(length(body)) WHERE digest = ?",
            id.digest,
        )


def tips_of(target: Archive, url: str) -> set[ObjectId]:
    last = target.catalog.latest_visit(url, require_snapshot=True)
    assert last is not None
    assert last.snapshot is not None
    return set(manifest.edges_of_snapshot(target.catalog.snapshot(last.snapshot) or Snapshot({})))


@pytest.mark.parametrize("how", ["check", "reindex"])
@pytest.mark.parametrize("of", [Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION])
@pytest.mark.parametrize("kind", ["filesystem", "sqlite"])
def test_a_new_origin_that_shares_what_is_damaged_brings_a_good_copy(
    kind: str, of: Kind, how: str, origin: Path, tmp_path: Path
) -> None:
    place = tmp_path / "a"
    with archive(kind, place) as target:
        assert load(target, f"file://{origin}").status == "full"
        id = some(target, of)
    harm(kind, place, id)
    with archive(kind, place) as target:
        problems = check(target, tmp_path, full=True).problems if how == "check" else None
        if problems is None:
            reindex(target, tmp_path)
        assert damage.known(target) >= {id.digest}
    fork = bare_clone(origin, "fork.git")
    with archive(kind, place) as target:
        report = load(target, fork)
        assert (report.status, report.error) == ("full", None), report
        assert id in target.objects.read([id])
        assert target.catalog.closed(tips_of(target, fork)) == tips_of(target, fork)
        assert damage.known(target) == set()
        assert not (place / "stage" / "damaged.json").exists()
        target.writer()[0].maintain()
    with archive(kind, place) as target:
        assert check(target, tmp_path, full=True).problems == []


@pytest.mark.parametrize("kind", ["filesystem", "sqlite"])
def test_who_has_nothing_of_it_is_visited_once_and_as_always(kind: str, origin: Path, tmp_path: Path) -> None:
    place = tmp_path / "a"
    other = repository(tmp_path / "other.git", 3, seed=9, branches=1)
    with archive(kind, place) as target:
        for path in (origin, other):
            assert load(target, f"file://{path}").status == "full"
        first = load(target, f"file://{origin}")
        assert first.load_status == "uneventful"
    with archive(kind, place) as target:
        theirs = reached(target, f"file://{other}")
        id = next(
            id for id in target.objects.scan(limit=1000) if id.kind is Kind.CONTENT and id not in theirs
        )
    if kind == "filesystem":
        packs = (place / "objects" / "objects" / "pack").glob("*.pack")
        pack = max(packs, key=lambda path: path.stat().st_size)
        start, end = extent(pack, id)
        flip(pack, (start + end) // 2)
    else:
        harm(kind, place, id)
    with archive(kind, place) as target:
        check(target, tmp_path, full=True)
        fork = bare_clone(other, "fork.git")
        assert load(target, fork).visit == 1
        add_revisions(other, 2, seed=3)
        assert load(target, f"file://{other}").visit == 2
        assert target.catalog.closed(tips_of(target, fork)) == tips_of(target, fork)
        assert damage.known(target) == {id.digest}


def reached(target: Archive, url: str) -> set[ObjectId]:
    assert target.stage is not None
    with Walk(target.stage, partial(held_bodies, target.objects)) as walk:
        walk.run(tips_of(target, url))
        return set(walk.reached())


def test_a_loader_that_relies_on_it_twice_fails_and_vouches_for_nothing(tmp_path: Path) -> None:
    """It is told that all has to come, and still brings only a snapshot."""
    place = tmp_path / "a"
    with archive("sqlite", place) as target:
        items, snapshot = history()
        visit.run(target, Yields(*items, snapshot), "file:///a", "git", network=shell())
    id = ObjectId(Kind.CONTENT, hash_content(b"hello\n").sha1_git)
    harm("sqlite", place, id)
    with archive("sqlite", place) as target:
        check(target, tmp_path, full=True)
        loader = Yields(snapshot)
        report = visit.run(target, loader, "file:///b", "git", network=shell())
        assert (report.status, report.visit) == ("failed", 2)
        assert f"{id.hex}, which is held damaged" in str(report.error)
        assert loader.context is not None
        assert loader.context.anew
        assert target.catalog.closed(manifest.edges_of_snapshot(snapshot)) == set()
        assert (
            visit.run(target, Yields(*items, snapshot), "file:///b", "git", network=shell()).status == "full"
        )
        assert target.objects.read([id]) == {id: b"hello\n"}


def test_a_damaged_list_is_no_list(tmp_path: Path) -> None:
    with archive("memory", tmp_path) as target:
        assert target.stage is not None
        target.stage.mkdir(parents=True, exist_ok=True)
        (target.stage / "damaged.json").write_bytes(b'nonsense\n["AAAA"]')
        assert damage.known(target) == set()
        damage.remember(target, {bytes(20)})
        assert damage.known(target) == set(), "what is not held is not damaged"
        assert not (target.stage / "damaged.json").exists()
