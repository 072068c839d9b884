"""Damage on disk: bytes that change, files cut short, emptied, lost or exchanged, one at a time, by a seed.

After each the store is read, served and checked in a process of its own with a time limit. What is asked: every answer
is right or an error, the full check finds what was done and names it, and loading the origins again heals what they hold.

From the project's root: ``python -m tests.faults.flips --target pack --runs 100 --seed 7`` (``--help`` lists targets).
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
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
from swhkit.check import check  # noqa: E402
from swhkit.errors import SwhkitError  # noqa: E402
from swhkit.hashes import hash_content  # noqa: E402
from swhkit.model import (  # noqa: E402
    Branch,
    BranchType,
    ExtId,
    ExtrinsicMetadata,
    Gap,
    ObjectMetadata,
    Revision,
    Skipped,
    Snapshot,
)
from swhkit.publish import recover  # noqa: E402
from swhkit.reindex import reindex  # noqa: E402
from swhkit.swhid import GIT_KINDS, Kind, ObjectId  # noqa: E402

#: Seconds that one look at a damaged store may take.
LIMIT = 60.0
FACTS = "file:///facts/of/all/kinds"
FILES = ("flip", "truncate", "zero", "delete", "append", "swap")
PAGES = ("flip", "flip", "flip", "zero")
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


@contextmanager
def opened(folder: Path) -> Iterator[Archive]:
    """The archive of a folder, which must be there; objects in packs, the catalog in SQLite."""
    import swhkit_filesystem
    import swhkit_sqlite

    objects = build(swhkit_filesystem.swhkit_object_stores()[0], create=False, path=folder / "objects")
    try:
        catalog = build(swhkit_sqlite.swhkit_catalogs()[0], create=False, path=folder / "catalog.sqlite")
    except BaseException:
        objects.close()
        raise
    with closing(Archive(objects, catalog, folder / "stage")) as target:
        yield target


def make_master(folder: Path) -> Master:
    """A store with two packs, a multi-pack-index, and rows in every table of the catalog."""
    urls = [
        f"file://{repository(folder / 'large.git', 24, seed=5)}",
        f"file://{repository(folder / 'small.git', 4, seed=6, branches=1)}",
    ]
    place = folder / "archive"
    from archives import archive

    with archive("filesystem", place) as target:
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
    facts = [
        Skipped(hash_content(b"left out"), "odd"),
        ExtId("hg-nodeid", 1, b"\x05" * 20, revision.kind, revision.digest),
        ObjectMetadata(revision.kind, revision.digest, "hg", False, {"a": 1}),
        record,
    ]
    return visit.run(target, Yields(*items, *facts, snapshot), FACTS, "git", network=shell())


def settle(folder: Path) -> None:
    """All that was written stands in the catalog's file itself."""
    file = folder / "catalog.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for rest in folder.glob("catalog.sqlite-*"):
        rest.unlink()


