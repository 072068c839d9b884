"""The remote reader of catalogs over a real swhkit: every method compared with the catalog behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reading_samples
from reading_samples import EMPTY_URL, MISSING, QUERY, SPACED, URL, Sample
from remote_servers import HASTY, catalog, error, front, served, stores, unrouted

from swhkit.errors import InvalidInput, Unreachable
from swhkit.hashes import HASH_LENGTHS
from swhkit.manifest import emd_id, object_id, origin_digest
from swhkit.model import (
    Branch,
    BranchType,
    ExtId,
    ExtrinsicMetadata,
    ObjectMetadata,
    Snapshot,
    Visit,
    VisitStatus,
    VisitUpdate,
)
from swhkit.storage import COUNTERS, Catalog, CatalogReader, OriginQuery
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit.testing.samples import moment
from swhkit_remote import origins
from swhkit_remote.catalog import RemoteCatalog
from swhkit_remote.origins import MADE, made_number

MANY = samples.snapshot(2345)
#: Names that can be read in two ways, in both of them.
TWO_WAYS = Snapshot(
    {
        b"a\\xffb": Branch(BranchType.REVISION, b"\x01" * 20),
        b"b\xff": Branch(BranchType.ALIAS, b"a\\xffb"),
        b"c": Branch(BranchType.ALIAS, b"b\xff"),
        b"d": None,
    }
)
VISITED = "https://git.example.org/visited"
REVISION_TARGET = "swh:1:rev:" + "1" * 40


class World:
    """An upstream, its catalog as it is on disk, and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        objects, self.local = stores(folder)
        self.sample = Sample(objects, self.local)
        self.many = object_id(MANY).digest
        self.two_ways = object_id(TWO_WAYS).digest
        self.sample.visit("https://git.example.org/many", MANY)
        self.sample.visit("https://git.example.org/two-ways", TWO_WAYS)
        for n in range(205):
            self.local.open_visit(VISITED, "git" if n % 2 else "hg", moment(n))
            self.local.update_visit(VISITED, n + 1, VisitStatus.FAILED, moment(n), "no reason")
        hello = ObjectId(Kind.CONTENT, self.sample.hello.sha1_git)
        self.extids = [
            ExtId("hg-nodeid", 0, b"\x01" * 20, Kind.REVISION, self.sample.merge),
            ExtId("hg-nodeid", 1, b"\x01" * 20, Kind.REVISION, self.sample.first),
            ExtId("checksum-sha256", 1, b"\xff" * 32, hello.kind, hello.digest),
        ]
        self.emd = [
            samples.emd(REVISION_TARGET, n, f"https://forge.example/{n % 2}/", b"{%d}" % (n % 7))
            for n in range(25)
        ]
        self.emd.append(
            ExtrinsicMetadata(
                target=str(hello), discovery_date=moment(0.5), authority_type="registry",
                authority_url="https://registry.example/", fetcher_name="f", fetcher_version="1.0",
                format="x y", metadata=b"\0\xff" * 100, origin=URL, visit=2,
                snapshot=str(ObjectId(Kind.SNAPSHOT, self.sample.snp)), path=b"/a\xff\\b",
            )
        )  # fmt: skip
        self.emd.append(samples.emd(f"swh:1:ori:{origin_digest(URL).hex()}", 3))
        self.local.add([*self.extids, *self.emd])
        objects.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("upstream"))
    yield world
    world.local.close()


@pytest.fixture(scope="module")
def upstream(world: World) -> Iterator[str]:
    with served(world.folder) as url:
        yield url


def public(method: str, target: str) -> tuple[int, bytes] | None:
    """What the public archive has not: ``raw/`` for everybody, numbers of origins and persons, offsets."""
    path = target.removeprefix("/api/1/")
    if path.startswith("raw/"):
        return error(401, "UnauthorizedExc", "This API endpoint requires authentication.")
    if "origin_from=" in path:
        return error(400, "BadInputExc", "Please use the Link header to browse through result")
    parts = path.split("/")
    if parts[0] == "person" or (parts[0] == "origin" and (parts[1].isdigit() or parts[2:3] == ["url"])):
        return unrouted(target)
    return None


