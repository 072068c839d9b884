"""Whether a load into a grown archive is as quick as into an empty one, and which layout of content rows sees to that.

    python benchmarks/catalog_growth.py PATH|URL [--rows N] [--times N]
    python benchmarks/catalog_growth.py --layouts all [--rows N] [--add N]

Claim: a load of a repository into an archive whose catalog has N content rows (5 million, made up) takes at most twice
as long as into an empty one. Both sides run in turn and change places each time.

With ``--layouts`` no repository is loaded: the layout of the rows in use, and others, are filled with N rows each and
timed at publishing some more. Both ways a catalog is filled as it would have grown: three quarters at once, the rest
in transactions of random keys, so that its pages are as full as time leaves them. Room: up to 600 bytes a row.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import measure

GROWTH_LIMIT = 2.0
#: As in a publish: rows of one transaction; keys asked for in one statement.
TRANSACTION, GROUP = 10_000, 500
DIGESTS = {"sha1_git": 20, "sha1": 20, "sha256": 32, "blake2s256": 32}
COLUMNS = (*DIGESTS, "length", "absent", "checksum")

Row = tuple[bytes, bytes, bytes, bytes, int, int, int]


class Layout(NamedTuple):
    """A way to keep content rows: how many bytes of each digest its index has (0: no index, None: the whole digest).

    ``clustered``: the table is a B-tree by sha1_git itself, instead of rows in the order of arrival.
    """

    summary: str
    sha1_git: int | None
    others: int | None
    clustered: bool = False

    def key(self, name: str, table: str = "") -> str:
        """What is indexed of a digest."""
        width = self.sha1_git if name == "sha1_git" else self.others
        return f"{table}{name}" if width is None else f"substr({table}{name}, 1, {width})"

    def statements(self) -> Iterator[str]:
        """The table."""
        columns = ", ".join(f"{name} {'BLOB' if name in DIGESTS else 'INTEGER'} NOT NULL" for name in COLUMNS)
        if self.clustered:
            yield f"CREATE TABLE content ({columns}, reason TEXT, PRIMARY KEY (sha1_git)) WITHOUT ROWID"
        else:
            yield f"CREATE TABLE content (id INTEGER PRIMARY KEY, {columns}, reason TEXT)"

    def indexes(self) -> Iterator[str]:
        """Its indexes."""
        for name in DIGESTS:
            width = self.sha1_git if name == "sha1_git" else self.others
            if width != 0 and not (self.clustered and name == "sha1_git"):
                yield f"CREATE INDEX content_{name} ON content ({self.key(name)})"


#: The first one must be the one in use (backends/swhkit_sqlite/catalog/schema.py); ``grown`` makes sure of it.
LAYOUTS = {
    "prefixes": Layout("rowid table, four indexes on five bytes of the digests (in use)", 5, 5),
    "full": Layout("rowid table, four indexes on whole digests", None, None),
    "sha1_git": Layout("rowid table, one index on the whole sha1_git", None, 0),
    "mixed": Layout("rowid table, one index on the whole sha1_git, three on eight bytes", None, 8),
    "clustered": Layout("table by sha1_git, three indexes on whole digests", None, None, clustered=True),
}


def rows(seed: int) -> Iterator[Row]:
    """Made-up content rows without end, the same for the same seed."""
    chance = random.Random(seed)
    while True:
        data = chance.randbytes(104)
        yield (
            data[:20],
            data[20:40],
            data[40:72],
            data[72:],
            chance.getrandbits(16),
            0,
            chance.getrandbits(32),
        )


def opened(path: Path, cache: int) -> sqlite3.Connection:
    """A connection with the settings of the one that publishes (backends/swhkit_sqlite/connection.py)."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"cache_size={-(cache >> 10)}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(f"PRAGMA wal_autocheckpoint={(64 << 20) >> 12}").fetchall()
    return connection


