"""The store that ``flips`` damages, and everything that it can be asked."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
for _folder in (TESTS, TESTS.parent, TESTS.parent / "plugins", TESTS.parent / "backends"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from aiohttp.test_utils import TestClient, TestServer  # noqa: E402
from archives import build, shell  # noqa: E402
from generate import repository  # noqa: E402
from test_visit import Yields, history  # noqa: E402
from upkeep import load  # noqa: E402
from yarl import URL  # noqa: E402

from swhkit import manifest, visit  # noqa: E402
from swhkit.api.app import make_app  # noqa: E402
from swhkit.archive import Archive  # noqa: E402
from swhkit.hashes import hash_content  # noqa: E402
from swhkit.model import (  # noqa: E402
    Branch,
    BranchType,
    ExtId,
    ExtrinsicMetadata,
    Gap,
    Item,
    ObjectMetadata,
    Revision,
    Skipped,
    Snapshot,
)
from swhkit.storage import FoundOrigin, ObjectReader, OriginQuery  # noqa: E402
from swhkit.swhid import GIT_KINDS, Kind, ObjectId  # noqa: E402
from swhkit_sqlite.codec import ZSTD, Damaged, decompress  # noqa: E402

FACTS = "file:///facts/of/all/kinds"
WHEN = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)


# -- a store to damage -----------------------------------------------------------------------------------------------


@dataclass
class Master:
    """A sound store, the URLs that were loaded into it, and what it answers."""

    folder: Path
    urls: list[str]
    objects: list[ObjectId] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)


#: Where objects in one SQLite file lie.
OBJECTS = "objects.sqlite"


@contextmanager
def opened(folder: Path) -> Iterator[Archive]:
    """The archive of a folder, which must be there; objects in packs or one SQLite file, the catalog in SQLite."""
    import swhkit_filesystem
    import swhkit_sqlite

    packs = (folder / "objects").exists()
    provider = (swhkit_filesystem if packs else swhkit_sqlite).swhkit_object_stores()[0]
    objects = build(provider, create=False, path=folder / ("objects" if packs else OBJECTS))
    try:
        catalog = build(swhkit_sqlite.swhkit_catalogs()[0], create=False, path=folder / "catalog.sqlite")
    except BaseException:
        objects.close()
        raise
    with closing(Archive(objects, catalog, folder / "stage")) as target:
        yield target


def make_master(folder: Path, objects: str = "filesystem") -> Master:
    """A store with rows in every table of the catalog; ``objects`` in two packs and a multi-pack-index, or ``sqlite``."""
    urls = [
        f"file://{repository(folder / 'large.git', 24, seed=5)}",
        f"file://{repository(folder / 'small.git', 4, seed=6, branches=1)}",
    ]
    place = folder / "archive"
    from archives import archive

    with archive(objects, place) as target:
        for url in urls:
            assert load(target, url).status == "full"
        assert load_facts(target).status == "full"
        items, snapshot = history(b"gap\n", parents=(b"\x11" * 20,))
        head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
        gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head)
        visit.run(target, Yields(*items, gap, snapshot), f"{FACTS}/gap", "git", network=shell())
        target.writer()[0].maintain()
    master = Master(place, urls)
    settle(place)
    with opened(place) as target:
        master.objects = target.objects.scan(limit=100_000)
        master.answers = {name: ask() for name, ask in questions(target, master)}
    master.answers |= asyncio.run(served(master))
    settle(place)
    master.rows = dump(place / "catalog.sqlite")
    return master


def load_facts(target: Archive) -> visit.Report:
    """A visit that brings every kind of record."""
    items, snapshot = history(b"facts\n")
    revision = next(manifest.object_id(item) for item in items if isinstance(item, Revision))
    branches = {b"b%d" % n: Branch(BranchType.REVISION, revision.digest) for n in range(300)}
    snapshot = Snapshot(dict(snapshot.branches) | branches)
    record = ExtrinsicMetadata(
        target=str(revision), discovery_date=WHEN, authority_type="forge", authority_url="https://forge.example",
        fetcher_name="f", fetcher_version="1", format="json", metadata=b"{}" * 50,
    )  # fmt: skip
    facts: list[Item] = [
        Skipped(hash_content(b"left out"), "odd"),
        ExtId("hg-nodeid", 1, b"\x05" * 20, revision.kind, revision.digest),
        ObjectMetadata(revision.kind, revision.digest, "hg", False, {"a": 1}),
        record,
    ]
    return visit.run(target, Yields(*items, *facts, snapshot), FACTS, "git", network=shell())


def settle(folder: Path) -> None:
    """All that was written stands in the SQLite files themselves."""
    for file in folder.glob("*.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for rest in folder.glob(f"{file.name}-*"):
            rest.unlink()


def dump(file: Path) -> dict[str, Any]:
    """All rows of the catalog's tables (not those that SQLite and sqlite-utils keep for themselves), as text."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        own = [name for name in names if not name.startswith(("sqlite_", "_sqlite_", "origin_text"))]
        rows: dict[str, Any] = {
            name: sorted(
                repr(_opened(row)) for row in connection.execute(f"SELECT * FROM {name} NOT INDEXED")
            )
            for name in sorted(own)
        }
        if "origin_text" not in names:
            return rows
        # of the full-text index, what it says: how FTS5 keeps that is not of rows
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, origin_text, instance)")
        try:
            rows["origin_text"] = sorted(map(repr, connection.execute("SELECT * FROM temp.words")))
        except sqlite3.DatabaseError as error:
            rows["origin_text"] = str(error)
        return rows