@pytest.fixture(scope="module", params=["swhkit", "public"])
def remote(request: pytest.FixtureRequest, upstream: str) -> Iterator[RemoteCatalog]:
    """The upstream as it is, and as far as it were the public archive."""
    if request.param == "swhkit":
        reader = catalog(upstream)
        yield reader
        reader.close()
        return
    with front(upstream, public) as (url, _):
        reader = catalog(url)
        yield reader
        reader.close()


def without_reasons(visits: list[Visit]) -> list[Visit]:
    return [msgspec.structs.replace(visit, reason=None) for visit in visits]


# --- contents ---


def test_contents(world: World, remote: RemoteCatalog) -> None:
    s = world.sample
    rows = [s.hello, s.empty, s.big, s.lost]
    absent = msgspec.structs.replace(s.skipped, reason=None)
    ids = [row.sha1_git for row in [*rows, s.skipped, s.rowless]]
    expected = {row.sha1_git: row for row in [*rows, absent]}
    assert remote.contents(iter([*ids, MISSING, *ids])) == expected
    assert remote.missing_contents(iter([*ids, MISSING])) == world.local.missing_contents([*ids, MISSING])
    for algorithm, length in HASH_LENGTHS.items():
        digests = [getattr(row, algorithm) for row in [*rows, absent]]
        found = remote.find_contents(algorithm, [*digests, b"\x99" * length, b"short"])
        assert found == {getattr(row, algorithm): [row] for row in [*rows, absent]}
    assert remote.contents([]) == {}
    assert remote.find_contents("sha1", []) == {}
    assert remote.missing_contents([b"short"]) == {b"short"}


# --- snapshots ---


def test_whole_snapshots(world: World, remote: RemoteCatalog) -> None:
    for id in (world.sample.snp, world.sample.empty_snp, world.many, world.two_ways):
        assert remote.snapshot(id) == world.local.snapshot(id)
    assert remote.snapshot(MISSING) is None
    known = [world.sample.snp, world.many]
    assert remote.missing_snapshots(iter([*known, MISSING, MISSING])) == {MISSING}


@pytest.mark.parametrize("count", [1, 7, 1500, 5000])
@pytest.mark.parametrize(
    "types", [None, [BranchType.RELEASE], {BranchType.ALIAS, BranchType.REVISION}, [], [BranchType.CONTENT]]
)
def test_pages_of_branches(world: World, remote: RemoteCatalog, count: int, types: Any) -> None:
    for id in (world.sample.snp, world.sample.empty_snp, world.many, world.two_ways):
        for first in (b"", b"HEAD", b"b", b"a\\xff", b"b\xff", b"refs/heads/00000999", b"\xff\xff"):
            expected = world.local.branches(id, first, count, types)
            assert remote.branches(id, first, count, types) == expected
    assert remote.branches(MISSING, b"", count, types) is None


def test_single_branches(world: World, remote: RemoteCatalog) -> None:
    for id in (world.sample.snp, world.two_ways):
        snapshot = world.local.snapshot(id)
        assert snapshot is not None
        for name, branch in snapshot.branches.items():
            assert remote.branch(id, name) == branch
        assert remote.branch(id, b"refs/heads/nowhere") is None
    assert remote.branch(MISSING, b"HEAD") is None
    with pytest.raises(ValueError, match="count"):
        remote.branches(MISSING, count=0)


# --- origins and visits ---


def test_origins(world: World, remote: RemoteCatalog) -> None:
    for url in (URL, SPACED, QUERY, EMPTY_URL, VISITED):
        mine, theirs = remote.origin(url), world.local.origin(url)
        assert mine is not None
        assert (mine.url, mine.visit_types) == (url, theirs.visit_types)
        assert mine.id in (theirs.id, made_number(url))
        assert remote.origin_by_id(mine.id) == mine == remote.origin(url)
        assert remote.origin_by_digest(origin_digest(url)) == mine
    for url in (
        "https://git.example.org/u/P",
        URL + "/",
        "",
        "a b",
        "x?y#z",
        "\udcff",
        "https://git.example.org/a b",
    ):
        assert remote.origin(url) is None
    for number in (0, -1, 1 << 63, 1 << 70, 10_000, MADE + 5):
        assert remote.origin_by_id(number) is None
    assert remote.origin_by_digest(bytes(20)) is None


