"""What a visit must remember of the repository beyond what it has yielded, on disk: memory stays small.

That is: the directories of the tree of properties, the tree's roots at each revision, property values, and the texts
that the archive does not have in the repository's own form. All of it vanishes with the visit.
"""

from __future__ import annotations

import copy
import itertools
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from swhkit.plugin import Bytes, File, Kind, LimitExceeded, ObjectId
from swhkit_svn.texts import Text

#: Bytes of SQLite's page cache.
_CACHE = 16 << 20


class Roots(msgspec.Struct, frozen=True):
    """Digests of the roots at one revision: of the exported tree and of the tree of properties."""

    main: bytes
    side: bytes


class Store:
    """A scratch store in ``folder``. ``limit``: bytes that the texts in it may have together."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit, self._bytes = folder, limit, 0
        self._database = sqlite3.connect(folder / "state.sqlite", isolation_level=None)
        for pragma in (
            "journal_mode=OFF",
            "synchronous=OFF",
            "locking_mode=EXCLUSIVE",
            f"cache_size=-{_CACHE >> 10}",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE object (digest BLOB PRIMARY KEY, body BLOB)")
        self._database.execute("CREATE TABLE text (digest BLOB PRIMARY KEY, body BLOB, length INTEGER)")
        self._database.execute(
            "CREATE TABLE root (part INTEGER, revision INTEGER, main BLOB, side BLOB, PRIMARY KEY (part, revision))"
            " WITHOUT ROWID"
        )
        self._database.execute("BEGIN")
        self._part, self._parts = 0, itertools.count(1)

    def another(self) -> Store:
        """The same store for another repository, or another part of one: it has no revisions yet."""
        other = copy.copy(self)
        other._part = next(self._parts)
        return other

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """Bodies of what was kept with ``keep``; absent ids are left out."""
        found = {}
        for id in ids:
            row = self._database.execute("SELECT body FROM object WHERE digest = ?", (id.digest,)).fetchone()
            if row is not None:
                found[id] = row[0]
        return found

    def keep(self, digest: bytes, body: bytes) -> None:
        """Keep a body; once more is nothing."""
        self._database.execute("INSERT OR IGNORE INTO object VALUES (?, ?)", (digest, body))

    def body(self, digest: bytes) -> bytes | None:
        """One body."""
        id = ObjectId(Kind.CONTENT, digest)
        return self.read([id]).get(id)

    def keep_text(self, digest: bytes, text: Text) -> None:
        """Keep a text; the file of a large one is taken over. Raises ``LimitExceeded``."""
        if self._database.execute("SELECT 1 FROM text WHERE digest = ?", (digest,)).fetchone():
            return
        self._bytes += text.length
        if self._bytes > self._limit:
            raise LimitExceeded(
                f"the texts that differ from their exports have more than {self._limit} bytes (limits.max_pack_size)"
            )
        body = text.data if isinstance(text, Bytes) else None
        if isinstance(text, File):
            text.path.rename(self._path(digest))
        self._database.execute("INSERT INTO text VALUES (?, ?, ?)", (digest, body, text.length))

    def text(self, digest: bytes) -> Text | None:
        """A text that was kept."""
        row = self._database.execute("SELECT body, length FROM text WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        return File(self._path(digest), row[1]) if row[0] is None else Bytes(row[0])

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"kept-{digest.hex()}"

    def keep_roots(self, revision: int, roots: Roots) -> None:
        """Keep the roots of a revision."""
        row = (self._part, revision, roots.main, roots.side)
        self._database.execute("INSERT OR REPLACE INTO root VALUES (?, ?, ?, ?)", row)

    def roots(self, revision: int) -> Roots | None:
        """The roots at a revision: of the last one kept that is not younger; None before the first."""
        row = self._database.execute(
            "SELECT main, side FROM root WHERE part = ? AND revision <= ? ORDER BY revision DESC LIMIT 1",
            (self._part, revision),
        ).fetchone()
        return None if row is None else Roots(*row)


Read = Callable[[Iterable[ObjectId]], dict[ObjectId, bytes]]
