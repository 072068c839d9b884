"""The stores in SQLite files keep the contracts, and what is special about files that anybody can open or damage."""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import swhkit_sqlite
import swhkit_sqlite.connection
from swhkit.errors import Busy, Collision, Corrupt, InvalidInput, NotHeld, SwhkitError
from swhkit.manifest import object_id
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    ByteSource,
    Chunks,
    ExtId,
    ObjectMetadata,
    PersonRow,
    Snapshot,
    VisitStatus,
)
from swhkit.process import Runner
from swhkit.storage import Finding, ObjectStore, Publication, Scrubbed
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import DurableCatalogContract, DurableObjectStoreContract, samples
from swhkit.testing.catalog_files import Opener as CatalogOpener
from swhkit.testing.object_files import Opener as ObjectsOpener
from swhkit.testing.object_stores import Damage
from swhkit.testing.samples import moment
from swhkit_sqlite import SqliteCatalogConfig, SqliteObjectsConfig
from swhkit_sqlite.catalog import SqliteCatalog
from swhkit_sqlite.codec import compress
from swhkit_sqlite.intake import Intake
from swhkit_sqlite.objects import SqliteObjects

URL = "https://example.org/project"


class TestSqliteObjects(DurableObjectStoreContract):
    @pytest.fixture
    def opener(self, place: Path) -> ObjectsOpener:
        return functools.partial(
            swhkit_sqlite.open_objects, SqliteObjectsConfig(path=place / "objects.sqlite")
        )

    @pytest.fixture
    def damage(self, place: Path) -> Damage:
        def damage(store: ObjectStore, id: ObjectId) -> None:
            with sqlite3.connect(place / "objects.sqlite") as connection:
                (body,) = connection.execute(
                    "SELECT body FROM object WHERE digest = ?", (id.digest,)
                ).fetchone()
                changed = bytearray(body)
                changed[len(body) // 2] ^= 0x10
                connection.execute("UPDATE object SET body = ? WHERE digest = ?", (bytes(changed), id.digest))

        return damage


class TestSqliteCatalog(DurableCatalogContract):
    @pytest.fixture
    def opener(self, place: Path) -> CatalogOpener:
        return functools.partial(
            swhkit_sqlite.open_catalog, SqliteCatalogConfig(path=place / "catalog.sqlite")
        )


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[SqliteObjects]:
    store = SqliteObjects(tmp_path / "objects.sqlite", True, 8 << 20)
    yield store
    store.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqliteCatalog]:
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite", True, 8 << 20)
    yield catalog
    catalog.close()


def fill(catalog: SqliteCatalog) -> None:
    """Something in every table."""
    for n in range(5):
        visit = catalog.open_visit(f"{URL}/{n}", "git", moment(n))
        tip = ObjectId(Kind.REVISION, bytes([n]) * 20)
        whole = Publication(
            status=VisitStatus.FULL,
            date=moment(n),
            snapshot=samples.snapshot(300, f"{n}"),
            closed=[tip],
            reason="fine",
        )
        catalog.publish(visit.origin, visit.number, whole)
        catalog.add(
            [ObjectMetadata(Kind.REVISION, tip.digest, "hg", False, {"n": n}), ExtId("t", 1, b"v", *tip)]
        )
        catalog.add([samples.emd(str(tip), n), PersonRow(b"person %d" % n)])
    catalog.add(samples.rows(2000))


def ask(catalog: SqliteCatalog) -> None:
    """Every question, about what ``fill`` has put there."""
    catalog.contents(row.sha1_git for row in samples.rows(2000))
    catalog.find_contents("sha256", [row.sha256 for row in samples.rows(50)])
    list(catalog.scan_contents(limit=3000))
    catalog.counters()
    catalog.unfinished_visits()
    for origin in catalog.origins():
        for visit in catalog.visits(origin.url):
            catalog.history(origin.url, visit.number)
            catalog.gaps(origin.url, visit.number)
    for id in catalog.snapshots():
        catalog.snapshot(id)
        catalog.branches(id, b"refs/heads/00000100", 10, [BranchType.RELEASE])
        catalog.visits_of_snapshot(id)
    for tip in catalog.likely_tips(URL, 100):
        catalog.closed([tip])
        catalog.metadata([tip])
        catalog.extids_of([tip])
        catalog.extrinsic_metadata(str(tip))
    catalog.extids("t", [b"v"])
    for number in catalog.persons(b"person %d" % n for n in range(5)).values():
        catalog.person(number)


