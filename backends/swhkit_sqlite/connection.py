"""One SQLite file for many threads: a writing connection behind a lock, a reading connection for each thread.

Writes run in ``BEGIN IMMEDIATE`` under WAL with ``synchronous=FULL``, so that what was committed is durable (under
NORMAL a commit syncs nothing). Readers never wait for a writer. The file says whose it is (``application_id``) and
which form it has (``user_version``); older forms are brought up by sqlite-utils' migrations when it is opened.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from swhkit.errors import Busy, InvalidInput, NotHeld
from swhkit.files import make_folder, sync_folder
from swhkit.interrupts import uninterrupted
from swhkit_sqlite.errors import translated

BUSY_SECONDS = 60.0
_READER_CACHE = 8 << 20
_WAL_LIMIT = 64 << 20
#: Up to this size (bytes) comparing indexes with tables is a matter of a second.
_SMALL = 64 << 20
_VACUUM_PAGES = 5_000
_PARTS = (
    "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
)
#: What SQLite says where it cannot make the files of its write-ahead log.
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def _nothing(_connection: sqlite3.Connection) -> None:
    """What a connection needs before it is used, where it needs nothing."""


class Schema(NamedTuple):
    """What a file is: ``what`` in words, its ``application_id``, and the functions that bring it from one form to the
    next, oldest first. Each gets the connection, inside one transaction for all. ``prepare`` is called with each new
    connection. ``mode``: who may read a new file, as far as the umask lets them; SQLite's files beside it have the
    same."""

    what: str
    application_id: int
    steps: tuple[Callable[[sqlite3.Connection], None], ...]
    prepare: Callable[[sqlite3.Connection], None] = _nothing
    mode: int = 0o666

    @property
    def version(self) -> int:
        """The form this program writes."""
        return len(self.steps)


class Connection(sqlite3.Connection):
    """A connection that a ``WeakSet`` can hold."""


class _Reader:
    """What a thread keeps of its reading connection: closes it when the thread has gone.

    (A connection and its cache of statements refer to each other, so it would stay open until the next collection.)
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.close()


class _Process:
    """The connections of one process: none of them may be used, or even closed, in a child that was forked."""

    def __init__(self) -> None:
        self.pid, self.lock, self.local = os.getpid(), threading.RLock(), threading.local()
        self.writer: Connection | None = None
        self.all: weakref.WeakSet[Connection] = weakref.WeakSet()


