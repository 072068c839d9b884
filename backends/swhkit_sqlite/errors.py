"""What SQLite says, in the words of ``swhkit.errors``. The one place where its errors are caught."""

from __future__ import annotations

import errno
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Inside, errors about the file ``path`` become ``Corrupt``, ``Busy``, ``InvalidInput``, ``OSError`` (with errno)
    or, for a connection closed by another thread, ``ValueError``; all others pass."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{error.object[:80]!r} is no Unicode text: it cannot be in {path}") from error


def _translate(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
        return Corrupt(
            f"{path} is damaged ({error}): stop writing to it, keep a copy, then restore a backup or run "
            f"`sqlite3 {path} .recover`"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{path} is in use by another process for too long ({error}): try again later")
    if code in _SYSTEM:
        return OSError(_SYSTEM[code], str(error), str(path))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return ValueError(f"{path} was closed while it was in use")
    return error
