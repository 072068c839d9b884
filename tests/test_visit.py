"""A visit as a transaction: what a loader does, fails to do, or lies about, and what the archive then says."""

from __future__ import annotations

import datetime
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import KINDS, archive, shell, unheld

from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.errors import ChildTimeout, InvalidUrl, NotFound, Unavailable
from swhkit.hashes import hash_content
from swhkit.interrupts import Cancelled
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    Chunks,
    Content,
    Directory,
    Entry,
    ExtId,
    File,
    Gap,
    Item,
    Outcome,
    Pack,
    Person,
    Release,
    Revision,
    Skipped,
    Snapshot,
    Timestamp,
    VisitStatus,
)
from swhkit.plugin import Limits, Load, Tree, VisitContext
from swhkit.publish import recover
from swhkit.stage import Stage
from swhkit.swhid import Kind, ObjectId, parse_core

URL = "file:///nowhere/repo"
PERSON = Person(b"A <a@example.org>", b"A", b"a@example.org")
WHEN = Timestamp(1_500_000_000, 0, b"+0200")


class Yields:
    """A loader that yields what it was given; an exception among the items is raised."""

    def __init__(self, *items: Item | Exception, outcome: Outcome | None = None) -> None:
        self.items, self.outcome = items, outcome
        self.context: VisitContext | None = None

    def load(self, context: VisitContext) -> Load:
        self.context = context
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item
        return self.outcome


def content(data: bytes) -> tuple[Content, bytes]:
    return Content(Bytes(data)), hash_content(data).sha1_git


def history(data: bytes = b"hello\n", **changes: object) -> tuple[list[Item], Snapshot]:
    """A content, a directory, a revision, a release and the snapshot of them."""
    item, digest = content(data)
    directory = Directory((Entry(b"f", "file", digest, 0o100644),))
    fields: dict[str, object] = {
        "message": b"m", "author": PERSON, "committer": PERSON, "date": WHEN, "committer_date": WHEN,
        "directory": manifest.object_id(directory).digest,
    }  # fmt: skip
    revision = Revision(**{**fields, **changes})  # type: ignore[arg-type]
    release = Release(b"v1", b"r", manifest.object_id(revision).digest, Kind.REVISION, PERSON, WHEN)
    snapshot = Snapshot(
        {
            b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/main"),
            b"refs/heads/main": Branch(BranchType.REVISION, manifest.object_id(revision).digest),
            b"refs/tags/v1": Branch(BranchType.RELEASE, manifest.object_id(release).digest),
        }
    )
    return [item, directory, revision, release], snapshot


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    with archive(request.param, tmp_path) as opened:
        yield opened


def run(target: Archive, loader: Yields, url: str = URL, **options: object) -> visit.Report:
    return visit.run(target, loader, url, "git", network=shell(), **options)  # type: ignore[arg-type]


def staged(target: Archive) -> list[Path]:
    assert target.stage is not None
    return list((target.stage / "visits").iterdir())


def test_a_loader_without_children_has_no_more_time_than_others(target: Archive) -> None:
    def endless() -> Iterator[Item]:
        for number in itertools.count():
            yield content(b"%d" % number)[0]

    loader = Yields()
    loader.items = endless()  # type: ignore[assignment]
    report = run(target, loader, limits=Limits(visit_time=0.2))
    assert (report.status, report.snapshot) == ("failed", None)
    assert "(limits.visit_time)" in str(report.error)
    assert staged(target) == []


@pytest.mark.parametrize("children", [True, False])
def test_what_ends_by_its_time_is_told_so(target: Archive, children: bool) -> None:
    """Whatever a loader makes of the death of its children, and where it is the archive's own that have no time left."""

    class Misled(Yields):
        def load(self, context: VisitContext) -> Load:
            try:
                context.runner.run(["sleep", "5"])
            except ChildTimeout as error:
                raise NotFound("nobody there") from error
            return (yield from super().load(context))

    class Slow(Yields):
        def load(self, context: VisitContext) -> Load:
            yield from items
            yield snapshot
            time.sleep(0.3)
            return None

    items, snapshot = history()
    report = run(target, Misled() if children else Slow(), limits=Limits(visit_time=0.25))
    expected = f"{URL} was not loaded within 0.25 s (limits.visit_time)"
    assert (report.status, report.error) == ("failed", expected)


