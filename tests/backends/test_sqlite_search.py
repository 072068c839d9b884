"""The index of URLs in a SQLite catalog: made for older files, found when damaged, made anew, small in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swhkit.errors import Corrupt
from swhkit.manifest import origin_digest
from swhkit.storage import OriginPage, OriginQuery
from swhkit.testing import samples
from swhkit.testing.samples import moment
from swhkit_sqlite.catalog import SqliteCatalog, schema, search, sums
from swhkit_sqlite.connection import Database

ENGINE = OriginQuery(words=("engine",))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqliteCatalog]:
    with closing(SqliteCatalog(tmp_path / "catalog.sqlite", True, 1 << 20)) as catalog:
        for n in range(300):
            catalog.open_visit(f"https://example.org/{n}/Engine", "git", moment(n))
        yield catalog


def total(catalog: SqliteCatalog, word: str = "engine") -> int | None:
    return catalog.search_origins(OriginQuery(words=(word,))).total


def fill(catalog: SqliteCatalog, count: int) -> None:
    """Origins with a visit each, in one transaction."""
    urls = [(n, f"https://git.example.org/user{n % 97}/project-{n:x}") for n in range(1, count + 1)]
    with catalog._db.writing() as connection:
        sums.insert(connection, "origin", ((n, url, origin_digest(url), "git") for n, url in urls))
        sums.insert(connection, "visit", ((n, n, 1, "git", 0, "failed", None, None) for n, _ in urls))
        for n, url in urls:
            search.enter(connection, n, url)


def test_a_file_of_an_older_form_gets_its_index(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    older = schema.SCHEMA._replace(steps=schema.SCHEMA.steps[:2])
    with closing(Database(path, older, True, 1 << 20)) as db, db.writing() as connection:
        for n, url in enumerate(("https://example.org/Engine", "https://example.org/ÜBER"), start=1):
            sums.insert(connection, "origin", [(n, url, origin_digest(url), "git")])
            sums.insert(connection, "visit", [(n, n, 1, "git", 0, "created", None, None)])
            sums.insert(connection, "visit_status", [(n, 0, 0, "created", None, None)])
    with closing(SqliteCatalog(path, False, 1 << 20)) as catalog:
        assert [total(catalog), total(catalog, "über"), total(catalog, "nothing")] == [1, 1, 0]
        catalog.open_visit("https://example.org/engine/2", "git", moment(0))
        assert total(catalog) == 2
        assert list(catalog.scrub()) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.SCHEMA.steps),)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM origin_text_data WHERE id > 10",
        "UPDATE origin_text_data SET block = zeroblob(length(block)) WHERE id > 10",
        "DELETE FROM origin_text_data",
        "DELETE FROM origin_text_idx",
        "UPDATE origin_text_config SET v = 9",
        "DELETE FROM origin_text_config",
        "INSERT INTO origin_text (rowid, url) VALUES (301, 'https://example.org/engine')",
        "INSERT INTO origin_text (origin_text, rowid, url) VALUES ('delete', 7, 'https://example.org/6/engine')",
        "INSERT INTO origin_text (rowid, url) VALUES (8, 'https://example.org/engine/9')",
        "INSERT INTO origin_text (origin_text) VALUES ('delete-all')",
        "DROP TABLE origin_text",
    ],
)
def test_a_damaged_index_is_found_and_made_anew(catalog: SqliteCatalog, damage: str) -> None:
    assert list(catalog.scrub()) == []
    with closing(sqlite3.connect(catalog._db.path, isolation_level=None)) as connection:
        connection.execute(damage)
    path = catalog._db.path
    with closing(SqliteCatalog(path, False, 1 << 20)) as damaged:
        findings = list(damaged.scrub())
        assert any("run `swhkit reindex`" in one.next_step for one in findings)
        assert all(one.file == str(path) for one in findings)
        damaged.mend()
    with closing(SqliteCatalog(path, False, 1 << 20)) as mended:
        assert list(mended.scrub()) == []
        assert total(mended) == 300
        mended.open_visit("https://example.org/engine/new", "git", moment(0))
        assert total(mended) == 301


def test_an_index_that_is_wrong_is_no_answer(catalog: SqliteCatalog) -> None:
    with catalog._db.writing() as connection:
        connection.execute("INSERT INTO origin_text (rowid, url) VALUES (5, 'https://example.org/other')")
        connection.execute("INSERT INTO origin_text (rowid, url) VALUES (999, 'https://example.org/nowhere')")
    with pytest.raises(Corrupt, match="does not fit"):
        total(catalog, "other")
    # one that looks at URLs itself is not misled
    assert catalog.search_origins(OriginQuery(words=("other", "o"))).origins == []
    assert catalog.search_origins(OriginQuery(words=("nowhere", "o"))).origins == []
    assert catalog.search_origins(OriginQuery(words=("nowhere",))) == OriginPage([], 0)


def test_a_damaged_origin_is_no_answer_and_comes_back(catalog: SqliteCatalog) -> None:
    with catalog._db.writing() as connection:
        connection.execute("UPDATE origin SET url = 'https://example.org/evil/Engine' WHERE id = 3")
    with pytest.raises(Corrupt, match="checksum"):
        catalog.search_origins(ENGINE)
    catalog.mend()  # the index is made of sound rows alone
    assert total(catalog) == 299
    catalog.open_visit("https://example.org/2/Engine", "git", moment(0))
    assert total(catalog) == 300
    assert list(catalog.scrub()) == []
    catalog.open_visit("https://example.org/2/Engine", "git", moment(0))
    assert total(catalog, "org/2/engine") == 1


def test_a_damaged_origin_whose_index_is_right_is_not_entered_twice(catalog: SqliteCatalog) -> None:
    with catalog._db.writing() as connection:
        connection.execute("UPDATE origin SET url = 'https://example.org/evil/Engine' WHERE id = 3")
    catalog.open_visit("https://example.org/2/Engine", "git", moment(0))
    assert list(catalog.scrub()) == []
    assert total(catalog) == 300


def test_a_check_is_not_confused_by_who_writes_meanwhile(catalog: SqliteCatalog) -> None:
    def write(number: int) -> list[object]:
        if number == 0:
            return [each for _ in range(10) for each in catalog.scrub()]
        for n in range(60):
            catalog.open_visit(f"https://example.org/{number}/{n}/new", "git", moment(n))
        return []

    assert samples.together(3, write) == [[], [], []]


def test_fifty_thousand_origins_in_bounded_memory(tmp_path: Path) -> None:
    with closing(SqliteCatalog(tmp_path / "catalog.sqlite", True, 1 << 20)) as catalog:
        fill(catalog, 50_000)
        queries = [
            OriginQuery(), OriginQuery(words=("git", "project")), OriginQuery(words=("z9",)), OriginQuery(words=("a",)),
            OriginQuery(regexp="project-.*f$"), OriginQuery(regexp="(x+x+)+y"), OriginQuery(visit_type="svn"),
            OriginQuery(with_visit=True), OriginQuery(with_content=True, words=("user",)),
        ]  # fmt: skip
        with samples.PeakMemory() as peak:
            for query in queries:
                page = catalog.search_origins(query, limit=1_000)
                assert len(page.origins) <= 1_000
            seen, after = 0, 0
            while after is not None:
                page = catalog.search_origins(OriginQuery(words=("project-a",)), after=after, limit=500)
                seen, after = seen + len(page.origins), page.next  # type: ignore[assignment]
            assert catalog.mend() == 0
            assert list(catalog.scrub()) == []
        assert peak.growth < 48 << 20
        assert seen == page.total == sum(f"{n:x}".startswith("a") for n in range(1, 50_001))