def dump(file: Path) -> dict[str, Any]:
    """All rows of the catalog's tables (not those that SQLite and sqlite-utils keep for themselves), as text."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        own = [name for name in names if not name.startswith(("sqlite_", "_sqlite_"))]
        return {
            name: sorted(repr(row) for row in connection.execute(f"SELECT * FROM {name} NOT INDEXED"))
            for name in sorted(own)
        }


# -- what is asked of it ---------------------------------------------------------------------------------------------


def questions(target: Archive, master: Master) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything the readers of a store can be asked; the answers can be compared."""
    objects, catalog = target.objects, target.catalog
    for id in master.objects:
        yield f"read {id}", lambda id=id: objects.read([id]).get(id)
        yield f"missing {id}", lambda id=id: sorted(map(str, objects.missing([id])))
    for id in master.objects[::3]:
        yield f"stream {id}", lambda id=id: b"".join(objects.stream(id))
        yield f"size {id}", lambda id=id: objects.sizes([id]).get(id)
    yield "read all", lambda: sorted(objects.read(master.objects).items())
    yield "scan", lambda: sorted(objects.scan(limit=100_000))
    contents = [id.digest for id in master.objects if id.kind is Kind.CONTENT]
    for digest in contents:
        yield f"content {digest.hex()}", lambda d=digest: catalog.contents([d]).get(d)
        yield (
            f"by sha1 of {digest.hex()}",
            lambda d=digest: list(
                catalog.find_contents(
                    "sha1", [b"".join(objects.stream(ObjectId(Kind.CONTENT, d)))][:0] or [d]
                )
            ),
        )
    absent = hash_content(b"left out").sha1_git
    yield "absent content", lambda: catalog.contents([absent]).get(absent)
    urls = [*master.urls, FACTS, f"{FACTS}/gap"]
    for number, url in enumerate(urls, 1):
        yield f"origin {url}", lambda url=url: catalog.origin(url)
        yield f"origin {number}", lambda number=number: catalog.origin_by_id(number)
        yield f"visits {url}", lambda url=url: catalog.visits(url)
        yield f"visit {url}", lambda url=url: catalog.visit(url, 1)
        yield f"latest {url}", lambda url=url: catalog.latest_visit(url, require_snapshot=True)
        yield f"history {url}", lambda url=url: catalog.history(url, 1)
        yield f"gaps {url}", lambda url=url: catalog.gaps(url, 1)
    yield "origins", lambda: catalog.origins()
    yield "snapshots", lambda: catalog.snapshots()
    for id in _snapshots(target, urls):
        yield f"snapshot {id.hex()}", lambda id=id: catalog.snapshot(id)
        yield f"branches {id.hex()}", lambda id=id: catalog.branches(id)
        yield f"middle {id.hex()}", lambda id=id: catalog.branches(id, b"b2", 50, [BranchType.REVISION])
        yield f"branch {id.hex()}", lambda id=id: catalog.branch(id, b"b7")
        yield f"visits of {id.hex()}", lambda id=id: catalog.visits_of_snapshot(id)
    revision = _facts_revision()
    yield "metadata", lambda: catalog.metadata([revision]).get(revision)
    yield "extids", lambda: catalog.extids("hg-nodeid", [b"\x05" * 20])
    yield "extids of", lambda: catalog.extids_of([revision])
    yield "extrinsic", lambda: catalog.extrinsic_metadata(str(revision))
    yield "authorities", lambda: catalog.authorities(str(revision))
    for number in range(1, 8):
        yield f"person {number}", lambda number=number: catalog.person(number)
    yield "persons", lambda: sorted(catalog.persons([b"C <c@example.org>", b"U1 <u1@example.org>"]).items())
    yield "counters", lambda: sorted(catalog.counters().items())


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


# -- damage ----------------------------------------------------------------------------------------------------------


def damage(file: Path, how: str, chance: random.Random, other: Path | None = None, start: int = 0) -> str:
    """Do one thing to a file (below offset ``start`` nothing is touched); says what."""
    file.chmod(0o600)
    size = file.stat().st_size
    if how == "delete":
        file.unlink()
        return f"{file.name} deleted"
    if how == "swap" and other is not None:
        aside = file.with_name("aside")
        file.rename(aside)
        other.rename(file)
        aside.rename(other)
        return f"{file.name} and {other.name} exchanged"
    data = bytearray(file.read_bytes())
    if how == "append" or how == "swap":
        data.append(chance.randrange(256))
        said = f"a byte appended to {file.name}"
    elif how == "truncate":
        length = chance.randrange(size)
        del data[length:]
        said = f"{file.name} cut to {length} of {size} bytes"
    elif how == "zero":
        at = chance.randrange(start, size) // 4096 * 4096
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        said = f"{file.name} zero from {at}"
    else:
        at = chance.randrange(start, size)
        data[at] ^= 0xFF
        said = f"byte {at} of {file.name} flipped"
    file.write_bytes(data)
    return said


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


def damage_page(file: Path, table: str, how: str, chance: random.Random) -> str:
    """Flip a byte in a page of a table or index, or fill the page with zeros."""
    page = chance.choice(pages(file)[table])
    data = bytearray(file.read_bytes())
    if how == "zero":
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
        at = (page - 1) * 4096
    else:
        used = [n for n in range((page - 1) * 4096, page * 4096) if data[n]] or [(page - 1) * 4096]
        at = chance.choice(used)
        data[at] ^= 0xFF if chance.random() < 0.5 else 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"{how} at {at} (page {page}, of {table})"