def test_single_objects_are_held_after_a_full_visit(target: Archive, tmp_path: Path) -> None:
    items, snapshot = history()
    report = run(target, Yields(*items, snapshot))
    assert (report.status, report.load_status, report.branches, report.error) == ("full", "eventful", 3, None)
    assert report.new == {
        "content": 1,
        "skipped_content": 0,
        "directory": 1,
        "revision": 1,
        "release": 1,
        "snapshot": 1,
    }
    assert report.snapshot == str(manifest.object_id(snapshot))
    assert target.catalog.snapshot(manifest.object_id(snapshot).digest) == snapshot
    assert unheld(target, manifest.object_id(snapshot).digest, tmp_path / "walk") == set()
    assert target.catalog.counters() == {
        "content": 1, "directory": 1, "origin": 1, "origin_visit": 1, "person": 1, "release": 1, "revision": 1,
        "skipped_content": 0, "snapshot": 1,
    }  # fmt: skip
    assert [update.status for update in target.catalog.history(URL, 1)] == ["created", "ongoing", "full"]
    assert staged(target) == []


def test_the_order_of_items_does_not_matter(target: Archive) -> None:
    items, snapshot = history()
    assert run(target, Yields(*reversed(items), snapshot)).status == "full"


def test_a_loader_reads_what_it_has_yielded_and_what_is_held(target: Archive) -> None:
    held, held_snapshot = history(b"held\n")
    run(target, Yields(*held, held_snapshot))
    first, large = b"first", os.urandom(1 << 16) * 100
    ids = [ObjectId(Kind.CONTENT, hash_content(data).sha1_git) for data in (first, large, b"held\n", b"none")]
    seen: dict[ObjectId, bytes] = {}

    class Reads:
        def load(self, context: VisitContext) -> Load:
            for data in (first, large):
                yield Content(Bytes(data))
            assert b"".join(context.stream(ids[1])) == large
            for number in range(2_500):  # so that what came first is long written
                yield Content(Bytes(b"%d" % number))
            seen.update(context.read(ids))
            tree = Tree(context.read)
            tree.put(b"a/b/first", ids[0].digest, 0o100644)
            yield from tree.write()
            tree = Tree(context.read, tree.root)
            tree.put(b"a/b/large", ids[1].digest, 0o100644)
            yield from tree.write()
            yield Snapshot({b"HEAD": Branch(BranchType.DIRECTORY, tree.root)})
            return None

    report = visit.run(target, Reads(), f"{URL}/reads", "test", network=shell())
    assert (report.status, report.error) == ("full", None)
    assert seen == {ids[0]: first, ids[1]: large, ids[2]: b"held\n"}


def test_the_same_again_is_uneventful_and_changes_nothing(target: Archive) -> None:
    items, snapshot = history()
    run(target, Yields(*items, snapshot))
    before = target.catalog.counters()
    second, third = run(target, Yields(*items, snapshot)), run(target, Yields(snapshot))
    assert [(r.visit, r.status, set(r.new.values())) for r in (second, third)] == [
        (2, "full", {0}),
        (3, "full", {0}),
    ]
    assert (second.load_status, third.load_status) == ("uneventful", "uneventful")
    assert target.catalog.counters() == before | {"origin_visit": 3}


def test_an_empty_first_snapshot_is_full_and_uneventful(target: Archive) -> None:
    report = run(target, Yields(Snapshot({})))
    assert (report.status, report.load_status, report.branches) == ("full", "uneventful", 0)
    assert report.snapshot == "swh:1:snp:1a8893e6a86f444e8be8e7bda6cb34fb1735a00e"