# --- opening ---


def both(path: Path) -> list[Callable[[bool], object]]:
    """Open the file at ``path`` as either store."""
    return [
        lambda create: SqliteObjects(path, create, 1 << 20),
        lambda create: SqliteCatalog(path, create, 1 << 20),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path, which: int) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database at all\n" * 1000)
    for create in (True, False):
        with pytest.raises(Corrupt, match=r"store\.sqlite is damaged"):
            both(path)[which](create)
    assert path.read_bytes() == b"this is no database at all\n" * 1000


@pytest.mark.parametrize("which", [0, 1])
def test_another_programs_file_is_left_alone(tmp_path: Path, which: int) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(InvalidInput, match="choose another path"):
            both(path)[which](create)
    both(tmp_path / "other.sqlite")[1 - which](True)
    with pytest.raises(InvalidInput, match=r"other\.sqlite"):
        both(tmp_path / "other.sqlite")[which](True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("which", [0, 1])
def test_a_newer_form_is_refused_and_left_alone(tmp_path: Path, which: int) -> None:
    path = tmp_path / "store.sqlite"
    both(path)[which](True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    for create in (True, False):
        with pytest.raises(InvalidInput, match="of form 99"):
            both(path)[which](create)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("which", [0, 1])
def test_an_empty_file_is_filled_only_on_purpose(tmp_path: Path, which: int) -> None:
    path = tmp_path / "store.sqlite"
    path.touch()
    with pytest.raises(NotHeld, match=r"store\.sqlite is empty"):
        both(path)[which](False)
    both(path)[which](True)
    both(path)[which](False)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    for opened in both(tmp_path):
        with pytest.raises((OSError, SwhkitError)):
            opened(True)


def test_many_may_make_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "catalog.sqlite"

    def work(number: int) -> int:
        catalog = SqliteCatalog(path, True, 1 << 20)
        visit = catalog.open_visit(URL, "git", moment(number))
        catalog.close()
        return visit.number

    assert sorted(samples.together(6, work)) == [1, 2, 3, 4, 5, 6]


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&b#c %41 ü.sqlite"
    catalog = SqliteCatalog(path, True, 1 << 20)
    catalog.open_visit(URL, "git", moment(0))
    catalog.close()
    assert path.stat().st_size > 0
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_configuration_types_are_strict_and_picklable() -> None:
    for config in (SqliteObjectsConfig, SqliteCatalogConfig):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            msgspec.convert({"pth": "x"}, config)
        with pytest.raises(msgspec.ValidationError, match="1048576"):
            msgspec.convert({"cache": 5}, config)
        assert pickle.loads(pickle.dumps(config(path=Path("x")))) == config(path=Path("x"))
    providers = [*swhkit_sqlite.swhkit_object_stores(), *swhkit_sqlite.swhkit_catalogs()]
    assert [(one.name, one.config) for one in providers] == [
        ("sqlite", SqliteObjectsConfig),
        ("sqlite", SqliteCatalogConfig),
    ]
    for provider in providers:
        assert callable(getattr(swhkit_sqlite, provider.factory.removeprefix("swhkit_sqlite:")))


# --- durability, locks, full disks ---


def test_commits_are_synced_to_the_write_ahead_log(catalog: SqliteCatalog) -> None:
    with catalog._db.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_readers_cannot_write(catalog: SqliteCatalog) -> None:
    with pytest.raises(OSError, match="readonly"), catalog._db.reading() as connection:
        connection.execute("DELETE FROM counter")


def test_reading_goes_on_while_another_program_writes(
    catalog: SqliteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog)
    before = catalog.counters()
    monkeypatch.setattr(swhkit_sqlite.connection, "BUSY_SECONDS", 0.2)
    other = SqliteCatalog(catalog._db.path, False, 1 << 20)
    with catalog._db.writing() as connection:
        connection.execute("DELETE FROM counter")
        assert other.counters() == before
        with pytest.raises(Busy, match=r"catalog\.sqlite is in use"):
            other.open_visit(URL, "git", moment(0))
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
    assert other.open_visit(URL, "git", moment(0)).number == 1
    other.close()


def test_a_full_disk_leaves_nothing_half_written(objects: SqliteObjects, catalog: SqliteCatalog) -> None:
    kept = samples.contents(5, "kept")
    objects.add(one.pair for one in kept)
    for store in (objects, catalog):
        with store._db.writing() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count={pages + 10}")
    big = [samples.sample(Kind.CONTENT, random.Random(n).randbytes(50_000)) for n in range(20)]
    with pytest.raises(OSError, match="full") as raised:
        objects.add(one.pair for one in big)
    assert raised.value.errno == 28
    assert raised.value.filename == str(objects._db.path)
    assert objects.missing(one.id for one in big) == {one.id for one in big}
    assert objects.read(one.id for one in kept) == dict(kept)
    with pytest.raises(OSError, match="full"):
        catalog.add(samples.rows(5000))
    assert catalog.counters()["content"] == 0
    assert catalog.scan_contents() == []


def test_a_source_may_not_write_to_its_own_store(objects: SqliteObjects) -> None:
    def writing() -> Iterator[tuple[ObjectId, ByteSource]]:
        yield samples.flow_id(20 << 20), Chunks(20 << 20, samples.flow(20 << 20))
        objects.add([samples.contents(1)[0].pair])

    with pytest.raises(ValueError, match="writes to it itself"):
        objects.add(writing())
    assert objects.scan() == []


def test_a_forked_child_has_connections_of_its_own(catalog: SqliteCatalog) -> None:
    catalog.open_visit(URL, "git", moment(0))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if catalog.open_visit(URL, "git", moment(1)).number == 2 else 2
            catalog.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert catalog.open_visit(URL, "git", moment(2)).number == 3
    assert list(catalog.verify()) == []


def test_connections_of_threads_that_are_gone_are_closed(catalog: SqliteCatalog) -> None:
    for _ in range(5):
        samples.together(4, lambda _: catalog.counters())
    files = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert files.count(str(catalog._db.path)) <= 3


def test_maintain_gives_space_back(objects: SqliteObjects) -> None:
    big = [samples.sample(Kind.CONTENT, random.Random(n).randbytes(100_000)) for n in range(100)]
    objects.add(one.pair for one in big)
    objects.remove(one.id for one in big[1:])
    report = objects.maintain()
    assert report.objects == 1
    assert report.bytes_after < 1_000_000 < report.bytes_before
    assert objects._db.path.stat().st_size < 1_000_000
    assert objects.read([big[0].id]) == dict(big[:1])


def test_adopt_leaves_no_folder_behind(
    objects: SqliteObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    pack = samples.make_pack(tmp_path, samples.contents(3), Runner(tmp_path / "home"))
    objects.adopt([pack])
    assert len(objects.scan()) == 3
    objects.remove(objects.scan())
    monkeypatch.setattr(Intake, "take", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        objects.adopt([pack])
    assert objects.scan() == []
    assert list((tmp_path / "tmp").iterdir()) == []


# --- damage ---


def test_no_damaged_byte_of_the_object_file_becomes_a_wrong_answer(tmp_path: Path) -> None:
    graph, sound = samples.graph() + samples.contents(300), tmp_path / "sound.sqlite"
    held = dict(graph)
    store = SqliteObjects(sound, True, 1 << 20)
    store.add(one.pair for one in graph)
    store.close()
    chance, noticed = random.Random(7), 0
    for trial in range(40):
        path = tmp_path / f"{trial}.sqlite"
        data = bytearray(sound.read_bytes())
        for _ in range(1 if trial % 2 else 200):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        found: list[object] = []
        try:
            store = SqliteObjects(path, False, 1 << 20)
            for id, body in held.items():
                try:
                    assert store.read([id]).get(id, body) == body
                except SwhkitError as error:
                    found.append(error)
            found += store.missing(held)
            found += store.verify()
            scrubbed = list(store.scrub())
            found += [one for one in scrubbed if isinstance(one, Finding)]
            for one in scrubbed:
                assert isinstance(one, Finding) or held[one.id] is not None
            store.close()
        except (Corrupt, InvalidInput, NotHeld) as error:
            found.append(error)
        noticed += bool(found)
    assert noticed > 20


def test_no_damaged_byte_of_the_catalog_becomes_a_foreign_error(tmp_path: Path) -> None:
    sound = tmp_path / "sound.sqlite"
    catalog = SqliteCatalog(sound, True, 1 << 20)
    fill(catalog)
    ask(catalog)
    catalog.close()
    chance, noticed = random.Random(11), 0
    for trial in range(40):
        path = tmp_path / f"{trial}.sqlite"
        data = bytearray(sound.read_bytes())
        for _ in range(1 + 20 * (trial % 10)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            catalog = SqliteCatalog(path, False, 1 << 20)
            noticed += any(catalog.verify())
            ask(catalog)
        except (Corrupt, InvalidInput, NotHeld):
            noticed += 1
        catalog.close()
    assert noticed > 10


def test_a_cut_file_and_one_with_a_hole_are_found(tmp_path: Path, catalog: SqliteCatalog) -> None:
    fill(catalog)
    catalog.maintain()
    data, cut, holed = catalog._db.path.read_bytes(), tmp_path / "cut.sqlite", tmp_path / "holed.sqlite"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(Corrupt, match=r"cut\.sqlite is damaged"):
        SqliteCatalog(cut, False, 1 << 20)
    assert len(data) > 100 * 4096
    holed.write_bytes(data[: -40 * 4096] + bytes(20 * 4096) + data[-20 * 4096 :])
    damaged = SqliteCatalog(holed, False, 1 << 20)
    findings = list(damaged.verify())
    assert findings
    assert all("holed.sqlite" in (one.file or "") and one.next_step for one in findings)
    damaged.close()


def test_a_bomb_in_a_row_is_corrupt_in_bounded_memory(objects: SqliteObjects) -> None:
    one = samples.contents(1)[0]
    objects.add([one.pair])
    _, bomb = compress(bytes(500 << 20))
    with objects._db.writing() as connection:
        connection.execute("UPDATE object SET codec = 1, body = ?", (bomb,))
    with samples.PeakMemory() as peak, pytest.raises(Corrupt, match=one.id.hex):
        objects.read([one.id])
    assert peak.growth < 32 << 20
    assert [type(each) for each in objects.scrub()] == [Finding]


def test_a_damaged_body_is_healed_when_the_object_comes_again(objects: SqliteObjects) -> None:
    one = samples.contents(1)[0]
    objects.add([one.pair])
    for body in (b"something else", b"", None):
        with objects._db.writing() as connection:
            connection.execute("UPDATE object SET body = ?", (body,))
        objects.add([one.pair])
        assert objects.read([one.id]) == dict([one])
        assert [type(each) for each in objects.scrub()] == [Scrubbed]


def test_a_large_body_that_lost_a_piece_is_corrupt_until_it_comes_again(objects: SqliteObjects) -> None:
    length = 20 << 20
    id = samples.flow_id(length)
    objects.add([(id, Chunks(length, samples.flow(length)))])
    objects.add([(id, Chunks(length, samples.flow(length)))])
    with objects._db.writing() as connection:
        connection.execute("DELETE FROM chunk WHERE seq = 7")
    with pytest.raises(Corrupt, match=id.hex):
        list(objects.stream(id))
    objects.add([(id, Chunks(length, samples.flow(length)))])
    assert sum(map(len, objects.stream(id))) == length


def test_a_second_large_body_under_a_held_id_is_a_collision(
    objects: SqliteObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = b"".join(samples.flow(17 << 20)), bytes(17 << 20)
    one = samples.sample(Kind.CONTENT, first)
    objects.add([one.pair])
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "sha1", samples.Colliding(Kind.CONTENT, first, second))
        with pytest.raises(Collision, match=one.id.hex):
            objects.add([samples.contents(1)[0].pair, (one.id, Bytes(second))])
    assert b"".join(objects.stream(one.id)) == first
    assert objects.scan() == [one.id]


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "", "٣", "9" * 30])
def test_a_position_that_no_scrub_gave(objects: SqliteObjects, position: str) -> None:
    with pytest.raises(InvalidInput, match="position"):
        list(objects.scrub(position))


def test_a_changed_branch_is_noticed(catalog: SqliteCatalog) -> None:
    fill(catalog)
    id = object_id(samples.snapshot(300, "0")).digest
    with catalog._db.writing() as connection:
        connection.execute("UPDATE snapshot_run SET run = (SELECT max(run) FROM snapshot_run)")
    with pytest.raises(Corrupt, match=id.hex()):
        catalog.snapshot(id)


# --- the catalog's file for people ---


def test_views_show_digests_in_hex(catalog: SqliteCatalog, tmp_path: Path) -> None:
    fill(catalog)
    row = samples.rows(1)[0]
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
    assert len(names) >= 10
    for name in names:
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] >= 0
    found = connection.execute(
        "SELECT sha256, status FROM v_contents WHERE sha1_git = ?", (row.sha1_git.hex(),)
    )
    assert found.fetchall() == [(row.sha256.hex(), "visible")]
    date, snapshot = connection.execute(
        "SELECT date, snapshot FROM v_visits WHERE url = ?", (f"{URL}/0",)
    ).fetchone()
    assert date == "2024-02-29 12:00:00"
    assert snapshot == str(object_id(samples.snapshot(300, "0")))
    connection.close()


def test_contents_are_found_by_narrow_indexes(catalog: SqliteCatalog) -> None:
    catalog.add(samples.rows(10))
    for name in ("sha1", "sha1_git", "sha256", "blake2s256"):
        with catalog._db.reading() as connection:
            plan = connection.execute(
                f"EXPLAIN QUERY PLAN WITH k(d) AS (VALUES (x'00')) SELECT c.id FROM k CROSS JOIN content c "
                f"ON substr(c.{name}, 1, 5) = substr(k.d, 1, 5) AND c.{name} = k.d"
            ).fetchall()
        assert f"USING INDEX content_{name}" in str(plan)


def test_visits_that_move_one_branch_share_the_rest(catalog: SqliteCatalog) -> None:
    branches = dict(samples.snapshot(2000).branches)
    sizes = []
    for n in range(40):
        branches[b"refs/heads/%08d" % (n * 17 + 5)] = Branch(
            BranchType.REVISION, random.Random(n).randbytes(20)
        )
        branches[b"refs/pull/%d" % n] = Branch(BranchType.REVISION, random.Random(n).randbytes(20))
        visit = catalog.open_visit(URL, "git", moment(n))
        snapshot = Snapshot(dict(branches))
        catalog.publish(
            URL, visit.number, Publication(status=VisitStatus.FULL, date=moment(n), snapshot=snapshot)
        )
        assert catalog.snapshot(object_id(snapshot).digest) == snapshot
        catalog.maintain()
        sizes.append(catalog._db.size())
    assert sizes[-1] - sizes[0] < 40 * 25_000


def test_texts_that_are_no_unicode(catalog: SqliteCatalog) -> None:
    catalog.open_visit(URL, "git", moment(0))
    catalog.update_visit(URL, 1, VisitStatus.FAILED, moment(1), "no file \udcff\x00")
    visit = catalog.visit(URL, 1)
    assert visit is not None
    assert visit.reason == "no file \\udcff\x00"
    assert catalog.origin("https://example.org/\udcff") is None
    with pytest.raises(InvalidInput, match="Unicode"):
        catalog.open_visit("https://example.org/\udcff", "git", moment(0))
    assert catalog.counters()["origin"] == 1


def test_the_file_may_be_copied_after_close(catalog: SqliteCatalog, tmp_path: Path) -> None:
    fill(catalog)
    before = catalog.counters()
    catalog.close()
    assert not (tmp_path / "catalog.sqlite-wal").exists()
    shutil.copy(tmp_path / "catalog.sqlite", tmp_path / "copy.sqlite")
    copy = SqliteCatalog(tmp_path / "copy.sqlite", False, 1 << 20)
    assert copy.counters() == before
    copy.close()
