"""Snapshots: whole ones are hashed, pages are taken as they are told.

Names of branches may be written in a way that can be read in two ways (``swhkit_remote.escapes``); nothing but the hash
of the whole snapshot tells which is meant, so then the whole one is fetched, whatever was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice, product

from swhkit.errors import InvalidInput, InvalidManifest, Unreachable
from swhkit.hashes import git_digest
from swhkit.manifest import encode_snapshot, parse_snapshot
from swhkit.model import Branch, BranchType, Snapshot
from swhkit.storage import BranchPage
from swhkit.swhid import Kind, ObjectId
from swhkit_remote.answers import Forbidden, NoEndpoint, NotThere, Refused
from swhkit_remote.batches import batches
from swhkit_remote.client import Client
from swhkit_remote.escapes import ambiguous, literal, readings
from swhkit_remote.holdings import held
from swhkit_remote.paging import Progress
from swhkit_remote.shapes import BranchJson, SnapshotJson

#: Branches that the web API gives at once.
PAGE = 1000
#: A snapshot has at most so many bytes here.
SNAPSHOT_LIMIT = 256 << 20
#: Readings of ambiguous names that are tried.
CANDIDATES = 256

Branches = dict[bytes, Branch | None]


class Snapshots:
    """The part of the catalog on snapshots."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._raw = True

    def snapshot(self, id: bytes) -> Snapshot | None:
        """As the contract; what is given hashes to ``id``. Raises ``Unreachable`` for one that cannot be rebuilt."""
        self._client.check_open()
        found = self._from_raw(id) if self._raw else None
        return self._from_pages(id) if found is None else found

    def branches(
        self,
        id: bytes,
        first: bytes = b"",
        count: int = 1000,
        types: Collection[BranchType] | None = None,
    ) -> BranchPage | None:
        """As the contract. A page is not hashed: only a whole snapshot can be."""
        if count < 1:
            raise ValueError(f"count is {count}: a page has room for one branch at least")
        self._client.check_open()
        if types is not None and not types:
            return BranchPage({}, None) if not self.missing_snapshots([id]) else None
        try:
            page = self._paged(id, first, count, types)
        except NotThere:
            return None
        if page is not None:
            return page
        whole = self.snapshot(id)
        return None if whole is None else _page_of(whole, first, count, types)

    def branch(self, id: bytes, name: bytes) -> Branch | None:
        """As the contract, by a page of one."""
        page = self.branches(id, name, 1)
        return None if page is None else page.branches.get(name)

    def missing_snapshots(self, ids: Iterable[bytes]) -> set[bytes]:
        """As the contract, by ``known/``."""
        self._client.check_open()
        missing: set[bytes] = set()
        for batch in batches(ids, PAGE):
            asked = [ObjectId(Kind.SNAPSHOT, id) for id in batch if len(id) == 20]
            there = {one.digest for one in held(self._client, asked)}
            missing.update(id for id in batch if id not in there)
        return missing

    def snapshots(self, after: bytes | None = None, limit: int = 1000) -> list[bytes]:
        """The web API has no list of snapshots. Raises ``InvalidInput``."""
        del after
        self._client.check_open()
        if limit <= 0:
            return []
        raise InvalidInput(
            f"the snapshots of {self._client.url} cannot be listed: the web API has no list of them"
        )

    # --- whole ones ---

    def _from_raw(self, id: bytes) -> Snapshot | None:
        """The snapshot by its manifest; None if it is not to be had or cannot be read."""
        try:
            answer = self._client.binary(f"raw/{ObjectId(Kind.SNAPSHOT, id)}/", scope="swh_raw_object")
        except (Forbidden, NoEndpoint):
            self._raw = False
            return None
        except (NotThere, Refused):
            return None
        body = answer.read(SNAPSHOT_LIMIT).partition(b"\0")[2]
        if git_digest("snapshot", body) != id:
            raise self._wrong(id, "what it sent does not hash to it")
        try:
            return parse_snapshot(body)
        except InvalidManifest:
            return None

    def _from_pages(self, id: bytes) -> Snapshot | None:
        told: dict[str, BranchJson | None] = {}
        progress, first, size = Progress(self._client.url), "", 0
        while True:
            try:
                page = self._told(id, {"branches_count": PAGE, **({"branches_from": first} if first else {})})
            except NotThere:
                return None
            told.update(page.branches)
            size += sum(len(name) + 40 for name in page.branches)
            if size > SNAPSHOT_LIMIT:
                raise self._wrong(id, "it is larger than any snapshot is")
            if page.next_branch is None:
                break
            first = page.next_branch
            progress.step(first)
        for candidate in _candidates(told):
            snapshot = Snapshot(dict(sorted(candidate.items())))
            try:
                if git_digest("snapshot", encode_snapshot(snapshot)) == id:
                    return snapshot
            except InvalidManifest:
                break
        raise self._wrong(id, "what its JSON tells does not hash to it")

    def _wrong(self, id: bytes, why: str) -> Unreachable:
        return Unreachable(f"{ObjectId(Kind.SNAPSHOT, id)} cannot be had from {self._client.url}: {why}")

    # --- pages ---

    def _paged(
        self, id: bytes, first: bytes, count: int, types: Collection[BranchType] | None
    ) -> BranchPage | None:
        """A page as it is told; None if only the whole snapshot can tell. Raises ``NotThere``."""
        try:
            start: str | None = first.decode()
        except UnicodeDecodeError:
            return None
        found: Branches = {}
        progress = Progress(self._client.url)
        while start is not None and len(found) < count:
            if ambiguous(start):
                return None
            progress.step(start)
            query: dict[str, str | int] = {
                "branches_count": min(PAGE, count - len(found)),
                "branches_from": start,
            }
            if types is not None:
                query["target_types"] = ",".join(types)
            page = self._told(id, query)
            if any(ambiguous(text) for text in _texts(page.branches)):
                return None
            for name, branch in page.branches.items():
                found[literal(name)] = None if branch is None else _branch(branch)
            start = page.next_branch
        return self._checked(id, found, first, start, count)

    def _checked(
        self, id: bytes, found: Branches, first: bytes, following: str | None, count: int
    ) -> BranchPage | None:
        if following is not None and ambiguous(following):
            return None
        names = sorted(found)
        next_branch = None if following is None else literal(following)
        if names and (names[0] < first or (next_branch is not None and next_branch <= names[-1])):
            raise self._wrong(id, "its pages are out of order")
        if len(names) > count:
            raise self._wrong(id, "a page has more branches than were asked for")
        return BranchPage({name: found[name] for name in names}, next_branch)

    def _told(self, id: bytes, query: Mapping[str, str | int]) -> SnapshotJson:
        return self._client.json(f"snapshot/{id.hex()}/", SnapshotJson, query)[0]