def publish(connection: sqlite3.Connection, layout: Layout, new: Sequence[Row]) -> None:
    """Add rows as a publish does: known ones are taken out inside each transaction, the others inserted in order."""
    for start in range(0, len(new), TRANSACTION):
        wanted = {row[0]: row for row in new[start : start + TRANSACTION]}
        connection.execute("BEGIN IMMEDIATE")
        for digest in found(connection, layout, "sha1_git", list(wanted)):
            del wanted[digest]
        insert(connection, [wanted[digest] for digest in sorted(wanted)])
        connection.execute("COMMIT")


def insert(connection: sqlite3.Connection, new: Sequence[Row]) -> None:
    """Rows that are not there."""
    connection.executemany(f"INSERT INTO content ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)", new)


def found(connection: sqlite3.Connection, layout: Layout, name: str, digests: Sequence[bytes]) -> list[bytes]:
    """Those of some digests that have a row."""
    held: list[bytes] = []
    for start in range(0, len(digests), GROUP):
        group = digests[start : start + GROUP]
        sql = (
            f"WITH k({name}) AS (VALUES {', '.join(['(?)'] * len(group))}) SELECT c.{name} FROM k "
            f"CROSS JOIN content c ON {layout.key(name, 'c.')} = {layout.key(name, 'k.')} AND c.{name} = k.{name}"
        )
        held += [digest for (digest,) in connection.execute(sql, group)]
    return held


def fill(connection: sqlite3.Connection, layout: Layout, number: int) -> None:
    """Grow an empty table, without indexes yet, to ``number`` rows."""
    source = rows(1)
    at_once = number * 3 // 4
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    while batch := list(islice(source, min(TRANSACTION, at_once))):
        insert(connection, sorted(batch) if layout.clustered else batch)
        at_once -= len(batch)
    for statement in layout.indexes():
        connection.execute(statement)
    connection.execute("COMMIT")
    rest = number - number * 3 // 4
    while batch := list(islice(source, min(TRANSACTION * 5, rest))):
        connection.execute("BEGIN")
        insert(connection, sorted(batch))
        connection.execute("COMMIT")
        rest -= len(batch)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("PRAGMA synchronous=FULL")


def grow(catalog: Path, number: int, cache: int) -> None:
    """Fill the catalog of an archive with made-up content rows; nothing ever reads them back."""
    layout = LAYOUTS["prefixes"]
    with closing(opened(catalog, cache)) as connection:
        there = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'content'"
        indexes = dict(connection.execute(there).fetchall())
        if set(indexes.values()) != set(layout.indexes()):
            raise SystemExit("the catalog has other indexes than LAYOUTS['prefixes']: bring that up to date")
        for name in indexes:
            connection.execute(f"DROP INDEX {name}")
        fill(connection, layout, number)


def one_round(url: str, folder: Path, grown: Path, grown_first: bool) -> dict[str, float]:
    """Wall seconds of a load into an ``empty`` and a ``grown`` archive."""
    archives = {"empty": measure.new_archive(folder / "empty"), "grown": folder / "grown"}
    shutil.copytree(grown, archives["grown"])
    order = ("grown", "empty") if grown_first else ("empty", "grown")
    return {name: measure.load(archives[name], url)["wall"] for name in order}


