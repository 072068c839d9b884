"""Archives to damage: loaded from a small generated repository, on disk, ready to be broken with bytes and SQL."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from archives import archive, shell
from generate import repository

from swhkit import visit
from swhkit.archive import Archive
from swhkit.check import Verdict, check
from swhkit.packindex import show_index
from swhkit.swhid import Kind, ObjectId
from swhkit_git import GitConfig
from swhkit_git.loader import make
from swhkit_sqlite.catalog import sums

#: Files that anybody who opens an archive may touch.
_BY_THE_WAY = ("-wal", "-shm", ".lock", "mutex", "check.json", "damaged.json")


def small_repository(folder: Path) -> str:
    """The URL of a repository with some 200 objects of all four kinds."""
    return f"file://{repository(folder / 'small.git', 40)}"


def load(target: Archive, url: str) -> visit.Report:
    """One visit of a git repository."""
    return visit.run(target, make(GitConfig()), url, "git", network=shell())


def make_archive(kind: str, folder: Path, *urls: str) -> Path:
    """An archive on disk into which the repositories were loaded."""
    with archive(kind, folder) as target:
        for url in urls:
            report = load(target, url)
            assert report.status == "full", report
    return folder


def checked(
    kind: str, folder: Path, scratch: Path, *, full: bool = True, budget: float | None = None
) -> Verdict:
    """What a check says of the archive in ``folder``, opened for it alone."""
    scratch.mkdir(exist_ok=True)
    with archive(kind, folder) as target:
        return check(target, scratch, full=full, budget=budget)


def fingerprints(folder: Path, *but: str) -> dict[str, str]:
    """SHA-256 of every file that a check has no business to change, ``but`` some."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in but
        and not path.name.endswith(_BY_THE_WAY)
        and path.parent.name != "origins"
    }


def sql(path: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run one statement on a SQLite file, behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(statement, parameters).fetchall()
        connection.commit()
        return rows


def forge(folder: Path, statement: str, *parameters: object) -> None:
    """Change rows as a program with a fault would: wrong, with the checksums of what they say now."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        sums.install(connection)
        connection.execute(statement, parameters)
        for table in ("content", "visit"):
            connection.execute(f"UPDATE {table} SET checksum = {sums.expression(table)}")
        connection.commit()


def content_rows(folder: Path) -> set[tuple[object, ...]]:
    """All content rows but their numbers."""
    columns = "sha1_git, sha1, sha256, blake2s256, length, absent, reason"
    return set(sql(folder / "catalog.sqlite", f"SELECT {columns} FROM content"))


def only_pack(folder: Path) -> Path:
    """The one pack of a filesystem archive."""
    (pack,) = (folder / "objects" / "objects" / "pack").glob("*.pack")
    return pack


def flip(path: Path, offset: int, mask: int = 0xFF) -> None:
    """Change one byte of a file in place; negative offsets count from its end."""
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)


def extent(pack: Path, id: ObjectId) -> tuple[int, int]:
    """Where an object begins and ends in its pack."""
    offsets = dict(show_index(pack.with_suffix(".idx")))
    start = offsets[id.digest]
    return start, min((o for o in offsets.values() if o > start), default=pack.stat().st_size - 20)


def some_object(
    kind: str, folder: Path, of: Kind, fits: Callable[[ObjectId], bool] = lambda _: True
) -> ObjectId:
    """An object of a kind that the archive holds."""
    with archive(kind, folder) as target:
        return next(id for id in target.objects.scan(limit=10_000) if id.kind is of and fits(id))