# -- looking at a damaged store --------------------------------------------------------------------------------------


@dataclass
class Look:
    """What one child saw. ``wrong``: answers that are none of right, absent, or an error."""

    wrong: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    quick: list[dict[str, Any]] = field(default_factory=list)
    full: list[dict[str, Any]] = field(default_factory=list)
    unopened: str | None = None


def in_child(work: Callable[[], Any], limit: float = LIMIT) -> Any:
    """What ``work`` returns in a fork of this process. Raises ``AssertionError`` if it hangs, crashes or raises."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        code = 1
        logging.disable(logging.CRITICAL)
        try:
            os.close(read)
            try:
                result = {"result": work()}
            except BaseException:  # noqa: BLE001
                result = {"failed": traceback.format_exc()}
            with os.fdopen(write, "w") as out:
                json.dump(result, out, default=str)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    try:
        text = _read_until(read, time.monotonic() + limit)
        if text is None:
            os.killpg(pid, signal.SIGKILL)
            raise AssertionError(f"the child hung for {limit:.0f} s")
    finally:
        os.close(read)
        _, status = os.waitpid(pid, 0)
    assert not os.WIFSIGNALED(status), f"the child crashed with signal {os.WTERMSIG(status)}"
    answer = json.loads(text)
    assert "failed" not in answer, answer["failed"]
    return answer["result"]


def _read_until(fd: int, end: float) -> str | None:
    import select

    parts = []
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        part = os.read(fd, 1 << 20)
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def look(master: Master, place: Path) -> Look:
    """Ask everything of a damaged copy at ``place``, and check it."""
    return Look(**in_child(lambda: _look(master, place)))


def _look(master: Master, place: Path) -> dict[str, Any]:
    seen = Look()
    here = Master(place, master.urls, master.objects, master.answers)
    try:
        with opened(place) as target:
            for name, ask in questions(target, here):
                _compare(seen, name, master.answers[name], ask)
        for name, answer in asyncio.run(served(here)).items():
            _compare_served(seen, name, master.answers[name], answer)
        with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
            seen.quick = [_as_dict(p) for p in check(target, Path(scratch)).problems]
            seen.full = [_as_dict(p) for p in check(target, Path(scratch), full=True).problems]
    except (SwhkitError, OSError) as error:
        seen.unopened = f"{type(error).__name__}: {error}"
    return vars(seen)


def _as_dict(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("problem", "next_step", "object", "file", "origins")}


def _compare(seen: Look, name: str, expected: Any, ask: Callable[[], Any]) -> None:
    try:
        got = ask()
    except (SwhkitError, OSError) as error:
        seen.errors[type(error).__name__] += 1
        return
    except Exception as error:  # noqa: BLE001
        seen.foreign.append(f"{name}: {type(error).__name__}: {error}")
        return
    if got == expected:
        return
    if not got or (
        isinstance(got, list) and isinstance(expected, list) and all(one in expected for one in got)
    ):
        seen.absent.append(name)
    else:
        seen.wrong.append(f"{name}: {got!r:.300} instead of {expected!r:.300}")


def _compare_served(seen: Look, name: str, expected: Any, got: Any) -> None:
    if got == expected:
        return
    if got[0] == 200:
        seen.wrong.append(f"{name}: {got[1][:300]!r} instead of {expected[1][:300]!r}")
    elif got[0] == 404:
        seen.absent.append(name)
    else:
        seen.errors[f"HTTP {got[0]}"] += 1
        if b"Internal" in got[1] or not got[1].startswith(b"{"):
            seen.foreign.append(f"{name}: {got!r:.300}")


def heal(master: Master, place: Path, seen: Look) -> list[dict[str, Any]]:
    """Do what the check says (reindex, load again, maintain); what a full check says then."""
    first = any(one["next_step"].startswith("run `swhkit reindex`") for one in seen.full)
    return in_child(lambda: _heal(master, place, first), 2 * LIMIT)  # type: ignore[no-any-return]


def _heal(master: Master, place: Path, reindex_first: bool) -> list[dict[str, Any]]:
    try:
        return _healed(master, place, reindex_first)
    except (SwhkitError, OSError) as error:
        return [{"problem": f"{type(error).__name__}: {error}", "file": None, "object": None}]


def _healed(master: Master, place: Path, reindex_first: bool) -> list[dict[str, Any]]:
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        if reindex_first:
            reindex(target, Path(scratch))
        for url in master.urls:
            report = load(target, url)
            if report.status != "full":
                return [{"problem": f"load of {url}: {report.error}", "file": None, "object": None}]
        load_facts(target)
        items, snapshot = history(b"gap\n", parents=(b"\x11" * 20,))
        head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
        gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head)
        visit.run(target, Yields(*items, gap, snapshot), f"{FACTS}/gap", "git", network=shell())
        target.writer()[0].maintain()
        reindex(target, Path(scratch))
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        return [_as_dict(p) for p in check(target, Path(scratch), full=True).problems]


# -- trials ----------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """One thing done, what was seen, and what was left after healing (None: not tried)."""

    said: str
    seen: Look
    left: list[dict[str, Any]] | None = None
    unseen: bool = False


def targets(master: Master) -> list[str]:
    """What can be damaged: kinds of files, and ``catalog:TABLE`` for each table and index."""
    return [
        "pack",
        "idx",
        "midx",
        "catalog",
        *(f"catalog:{n}" for n in sorted(pages(master.folder / "catalog.sqlite"))),
    ]


def trial(master: Master, scratch: Path, target: str, seed: int, *, mend: bool = True) -> Trial:
    """Damage a copy of the store and look at it. The same seed does the same thing."""
    chance = random.Random(f"{target} {seed}")
    place = scratch / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(master.folder, place)
    said = f"[{target} {seed}] {_do(place, target, chance, seed)}"
    try:
        seen = look(master, place)
    except AssertionError as error:
        raise AssertionError(f"{said}: {error}") from None
    done = Trial(said, seen)
    if not seen.full and not seen.unopened:
        settle(place)
        done.unseen = dump(place / "catalog.sqlite") == master.rows
    elif mend and not seen.unopened:
        try:
            done.left = heal(master, place, seen)
        except AssertionError as error:
            raise AssertionError(f"{said}: healing: {error}") from None
    return done


def _do(place: Path, target: str, chance: random.Random, seed: int) -> str:
    catalog = place / "catalog.sqlite"
    if target.startswith("catalog:"):
        return damage_page(catalog, target.partition(":")[2], PAGES[seed % len(PAGES)], chance)
    if target == "catalog":
        return damage(catalog, FILES[seed % (len(FILES) - 1)], chance)
    folder = place / "objects" / "objects" / "pack"
    if target == "midx":
        return damage(folder / "multi-pack-index", FILES[seed % (len(FILES) - 1)], chance)
    files = sorted(folder.glob(f"*.{target}"))
    chance.shuffle(files)
    return damage(files[0], FILES[seed % len(FILES)], chance, files[1])


def complaints(done: Trial) -> list[str]:
    """What a trial shows that must not be."""
    seen, target = done.seen, done.said.partition(" ")[0].strip("[")
    found = [f"wrong: {one}" for one in seen.wrong] + [f"foreign: {one}" for one in seen.foreign]
    if seen.unopened:
        return [f"{done.said}: {one}" for one in found]
    if not target.startswith("catalog"):
        found += [f"said to be absent: {one}" for one in seen.absent]
    if not seen.full and not done.unseen:
        found.append("not found by the full check")
    if target in ("pack", "idx", "midx") and not seen.quick and "multi-pack-index deleted" not in done.said:
        found.append("not found by the quick check")
    found += [f"no next step: {one}" for one in seen.full if not one["next_step"]]
    if done.left and not target.startswith("catalog"):
        found.append(f"not healed: {done.left[:3]}")
    return [f"{done.said}: {one}" for one in found]


# -- a sealed stage --------------------------------------------------------------------------------------------------

SEALED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from archives import archive, shell
from upkeep import load
from swhkit import visit
visit.publish = lambda *_a, **_k: os.kill(os.getpid(), signal.SIGKILL)
with archive("filesystem", Path({folder!r})) as target:
    load(target, {url!r})
"""