class Database:
    """A SQLite file of one ``Schema``. ``cache``: bytes of page cache of the writing connection."""

    def __init__(self, path: Path, schema: Schema, create: bool, cache: int) -> None:
        self.path, self.schema, self._cache, self._closed = path.absolute(), schema, cache, False
        self._process, self._inherited = _Process(), list[_Process]()
        with translated(self.path):
            self._prepare(create)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's reading connection. Fetch everything inside the block: it holds back checkpoints.

        Where the disk has no room for what SQLite needs beside the file, it is a connection for this block, to a file
        that nobody writes; raises ``Busy`` if somebody did.
        """
        process = self._here()
        with translated(self.path):
            reader: _Reader | None = getattr(process.local, "reader", None)
            if reader is not None:
                yield reader.connection
                return
            connection = self._reader()
            if connection is None:
                with self._unwritten() as connection:
                    yield connection
                return
            reader = process.local.reader = _Reader(connection)
            yield reader.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection inside one transaction: committed and durable after the block, or rolled back. A
        signal that comes meanwhile interrupts after it."""
        process = self._here()
        with uninterrupted(), translated(self.path), process.lock:
            self._here()
            if process.writer is None:
                opened = self.connect(self._cache)
                opened.execute(
                    "PRAGMA journal_mode=WAL"
                )  # a copy by VACUUM INTO, or from a dump, has lost it
                process.writer = opened
            writer = process.writer
            if writer.in_transaction:
                raise ValueError(f"a source of objects or records for {self.path} writes to it itself")
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise

    def _reader(self) -> Connection | None:
        """A new connection for reading; None if SQLite cannot make its files and the database does not need them."""
        connection = None
        try:
            connection = self.connect(_READER_CACHE)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            if connection is not None:
                connection.close()
            if error.sqlite_errorcode & 0xFF in _NO_ROOM and self.path.exists() and self._log_is_empty():
                return None
            raise
        return connection

    @contextmanager
    def _once(self) -> Iterator[Connection]:
        """A connection for reading, for this block."""
        connection = self._reader()
        if connection is None:
            with self._unwritten() as connection:
                yield connection
            return
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _unwritten(self) -> Iterator[Connection]:
        """A connection that takes the file for one that nobody writes. Raises ``Busy`` if that was not so."""
        before = self._state()
        connection = self.connect(_READER_CACHE, "mode=ro&immutable=1")
        try:
            yield connection
        finally:
            connection.close()
        if self._state() != before or not self._log_is_empty():
            raise Busy(f"{self.path} was written to while it was read from a full disk: try again")

    def _state(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _log_is_empty(self) -> bool:
        log = self.path.with_name(self.path.name + "-wal")
        return not log.exists() or log.stat().st_size == 0

    def connect(self, cache: int, mode: str = "mode=rw") -> Connection:
        """A new connection, ready for use; it belongs to the database, which closes it."""
        process = self._here()
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?{mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS,
            check_same_thread=False, factory=Connection,
        )  # fmt: skip
        process.all.add(connection)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size={-(cache >> 10)}",
            f"journal_size_limit={_WAL_LIMIT}",
            # transactions of random keys touch the same pages again and again: copy them home less often
            f"wal_autocheckpoint={_WAL_LIMIT >> 12}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        self.schema.prepare(connection)
        return connection

    def check_open(self) -> None:
        """Raise ``ValueError`` after ``close``."""
        self._here()

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._closed = True
        if self._process.pid == os.getpid():
            with self._process.lock:
                for connection in list(self._process.all):
                    connection.close()

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def shrink(self) -> tuple[int, int]:
        """Give free pages back and empty the write-ahead log, as far as others let us; bytes before and after."""
        before = self.size()
        with translated(self.path):
            connection = self.connect(_READER_CACHE)
            try:
                _give_pages_back(connection)
                connection.execute("PRAGMA analysis_limit=1000")
                connection.execute("PRAGMA optimize")
                connection.execute("PRAGMA busy_timeout=5000")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.close()
        return before, self.size()

    def rebuild(self) -> None:
        """Write the file anew from its tables: pages that belong to none are gone then. Needs as much room again."""
        with translated(self.path):
            connection = self.connect(_READER_CACHE)
            try:
                connection.execute("VACUUM")
            finally:
                connection.close()

    def problems(self, full: bool = False) -> Iterator[str]:
        """What SQLite's own check of structure finds (``quick_check``, then references between tables), and which
        tables are not those we made. ``full``: indexes are compared with their tables too, which takes a look-up for
        each row and index; in small files that is always done."""
        self._here()
        with translated(self.path), self._once() as connection:
            compared = full or self.size() <= _SMALL
            for (line,) in connection.execute(f"PRAGMA {'integrity' if compared else 'quick'}_check"):
                if line != "ok":
                    yield str(line)
            yield from self._strange_schema(connection)
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
                yield f"row {row} of {table} names a row of {parent} that is not there"

    @contextmanager
    def scanning(self) -> Iterator[sqlite3.Connection]:
        """A reading connection for this block, for scans of any length; its settings may be changed."""
        self._here()
        with translated(self.path), self._once() as connection:
            yield connection

    def _strange_schema(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Tables, indexes and views that are not as our steps make them. What somebody added is none of our business."""
        model = Connection(":memory:", isolation_level=None)
        try:
            self.schema.prepare(model)
            for step in self.schema.steps:
                step(model)
            found = dict(connection.execute(_PARTS).fetchall())
            for name, text in model.execute(_PARTS):
                if found.get(name, "") != text:
                    yield f"the definition of {name} is not what it was made with"
        finally:
            model.close()
        applied = {name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")}
        if applied != set(self._names()):
            yield "the list of the forms it has had is not what was written"

    def _here(self) -> _Process:
        if self._closed:
            raise ValueError(f"{self.path} is closed")
        if self._process.pid != os.getpid():
            self._inherited.append(self._process)
            self._process = _Process()
        return self._process

    def _prepare(self, create: bool) -> None:
        """Make the file, or see that it is ours and of a form we know, and bring it up to the newest form."""
        what = self.schema.what
        if not self.path.exists():
            if not create:
                raise NotHeld(f"there is no {what} at {self.path}: `swhkit init` makes one")
            make_folder(self.path.parent)
        elif self._version() == self.schema.version:
            return
        elif self._version() == 0 and not create:
            raise NotHeld(f"{self.path} is empty, there is no {what} in it: `swhkit init` makes one")
        with _alone(self.path.parent):
            self._migrate()

    def _version(self) -> int:
        """The form the file has; 0 if it is empty. Raises ``InvalidInput`` if it is not ours, or newer than we know."""
        with self._once() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != self.schema.application_id and (owner or version or tables):
            raise InvalidInput(
                f"{self.path} is an SQLite file, but no {self.schema.what} of swhkit: choose another path"
            )
        if version > self.schema.version:
            raise InvalidInput(
                f"{self.path} is a {self.schema.what} of form {version}, this swhkit knows forms up to "
                f"{self.schema.version}: use the newer swhkit that wrote it"
            )
        return int(version)

    def _migrate(self) -> None:
        new = not self.path.exists()
        self.path.touch(self.schema.mode)
        connection = self.connect(_READER_CACHE)
        try:
            if self._version() == 0:  # these two cannot be changed later, or not in a transaction
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")
            self._apply(connection)
            connection.execute(f"PRAGMA application_id={self.schema.application_id}")
            connection.execute(f"PRAGMA user_version={self.schema.version}")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            if new:
                self.path.unlink()
            raise
        connection.close()
        if new:
            sync_folder(self.path.parent)

    def _names(self) -> list[str]:
        """The names under which sqlite-utils writes down that a step was made."""
        return [f"{number:04}_{step.__name__}" for number, step in enumerate(self.schema.steps, start=1)]

    def _apply(self, connection: Connection) -> None:
        """Let sqlite-utils run what has not been run; it nests in our transaction."""
        from sqlite_utils import Database as Tables
        from sqlite_utils.migrations import Migrations

        migrations = Migrations("swhkit")
        for name, step in zip(self._names(), self.schema.steps, strict=True):
            migrations(name=name)(_on_connection(step))
        migrations.apply(Tables(connection, execute_plugins=False))


def _give_pages_back(connection: Connection) -> None:
    """Shorten the file by its free pages, in bites, so that writers get their turn."""
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    while free:
        # only executescript steps through the rows without columns that this pragma gives, one for each page
        connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        before, free = free, connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free >= before:  # others are writing: what is left waits for the next time
            return


def _on_connection(step: Callable[[sqlite3.Connection], None]) -> Callable[[Any], None]:
    def run(tables: Any) -> None:
        step(tables.conn)

    return run


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock under which files of ``folder`` are made and migrated, so that two starters do it once."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