@pytest.mark.parametrize("left_out", range(4))
def test_a_snapshot_whose_graph_has_a_hole_is_refused(target: Archive, left_out: int) -> None:
    items, snapshot = history()
    missing = items.pop(left_out)
    report = run(target, Yields(*items, snapshot))
    assert (report.status, report.load_status, report.snapshot) == ("failed", "failed", None)
    named = hash_content(b"hello\n").sha1_git.hex()
    if not isinstance(missing, Content):
        assert isinstance(missing, Directory | Revision | Release)
        named = manifest.object_id(missing).hex
    assert named in (report.error or ""), report.error
    assert target.catalog.counters()["snapshot"] == target.catalog.counters()["content"] == 0
    assert staged(target) == []


def test_a_recorded_gap_makes_the_visit_partial_and_is_no_hole(target: Archive) -> None:
    items, snapshot = history(parents=(b"\x11" * 20,))
    head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
    gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head)
    report = run(target, Yields(*items, gap, snapshot))
    assert (report.status, report.load_status, report.error) == ("partial", "eventful", "upstream is shallow")
    assert target.catalog.gaps(URL, 1) == [gap]
    assert target.catalog.closed([ObjectId(Kind.REVISION, head)]) == set(), "held is not closed"


def test_held_is_not_closed(target: Archive) -> None:
    """A tip that a shallow visit brought does not vouch for its history in the visit of another origin."""
    items, snapshot = history(parents=(b"\x11" * 20,))
    head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
    run(target, Yields(*items, Gap("shallow", Kind.REVISION, b"\x11" * 20, head), snapshot))
    report = run(target, Yields(snapshot), "file:///nowhere/other")
    assert report.status == "failed"
    assert "11" * 20 in (report.error or "")


def test_tips_of_a_full_visit_are_closed(target: Archive) -> None:
    items, snapshot = history()
    run(target, Yields(*items, snapshot))
    tips = set(manifest.edges_of_snapshot(snapshot))
    assert target.catalog.closed(tips) == tips
    fork = Yields(snapshot)
    assert run(target, fork, "file:///elsewhere/repo").status == "full"
    assert fork.context is not None
    assert fork.context.closed(tips) == tips


@pytest.mark.parametrize(
    ("error", "status", "load_status"),
    [
        (NotFound("gone"), "not_found", "uneventful"),
        (Unavailable("the server is away"), "failed", "failed"),
        (ZeroDivisionError("a fault of the loader"), "failed", "failed"),
        (OSError(28, "No space left on device"), "failed", "failed"),
    ],
)
def test_an_error_before_the_snapshot_leaves_nothing(
    target: Archive, error: Exception, status: str, load_status: str
) -> None:
    items, _ = history()
    report = run(target, Yields(*items, error))
    assert (report.status, report.load_status, report.snapshot) == (status, load_status, None)
    assert str(error.strerror if isinstance(error, OSError) else error) in (report.error or "")
    held = target.catalog.visit(URL, 1)
    assert held is not None
    assert (held.status, held.reason) == (status, report.error)
    assert target.catalog.counters()["content"] == 0
    assert target.objects.scan() == []
    assert staged(target) == []


def test_an_error_after_the_snapshot_makes_the_visit_partial(target: Archive) -> None:
    items, snapshot = history()
    report = run(target, Yields(*items, snapshot, Unavailable("the connection broke")))
    assert (report.status, report.error) == ("partial", "the connection broke")
    assert target.catalog.missing_snapshots([manifest.object_id(snapshot).digest]) == set()


def test_a_loader_may_decide_the_outcome(target: Archive) -> None:
    items, snapshot = history()
    outcome = Outcome(VisitStatus.PARTIAL, reason="some files were left out")
    report = run(target, Yields(*items, snapshot, outcome=outcome))
    assert (report.status, report.load_status, report.error) == (
        "partial",
        "eventful",
        "some files were left out",
    )


def test_a_loader_without_a_snapshot_or_with_items_after_it_fails(target: Archive) -> None:
    items, snapshot = history()
    assert "without a snapshot" in (run(target, Yields(*items)).error or "")
    assert "after its snapshot" in (run(target, Yields(snapshot, *items)).error or "")
    assert target.catalog.counters()["snapshot"] == 0