def make_sealed(folder: Path) -> Master:
    """A store whose only visit was sealed when its process was killed."""
    url = f"file://{repository(folder / 'one.git', 4, seed=8, branches=1)}"
    place = folder / "archive"
    script = SEALED.format(paths=sys.path, folder=str(place), url=url)
    died = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    return Master(place, [url])


def stage_trial(master: Master, scratch: Path, seed: int) -> str:
    """Damage one file of the stage: recovery publishes the visit as it was, or ends it as failed. Says what it did."""
    chance = random.Random(f"stage {seed}")
    place = scratch / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(master.folder, place)
    (stage,) = (place / "stage" / "visits").iterdir()
    files = sorted(
        p for p in stage.rglob("*") if p.is_file() and p.stat().st_size and _matters(p.relative_to(stage))
    )
    chance.shuffle(files)
    said = f"[stage {seed}] {damage(files[0], FILES[seed % len(FILES)], chance, files[1])}"
    try:
        in_child(lambda: _recovered(master, place))
    except AssertionError as error:
        raise AssertionError(f"{said}: {error}") from None
    return said


def _matters(path: Path) -> bool:
    return path.parts[0] not in ("home", "scratch", "lock") and (
        path.suffix in (".pack", ".idx") or len(path.parts) == 1
    )