def test_origins_of_a_swhkit_keep_their_numbers(world: World, upstream: str) -> None:
    remote = catalog(upstream)
    assert remote.origins() == world.local.origins()
    assert remote.origins(2, 2) == world.local.origins(2, 2)
    assert [remote.origin(o.url) for o in world.local.origins()] == world.local.origins()
    assert remote.origins(1 << 70) == remote.origins(limit=0) == []


def test_origins_without_numbers_are_counted(
    world: World, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "PAGE", 2)
    expected = [(o.id, o.url) for o in world.local.origins()]
    with front(upstream, public) as (url, _):
        remote = catalog(url)
        assert [(o.id, o.url) for o in remote.origins()] == expected
        for after in range(len(expected) + 2):
            assert [(o.id, o.url) for o in catalog(url).origins(after, 3)] == expected[after : after + 3]
        third = remote.origin_by_id(3)
        assert third is not None
        assert (third.id, third.url) == expected[2]


def test_visits(world: World, remote: RemoteCatalog) -> None:
    for url in (URL, SPACED, QUERY, EMPTY_URL, VISITED, "https://git.example.org/nowhere"):
        for before, limit in (
            (None, 10),
            (None, 1000),
            (3, 10),
            (101, 150),
            (1, 5),
            (0, 5),
            (1 << 70, 3),
            (None, 0),
        ):
            expected = without_reasons(world.local.visits(url, before, limit))
            assert remote.visits(url, before, limit) == expected
    for number in (1, 2, 3, 4, 0, -1, 1 << 63, 1 << 70):
        mine, theirs = remote.visit(URL, number), world.local.visit(URL, number)
        assert [mine] == ([None] if theirs is None else without_reasons([theirs]))


def test_latest_visits(world: World, remote: RemoteCatalog) -> None:
    wanted: list[dict[str, Any]] = [
        {}, {"require_snapshot": True}, {"visit_type": "git"}, {"visit_type": "hg"}, {"visit_type": "svn"},
        {"statuses": [VisitStatus.FULL]}, {"statuses": []}, {"statuses": {VisitStatus.FAILED}, "visit_type": "hg"},
        {"statuses": [VisitStatus.FULL], "require_snapshot": True, "visit_type": "git"},
    ]  # fmt: skip
    for url in (URL, SPACED, EMPTY_URL, VISITED, "https://git.example.org/nowhere", ""):
        for options in wanted:
            theirs = world.local.latest_visit(url, **options)
            assert [remote.latest_visit(url, **options)] == (
                [None] if theirs is None else without_reasons([theirs])
            )


def test_what_the_web_api_does_not_tell(world: World, remote: RemoteCatalog) -> None:
    visit = world.local.visit(URL, 2)
    assert remote.history(URL, 2) == [VisitUpdate(visit.date, visit.status, visit.snapshot)]
    assert remote.history(URL, 99) == []
    assert remote.gaps(URL, 2) == []
    assert remote.closed([ObjectId(Kind.REVISION, world.sample.merge)]) == set()
    assert remote.likely_tips(URL, 5) == []
    lists: list[Callable[[], object]] = [
        remote.unfinished_visits,
        lambda: remote.visits_of_snapshot(world.sample.snp),
        lambda: remote.snapshots(),
        lambda: remote.scan_contents(),
    ]
    for call in lists:
        with pytest.raises(InvalidInput, match="cannot be"):
            call()
    assert remote.snapshots(limit=0) == []
    assert remote.scan_contents(limit=0) == []
    assert remote.visits_of_snapshot(world.sample.snp, 0) == []


def found(reader: Any, query: OriginQuery, limit: int, offset: int = 0) -> list[str]:
    """All URLs that a search finds, page by page."""
    urls: list[str] = []
    after: int | None = 0
    while after is not None:
        page = reader.search_origins(query, after=after, offset=offset, limit=limit)
        assert len(page.origins) <= limit
        urls += [one.origin.url for one in page.origins]
        after, offset = page.next, page.offset
    return urls