def test_a_branch_of_the_wrong_kind_is_refused(target: Archive) -> None:
    items, _snapshot = history()
    revision = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
    lie = Snapshot({b"x": Branch(BranchType.DIRECTORY, revision)})
    report = run(target, Yields(*items, lie))
    assert report.status == "failed"
    assert revision.hex() in (report.error or "")


def test_large_and_skipped_contents(target: Archive, tmp_path: Path) -> None:
    """Contents above the limit are described, not kept; what the loader skips itself is recorded with its reason."""
    big, small, skipped = b"b" * 1001, b"s" * 1000, b"not this one"
    names = {b"big": big, b"skipped": skipped, b"small": small}
    directory = Directory(
        tuple(Entry(n, "file", hash_content(d).sha1_git, 0o100644) for n, d in names.items())
    )
    snapshot = Snapshot({b"HEAD": Branch(BranchType.DIRECTORY, manifest.object_id(directory).digest)})
    file = tmp_path / "small"
    file.write_bytes(small)
    items: list[Item] = [
        Content(Chunks(len(big), iter([big[:500], big[500:]]))), Content(File(file, len(small))),
        Skipped(hash_content(skipped), "Content too odd"), directory,
    ]  # fmt: skip
    report = run(target, Yields(*items, snapshot), limits=Limits(max_content_size=1000))
    assert (report.status, report.error) == ("full", None)
    rows = target.catalog.contents(hash_content(data).sha1_git for data in names.values())
    assert {row.reason: row.status for row in rows.values()} == {
        None: "visible", "Content too large": "absent", "Content too odd": "absent",
    }  # fmt: skip
    assert target.catalog.counters()["skipped_content"] == 2
    id = ObjectId(Kind.CONTENT, hash_content(big).sha1_git)
    assert target.missing([id]) == {id}
    assert target.objects.missing([id]) == {id}


def test_a_content_that_is_not_what_it_said_fails_the_visit(target: Archive, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"short")
    for source in (File(file, 10_000_000), Chunks(7, iter([b"123"])), Chunks(2, iter([b"123"]))):
        report = run(target, Yields(Content(source), Snapshot({})))
        assert report.status == "failed", source
    assert target.objects.scan() == []