def _recovered(master: Master, place: Path) -> str:
    (url,) = master.urls
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        recover(target)
        assert target.catalog.unfinished_visits() == []
        assert list((place / "stage" / "visits").iterdir()) == []
        (ended,) = target.catalog.visits(url)
        assert ended.status in ("full", "failed"), ended
        assert ended.status == "full" or ended.reason, ended
        assert check(target, Path(scratch), full=True).problems == []
        again = load(target, url)
        assert again.status == "full", again
        assert ended.snapshot in (None, manifest.object_id(_of(target, again)).digest), (
            "another snapshot was published"
        )
        assert check(target, Path(scratch), full=True).problems == []
        return str(ended.status)


def _of(target: Archive, report: visit.Report) -> Snapshot:
    found = target.catalog.latest_visit(report.origin, require_snapshot=True)
    assert found is not None
    assert found.snapshot is not None
    snapshot = target.catalog.snapshot(found.snapshot)
    assert snapshot is not None
    return snapshot


def main() -> int:
    """Run trials and print a line for each that shows something, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--target", default="pack", help="pack, idx, midx, stage, catalog, catalog:TABLE, or catalog:all"
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-heal", action="store_true")
    asked = parser.parse_args()
    figures: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="flips-") as name:
        folder = Path(name)
        if asked.target == "stage":
            sealed = make_sealed(folder)
            for seed in range(asked.seed, asked.seed + asked.runs):
                try:
                    print(stage_trial(sealed, folder, seed))
                except AssertionError as error:
                    figures["complaints"] += 1
                    print(f"COMPLAINT {error}")
            print(dict(figures))
            return int(bool(figures["complaints"]))
        master = make_master(folder)
        all_targets = [t for t in targets(master) if t.startswith("catalog:")]
        for name in all_targets if asked.target == "catalog:all" else [asked.target]:
            for seed in range(asked.seed, asked.seed + asked.runs):
                _one(master, folder, name, seed, figures, mend=not asked.no_heal)
        print(dict(figures))
    return int(bool(figures["complaints"]))


def _one(master: Master, folder: Path, target: str, seed: int, figures: Counter[str], *, mend: bool) -> None:
    figures["runs"] += 1
    try:
        done = trial(master, folder, target, seed, mend=mend)
    except AssertionError as error:
        figures["complaints"] += 1
        print(f"COMPLAINT {error}", flush=True)
        return
    figures["found"] += bool(done.seen.full)
    figures["not to be opened"] += bool(done.seen.unopened)
    figures["nothing to see"] += done.unseen
    figures["quick"] += bool(done.seen.quick)
    figures["absent"] += len(done.seen.absent)
    figures["healed"] += done.left == []
    if done.left:
        figures["left"] += 1
        print(
            f"LEFT {done.said}: {[(p['problem'], p['object'], p['file']) for p in done.left[:2]]}", flush=True
        )
    for one in complaints(done):
        figures["complaints"] += 1
        print(f"COMPLAINT {one}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
