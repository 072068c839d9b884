"""The request store in SQLite: older forms, damage, how questions are answered, and what people see who open the file."""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swhkit.errors import Corrupt
from swhkit.requests import Requests, digest_of
from swhkit.requests.forges import ForgeStatus
from swhkit.requests.saves import SaveStatus
from swhkit.requests.schedule import ListingStatus, Page, State
from swhkit.testing.disappearances import seen
from swhkit.testing.forge_requests import moved
from swhkit.testing.odd import NOON
from swhkit.testing.request_files import fill, told
from swhkit.testing.requests import token
from swhkit_sqlite.catalog.sums import checksum
from swhkit_sqlite.connection import Database
from swhkit_sqlite.requests import SqliteRequests
from swhkit_sqlite.requests.schema import SCHEMA

LATER = NOON + datetime.timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRequests]:
    """A store with something of each kind."""
    store = SqliteRequests(path, create=True)
    store.add_token(token(), digest_of("s"))
    fill(store)
    yield store
    store.close()


def changed(path: Path, sql: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount > 0, sql


def shape(path: Path) -> dict[str, str]:
    """What the file's tables, indexes and views are made with."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(
            connection.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        )


def test_a_file_with_tokens_alone_is_brought_up(path: Path, tmp_path: Path) -> None:
    kept = token("ci", "staff")
    row = (1, "ci", digest_of("s"), kept.user, kept.email, '["staff"]', 1709296205123456, None, None)
    older = SCHEMA._replace(steps=SCHEMA.steps[:1])
    with closing(Database(path, older, True, 1 << 20)) as db, db.writing() as connection:
        marks = ", ".join("?" * 10)
        connection.execute(f"INSERT INTO token VALUES ({marks})", (*row, checksum("token", *row)))
    assert "table save_request" not in shape(path)
    with closing(SqliteRequests(path, create=False)) as store:
        assert store.token(digest_of("s")) == kept
        fill(store)
        assert len(store.saves.latest()) == 2
        assert list(store._db.problems(full=True)) == []
    assert path.stat().st_mode & 0o777 == 0o600
    SqliteRequests(tmp_path / "new.sqlite", create=True).close()
    assert shape(path) == shape(tmp_path / "new.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    with closing(SqliteRequests(path, create=False)) as store:
        assert store.tokens() == [kept]
        assert len(store.saves.latest()) == 2


Ask = Callable[[Requests], object]

#: What is damaged, and who must not take it for what it was.
DAMAGE: list[tuple[str, str, Ask]] = [
    ("save_request", "status = 'accepted'", lambda r: r.saves.latest()),
    ("save_request", "trusted = 1", lambda r: r.saves.get(1)),
    ("save_request", "url = 'https://elsewhere'", lambda r: r.saves.of("https://elsewhere")),
    (
        "save_request",
        "status = 'pending'",
        lambda r: r.saves.decide(1, SaveStatus.REJECTED, date=NOON, user=None),
    ),
    ("save_request", "job = 6", lambda r: r.saves.set_jobs([(1, 7)])),
    ("save_request", "artifacts = x'ff'", lambda r: r.saves.of("https://1")),
    ("save_prefix", "accepted = 1", lambda r: r.saves.prefixes()),
    ("save_prefix", "prefix = 'http'", lambda r: r.saves.prefixes()),
    ("bulk_request", "user = 'eve'", lambda r: r.saves.bulks()),
    ("bulk_request", "origins = 19", lambda r: r.saves.count_bulk_origins(r.saves.bulks()[0].id)),
    ("bulk_origin", "status = 'accepted', job = NULL, reason = 'x'", lambda r: r.saves.jobless_bulk()),
    ("webhook_answer", "status = 500", lambda r: r.saves.answered("github", "1")),
    ("webhook_answer", "body = x'00'", lambda r: r.saves.answered("github", "1")),
    ("forge_request", "status = 'ACCEPTED'", lambda r: r.forge_requests.with_status(ForgeStatus.ACCEPTED)),
    ("forge_request", "forge_url = 'https://elsewhere'", lambda r: r.forge_requests.latest()),
    (
        "forge_request",
        "status = 'FEEDBACK_TO_HANDLE'",
        lambda r: moved(r.forge_requests, 1, ForgeStatus.ACCEPTED),
    ),
    ("forge_request_event", "role = 'EMAIL'", lambda r: r.forge_requests.history(1)),
    ("forge", "trusted = 1", lambda r: r.schedule.forges()),
    ("forge", "options = '{}'", lambda r: r.schedule.forge(1)),
    ("forge", "every = 86401.0", lambda r: r.schedule.enable_forge(1, True)),
    ("listing", "is_full = 2", lambda r: r.schedule.listings(1)),
    ("listed_origin", "url = 'https://elsewhere'", lambda r: r.schedule.listed(1)),
    ("listed_origin", "missed = 2", lambda r: _listed_again(r)),
    ("freshness", "trusted = 1", lambda r: r.schedule.due(LATER)),
    ("freshness", "overdue = 1", lambda r: r.schedule.overdue(LATER)),
    ("freshness", "every = 1e300", lambda r: r.schedule.origins()),
    ("freshness", "checksum = checksum + 1", lambda r: r.schedule.freshness("1", "git")),
    ("freshness", "state = x'ff'", lambda r: r.schedule.origins()),
]


def _listed_again(requests: Requests) -> None:
    listing = requests.schedule.begin_listing(1, True, NOON)
    requests.schedule.note_seen(listing.id, [seen("1")], NOON)


@pytest.mark.parametrize(
    ("table", "damage", "ask"), DAMAGE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_changed_row_is_never_taken_for_what_it_was(
    store: SqliteRequests, path: Path, table: str, damage: str, ask: Ask
) -> None:
    changed(path, f"UPDATE {table} SET {damage}")
    with pytest.raises(Corrupt, match=rf"requests\.sqlite is damaged .*{table}.*restore a backup"):
        ask(store)


def test_a_changed_row_does_not_touch_the_others(store: SqliteRequests, path: Path) -> None:
    origins = store.schedule.origins()
    changed(path, "UPDATE save_request SET url = 'https://elsewhere' WHERE id = 1")
    assert store.saves.get(2) == store.saves.latest(SaveStatus.PENDING)[0]
    with pytest.raises(Corrupt):
        store.saves.set_jobs([(2, 8), (1, 9)])
    pending = store.saves.get(2)
    assert pending is not None
    assert pending.job is None
    assert store.schedule.origins() == origins


@pytest.mark.parametrize(
    "damage", ["body = x'00'", "codec = 0", "length = 5", "headers = '[]'", "etag = 'f'"]
)
def test_a_damaged_page_is_asked_for_again(store: SqliteRequests, path: Path, damage: str) -> None:
    page = store.schedule.page(1, "https://page")
    assert page is not None
    changed(path, f"UPDATE forge_page SET {damage}")
    assert store.schedule.page(1, "https://page") is None
    store.schedule.keep_page(1, "https://page", page)
    assert store.schedule.page(1, "https://page") == page


def test_pages_are_kept_small(store: SqliteRequests, path: Path) -> None:
    before = store._db.size()
    page = Page(etag="e", body=b'{"id": 12345, "full_name": "someone/something"}, ' * 20_000)
    store.schedule.keep_page(1, "https://large", page)
    assert store.schedule.page(1, "https://large") == page
    assert store._db.size() - before < len(page.body) // 10


def test_views_show_what_the_tables_have(store: SqliteRequests, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        views = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
        rows = {view: [dict(row) for row in connection.execute(f"SELECT * FROM {view}")] for view in views}
    assert {view: len(found) for view, found in rows.items()} == {
        "v_tokens": 1, "v_save_requests": 2, "v_save_prefixes": 1, "v_bulk_requests": 1, "v_bulk_origins": 20,
        "v_webhook_answers": 1, "v_forge_requests": 1, "v_forge_request_events": 2, "v_forges": 1, "v_listings": 2,
        "v_listed_origins": 4, "v_forge_pages": 1, "v_freshness": 20,
    }  # fmt: skip
    moments = {
        "date",
        "decided",
        "modified",
        "created",
        "started",
        "ended",
        "first_seen",
        "last_seen",
        "due",
        "full",
    }
    shown = {
        name: value
        for found in rows.values()
        for row in found
        for name, value in row.items()
        if value is not None
    }
    assert {name: shown[name] for name in moments} == dict.fromkeys(moments, "2024-03-01 12:30:05")
    assert rows["v_webhook_answers"][0]["body"] == "{}"
    assert rows["v_forges"][0]["options"] == '{"a":[1]}'
    assert {row["state"] for row in rows["v_freshness"]} == {*State, "unknown"}
    assert {row["request"] for row in rows["v_bulk_origins"]} == {store.saves.bulks()[0].id}


#: Tables that are walked through, and by which statements: they are small, or all of an index is what was asked for.
WALKED = {
    "save_request": r"ORDER BY id DESC LIMIT|INDEXED BY save_request_jobless",  # as far as asked for
    "bulk_origin": r"INDEXED BY bulk_origin_jobless",  # which has those that are asked for alone
    "bulk_request": r"ORDER BY number DESC LIMIT|SELECT count",
    "forge_request": r"ORDER BY id DESC LIMIT|SELECT count",
    "forge": r"ORDER BY id$",
    "save_prefix": r"ORDER BY prefix$",
    "freshness": r"SELECT coalesce\(state.* GROUP BY state",
    "token": r"ORDER BY created, id$",
}


def test_no_question_walks_through_a_large_table(store: SqliteRequests) -> None:
    statements = set[str]()
    with store._db.writing() as writer, store._db.reading() as reader:
        for connection in (writer, reader):
            connection.set_trace_callback(statements.add)
    ask_everything(store)
    plans = {sql: plan_of(store, sql) for sql in statements if re.match("SELECT|UPDATE|DELETE", sql)}
    assert len(plans) > 50
    for sql, steps in plans.items():
        for step in steps:
            if table := re.match(r"SCAN (\w+)", step):
                assert re.search(WALKED.get(table[1], "$^"), sql), (sql, step)
            assert "TEMP B-TREE" not in step or " FROM token ORDER BY created, id" in sql, (sql, step)
            # all of a forge is looked at when a listing of all of it has ended
            assert not step.endswith("PRIMARY KEY (forge=?)") or " seen <> " in sql, (sql, step)
        for condition, index in (("job IS NULL", "_jobless"), (" enabled = 0 ", "listed_origin_enabled")):
            assert condition not in sql or index in steps[0], (sql, steps)


def plan_of(store: SqliteRequests, sql: str) -> list[str]:
    """The steps by which SQLite answers."""
    with closing(sqlite3.connect(store._db.path)) as connection:
        return [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]


def ask_everything(store: SqliteRequests) -> None:
    """Call every method, with and without each condition."""
    saves, forges, schedule = store.saves, store.forge_requests, store.schedule
    fill(store)
    told(store)
    store.token(digest_of("s"))
    store.use_token("ci", NOON)
    store.revoke_token("ci", NOON)
    saves.get(1)
    saves.of("https://1")
    saves.of("https://1", "git")
    for status in (None, SaveStatus.PENDING):
        saves.latest(status)
        saves.latest(status, before=5)
    saves.remove_prefix("https://")
    saves.bulk("x")
    saves.bulks("ada", offset=5)
    saves.bulk_origins("x", offset=5)
    for user in (None, "ada"):
        saves.count_bulks(user)
        forges.count(user)
        forges.latest(submitter=user)
    saves.forget_answers(NOON)
    forges.get(1)
    forges.with_status(ForgeStatus.PENDING)
    schedule.forge(1)
    schedule.enable_forge(1, True)
    schedule.set_forge_due(1, NOON)
    for enabled in (None, True, False):
        schedule.listed(1, enabled=enabled, after="1")
    schedule.count_listed(1)
    schedule.freshness("1", "git")
    schedule.freshness_of([("1", "git"), ("2", "git")])
    for state in (None, State.OK):
        schedule.origins(state, after=("1", "git"))
    listing = schedule.begin_listing(1, True, NOON)
    schedule.note_seen(listing.id, [seen(str(n)) for n in range(600)], NOON)
    schedule.begin_listing(1, False, NOON)
    schedule.end_listing(listing.id, ListingStatus.COMPLETE, NOON, patience=1)
