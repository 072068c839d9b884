"""The remote reader of objects over a real swhkit: the contract with ``raw/`` and without it, and what JSON cannot tell."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_servers import error, front, objects, served, stores, unrouted
from vectors import FOLDER

from swhkit.errors import NotHeld, TooLarge, Unreachable
from swhkit.hashes import hash_content
from swhkit.model import Bytes, Chunks, ContentRow
from swhkit.storage import READ_LIMIT
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import Filled, ReaderContract, samples
from swhkit_remote.objects import RemoteObjects

GRAPH = dict(samples.graph())
#: Objects made at random by the reference implementation, and ones that git keeps though they are malformed.
VECTORS = dict(
    samples.sample(Kind.from_word(word), base64.b64decode(one["manifest_b64"]).partition(b"\0")[2])
    for word in ("directory", "revision", "release")
    for one in json.loads((FOLDER / "objects.json").read_text())["objects"][word]
    if not one["raw_manifest"]
)
MALFORMED = dict(samples.malformed())
LARGE = READ_LIMIT + 1


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A swhkit that holds everything above, and a content too large to be read whole."""
    folder = tmp_path_factory.mktemp("upstream")
    store, rows = stores(folder)
    everything = {**GRAPH, **VECTORS, **MALFORMED}
    store.add([(id, Bytes(body)) for id, body in everything.items()])
    contents = [body for id, body in everything.items() if id.kind is Kind.CONTENT]
    rows.add([ContentRow.of(hash_content(body)) for body in contents])
    store.add([(samples.flow_id(LARGE), Chunks(LARGE, samples.flow(LARGE)))])
    filler = bytes(32)
    rows.add([ContentRow(samples.flow_id(LARGE).digest, filler[:20], filler, filler, LARGE)])
    store.close()
    rows.close()
    with served(folder) as url:
        yield url


@pytest.fixture(scope="module")
def without_raw(upstream: str) -> Iterator[str]:
    """The same where ``raw/`` is not for us."""

    def refuses(method: str, target: str) -> tuple[int, bytes] | None:
        if target.startswith("/api/1/raw/"):
            return error(403, "ForbiddenExc", "This API endpoint requires a special user permission.")
        return None

    with front(upstream, refuses) as (url, _):
        yield url


class TestRemoteObjects(ReaderContract):
    can_list = False

    @pytest.fixture
    def filled(self, upstream: str) -> Iterator[Filled]:
        reader = objects(upstream)
        yield Filled(reader, GRAPH)
        reader.close()


class TestRemoteObjectsWithoutRaw(ReaderContract):
    can_list = False

    @pytest.fixture
    def filled(self, without_raw: str) -> Iterator[Filled]:
        reader = objects(without_raw)
        yield Filled(reader, GRAPH)
        reader.close()


def faithful(reader: RemoteObjects, wanted: dict[ObjectId, bytes]) -> set[ObjectId]:
    """Those that come back byte for byte; the others must be refused as what cannot be had, by name."""
    good = set()
    for id, body in wanted.items():
        try:
            found = reader.read([id])
        except Unreachable:
            with pytest.raises(Unreachable, match=f"^{id} cannot be had byte for byte from http://"):
                next(reader.stream(id))
            continue
        assert found == {id: body}
        assert b"".join(reader.stream(id)) == body
        good.add(id)
    return good


def test_with_raw_every_object_comes_byte_for_byte(upstream: str) -> None:
    reader = objects(upstream)
    everything = VECTORS | MALFORMED
    assert reader.read(everything) == everything
    assert reader.sizes(everything) == {id: len(body) for id, body in everything.items()}
    assert reader.missing(everything) == set()
    assert faithful(reader, everything) == set(everything)


def test_without_raw_what_cannot_be_rebuilt_is_refused(without_raw: str) -> None:
    good = faithful(objects(without_raw, retries=0), VECTORS | MALFORMED)
    lost = set(VECTORS | MALFORMED) - good
    # JSON has no word for moments that lie beyond the year 9999 in their own time zone …
    beyond = {id for id, body in VECTORS.items() if b" 253402297199" in body}
    # … nor for trees out of order, with a slash in a name, or with a file's mode that begins with a zero.
    assert lost == beyond | {id for id in MALFORMED if id.kind is Kind.DIRECTORY}
    assert len(good) >= 80


def test_a_large_content_is_streamed_only(upstream: str, without_raw: str) -> None:
    id = samples.flow_id(LARGE)
    for url in (upstream, without_raw):
        reader = objects(url)
        assert reader.sizes([id]) == {id: LARGE}
        with pytest.raises(TooLarge, match=str(id)):
            reader.read([id])
        with samples.PeakMemory() as memory:
            assert sum(map(len, reader.stream(id))) == LARGE
        assert memory.growth < 16 << 20


def test_where_there_is_no_raw_at_all(upstream: str) -> None:
    def refuses(method: str, target: str) -> tuple[int, bytes] | None:
        return unrouted(target) if target.startswith("/api/1/raw/") else None

    with front(upstream, refuses) as (url, seen):
        reader = objects(url, parallel=1)
        assert reader.read(GRAPH) == GRAPH
        assert reader.sizes(GRAPH) == {id: len(body) for id, body in GRAPH.items()}
    # It is asked once, and remembered.
    assert sum("/raw/swh:" in line for line in seen) == 1


def test_nothing_is_asked_for_kinds_that_no_store_has(upstream: str) -> None:
    with front(upstream, lambda method, target: None) as (url, seen):
        reader = objects(url)
        snapshot = ObjectId(Kind.SNAPSHOT, b"\x01" * 20)
        assert reader.missing([snapshot]) == {snapshot}
        with pytest.raises(NotHeld):
            next(reader.stream(snapshot))
    assert seen == []


def test_a_batch_is_asked_in_thousands(upstream: str) -> None:
    with front(upstream, lambda method, target: None) as (url, seen):
        ids = [ObjectId(Kind.REVISION, n.to_bytes(20)) for n in range(2500)]
        assert objects(url).missing(iter(ids)) == set(ids)
    assert seen == ["POST /api/1/known/"] * 3


def test_nobody_is_connected_to_before_the_first_question(tmp_path: Path) -> None:
    reader = objects("http://127.0.0.1:1/api/1/", retries=0)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1/"):
        reader.read([next(iter(GRAPH))])