def loads(options: argparse.Namespace) -> int:
    """Load into empty and grown archives; print the ratio."""
    rounds = []
    with (
        measure.scratch(options.folder) as place,
        measure.offered(options.repository, options.transport) as url,
    ):
        grown = measure.new_archive(place / "grown")
        begun = time.monotonic()
        grow(grown / "archive" / "catalog.sqlite", options.rows, options.cache << 20)
        print(f"{options.rows:,} rows made in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        for number in range(max(options.times, 1)):
            with measure.scratch(options.folder) as folder:
                rounds.append(one_round(url, folder, grown, grown_first=number % 2 == 1))
    column = {name: [times[name] for times in rounds] for name in ("grown", "empty")}
    name = f"load at {options.rows:,} rows / empty"
    return measure.finish([measure.ratio(name, column["grown"], column["empty"], GROWTH_LIMIT)], options)


def rate(work: Callable[[], object], number: int) -> float:
    """How many a second."""
    begun = time.monotonic()
    work()
    return number / (time.monotonic() - begun)


def measured(layout: Layout, path: Path, options: argparse.Namespace) -> dict[str, float]:
    """Fill a table of one layout, and time it: seconds of a publish into it when empty and full, and the rest."""
    times: dict[str, list[float]] = {"empty": [], "full": []}
    with closing(opened(path, options.cache << 20)) as connection:
        for statement in layout.statements():
            connection.execute(statement)
        with closing(opened(path.with_suffix(".empty"), options.cache << 20)) as empty:
            for number in range(options.times):
                empty.execute("DROP TABLE IF EXISTS content")
                for statement in (*layout.statements(), *layout.indexes()):
                    empty.execute(statement)
                times["empty"].append(_timed(empty, layout, options.add, number))
        fill(connection, layout, options.rows)
        size = path.stat().st_size / options.rows
        times["full"] = [_timed(connection, layout, options.add, number) for number in range(options.times)]
        held = [row[0] for row in islice(rows(1), 0, options.rows, max(1, options.rows // 20_000))]
        absent = [row[0] for row in islice(rows(99), 20_000)]
        return {
            "bytes": size,
            "empty": statistics.median(times["empty"]),
            "full": statistics.median(times["full"]),
            "held": rate(lambda: found(connection, layout, "sha1_git", held), len(held)),
            "missing": rate(lambda: found(connection, layout, "sha1_git", absent), len(absent)),
        }


def _timed(connection: sqlite3.Connection, layout: Layout, number: int, round_: int) -> float:
    """Seconds until more rows are published, the write-ahead log written home included."""
    new = list(islice(rows(1000 + round_), number))
    begun = time.monotonic()
    publish(connection, layout, new)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return time.monotonic() - begun


def layouts(options: argparse.Namespace) -> int:
    """Measure the layouts one after the other; print a line each."""
    names = list(LAYOUTS) if options.layouts == "all" else options.layouts.split(",")
    if unknown := set(names) - set(LAYOUTS):
        raise SystemExit(f"there is no layout {', '.join(sorted(unknown))}; there are: {', '.join(LAYOUTS)}")
    results = {}
    if not options.json:
        print(f"{options.add:,} rows published into {options.rows:,}, medians of {options.times}:")
    for name in names:
        with measure.scratch(options.folder) as folder:
            one = results[name] = measured(LAYOUTS[name], folder / "rows.sqlite", options)
        if not options.json:
            print(
                f"{name:<10} {one['bytes']:4.0f} bytes a row, {one['full']:6.2f} s ({one['empty']:.2f} s into an empty "
                f"table), {one['held']:9,.0f} held and {one['missing']:9,.0f} missing keys a second: "
                f"{LAYOUTS[name].summary}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"rows": options.rows, "add": options.add, "layouts": results}))
    return 0


def main() -> int:
    """Loads, or layouts."""
    parser = measure.arguments(__doc__.splitlines()[0], optional=True)
    parser.add_argument("--rows", type=int, default=5_000_000, help="content rows of the grown catalog")
    parser.add_argument("--times", type=int, default=3, help="rounds")
    parser.add_argument("--layouts", help=f"compare layouts: all, or some of {','.join(LAYOUTS)}")
    parser.add_argument("--add", type=int, default=87_000, help="rows that are published to compare layouts")
    parser.add_argument("--cache", type=int, default=64, help="page cache of the writer, in MiB")
    options = parser.parse_args()
    if options.layouts is not None:
        return layouts(options)
    if options.repository is None:
        parser.error("name a repository to load, or compare layouts with --layouts")
    return loads(options)


if __name__ == "__main__":
    sys.exit(main())
