"""``check``: it finds real damage, names what is damaged, changes only what is trusted, goes on where it stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from archives import KINDS, archive, shell
from generate import add_revisions, git, repository
from test_visit import URL, Yields, content, history
from upkeep import (
    checked,
    extent,
    fingerprints,
    flip,
    forge,
    load,
    make_archive,
    only_pack,
    small_repository,
    some_object,
    sql,
)

from swhkit import check as checking
from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.check import Problem, check
from swhkit.errors import Corrupt
from swhkit.hashes import hash_content
from swhkit.model import Branch, BranchType, Chunks, Content, Directory, Entry, Gap, Skipped, Snapshot
from swhkit.plugin import Limits
from swhkit.reindex import reindex
from swhkit.swhid import GIT_KINDS, Kind, ObjectId, parse_core

ON_DISK = ("filesystem", "sqlite")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_repository(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory, url: str) -> dict[str, Path]:
    """One sound archive for each kind of store; tests work on copies."""
    root = tmp_path_factory.mktemp("masters")
    return {kind: make_archive(kind, root / kind, url) for kind in ON_DISK}


@pytest.fixture
def place(tmp_path: Path, masters: dict[str, Path]) -> Path:
    """A copy of the filesystem archive."""
    return Path(shutil.copytree(masters["filesystem"], tmp_path / "archive"))


def named(problems: list[Problem], id: ObjectId) -> Problem:
    """The finding about an object."""
    (problem,) = [p for p in problems if p.object == str(id)]
    return problem


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_archive_has_no_findings(kind: str, url: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        assert load(target, url).status == "full"
        items, snapshot = history()
        assert visit.run(target, Yields(*items, snapshot), URL, "git", network=shell()).status == "full"
        before = fingerprints(tmp_path / "a")
        assert check(target, tmp_path).problems == []
        verdict = check(target, tmp_path, full=True)
        assert (verdict.problems, verdict.complete, verdict.more) == ([], True, 0)
        counters = target.catalog.counters()
        assert verdict.checked["objects"] == sum(counters[k.word] for k in GIT_KINDS)
        assert verdict.checked["rows"] == counters["content"]
        assert verdict.checked["snapshots"] == 2
        assert fingerprints(tmp_path / "a") == before
        assert not (tmp_path / "a" / "stage" / "check.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_archive_has_no_findings(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        assert check(target, tmp_path, full=True).problems == []


# -- damaged objects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", GIT_KINDS)
@pytest.mark.parametrize("where", ["first byte", "middle", "last byte"])
def test_a_flipped_byte_in_a_pack(place: Path, url: str, tmp_path: Path, of: Kind, where: str) -> None:
    id, pack = some_object("filesystem", place, of), only_pack(place)
    start, end = extent(pack, id)
    flip(pack, {"first byte": start, "middle": (start + end) // 2, "last byte": end - 1}[where])
    before = fingerprints(place, "catalog.sqlite")
    quick = checked("filesystem", place, tmp_path / "s", full=False)
    assert [p.file for p in quick.problems] == [str(pack)]
    verdict = checked("filesystem", place, tmp_path / "s")
    problem = named(verdict.problems, id)
    assert problem.file == str(pack)
    assert "restore" in problem.next_step
    if of is not Kind.REVISION:  # what lies below a damaged revision cannot be walked to
        assert problem.origins == [url]
    assert fingerprints(place, "catalog.sqlite") == before


@pytest.mark.parametrize("of", GIT_KINDS)
@pytest.mark.parametrize(
    "damage",
    [
        "body = zeroblob(length(body))",
        "body = NULL",
        "length = length + 1",
        "length = -1",
        "length = 'x'",
        "codec = 9",
        "codec = 2",
    ],
)
def test_a_damaged_row_of_an_sqlite_object_store(
    masters: dict[str, Path], url: str, tmp_path: Path, of: Kind, damage: str
) -> None:
    place = Path(shutil.copytree(masters["sqlite"], tmp_path / "archive"))
    id, file = some_object("sqlite", place, of), place / "objects.sqlite"
    sql(file, f"UPDATE object SET {damage} WHERE digest = ?", id.digest)
    before = fingerprints(place, "catalog.sqlite")
    problem = named(checked("sqlite", place, tmp_path / "s").problems, id)
    assert problem.file == str(file)
    assert "restore" in problem.next_step
    assert fingerprints(place, "catalog.sqlite") == before


@pytest.mark.parametrize(
    "damage",
    [
        "digest = substr(digest, 1, 19)", "digest = 'x'", "digest = x'11' || substr(digest, 2)", "kind = 9",
        "kind = x'00'", "kind = kind % 4 + 1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", GIT_KINDS)
def test_a_row_of_an_sqlite_object_store_under_another_id(
    masters: dict[str, Path], tmp_path: Path, of: Kind, damage: str
) -> None:
    """It is found, and what is no id at all keeps nobody from the others; ``reindex`` puts the bytes where they belong."""
    place = Path(shutil.copytree(masters["sqlite"], tmp_path / "archive"))
    id, file = some_object("sqlite", place, of), place / "objects.sqlite"
    sql(file, f"UPDATE object SET {damage} WHERE digest = ?", id.digest)
    problems = checked("sqlite", place, tmp_path / "s").problems
    assert any(problem.file == str(file) for problem in problems)
    with archive("sqlite", place) as target:
        assert id not in target.objects.scan(limit=1000)
        assert target.objects.missing([id]) == {id}
        reindex(target, tmp_path)
        assert target.objects.read([id]).keys() == {id}
    assert checked("sqlite", place, tmp_path / "t").problems == []


@pytest.mark.parametrize("of", GIT_KINDS)
def test_a_lost_row_of_an_sqlite_object_store(
    masters: dict[str, Path], url: str, tmp_path: Path, of: Kind
) -> None:
    place = Path(shutil.copytree(masters["sqlite"], tmp_path / "archive"))
    with archive("sqlite", place) as target:
        id = next(id for id in target.objects.scan(limit=9999) if id.kind is of and reachable(target, id))
    sql(place / "objects.sqlite", "DELETE FROM object WHERE digest = ?", id.digest)
    problem = named(checked("sqlite", place, tmp_path / "s").problems, id)
    assert problem.origins == [url]
    assert "reindex" in problem.next_step


def reachable(target: Archive, id: ObjectId) -> bool:
    """All objects of the generated repository are."""
    return not target.objects.missing([id])


@pytest.mark.parametrize("of", GIT_KINDS)
def test_bytes_that_change_in_memory(url: str, tmp_path: Path, of: Kind) -> None:
    with archive("memory", tmp_path / "a") as target:
        load(target, url)
        id = next(id for id in target.objects.scan(limit=9999) if id.kind is of)
        target.objects._bodies[id] += b"x"  # type: ignore[attr-defined]
        assert named(check(target, tmp_path, full=True).problems, id).next_step


# -- damaged files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [3, 8 + 4 * 128, 1032 + 25, -300, -44, -30, -3])
def test_a_flipped_byte_in_an_index(place: Path, tmp_path: Path, offset: int) -> None:
    idx = only_pack(place).with_suffix(".idx")
    flip(idx, offset)
    for full in (False, True):
        problems = checked("filesystem", place, tmp_path / "s", full=full).problems
        assert [p.file for p in problems] == [str(idx)]
        assert "swhkit maintain" in problems[0].next_step
    mend(place)
    assert checked("filesystem", place, tmp_path / "s").problems == []


def mend(place: Path) -> None:
    with archive("filesystem", place) as target:
        target.writer()[0].maintain()


def test_a_lost_index(place: Path, tmp_path: Path) -> None:
    idx = only_pack(place).with_suffix(".idx")
    idx.unlink()
    for full in (False, True):
        problems = checked("filesystem", place, tmp_path / "s", full=full).problems
        assert [(p.file, p.problem) for p in problems] == [
            (str(only_pack(place)), "the index of this pack is lost")
        ]
    mend(place)
    assert checked("filesystem", place, tmp_path / "s").problems == []


def test_a_flipped_byte_in_a_multi_pack_index(masters: dict[str, Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(masters["filesystem"], tmp_path / "archive"))
    with archive("filesystem", place) as target:
        items, snapshot = history()
        visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
        target.writer()[0].maintain()
    midx = place / "objects" / "objects" / "pack" / "multi-pack-index"
    flip(midx, midx.stat().st_size // 2)
    for full in (False, True):
        (problem,) = checked("filesystem", place, tmp_path / "s", full=full).problems
        assert (problem.file, "swhkit maintain" in problem.next_step) == (str(midx), True)
    mend(place)
    assert checked("filesystem", place, tmp_path / "s").problems == []


@pytest.mark.parametrize("left", [0, 11, 12, 1000, -21, -1])
def test_a_truncated_pack(place: Path, url: str, tmp_path: Path, left: int) -> None:
    pack = only_pack(place)
    id = some_object("filesystem", place, Kind.CONTENT)
    pack.chmod(0o600)
    os.truncate(pack, left if left >= 0 else pack.stat().st_size + left)
    assert [p.file for p in checked("filesystem", place, tmp_path / "s", full=False).problems] == [str(pack)]
    verdict = checked("filesystem", place, tmp_path / "s")
    assert {p.file for p in verdict.problems} >= {str(pack)}
    assert named(verdict.problems, id).next_step


def test_a_lost_pack(place: Path, url: str, tmp_path: Path) -> None:
    """Pack and index are gone together: nothing in the folder tells of it, the catalog does."""
    with archive("filesystem", place) as target:
        contents = {id for id in target.objects.scan(limit=9999) if id.kind is Kind.CONTENT}
        heads = set(manifest.edges_of_snapshot(only_snapshot(target)))
    pack = only_pack(place)
    for path in (pack, pack.with_suffix(".idx")):
        path.unlink()
    problems = checked("filesystem", place, tmp_path / "s").problems
    assert {str(id) for id in contents | heads} <= {p.object for p in problems}
    assert {p.object for p in problems if p.object and p.origins == [url]} >= {str(id) for id in heads}


def only_snapshot(target: Archive) -> Snapshot:
    (id,) = target.catalog.snapshots()
    snapshot = target.catalog.snapshot(id)
    assert snapshot is not None
    return snapshot


def test_a_lost_pack_beside_others(masters: dict[str, Path], url: str, tmp_path: Path) -> None:
    """What the other packs have is still good, and the origins of what is lost are told apart."""
    place = Path(shutil.copytree(masters["filesystem"], tmp_path / "archive"))
    own = set((place / "objects" / "objects" / "pack").iterdir())
    items, snapshot = history()
    with archive("filesystem", place) as target:
        visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
    for path in set((place / "objects" / "objects" / "pack").iterdir()) - own:
        path.unlink()
    problems = checked("filesystem", place, tmp_path / "s").problems
    by_object = {p.object: p.origins for p in problems if p.object}
    release = manifest.object_id(items[3])  # type: ignore[arg-type]
    cnt = ObjectId(Kind.CONTENT, hash_content(b"hello\n").sha1_git)
    assert by_object[str(release)] == [URL]
    assert str(cnt) in by_object
    assert url not in {origin for origins in by_object.values() for origin in origins}


def test_a_pack_and_its_index_damaged_together(place: Path, tmp_path: Path) -> None:
    pack = only_pack(place)
    flip(pack, 200)
    flip(pack.with_suffix(".idx"), 1100)
    id = some_content_row(place)
    problems = checked("filesystem", place, tmp_path / "s").problems
    assert {str(pack), str(pack.with_suffix(".idx"))} <= {p.file for p in problems}
    assert "restore" in named(problems, id).next_step


def some_content_row(place: Path) -> ObjectId:
    ((digest,),) = sql(place / "catalog.sqlite", "SELECT sha1_git FROM content ORDER BY id LIMIT 1")
    assert isinstance(digest, bytes)
    return ObjectId(Kind.CONTENT, digest)


# -- a damaged catalog -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ON_DISK)
@pytest.mark.parametrize(
    "damage",
    [
        "sha1 = zeroblob(20)",
        "sha256 = zeroblob(32)",
        "blake2s256 = x'00'",
        "length = length + 1",
        "sha1 = 'text'",
    ],
)
def test_a_row_with_other_digests(
    kind: str, masters: dict[str, Path], url: str, tmp_path: Path, damage: str
) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    id = some_content_row(place)
    forge(place, f"UPDATE content SET {damage} WHERE sha1_git = ?", id.digest)
    before = fingerprints(place, "catalog.sqlite")
    problem = named(checked(kind, place, tmp_path / "s").problems, id)
    assert "other digests" in problem.problem
    assert problem.origins == [url]
    assert "swhkit reindex" in problem.next_step
    assert fingerprints(place, "catalog.sqlite") == before


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_lost_row(kind: str, masters: dict[str, Path], url: str, tmp_path: Path) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    id = some_content_row(place)
    sql(place / "catalog.sqlite", "DELETE FROM content WHERE sha1_git = ?", id.digest)
    problems = checked(kind, place, tmp_path / "s").problems
    problem = named(problems, id)
    assert "no row" in problem.problem
    assert problem.origins == [url]
    assert [p.problem.split(" says")[0] for p in problems if p.object is None] == ["the counter content"]


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_row_of_what_is_not_there(kind: str, masters: dict[str, Path], tmp_path: Path) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    lost, claimed = some_content_row(place), ObjectId(Kind.CONTENT, b"\x07" * 20)
    forge(place, "UPDATE content SET sha1_git = ? WHERE sha1_git = ?", claimed.digest, lost.digest)
    problems = checked(kind, place, tmp_path / "s").problems
    assert "not held" in named(problems, claimed).problem
    assert "no row" in named(problems, lost).problem


@pytest.mark.parametrize("kind", ON_DISK)
@pytest.mark.parametrize(
    "damage",
    ["body = zeroblob(length(body))", "length = -1", "codec = 7", "key = zeroblob(32)"],
)
def test_a_damaged_snapshot(
    kind: str, masters: dict[str, Path], url: str, tmp_path: Path, damage: str
) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    sql(place / "catalog.sqlite", f"UPDATE branch_run SET {damage}")
    ((digest,),) = sql(place / "catalog.sqlite", "SELECT digest FROM snapshot")
    assert isinstance(digest, bytes)
    problem = named(checked(kind, place, tmp_path / "s").problems, ObjectId(Kind.SNAPSHOT, digest))
    assert problem.origins == [url]
    assert "swhkit check" not in problem.problem


def test_a_snapshot_of_another_id_or_without_its_branches(place: Path, tmp_path: Path) -> None:
    sql(place / "catalog.sqlite", "UPDATE snapshot SET digest = zeroblob(20)")
    assert named(checked("filesystem", place, tmp_path / "s").problems, ObjectId(Kind.SNAPSHOT, bytes(20)))
    sql(place / "catalog.sqlite", "DELETE FROM snapshot_run")
    assert named(checked("filesystem", place, tmp_path / "s").problems, ObjectId(Kind.SNAPSHOT, bytes(20)))


def test_a_snapshot_that_has_gone_is_found_by_the_quick_check(place: Path, tmp_path: Path) -> None:
    sql(place / "catalog.sqlite", "DELETE FROM snapshot")
    problems = checked("filesystem", place, tmp_path / "s", full=False).problems
    assert problems
    assert {p.file for p in problems} == {str(place / "catalog.sqlite")}


@pytest.mark.parametrize("kind", KINDS)
def test_raised_counters(kind: str, url: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        load(target, url)
        target.writer()[1].set_counters({name: n + 1 for name, n in target.catalog.counters().items()})
        problems = check(target, tmp_path, full=True).problems
    assert sorted(p.problem.split()[2] for p in problems) == sorted(
        ["content", "directory", "origin", "origin_visit", "person", "release", "revision", "skipped_content",
         "snapshot"]
    )  # fmt: skip
    assert {p.next_step for p in problems} == {"run `swhkit reindex`"}


def test_a_catalog_file_with_flipped_bytes(place: Path, tmp_path: Path) -> None:
    """Whichever page is hit, a check ends and finds it (the second has nothing but where others belong)."""
    file = place / "catalog.sqlite"
    sql(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = file.read_bytes()
    for page in range(8192, len(data), 4096):
        damaged = bytearray(data)
        damaged[page : page + 16] = b"\xff" * 16
        file.write_bytes(damaged)
        for leftover in place.glob("catalog.sqlite-*"):
            leftover.unlink()
        try:
            found = bool(checked("filesystem", place, tmp_path / "s").problems)
        except Corrupt:  # the catalog cannot even be opened
            found = True
        assert found, f"page {page // 4096} is damaged"


# -- what is no damage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_and_skipped_contents_are_no_findings(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        items, snapshot = history(parents=(b"\x11" * 20,))
        head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
        gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head)
        assert (
            visit.run(target, Yields(*items, gap, snapshot), URL, "git", network=shell()).status == "partial"
        )
        large, odd = b"b" * 1001, b"odd"
        files = {b"large": large, b"odd": odd}
        directory = Directory(
            tuple(Entry(n, "file", hash_content(d).sha1_git, 0o100644) for n, d in files.items())
        )
        with_skipped = Snapshot({b"HEAD": branch_to(directory)})
        loader = Yields(
            Content(Chunks(1001, iter([large]))), Skipped(hash_content(odd), "odd"), directory, with_skipped
        )
        report = visit.run(
            target, loader, "file:///b", "git", network=shell(), limits=Limits(max_content_size=1000)
        )
        assert report.status == "full", report
        assert check(target, tmp_path, full=True).problems == []


def test_a_damaged_gap_hides_nothing_below_other_snapshots(tmp_path: Path) -> None:
    place = tmp_path / "a"
    with archive("sqlite", place) as target:
        for number in range(4):
            items, snapshot = history(b"%d" % number, parents=(b"\x11" * 20,))
            gap = Gap("it is shallow", Kind.REVISION, b"\x11" * 20, manifest.object_id(items[2]).digest)  # type: ignore[arg-type]
            visit.run(target, Yields(*items, gap, snapshot), f"file:///{number}", "git", network=shell())
        directories = [id for id in target.objects.scan(limit=100) if id.kind is Kind.DIRECTORY]
        target.writer()[0].remove(directories)
        first = target.catalog.snapshots()[0]
        (hit,) = target.catalog.visits_of_snapshot(first)
    number = int(hit.origin[-1]) + 1
    sql(place / "catalog.sqlite", "UPDATE gap SET reason = 'else' WHERE visit = ?", number)
    problems = checked("sqlite", place, tmp_path / "s").problems
    below = {p.object for p in problems if p.object in {str(id) for id in directories}}
    assert len(below) == 3
    (unreadable,) = [p for p in problems if p.object == f"swh:1:snp:{first.hex()}"]
    assert unreadable.file == str(place / "catalog.sqlite")


def branch_to(directory: Directory) -> Branch:
    return Branch(BranchType.DIRECTORY, manifest.object_id(directory).digest)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_partial_visit_holds_is_claimed_too(kind: str, tmp_path: Path) -> None:
    with archive(kind, tmp_path / "a") as target:
        items, snapshot = history(parents=(b"\x11" * 20,))
        head, tree = (manifest.object_id(item) for item in (items[2], items[1]))  # type: ignore[arg-type]
        gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head.digest)
        visit.run(target, Yields(*items, gap, snapshot), URL, "git", network=shell())
        target.writer()[0].remove([tree])
        problem = named(check(target, tmp_path, full=True).problems, tree)
        assert problem.origins == [URL]


def test_a_shallow_origin_is_no_finding(tmp_path: Path) -> None:
    source = repository(tmp_path / "source.git", 30, branches=0)
    git(tmp_path, "clone", "-q", "--bare", "--depth=5", f"file://{source}", tmp_path / "shallow.git")
    with archive("filesystem", tmp_path / "a") as target:
        assert load(target, f"file://{tmp_path}/shallow.git").status == "partial"
        assert check(target, tmp_path, full=True).problems == []


# -- budget and place ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_budget_is_spent_in_pieces(
    kind: str, masters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run goes on where the last one stopped, every object is looked at about once, what was found is kept."""
    monkeypatch.setattr(checking, "_BATCH", 20)
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    id = some_content_row(place)
    forge(place, "UPDATE content SET sha1 = zeroblob(20) WHERE sha1_git = ?", id.digest)
    with archive(kind, place) as target:
        counters = target.catalog.counters()
    runs = 1
    while not (verdict := checked(kind, place, tmp_path / "s", budget=0)).complete:
        runs += 1
        assert (place / "stage" / "check.json").exists()
        assert runs < 1000
    assert runs > 10
    assert named(verdict.problems, id).origins
    assert verdict.checked["objects"] == sum(counters[k.word] for k in GIT_KINDS)
    assert verdict.checked["rows"] == counters["content"]
    assert not (place / "stage" / "check.json").exists()