def _opened(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with what its compressed bytes hold in their place: not all bits of zstd say something."""
    cells = list(row)
    for at, cell in enumerate(row):
        if isinstance(cell, bytes) and cell[:4] == b"\x28\xb5\x2f\xfd":  # RFC 8878, magic number
            with suppress(Damaged, TypeError, ValueError):
                cells[at] = decompress(ZSTD, cell, row[3])  # both tables have the length there
    return tuple(cells)


# -- what is asked of it ---------------------------------------------------------------------------------------------


def questions(target: Archive, master: Master) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything the readers of a store can be asked; the answers can be compared."""
    objects, catalog = target.objects, target.catalog
    for id in master.objects:
        yield from _of_object(objects, id)
    for id in master.objects[::3]:
        yield f"stream {id}", partial(_streamed, objects, id)
        yield f"size {id}", partial(objects.sizes, [id])
    yield "read all", lambda: sorted(objects.read(master.objects).items())
    yield "scan", lambda: sorted(objects.scan(limit=100_000))
    contents = [id.digest for id in master.objects if id.kind is Kind.CONTENT]
    for digest in contents:
        yield f"content {digest.hex()}", partial(catalog.contents, [digest])
        yield f"by digest {digest.hex()}", partial(catalog.find_contents, "sha1_git", [digest])
    left_out = hash_content(b"left out")
    yield "by sha256", lambda: catalog.find_contents("sha256", [left_out.sha256])
    absent = hash_content(b"left out").sha1_git
    yield "absent content", lambda: catalog.contents([absent]).get(absent)
    urls = [*master.urls, FACTS, f"{FACTS}/gap"]
    for number, url in enumerate(urls, 1):
        yield f"origin {url}", partial(catalog.origin, url)
        yield f"origin {number}", partial(catalog.origin_by_id, number)
        yield f"search {url}", partial(_search, target, url)
        yield f"visits {url}", partial(catalog.visits, url)
        yield f"visit {url}", partial(catalog.visit, url, 1)
        yield f"latest {url}", partial(catalog.latest_visit, url, require_snapshot=True)
        yield f"history {url}", partial(catalog.history, url, 1)
        yield f"gaps {url}", partial(catalog.gaps, url, 1)
    yield "origins", lambda: catalog.origins()
    yield "snapshots", lambda: catalog.snapshots()
    for snapshot in _snapshots(target, urls):
        yield f"snapshot {snapshot.hex()}", partial(catalog.snapshot, snapshot)
        yield f"branches {snapshot.hex()}", partial(catalog.branches, snapshot)
        yield (
            f"middle {snapshot.hex()}",
            partial(catalog.branches, snapshot, b"b2", 50, [BranchType.REVISION]),
        )
        yield f"branch {snapshot.hex()}", partial(catalog.branch, snapshot, b"b7")
        yield f"visits of {snapshot.hex()}", partial(catalog.visits_of_snapshot, snapshot)
    revision = _facts_revision()
    yield "metadata", lambda: catalog.metadata([revision]).get(revision)
    yield "extids", lambda: catalog.extids("hg-nodeid", [b"\x05" * 20])
    yield "extids of", lambda: catalog.extids_of([revision])
    yield "extrinsic", lambda: catalog.extrinsic_metadata(str(revision))
    yield "authorities", lambda: catalog.authorities(str(revision))
    for number in range(1, 8):
        yield f"person {number}", partial(catalog.person, number)
    yield "persons", lambda: sorted(catalog.persons([b"C <c@example.org>", b"U1 <u1@example.org>"]).items())
    yield "counters", lambda: sorted(catalog.counters().items())


def _search(target: Archive, url: str) -> list[FoundOrigin]:
    """What a search for a whole URL finds of that very one."""
    page = target.catalog.search_origins(OriginQuery(words=(url,)))
    return [found for found in page.origins if found.origin.url == url]


def _of_object(objects: ObjectReader, id: ObjectId) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield f"read {id}", partial(objects.read, [id])
    yield f"missing {id}", lambda: sorted(map(str, objects.missing([id])))


def _streamed(objects: ObjectReader, id: ObjectId) -> bytes:
    return b"".join(objects.stream(id))


def _facts_revision() -> ObjectId:
    items, _ = history(b"facts\n")
    return next(manifest.object_id(item) for item in items if isinstance(item, Revision))


def _snapshots(target: Archive, urls: list[str]) -> list[bytes]:
    if not hasattr(_snapshots, "known"):
        found = [target.catalog.latest_visit(url, require_snapshot=True) for url in urls]
        _snapshots.known = [v.snapshot for v in found if v and v.snapshot]  # type: ignore[attr-defined]
    return _snapshots.known  # type: ignore[attr-defined,no-any-return]


async def served(master: Master) -> dict[str, Any]:
    """Path → (status, body) of what the web API says of the store. Raises what opening it raises."""
    answers: dict[str, Any] = {}
    with opened(master.folder) as target:
        async with TestClient(TestServer(make_app(target, public_url="http://swhkit.example"))) as client:
            for path in _paths(master):
                url = URL(f"http://{client.host}:{client.port}/api/1/{path}", encoded=True)
                answer = await client.session.get(url)
                answers[f"GET {path}"] = (answer.status, await answer.read())
    return answers


def _paths(master: Master) -> Iterator[str]:
    words = {Kind.DIRECTORY: "directory", Kind.REVISION: "revision", Kind.RELEASE: "release"}
    of = {kind: [id for id in master.objects if id.kind is kind][:5] for kind in GIT_KINDS}
    for id in of[Kind.CONTENT]:
        yield f"content/sha1_git:{id.hex}/"
        yield f"content/sha1_git:{id.hex}/raw/"
    for kind, word in words.items():
        yield from (f"{word}/{id.hex}/" for id in of[kind])
    yield from (f"revision/{id.hex}/log/" for id in of[Kind.REVISION][:2])
    for url in [*master.urls, FACTS]:
        yield from (f"origin/{url}/{what}/" for what in ("get", "visits", "visit/latest", "visit/1"))
    yield from (f"snapshot/{id.hex()}/" for id in _snapshots.known)  # type: ignore[attr-defined]
    yield "stat/counters/"


def pages(file: Path) -> dict[str, list[int]]:
    """The pages (from 1 on) of each table and index of a SQLite file."""
    sql = "SELECT name, pageno FROM dbstat"
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
            rows = connection.execute(sql).fetchall()
    except sqlite3.OperationalError:  # this Python's SQLite was built without dbstat
        done = subprocess.run(
            ["sqlite3", "-readonly", file, f"{sql};"], capture_output=True, text=True, check=True
        )
        rows = [(name, int(page)) for name, page in (line.split("|") for line in done.stdout.splitlines())]
    found: dict[str, list[int]] = {}
    for name, page in rows:
        if (
            name.startswith("sqlite_autoindex")
            or not name.startswith(("sqlite_s", "_sqlite_", "sqlite_stat"))
            or name == "sqlite_schema"
        ):
            found.setdefault(name, []).append(page)
    return found
