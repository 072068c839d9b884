"""A sample of ``flips``: damaged files give right answers or errors, are found and named, and heal by loading again."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from archives import build
from faults import flips
from faults.flip_look import heal, look
from faults.flip_store import Master, make_master, opened, pages, settle
from upkeep import flip, load

import swhkit_sqlite
from swhkit.errors import Corrupt
from swhkit.manifest import origin_digest
from swhkit.swhid import Kind
from swhkit_sqlite.catalog import schema, sums

#: Another number tries other places.
SEED = 20_261


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Master:
    return make_master(tmp_path_factory.mktemp("flips"))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Master:
    return flips.make_sealed(tmp_path_factory.mktemp("sealed"))


@pytest.mark.parametrize("number", range(len(flips.FILES)))
@pytest.mark.parametrize("target", ["pack", "idx", "midx"])
def test_damaged_files_of_the_object_store(master: Master, tmp_path: Path, target: str, number: int) -> None:
    done = flips.trial(master, tmp_path, target, SEED * 6 + number)
    assert flips.complaints(done) == []
    if target == "pack":
        damaged = {problem["file"] for problem in done.seen.full if problem["file"]}
        assert damaged, done.said
        assert all("pack-" in file for file in damaged), done.said


def test_a_damaged_object_is_named_with_its_origins(master: Master, tmp_path: Path) -> None:
    """Quick and full check, the readers, and another load: the whole way from damage to a sound store."""
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    pack = max((place / "objects/objects/pack").glob("*.pack"), key=lambda path: path.stat().st_size)
    flip(pack, pack.stat().st_size // 2)
    seen = look(master, place)
    assert seen.wrong == []
    assert seen.absent == []
    named = [one for one in seen.full if one["object"] and one["file"] == str(pack)]
    assert named
    assert any(master.urls[0] in one["origins"] and "load " in one["next_step"] for one in named)
    with opened(place) as target:
        report = load(target, master.urls[0])
        assert (report.status, report.error) == ("full", None)
        assert target.objects.read(master.objects).keys() == set(master.objects)
        target.writer()[0].maintain()
        assert load(target, master.urls[0]).load_status == "uneventful"
    again = look(master, place)
    assert (again.quick, again.full) == ([], [])


def tables_and_indexes() -> list[str]:
    """Names of everything in the catalog that has pages."""
    with closing(sqlite3.connect(":memory:")) as connection:
        sums.install(connection)
        for step in schema.SCHEMA.steps:
            step(connection)
        sql = "SELECT name FROM sqlite_master WHERE rootpage > 0 AND name != 'sqlite_sequence' ORDER BY name"
        return [name for (name,) in connection.execute(sql)]


@pytest.mark.parametrize("name", tables_and_indexes())
def test_damaged_pages_of_the_catalog(master: Master, tmp_path: Path, name: str) -> None:
    done = flips.trial(master, tmp_path, f"catalog:{name}", SEED, mend=False)
    assert flips.complaints(done) == []


@pytest.mark.parametrize("number", range(5))
def test_a_damaged_catalog_file(master: Master, tmp_path: Path, number: int) -> None:
    done = flips.trial(master, tmp_path, "catalog", SEED * 5 + number, mend=False)
    assert flips.complaints(done) == []


@pytest.mark.parametrize("number", range(12))
def test_a_damaged_stage_is_published_as_it_was_or_not_at_all(
    sealed: Master, tmp_path: Path, number: int
) -> None:
    flips.stage_trial(sealed, tmp_path, SEED * 12 + number)


#: A change for each table that no reader may give out, and no check may miss.
CHANGES = {
    "content": "length = length + 1",
    "snapshot": "branches = branches + 1",
    "branch_run": "types = 1",
    "snapshot_run": "first = CAST(first || 'x' AS BLOB)",
    "origin": "visit_types = 'hg'",
    "visit": "date = date + 1",
    "visit_status": "status = 'partial' WHERE status = 'full'",
    "gap": "reason = 'else'",
    "closed_tip": "name = 'else'",
    "object_metadata": "synthetic = 1",
    "extid": "version = 2",
    "extrinsic_metadata": "format = 'xml'",
    "person": "fullname = CAST(fullname || 'x' AS BLOB)",
    "counter": "value = value - 1",
}


@pytest.mark.parametrize("table", sums.COLUMNS)
def test_a_changed_value_in_any_row(master: Master, tmp_path: Path, table: str) -> None:
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    with closing(sqlite3.connect(place / "catalog.sqlite")) as connection:
        connection.execute(f"UPDATE {table} SET {CHANGES[table]}")
        connection.commit()
    settle(place)
    seen = look(master, place)
    assert seen.wrong == []
    assert seen.foreign == []
    found = [one for one in seen.full if f"a row of {table} " in one["problem"]]
    assert found
    assert all(one["file"] == str(place / "catalog.sqlite") and one["next_step"] for one in found)


#: Tables whose rows another visit and a reindex make anew.
HEALED = (
    "content", "snapshot", "branch_run", "snapshot_run", "origin", "closed_tip", "object_metadata", "extid",
    "extrinsic_metadata", "person", "counter",
)  # fmt: skip


@pytest.mark.parametrize("table", HEALED)
def test_a_changed_row_is_made_anew(master: Master, tmp_path: Path, table: str) -> None:
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    with closing(sqlite3.connect(place / "catalog.sqlite")) as connection:
        connection.execute(f"UPDATE {table} SET {CHANGES[table]}")
        connection.commit()
    seen = look(master, place)
    assert heal(master, place, seen) == []


@pytest.mark.parametrize(
    "change",
    [
        "branch_run SET key = zeroblob(32) WHERE id = (SELECT max(id) FROM branch_run)",
        "snapshot_run SET snapshot = 999 WHERE snapshot = 1",
    ],
)
def test_a_row_that_nobody_can_find_any_more_does_not_stay(
    master: Master, tmp_path: Path, change: str
) -> None:
    """Another visit makes its like under another key; the damaged one is then nobody's."""
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    with closing(sqlite3.connect(place / "catalog.sqlite")) as connection:
        connection.execute(f"UPDATE {change}")
        connection.commit()
    settle(place)
    assert heal(master, place, look(master, place)) == []