@pytest.mark.parametrize(
    "query",
    [
        OriginQuery(), OriginQuery(("git", "EXAMPLE")), OriginQuery(("nowhere",)), OriginQuery(visit_type="hg"),
        OriginQuery(with_visit=True), OriginQuery(with_content=True), OriginQuery(regexp="/[um]"),
        OriginQuery(("a%20b",)), OriginQuery(("?p=x",)), OriginQuery(("https://git",), with_content=True),
    ],
)  # fmt: skip
def test_searches(world: World, remote: RemoteCatalog, query: OriginQuery) -> None:
    expected = found(world.local, query, 1000)
    for limit in (1, 3, 1000):
        assert found(remote, query, limit) == expected
        assert found(remote, query, limit, 2) == expected[2:]
    assert remote.search_origins(query, limit=0).origins == []


def test_what_a_search_tells(world: World, remote: RemoteCatalog) -> None:
    query = OriginQuery(("u/p",))
    mine, theirs = remote.search_origins(query), world.local.search_origins(query)
    assert (mine.total, mine.next) == (theirs.total, None)
    for one, other in zip(mine.origins, theirs.origins, strict=True):
        assert (one.visits, one.snapshot, one.last_visit, one.last_eventful_visit) == (
            other.visits, other.snapshot, other.last_visit, other.last_eventful_visit,
        )  # fmt: skip
    with pytest.raises(InvalidInput, match="expression"):
        remote.search_origins(OriginQuery(regexp="(unclosed"))
    with pytest.raises(InvalidInput, match="not by both"):
        remote.search_origins(OriginQuery(("a",), regexp="b"))
    with pytest.raises(InvalidInput, match="begin it again"):
        remote.search_origins(query, after=77)


# --- facts ---


def test_object_metadata(world: World, remote: RemoteCatalog) -> None:
    s = world.sample
    svn = ObjectId(Kind.REVISION, s.svn)
    ids = [svn, ObjectId(Kind.REVISION, s.merge), ObjectId(Kind.RELEASE, s.release)]
    ids += [
        ObjectId(Kind.REVISION, MISSING),
        ObjectId(Kind.DIRECTORY, s.root),
        ObjectId(Kind.RELEASE, MISSING),
    ]
    assert remote.metadata(iter([*ids, *ids])) == world.local.metadata(ids)
    assert isinstance(remote.metadata([svn])[svn], ObjectMetadata)


def test_persons(world: World, upstream: str) -> None:
    remote = catalog(upstream)
    ada, bob = reading_samples.ADA.fullname, reading_samples.BOB.fullname
    assert remote.persons([ada, bob]) == {}
    remote.metadata([ObjectId(Kind.REVISION, world.sample.left)])
    numbers = world.local.persons([ada, bob])
    assert remote.persons([ada, bob, b"nobody"]) == numbers
    assert {name: remote.person(number) for name, number in numbers.items()} == {ada: ada, bob: bob}
    for number in (0, -1, 10_000, 1 << 63):
        assert remote.person(number) is None


def test_persons_where_they_have_no_numbers(world: World, upstream: str) -> None:
    with front(upstream, public) as (url, _):
        assert catalog(url).person(1) is None


def test_external_ids(world: World, remote: RemoteCatalog) -> None:
    hg, hg1, sha = world.extids
    assert remote.extids("hg-nodeid", [hg.value, b"\x02" * 20, hg.value], 0) == [hg]
    assert remote.extids("hg-nodeid", [hg.value], 1) == [hg1]
    assert remote.extids("hg-nodeid", [hg.value]) == [hg1]
    assert remote.extids("hg-nodeid", [hg.value], 7) == []
    assert remote.extids("checksum-sha256", iter([sha.value])) == [sha]
    assert remote.extids("no such type?", [b"\x01"]) == remote.extids("x", []) == []
    with pytest.raises(InvalidInput, match="cannot be asked"):
        remote.extids("no/such", [b"\x01"])
    targets = [one.target for one in world.extids] + [ObjectId(Kind.REVISION, MISSING)]
    assert set(remote.extids_of(targets)) == set(world.extids)
    assert remote.extids_of(targets, "hg-nodeid", 1) == [hg1]
    assert remote.extids_of(targets, "checksum-sha256") == [sha]


