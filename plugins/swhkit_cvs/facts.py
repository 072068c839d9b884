"""What is known of a module's files and their revisions, in a scratch database: memory stays small however many there are.

Revisions are grouped here into changesets. The tables are trees in the order they are read in, so nothing is sorted.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from swhkit_cvs.rcs import Damaged

#: File revisions of one author with one message belong together when there is no more than this between them (seconds).
FUZZ = 300
_REMEMBERED = 50_000
_SCHEMA = """
CREATE TABLE listed (place BLOB PRIMARY KEY, name BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE file (id INTEGER PRIMARY KEY, place BLOB NOT NULL, name BLOB NOT NULL);
CREATE INDEX file_name ON file (name);
CREATE TABLE identity (
    id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, branch TEXT NOT NULL, author BLOB NOT NULL, commitid BLOB NOT NULL,
    log BLOB NOT NULL, rank BLOB NOT NULL);
CREATE TABLE revision (
    file INTEGER, seq INTEGER, number BLOB NOT NULL, identity INTEGER NOT NULL, time INTEGER NOT NULL,
    dead INTEGER NOT NULL, digest BLOB, perms INTEGER, PRIMARY KEY (file, seq)) WITHOUT ROWID;
CREATE TABLE overtaken (file INTEGER, seq INTEGER, PRIMARY KEY (file, seq)) WITHOUT ROWID;
CREATE INDEX grouping ON revision (identity, time, file, seq);
CREATE TABLE changeset (
    start INTEGER, commitid BLOB, rank BLOB, branch TEXT, author BLOB, identity INTEGER, end INTEGER NOT NULL,
    PRIMARY KEY (start, commitid, rank, branch, author, identity)) WITHOUT ROWID;
CREATE UNIQUE INDEX changeset_of ON changeset (identity, start);
"""
_KEPT = "NOT EXISTS (SELECT 1 FROM overtaken o WHERE o.file = r.file AND o.seq = r.seq)"


class FileRow(msgspec.Struct, frozen=True, gc=False):
    """A file: ``place`` is where its RCS file lies below the module, ``name`` where the file itself belongs."""

    id: int
    place: bytes
    name: bytes


class Committed(msgspec.Struct, frozen=True, gc=False):
    """One revision of one file. ``commitid`` is None where CVS was too old to have them."""

    number: bytes
    time: int
    author: bytes
    log: bytes
    commitid: bytes | None
    dead: bool
    vendors: bool = False


class Changeset(msgspec.Struct, frozen=True, gc=False):
    """Revisions that were committed together, between ``start`` and ``end`` (seconds since 1970)."""

    identity: int
    start: int
    end: int
    author: bytes
    log: bytes


class Change(msgspec.Struct, frozen=True, gc=False):
    """What a changeset does to a file. ``digest`` is None where it removes it."""

    name: bytes
    digest: bytes | None
    perms: int


class Facts:
    """The facts of one module, in the file ``path``. Close it."""

    def __init__(self, path: Path) -> None:
        # Nothing here outlives the visit: no journal, no syncing.
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-16384"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        self._identities: dict[bytes, int] = {}

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def add_file(self, place: bytes, name: bytes) -> None:
        """Note a file."""
        self._db.execute("INSERT OR IGNORE INTO listed VALUES (?, ?)", (place, name))

    def number_files(self) -> int:
        """All files are noted: number them in the order of their places. Returns how many there are."""
        done = self._db.execute(
            "INSERT INTO file (place, name) SELECT place, name FROM listed ORDER BY place"
        )
        return done.rowcount

    def number_file(self, place: bytes, name: bytes) -> int:
        """Note a file and number it at once. Returns its id."""
        return int(
            self._db.execute("INSERT INTO file (place, name) VALUES (?, ?)", (place, name)).lastrowid or 0
        )

    def count_files(self) -> int:
        """How many files are numbered."""
        return int(self._db.execute("SELECT count(*) FROM file").fetchone()[0])

    def files(self) -> Iterator[FileRow]:
        """All files, in order."""
        with closing(self._db.execute("SELECT id, place, name FROM file ORDER BY id")) as rows:
            for row in rows:
                yield FileRow(*row)

    def clashes(self) -> bool:
        """Whether a name is a file's and, at another time, that of a folder with files."""
        query = (
            "SELECT 1 FROM file f WHERE EXISTS (SELECT 1 FROM file g WHERE g.name > CAST(f.name || '/' AS BLOB)"
            " AND g.name < CAST(f.name || '0' AS BLOB)) LIMIT 1"
        )
        return self._db.execute(query).fetchone() is not None

    def add_revisions(self, file: int, revisions: Iterable[Committed]) -> int:
        """Note the revisions of a file, oldest first. Returns how many there were."""
        rows = [
            (file, seq, revision.number, self._identity(revision), revision.time, revision.dead)
            for seq, revision in enumerate(revisions)
        ]
        self._db.executemany(
            "INSERT INTO revision (file, seq, number, identity, time, dead) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        return len(rows)

    def group(self) -> int:
        """Make changesets of all revisions that were noted. Returns how many there are.

        One changeset has one author, branch and message, and either one commit id, or none and gaps of at most ``FUZZ``
        seconds. Where it has two revisions of a file the later is kept.
        """
        identity: int | None = None
        start = end = 0
        query = (
            "SELECT r.identity, r.time, i.commitid <> x'' FROM revision r INDEXED BY grouping CROSS JOIN identity i"
            " ON i.id = r.identity ORDER BY r.identity, r.time"
        )
        with closing(self._db.execute(query)) as rows:
            for key, time, has_commitid in rows:
                if key == identity and (has_commitid or time - end <= FUZZ):
                    end = time
                    continue
                if identity is not None:
                    self._add_changeset(identity, start, end)
                identity, start, end = key, time, time
        if identity is not None:
            self._add_changeset(identity, start, end)
        self._find_overtaken()
        return int(self._db.execute("SELECT count(*) FROM changeset").fetchone()[0])

    def wanted(self, file: int) -> dict[bytes, int]:
        """Those revisions of a file whose contents are part of a changeset: their places in its history by number."""
        query = f"SELECT number, seq FROM revision r WHERE file = ? AND NOT dead AND {_KEPT} ORDER BY seq"
        return dict(self._db.execute(query, (file,)))

    def set_contents(self, file: int, contents: Iterable[tuple[int, bytes, int]]) -> None:
        """Note digest and mode of revisions of a file: triples of place in its history, digest, mode."""
        self._db.executemany(
            "UPDATE revision SET digest = ?3, perms = ?4 WHERE file = ?1 AND seq = ?2",
            ((file, *content) for content in contents),
        )

    def changesets(self) -> Iterator[Changeset]:
        """All changesets in the order of their first revisions.

        Of several that begin in one second, those without commit id come first, then it is the commit id, the message
        (by ``_rank``), the branch and the author that decide.
        """
        query = (
            "SELECT c.identity, c.start, c.end, i.author, i.log FROM changeset c CROSS JOIN identity i"
            " ON i.id = c.identity ORDER BY c.start, c.commitid, c.rank, c.branch, c.author, c.identity"
        )
        with closing(self._db.execute(query)) as rows:
            for row in rows:
                yield Changeset(*row)

    def changes(self, changeset: Changeset) -> Iterator[Change]:
        """What a changeset does: first what it removes, then what it puts there."""
        query = (
            "SELECT f.name, r.digest, r.perms FROM revision r INDEXED BY grouping CROSS JOIN file f ON f.id = r.file"
            f" WHERE r.identity = ? AND r.time BETWEEN ? AND ? AND r.dead = ? AND {_KEPT}"
            " ORDER BY r.identity, r.time, r.file, r.seq"
        )
        for dead in (1, 0):
            values = (changeset.identity, changeset.start, changeset.end, dead)
            with closing(self._db.execute(query, values)) as rows:
                for name, digest, perms in rows:
                    if not dead and digest is None:
                        raise Damaged(f"{name!r}: one of its revisions is missing")
                    yield Change(name, digest, perms or 0)

    def _identity(self, revision: Committed) -> int:
        """The id of what revisions of one changeset have in common."""
        branch, commitid = "VENDOR" if revision.vendors else "HEAD", revision.commitid or b""
        hashed = hashlib.sha1(
            b"%b\0%d %d\0" % (branch.encode("ascii"), len(revision.author), len(commitid)),
        )
        for part in (revision.author, commitid, revision.log):
            hashed.update(part)
        hash = hashed.digest()
        known = self._identities.get(hash)
        if known is None:
            row = (hash, branch, revision.author, commitid, revision.log, _rank(revision.log))
            self._db.execute(
                "INSERT OR IGNORE INTO identity (hash, branch, author, commitid, log, rank) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            known = int(self._db.execute("SELECT id FROM identity WHERE hash = ?", (hash,)).fetchone()[0])
            if len(self._identities) > _REMEMBERED:
                self._identities.clear()
            self._identities[hash] = known
        return known

    def _add_changeset(self, identity: int, start: int, end: int) -> None:
        self._db.execute(
            "INSERT INTO changeset SELECT ?2, commitid, rank, branch, author, id, ?3 FROM identity WHERE id = ?1",
            (identity, start, end),
        )

    def _find_overtaken(self) -> None:
        """Note revisions that have a later one of their file in their changeset."""
        query = "SELECT file, seq, identity, time FROM revision ORDER BY file, seq"
        last: dict[int, tuple[int, int]] = {}
        current: int | None = None
        with closing(self._db.execute(query)) as rows:
            for file, seq, identity, time in rows:
                if file != current:
                    current, last = file, {}
                before = last.get(identity)
                last[identity] = (seq, time)
                if before is not None and self._start(identity, before[1]) == self._start(identity, time):
                    self._db.execute("INSERT INTO overtaken VALUES (?, ?)", (file, before[0]))

    def _start(self, identity: int, time: int) -> int:
        query = "SELECT max(start) FROM changeset WHERE identity = ? AND start <= ?"
        return int(self._db.execute(query, (identity, time)).fetchone()[0])


def _rank(log: bytes) -> bytes:
    """Messages of changesets of one second are ordered by the number they are with base 31 (their bytes its digits).

    That is an accident of the converter whose changesets the public archive has; who wants its ids has its order. Here
    it is the length of that number and its leading digits, as bytes that compare in the same way.
    """
    number, left = 0, max(0, len(log) - 80)
    for byte in log[:80]:
        number = number * 31 + byte
    length, scaled = 0, number
    while scaled:
        scaled //= 31
        length += 1
    aligned: int = number * 31 ** (90 - length)
    return (length + left).to_bytes(4, "big") + aligned.to_bytes(64, "big")