def test_loads_and_maintenance_between_the_pieces(
    masters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_BATCH", 30)
    place = Path(shutil.copytree(masters["filesystem"], tmp_path / "archive"))
    repo = repository(tmp_path / "more.git", 5, seed=9)
    for number in range(1000):
        if checked("filesystem", place, tmp_path / "s", budget=0).complete:
            break
        if number < 4:
            add_revisions(repo, 2, seed=number + 50)
            with archive("filesystem", place) as target:
                assert load(target, f"file://{repo}").status == "full"
                target.writer()[0].maintain()
    assert checked("filesystem", place, tmp_path / "s").problems == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"phase": "nothing"}', '{"phase": "objects", "position": "zz"}', "\x00\xff",
     '{"phase": "contents", "position": "zz"}', '{"phase": "contents", "position": "00"}',
     '{"phase": "snapshots", "position": "zz"}', '{"phase": "objects", "found": 3}'],
)  # fmt: skip
@pytest.mark.parametrize("kind", ON_DISK)
def test_a_damaged_place_means_to_begin_anew(
    kind: str, masters: dict[str, Path], tmp_path: Path, text: str
) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    (place / "stage" / "check.json").write_text(text)
    verdict = checked(kind, place, tmp_path / "s")
    assert (verdict.problems, verdict.complete) == ([], True)
    if "contents" in text:
        assert verdict.checked["rows"] > 10
    elif "snapshots" in text:
        assert verdict.checked["snapshots"] == 1
    else:
        assert verdict.checked["objects"] > 100


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from upkeep import checked
from swhkit import check
check.SAVE_EVERY, check._BATCH = 0.0, 20
save, count = check._Check._save_place, 0
def die(self):
    global count
    save(self)
    count += 1
    if count == 4:
        os.kill(os.getpid(), signal.SIGKILL)
