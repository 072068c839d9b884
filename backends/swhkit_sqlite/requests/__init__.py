"""What people ask for, and what the archive does by itself, in one SQLite file that only its owner may read.

Each module has one role, ``schema`` has the tables of all, ``rows`` how values become rows.
"""

from __future__ import annotations

from pathlib import Path

from swhkit_sqlite.connection import Database
from swhkit_sqlite.requests.forge_requests import SqliteForgeRequests
from swhkit_sqlite.requests.saves import SqliteSaves
from swhkit_sqlite.requests.schedule import SqliteSchedule
from swhkit_sqlite.requests.schema import SCHEMA
from swhkit_sqlite.requests.tokens import Tokens

_CACHE = 4 << 20


class SqliteRequests(Tokens):
    """A ``Requests`` store in the file ``path``; see ``swhkit.requests`` for what each method promises."""

    def __init__(self, path: Path, create: bool) -> None:
        super().__init__(Database(path, SCHEMA, create, _CACHE))
        self._saves = SqliteSaves(self._db)
        self._forge_requests = SqliteForgeRequests(self._db)
        self._schedule = SqliteSchedule(self._db)

    @property
    def saves(self) -> SqliteSaves:
        """As the contract."""
        return self._saves

    @property
    def forge_requests(self) -> SqliteForgeRequests:
        """As the contract."""
        return self._forge_requests

    @property
    def schedule(self) -> SqliteSchedule:
        """As the contract."""
        return self._schedule

    def close(self) -> None:
        """As the contract."""
        self._db.close()
