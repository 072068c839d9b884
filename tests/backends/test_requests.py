"""The request stores keep their contract, and what is special about a file that somebody may damage or share."""

from __future__ import annotations

import datetime
import functools
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import swhkit_memory
import swhkit_sqlite
from swhkit.errors import Corrupt, InvalidInput, NotHeld
from swhkit.plugin import NoConfig
from swhkit.requests import PERMISSIONS, PREFIX, Requests, Token, digest_of, hour_of, new_secret
from swhkit.testing import DurableRequestsContract, RequestsContract
from swhkit.testing.request_files import Opener
from swhkit.testing.requests import token
from swhkit_sqlite import SqliteRequestsConfig

NOW = datetime.datetime(2024, 3, 1, 12, 0, tzinfo=datetime.UTC)


class TestMemoryRequests(RequestsContract):
    @pytest.fixture
    def requests(self) -> Iterator[Requests]:
        requests = swhkit_memory.open_requests(NoConfig(), True)
        yield requests
        requests.close()


class TestSqliteRequests(DurableRequestsContract):
    @pytest.fixture
    def opener(self, place: Path) -> Opener:
        return functools.partial(
            swhkit_sqlite.open_requests, SqliteRequestsConfig(path=place / "deeper" / "requests.sqlite")
        )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


def opened(file: Path, create: bool = False) -> Requests:
    return swhkit_sqlite.open_requests(SqliteRequestsConfig(path=file), create)


@pytest.mark.parametrize(
    "damage",
    [
        "permissions = '[\"staff\"]'",
        "revoked = NULL",
        "revoked = 'never'",
        "user = 'root'",
        "user = x'ff'",
        "permissions = 'x'",
        "created = 1e300",
        "checksum = checksum + 1",
    ],
)
def test_a_changed_row_is_nobody(file: Path, damage: str) -> None:
    with_token = opened(file, create=True)
    with_token.add_token(token(), digest_of("s"))
    with_token.revoke_token("ci", NOW)
    with_token.close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE token SET {damage}")
    connection.close()
    store = opened(file)
    for ask in (lambda: store.token(digest_of("s")), store.tokens, lambda: store.revoke_token("ci", NOW)):
        with pytest.raises(Corrupt, match=r"requests\.sqlite is damaged .*: restore a backup"):
            ask()
    store.close()


def test_damage_to_one_token_does_not_touch_another(file: Path) -> None:
    store = opened(file, create=True)
    store.add_token(token("good"), digest_of("good"))
    store.add_token(token("bad"), digest_of("bad"))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE token SET email = 'x@y.org' WHERE name = 'bad'")
    connection.close()
    assert store.token(digest_of("good")) == token("good")
    store.close()


def test_another_program_s_file_is_left_alone(file: Path, tmp_path: Path) -> None:
    swhkit_sqlite.open_catalog(swhkit_sqlite.SqliteCatalogConfig(path=file), True).close()
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="no request store of swhkit"):
        opened(file, create=True)
    assert file.read_bytes() == before
    file.write_text("just text, " * 1000)
    with pytest.raises(Corrupt, match="damaged"):
        opened(file)


def test_the_umask_may_take_more_but_never_give_more(file: Path) -> None:
    old = os.umask(0)
    try:
        opened(file, create=True).close()
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_file_is_pleasant_to_read(file: Path) -> None:
    store = opened(file, create=True)
    store.add_token(token("ci", "staff", "swh.web.api.graph"), digest_of("s"))
    store.use_token("ci", NOW)
    store.close()
    with sqlite3.connect(file) as connection:
        (row,) = connection.execute("SELECT * FROM v_tokens").fetchall()
    connection.close()
    assert row == (
        "ci",
        "ada",
        "ada@example.org",
        '["staff", "swh.web.api.graph"]',
        "2024-03-01 12:30:05",
        "2024-03-01 12:00:00",
        None,
    )


def test_within_the_hour_nothing_is_written(file: Path) -> None:
    store = opened(file, create=True)
    store.add_token(token(), digest_of("s"))
    store.use_token("ci", NOW)
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    store.use_token("ci", NOW + datetime.timedelta(minutes=59))  # would wait for the lock otherwise
    blocker.execute("ROLLBACK")
    blocker.close()
    store.close()


def test_it_is_provided_by_name(file: Path) -> None:
    for module, config in ((swhkit_sqlite, SqliteRequestsConfig), (swhkit_memory, NoConfig)):
        (provider,) = module.swhkit_requests()
        package, _, name = provider.factory.partition(":")
        assert (package, provider.config) == (module.__name__, config)
        assert callable(getattr(module, name))
    with pytest.raises(NotHeld):
        opened(file)


def test_a_secret_is_new_and_strong() -> None:
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    for secret in secrets:
        assert secret.startswith(PREFIX)
        assert len(secret) == len(PREFIX) + 43  # 256 bits in base64
        assert secret.isascii()
        assert secret.isprintable()
        assert not set(secret) & set(" \"'\\$`,;=&?#/%")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "no name for a token"),
        ({"name": "-x"}, "no name for a token"),
        ({"name": "a b"}, "no name for a token"),
        ({"name": "a\n"}, "no name for a token"),
        ({"name": "ä"}, "no name for a token"),
        ({"name": "x" * 101}, "no name for a token"),
        ({"user": ""}, "no name of a user"),
        ({"user": " ada"}, "no name of a user"),
        ({"user": "a\x1b[31m"}, "no name of a user"),
        ({"user": "a\udcff"}, "no name of a user"),
        ({"user": "x" * 201}, "no name of a user"),
        ({"email": ""}, "no e-mail address"),
        ({"email": "ada"}, "no e-mail address"),
        ({"email": "ada@"}, "no e-mail address"),
        ({"email": "a@b\r\nBcc: c@d"}, "no e-mail address"),
        ({"email": f"a@{'b' * 260}"}, "no e-mail address"),
        ({"permissions": frozenset({"root"})}, "there is no permission 'root'; known: staff, "),
        ({"permissions": frozenset({"STAFF", "staff"})}, "there is no permission 'STAFF'; known"),
    ],
)
def test_a_token_that_makes_no_sense_is_none(changes: dict[str, object], complaint: str) -> None:
    fields: dict[str, object] = {"name": "ci", "user": "ada", "email": "ada@example.org", "created": NOW}
    with pytest.raises(ValueError, match=complaint):
        Token(**fields | changes)  # type: ignore[arg-type]


def test_every_permission_can_be_given() -> None:
    assert token("ci", *PERMISSIONS).permissions == PERMISSIONS.keys()


def test_an_hour_is_one_of_utc() -> None:
    india = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert hour_of(datetime.datetime(2024, 3, 1, 12, 15, tzinfo=india)) == NOW - datetime.timedelta(hours=6)
    with pytest.raises(ValueError, match="time zone"):
        hour_of(datetime.datetime(2024, 3, 1))