def _branch(told: BranchJson, read: Callable[[str], bytes] = literal) -> Branch:
    """A branch; ``read`` turns the name that an alias has as its target into bytes."""
    kind = BranchType(told.target_type)
    if kind is BranchType.ALIAS:
        return Branch(kind, read(told.target))
    try:
        target = bytes.fromhex(told.target)
    except ValueError:
        target = b""
    if len(target) != 20:
        raise Unreachable("a branch was told of whose target is no id")
    return Branch(kind, target)


def _texts(told: Mapping[str, BranchJson | None]) -> Iterator[str]:
    """All names that are told: those of branches, and those that aliases have as targets."""
    for name, branch in told.items():
        yield name
        if branch is not None and branch.target_type == "alias":
            yield branch.target


def _candidates(told: Mapping[str, BranchJson | None]) -> Iterator[Branches]:
    """What the branches of a snapshot may be: each ambiguous name read in both ways, the same name everywhere alike."""
    names = list(dict.fromkeys(name for name in _texts(told) if ambiguous(name)))
    for chosen in islice(product(*map(readings, names)), CANDIDATES):
        known = dict(zip(names, chosen, strict=True))

        def read(name: str, known: Mapping[str, bytes] = known) -> bytes:
            return known[name] if name in known else literal(name)

        yield {read(name): None if branch is None else _branch(branch, read) for name, branch in told.items()}


def _page_of(whole: Snapshot, first: bytes, count: int, types: Collection[BranchType] | None) -> BranchPage:
    fit = [
        (name, branch)
        for name, branch in sorted(whole.branches.items())
        if name >= first and (types is None or (branch is not None and branch.type in types))
    ]
    return BranchPage(dict(fit[:count]), fit[count][0] if len(fit) > count else None)