check._Check._save_place = die
checked({kind!r}, Path({place!r}), Path({scratch!r}))
"""


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_killed_check_goes_on_from_its_last_place(
    kind: str, masters: dict[str, Path], tmp_path: Path
) -> None:
    place = Path(shutil.copytree(masters[kind], tmp_path / "archive"))
    script = KILLED.format(paths=sys.path, kind=kind, place=str(place), scratch=str(tmp_path / "s"))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr
    kept = json.loads((place / "stage" / "check.json").read_text())
    assert kept["checked"]["objects"] == 80
    told: list[int] = []
    with archive(kind, place) as target:
        total = sum(target.catalog.counters()[k.word] for k in GIT_KINDS)
        verdict = check(
            target, tmp_path / "s", full=True, tell=lambda what, more: told.append(more * (what == "objects"))
        )
    assert (verdict.problems, verdict.complete) == ([], True)
    assert (sum(told), verdict.checked["objects"]) == (total - 80, total)


def test_many_findings_are_counted_not_listed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MOST_FINDINGS", 10)
    forge(place, "UPDATE content SET sha1 = zeroblob(20)")
    verdict = checked("filesystem", place, tmp_path / "s")
    ((rows,),) = sql(place / "catalog.sqlite", "SELECT count(*) FROM content")
    assert (len(verdict.problems), verdict.more) == (10, rows - 10)  # type: ignore[operator]


def test_what_lies_below_a_damaged_object_may_be_of_each_origin_that_has_it(tmp_path: Path) -> None:
    """Nothing tells any more what is below: the origins with that hole are named, those without are not."""
    with archive("memory", tmp_path / "a") as target:
        items, snapshot = history()
        visit.run(target, Yields(*items, snapshot), URL, "git", network=shell())
        others, other = history(b"other\n", message=b"o")
        visit.run(target, Yields(*others, other), "file:///b", "git", network=shell())
        shallow, cut = history(b"cut\n", parents=(b"\x11" * 20,))
        gap = Gap("it is shallow", Kind.REVISION, b"\x11" * 20, manifest.object_id(shallow[2]).digest)  # type: ignore[arg-type]
        visit.run(target, Yields(*shallow, gap, cut), "file:///c", "git", network=shell())
        id = ObjectId(Kind.CONTENT, hash_content(b"hello\n").sha1_git)
        directory = manifest.object_id(items[1])  # type: ignore[arg-type]
        target.writer()[0].remove([id, directory])
        problems = check(target, tmp_path, full=True).problems
        assert (named(problems, id).origins, named(problems, directory).origins) == ([URL], [URL])


def test_an_object_of_several_origins_names_them_all(url: str, tmp_path: Path) -> None:
    """And an origin that has it no longer, but had, is named too."""
    with archive("memory", tmp_path / "a") as target:
        items, snapshot = history()
        for one in (URL, "file:///b"):
            visit.run(target, Yields(*items, snapshot), one, "git", network=shell())
        visit.run(target, Yields(Snapshot({})), URL, "git", network=shell())
        visit.run(target, Yields(content(b"other")[0], Snapshot({})), "file:///c", "git", network=shell())
        id = ObjectId(Kind.CONTENT, hash_content(b"hello\n").sha1_git)
        target.writer()[0].remove([id])
        problem = named(check(target, tmp_path, full=True).problems, id)
        assert problem.origins == ["file:///b", URL]
        assert parse_core(str(problem.object)) == id