def test_extrinsic_metadata(world: World, remote: RemoteCatalog) -> None:
    for target in {record.target for record in world.emd}:
        expected = world.local.extrinsic_metadata(target, limit=1000)
        assert remote.authorities(target) == sorted(world.local.authorities(target))
        assert remote.extrinsic_metadata(target, limit=1000) == expected
        for authority in world.local.authorities(target):
            for limit in (1, 4, 100):
                theirs = world.local.extrinsic_metadata(target, authority, limit=limit)
                assert remote.extrinsic_metadata(target, authority, limit=limit) == theirs
        for id, record in expected[::5]:
            for before in (id, None):
                place = {"after": record.discovery_date, "before_id": before}
                theirs = world.local.extrinsic_metadata(target, **place, limit=3)
                assert remote.extrinsic_metadata(target, **place, limit=3) == theirs
        assert all(remote.extrinsic_metadata_by_id(id) == record for id, record in expected)
    assert remote.extrinsic_metadata("swh:1:rev:" + "2" * 40) == []
    assert remote.authorities("swh:1:rev:" + "2" * 40) == []
    assert remote.extrinsic_metadata(REVISION_TARGET, limit=0) == []


def test_a_record_that_was_not_listed(world: World, upstream: str) -> None:
    remote = catalog(upstream)
    with pytest.raises(InvalidInput, match="list it by its target"):
        remote.extrinsic_metadata_by_id(emd_id(world.emd[0]))
    assert remote.extrinsic_metadata_by_id(MISSING) is None
    assert remote.extrinsic_metadata_by_id(b"") is None


def test_counters(world: World, remote: RemoteCatalog) -> None:
    assert remote.counters() == world.local.counters()
    assert list(remote.counters()) == list(COUNTERS)


# --- end ---


def test_close_twice_then_nothing_more(upstream: str) -> None:
    remote = catalog(upstream)
    assert remote.counters()
    remote.close()
    remote.close()
    calls: list[Callable[[], object]] = [
        lambda: remote.contents([]), lambda: remote.missing_contents([]), lambda: remote.snapshot(MISSING),
        lambda: remote.branches(MISSING), lambda: remote.missing_snapshots([]), lambda: remote.origin(URL),
        lambda: remote.origins(), lambda: remote.visits(URL), lambda: remote.latest_visit(URL),
        lambda: remote.gaps(URL, 1), lambda: remote.closed([]), lambda: remote.likely_tips(URL, 1),
        lambda: remote.metadata([]), lambda: remote.extids("x", []), lambda: remote.persons([]),
        lambda: remote.counters(), lambda: remote.search_origins(OriginQuery()), lambda: remote.authorities("x"),
        lambda: remote.unfinished_visits(), lambda: remote.scan_contents(limit=0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="closed"):
            call()


def test_an_upstream_without_endpoints_is_not_an_empty_one(upstream: str) -> None:
    with front(upstream, lambda method, target: unrouted(target)) as (url, _):
        remote = catalog(url, **HASTY)
        calls: list[Callable[[], object]] = [
            lambda: remote.contents([MISSING]), lambda: remote.missing_contents([MISSING]),
            lambda: remote.snapshot(MISSING), lambda: remote.origin(URL), lambda: remote.visits(URL),
            lambda: remote.extids("x", [b"y"]), lambda: remote.counters(), lambda: remote.authorities(REVISION_TARGET),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(Unreachable, match="no such endpoint"):
                call()


def test_it_reads_all_that_a_catalog_reader_must_and_writes_nothing(upstream: str) -> None:
    def public_names(protocol: type) -> set[str]:
        return {name for name in vars(protocol) if not name.startswith("_")}

    mine = {name for name in dir(catalog(upstream)) if not name.startswith("_")}
    assert mine == public_names(CatalogReader)
    assert not mine & (public_names(Catalog) - public_names(CatalogReader))
