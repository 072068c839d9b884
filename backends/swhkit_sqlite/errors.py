"""What SQLite says, in the words of ``swhkit.errors``. The one place where its errors are caught."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swhkit.errors import Busy, Corrupt, InvalidInput

_SYSTEM = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}


#: Bytes that have to be free for SQLite to open a file in WAL mode (its index of 32 KiB, and a page).
_ROOM = 40 << 10


#: What only damage brings out of statements that are constants of ours: columns that have gone, values that are no
#: text, an index that has entries its table lacks, numbers that are no sizes.
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_FORMAT,
}

#: Our functions raise nothing by themselves: a signal's handler has, in the middle of one, and SQLite dropped what.
_INTERRUPTED = "user-defined function raised exception"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Inside, errors about the file ``path`` become ``Corrupt``, ``Busy``, ``InvalidInput``, ``OSError`` (with errno)
    or, for a connection closed by another thread, ``ValueError``; all others pass. ``KeyboardInterrupt`` stays one."""
    try:
        yield
    except sqlite3.Error as error:
        if _INTERRUPTED in str(error):
            raise KeyboardInterrupt from error
        raise _translate(error, path) from error
    except UnicodeDecodeError as error:  # SQLite quotes what it cannot make sense of
        raise _damaged(path, ascii(error.object[:80])) from error
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{error.object[:80]!r} is no Unicode text: it cannot be in {path}") from error


def _translate(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE or "decode to UTF-8" in str(error):
        return _damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{path} is in use by another process for too long ({error}): try again later")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path):
        return OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({error})", str(path))
    if code in _SYSTEM:
        return OSError(_SYSTEM[code], str(error), str(path))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return ValueError(f"{path} was closed while it was in use")
    return error


def _damaged(path: Path, what: str) -> Corrupt:
    return Corrupt(
        f"{path} is damaged ({what}): stop writing to it, keep a copy, then restore a backup or save what can be "
        "read (docs/operations.md)",
        str(path),
    )


def _is_full(path: Path) -> bool:
    """Whether the disk of ``path`` has no room for SQLite's files: it then speaks of errors of input and output."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM or (disk.f_files > 0 and disk.f_favail == 0)