def test_a_large_content_comes_in_bounded_pieces(target: Archive) -> None:
    size, piece = 40 << 20, bytes(range(256)) * 4096
    digest = hash_content(piece * (size // len(piece))).sha1_git
    snapshot = Snapshot({b"HEAD": Branch(BranchType.CONTENT, digest)})
    source = Chunks(size, (piece for _ in range(size // len(piece))))
    assert run(target, Yields(Content(source), snapshot)).status == "full"
    row = target.content(digest)
    assert row is not None
    assert row.length == size
    assert sum(map(len, target.stream(ObjectId(Kind.CONTENT, digest)))) == size


def test_a_pack_larger_than_allowed_fails_the_visit(target: Archive) -> None:
    noise = os.urandom(1 << 20)
    report = run(
        target,
        Yields(*(content(noise + bytes([n]))[0] for n in range(30)), Snapshot({})),
        limits=Limits(max_pack_size=5 << 20),
    )
    assert report.status == "failed"
    assert "max_pack_size" in (report.error or "")
    assert target.objects.scan() == []


def test_external_ids_and_types_come_back(target: Archive) -> None:
    items, snapshot = history(type="hg", synthetic=True, metadata={"k": [1]})
    revision = manifest.object_id(items[2])  # type: ignore[arg-type]
    extid = ExtId("hg-nodeid", 1, b"\x22" * 20, Kind.REVISION, revision.digest)
    run(target, Yields(*items, extid, snapshot))
    assert target.catalog.extids("hg-nodeid", [b"\x22" * 20], 1) == [extid]
    row = target.catalog.metadata([revision])[revision]
    assert (row.revision_type, row.synthetic, row.metadata) == ("hg", True, {"k": [1]})


def test_a_loader_cannot_give_a_pack_of_any_name(target: Archive, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    report = run(target, Yields(Pack(tmp_path / "x", tmp_path / "x"), Snapshot({})))
    assert report.status == "failed"
    assert (tmp_path / "x").exists()


def test_bytes_without_a_row_get_one(target: Archive) -> None:
    """Held is not catalogued: what a crash between bytes and rows left is mended by the next visit."""
    items, snapshot = history()
    run(target, Yields(*items, snapshot))
    digest = hash_content(b"hello\n").sha1_git
    target.writer()[1].remove_contents([digest])
    target.writer()[1].unclose(manifest.edges_of_snapshot(snapshot))
    assert target.missing([ObjectId(Kind.CONTENT, digest)])
    report = run(target, Yields(snapshot), "file:///another/origin")
    assert (report.status, report.new["content"]) == ("full", 1), report
    assert target.missing([ObjectId(Kind.CONTENT, digest)]) == set()


@pytest.mark.parametrize(
    "url", ["-oProxyCommand=x", "ext::sh -c id", "https://h/\nx", "https://h/\0x", "fd::17", "", "ftp2://x/y"]
)
def test_bad_urls_are_refused_before_a_visit_is_made(target: Archive, url: str) -> None:
    with pytest.raises(InvalidUrl):
        run(target, Yields(Snapshot({})), url)
    assert target.catalog.counters()["origin"] == 0


def test_secrets_in_a_url_are_not_kept(target: Archive) -> None:
    loader = Yields(Unavailable("cannot reach https://me:secret@127.0.0.1/r"))
    report = run(target, loader, "https://me:secret@127.0.0.1/r")
    assert report.origin == "https://127.0.0.1/r"
    assert loader.context is not None
    assert loader.context.url == "https://me:secret@127.0.0.1/r"
    assert "secret" not in (report.error or "")
    assert target.catalog.origin("https://127.0.0.1/r") is not None


def test_interrupted_visits_fail_and_leave_nothing(target: Archive) -> None:
    class Interrupts(Yields):
        def load(self, context: VisitContext) -> Load:
            yield content(b"x")[0]
            raise Cancelled

    with pytest.raises(Cancelled):
        run(target, Interrupts())
    held = target.catalog.visit(URL, 1)
    assert held is not None
    assert held.status == "failed"
    assert "interrupted" in (held.reason or "")
    assert staged(target) == []


CRASH = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from archives import archive, shell
from test_visit import Yields, history, URL
from swhkit import visit, publish
from swhkit.storage import Catalog
items, snapshot = history()
class Dies(Yields):
    def load(self, context):
        yield from super().load(context)
def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
where = {where!r}
with archive({kind!r}, Path({folder!r})) as target:
    if where == "loading":
        loader = Yields(*items[:2])
        visit.judge = die
        loader.items = (*items, snapshot)
    else:
        loader = Yields(*items, snapshot)
    if where == "sealed":
        visit.publish = die
    if where == "counted":
        type(target.objects).adopt = die
    if where == "adopted":
        type(target.catalog).add = die
    if where == "rows":
        type(target.catalog).publish = die
    if where == "ended":
        from swhkit.stage import Stage
        Stage.trash = die
    visit.run(target, loader, URL, "git", network=shell())
"""


@pytest.mark.parametrize("kind", ["filesystem", "sqlite"])
@pytest.mark.parametrize(
    ("where", "status"),
    [
        ("loading", "failed"),
        ("sealed", "full"),
        ("counted", "full"),
        ("adopted", "full"),
        ("rows", "full"),
        ("ended", "full"),
    ],
)
def test_a_killed_visit_is_recovered_to_the_same_end(
    kind: str, where: str, status: str, tmp_path: Path
) -> None:
    """Killed at each step: an unsealed stage is dropped, a sealed one ends as if nothing had happened."""
    script = CRASH.format(paths=sys.path, where=where, kind=kind, folder=str(tmp_path))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr
    items, snapshot = history()
    with archive(kind, tmp_path) as target:
        recover(target)
        assert recover(target) == [], "a second recovery has nothing to do"
        held = target.catalog.visit(URL, 1)
        assert held is not None
        assert held.status == status
        assert staged(target) == []
        assert target.catalog.unfinished_visits() == []
        expected = (
            {"content": 1, "directory": 1, "revision": 1, "release": 1, "snapshot": 1}
            if status == "full"
            else {}
        )
        counters = target.catalog.counters()
        assert {k: counters[k] for k in ("content", "directory", "revision", "release", "snapshot")} == {
            k: expected.get(k, 0) for k in ("content", "directory", "revision", "release", "snapshot")
        }
        again = run(target, Yields(*items, snapshot))
        assert again.status == "full"
        assert unheld(target, parse_core(str(again.snapshot)).digest, tmp_path / "walk") == set()


@pytest.mark.parametrize("kind", ["filesystem", "sqlite"])
@pytest.mark.parametrize("where", ["counted", "adopted", "rows"])
def test_a_publisher_that_died_is_ended_before_the_next_one_publishes(
    kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was in the middle of a visit meanwhile counts what is new exactly, though it did not recover first."""
    items, snapshot = history()

    class Late(Yields):
        def load(self, context: VisitContext) -> Load:
            script = CRASH.format(paths=sys.path, where=where, kind=kind, folder=str(tmp_path))
            died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
            assert died.returncode == -signal.SIGKILL, died.stderr
            return (yield from super().load(context))

    with archive(kind, tmp_path) as target:
        report = run(target, Late(*items, snapshot), "file:///another/repo")
        assert report.status == "full"
        assert [visit.status for visit in (target.catalog.visit(URL, 1),) if visit] == ["full"]
        counters = target.catalog.counters()
        assert [counters[k] for k in ("content", "directory", "revision", "release", "snapshot")] == [1] * 5
        assert staged(target) == []
        assert recover(target) == []


def test_recovery_leaves_living_stages_alone(target: Archive) -> None:
    _, catalog, root = target.writer()
    now = datetime.datetime.now(datetime.UTC)
    stage, opened = Stage.create(root, lambda: catalog.open_visit(URL, "git", now))
    assert recover(target) == []
    assert opened.number == 1
    assert [v.status for v in catalog.unfinished_visits()] == ["created"]
    stage.lock.release()
    assert [(r.url, r.status) for r in recover(target)] == [(URL, "failed")]
    assert catalog.unfinished_visits() == []


def test_a_damaged_log_of_a_sealed_stage_is_never_published(tmp_path: Path) -> None:
    script = CRASH.format(paths=sys.path, where="sealed", kind="filesystem", folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    (log,) = (tmp_path / "stage" / "visits").glob("*/log-contents-0")
    data = bytearray(log.read_bytes())
    data[30] ^= 1
    log.write_bytes(data)
    with archive("filesystem", tmp_path) as target:
        (ended,) = recover(target)
        assert ended.status == "failed"
        assert "damaged" in (ended.reason or "")
        assert target.catalog.counters()["snapshot"] == 0


BIG = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from archives import archive, shell
from test_visit import Yields, URL
from swhkit import manifest, visit
from swhkit.model import *
from swhkit.hashes import hash_content
from swhkit.interrupts import Cancelled
MIB = 1 << 20
class Many(Yields):
    def load(self, context):
        zeros = bytes(MIB)
        yield Content(Chunks(300 * MIB, (zeros for _ in range(300))))
        entries = []
        for number in range(30_000):
            data = b"%d" % number * 50
            yield Content(Bytes(data))
            entries.append(Entry(b"%06d" % number, "file", hash_content(data).sha1_git, 0o100644))
        root = Directory(tuple(entries))
        yield root
        yield Snapshot({{b"HEAD": Branch(BranchType.DIRECTORY, manifest.object_id(root).digest)}})
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return max(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
with archive("filesystem", Path({folder!r})) as target:
    before = anonymous()
    report = visit.run(target, Many(), URL, "git", network=shell())
    print(report.status.value, report.new["content"], anonymous())
"""


def test_a_large_visit_takes_bounded_memory(tmp_path: Path) -> None:
    """The most memory our own process ever had, code and interpreter included, stays below 256 MiB."""
    script = BIG.format(paths=sys.path, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    status, contents, peak = done.stdout.split()
    assert (status, contents) == ("full", "30001")
    assert int(peak) < 256, f"{peak} MiB"