def test_a_damaged_index_of_a_small_catalog_is_found_by_the_quick_check(
    master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that its index does not lead to looks absent; comparing them is left to the full check in large files."""
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    file = place / "catalog.sqlite"
    data = bytearray(file.read_bytes())
    digest = next(id.digest for id in master.objects if id.kind is Kind.CONTENT)
    places = [match.start() for match in re.finditer(re.escape(digest[:5]), data)]
    (at,) = [at for at in places if data[at : at + 20] != digest]
    data[at + 4] ^= 0x01
    file.write_bytes(data)
    seen = look(master, place)
    assert any("missing from index content_sha1_git" in one["problem"] for one in seen.quick)
    assert all("reindex" in one["next_step"] for one in seen.quick)
    assert seen.absent
    monkeypatch.setattr("swhkit_sqlite.connection._SMALL", 0)
    seen = look(master, place)
    assert seen.quick == []
    assert seen.full
    assert heal(master, place, seen) == []


def test_an_index_that_leads_to_another_snapshot(master: Master, tmp_path: Path) -> None:
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    file = place / "catalog.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        (digest,) = connection.execute("SELECT digest FROM snapshot WHERE id = 2").fetchone()
    (page,) = pages(file)["sqlite_autoindex_snapshot_1"]
    data = bytearray(file.read_bytes())
    at = data.index(digest, (page - 1) * 4096) + len(digest)
    assert data[at] == 2
    data[at] = 3
    file.write_bytes(data)
    seen = look(master, place)
    assert seen.wrong == []
    assert any("sqlite_autoindex_snapshot_1" in one["problem"] for one in seen.full)


def test_a_lost_counter_is_counted_anew(master: Master, tmp_path: Path) -> None:
    place = Path(shutil.copytree(master.folder, tmp_path / "damaged"))
    with closing(sqlite3.connect(place / "catalog.sqlite")) as connection:
        connection.execute("UPDATE counter SET name = 'skipped_contemt' WHERE name = 'skipped_content'")
        connection.commit()
    settle(place)
    seen = look(master, place)
    assert any("counter" in one["problem"] for one in seen.full)
    assert heal(master, place, seen) == []


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A catalog of the first form, with an origin, a visit and a content."""
    file = tmp_path / "catalog.sqlite"
    provider = swhkit_sqlite.swhkit_catalogs()[0]
    first = schema.SCHEMA._replace(steps=schema.SCHEMA.steps[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swhkit_sqlite.catalog.SCHEMA", first)
        build(provider, path=file).close()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        digest = bytes.fromhex("5b0b2e6b0ee0a4b2dd4aa2a3a2d5d0dfbf7f7d0e")
        url = "https://example.org/a"
        connection.execute("INSERT INTO origin VALUES (1, ?, ?, 'git')", (url, origin_digest(url)))
        connection.execute("INSERT INTO visit VALUES (1, 1, 1, 'git', 0, 'failed', NULL, 'why')")
        connection.execute("INSERT INTO visit_status VALUES (1, 0, 0, 'failed', NULL, 'why')")
        connection.execute(
            "INSERT INTO content VALUES (1, ?, ?, ?, ?, 3, 0, NULL)", (digest, digest, bytes(32), bytes(32))
        )
        connection.execute("UPDATE counter SET value = 1 WHERE name IN ('origin', 'origin_visit', 'content')")
        connection.commit()
    return file


def test_a_catalog_of_the_form_before_is_read_and_gets_checksums(older: Path) -> None:
    provider = swhkit_sqlite.swhkit_catalogs()[0]
    with closing(build(provider, create=False, path=older)) as catalog:
        (visit,) = catalog.visits("https://example.org/a")
        assert (visit.status, visit.reason) == ("failed", "why")
        assert len(catalog.scan_contents()) == 1
        assert list(catalog.scrub()) == []
        assert catalog.counters()["content"] == 1
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("UPDATE visit SET reason = 'because'")
        connection.commit()
    with closing(build(provider, create=False, path=older)) as catalog:
        with pytest.raises(Corrupt, match="does not match its checksum"):
            catalog.visits("https://example.org/a")
        assert [finding.problem for finding in catalog.scrub()] == [
            "a row of visit (id 1) does not match its checksum"
        ]


def test_the_tool_does_the_same_for_the_same_seed(master: Master, tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        file = Path(shutil.copy(master.folder / "catalog.sqlite", tmp_path / "copy"))
        said.append(flips.damage(file, "flip", random.Random(3)))
    assert said[0] == said[1]
    assert any(id.kind is Kind.RELEASE for id in master.objects), "the sample has all kinds"
