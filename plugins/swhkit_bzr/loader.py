"""One visit of a Bazaar branch: find it, see what is new, replay that, tell where its branches and tags are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from swhkit.plugin import Branch as SnapshotBranch
from swhkit.plugin import (
    BranchType,
    ChildTimeout,
    InvalidInput,
    Item,
    Kind,
    LimitExceeded,
    Load,
    ObjectId,
    Person,
    Release,
    Snapshot,
    Target,
    Unavailable,
    VisitContext,
    object_id,
    parse_release,
    parse_revision,
    without_secrets,
)
from swhkit_bzr import BzrConfig
from swhkit_bzr.branch import NULL, Branch, Head, find
from swhkit_bzr.connect import Connector, Place, place_of
from swhkit_bzr.mirror import mirror, redirected
from swhkit_bzr.questions import history_of
from swhkit_bzr.replay import EXTID, VERSION, Replay
from swhkit_bzr.smart import Broken, Refused

#: With more new revisions than these, a repository on a web server is brought as a whole.
_MANY = 50


def make(config: BzrConfig) -> BzrLoader:
    """The factory the provider names."""
    return BzrLoader(config)


class BzrLoader:
    """Loads one Bazaar branch."""

    def __init__(self, config: BzrConfig) -> None:
        self._config = config

    def load(self, context: VisitContext) -> Load:
        """The revisions that the archive lacks, with all they need; releases; the snapshot. See ``Loader.load``."""
        place = place_of(context.network.check(context.url))
        try:
            try:
                yield from self._load(context, place)
            except Refused as error:
                if error.word != b"UnknownMethod" or place.target.scheme != "bzr":
                    raise
                context.log.info("%s: an old server, whose files are read one by one", place.url)
                yield from self._load(context, msgspec.structs.replace(place, old=True))
        except LimitExceeded as error:
            raise LimitExceeded(f"{place.url}: {error}") from error
        except (Refused, Broken, InvalidInput, ValueError, ChildTimeout) as error:
            raise _failed(context, place, error) from error
        return None

    def _load(self, context: VisitContext, place: Place) -> Iterator[Item]:
        with ExitStack() as stack:
            context.progress("looking at the branch")
            connector = Connector(context, self._config, stack)
            branches, head = find(context, connector, redirected(context, place))
            if head.tip == NULL:
                yield Snapshot({})
                return
            history = history_of(branches, head.tip)
            tagged = {name: id for name, id in head.tags.items() if id in history}
            new, known = history.new(
                {head.tip, *tagged.values()}, lambda ids: _held(context, ids), _OwnRevisions(context)
            )
            if len(new) > _MANY:
                branches = [
                    _brought(context, connector, branch, number) for number, branch in enumerate(branches)
                ]
            yield from Replay(context, branches, history, known).load(new)
            yield from _told(context, head, {name: known[id] for name, id in tagged.items()}, known[head.tip])


def _brought(context: VisitContext, connector: Connector, branch: Branch, number: int) -> Branch:
    """The branch, with a copy of its repository where it is on a web server."""
    target, folder = branch.place.target, context.scratch / f"repository-{number}"
    if target.scheme not in ("http", "https"):
        return branch
    context.progress("downloading")
    if not mirror(context, target, branch.repository, folder):
        return branch
    here = place_of(Target(url=folder.as_uri(), scheme="file", path=folder))
    return Branch(branch.place, here.path, connector.connect(here), connector.connect(here), branch.notation)


def _failed(context: VisitContext, place: Place, error: Exception) -> Unavailable | LimitExceeded:
    """The error that ends a visit in which an answer did not come in time or could not be used."""
    deadline = context.runner.deadline
    if isinstance(error, ChildTimeout) or (deadline is not None and time.monotonic() >= deadline):
        limit = context.limits.visit_time
        return LimitExceeded(
            f"{place.url}: not loaded within the {limit:.0f} s a visit may take (limits.visit_time)"
        )
    words = " ".join(without_secrets(str(error)).split())
    return Unavailable(f"{place.url}: the branch cannot be read ({words[:400]})")


class _OwnRevisions:
    """Digests of all revisions below the previous snapshot of this origin, read as far as they are asked for."""

    def __init__(self, context: VisitContext) -> None:
        self._read = context.read
        branches = context.previous.branches.values() if context.previous else ()
        tips = [b for b in branches if b is not None and b.type is not BranchType.ALIAS]
        releases = [ObjectId(Kind.RELEASE, b.target) for b in tips if b.type is BranchType.RELEASE]
        targets = (parse_release(body).target for body in context.read(releases).values())
        self._latest = {b.target for b in tips if b.type is BranchType.REVISION} | set(filter(None, targets))
        self._found = set(self._latest)

    def __contains__(self, digest: object) -> bool:
        while digest not in self._found and self._latest:
            bodies = self._read([ObjectId(Kind.REVISION, each) for each in self._latest]).values()
            parents = {parent for body in bodies for parent in parse_revision(body).parents}
            self._latest = parents - self._found
            self._found |= self._latest
        return digest in self._found


def _held(context: VisitContext, ids: list[bytes]) -> dict[bytes, bytes]:
    """Digests of the revisions that the archive has under these ids.

    A revision id is no hash: what another origin has under it may be something else.
    """
    found = [extid for extid in context.extids(EXTID, ids, VERSION) if extid.kind is Kind.REVISION]
    missing = context.missing([extid.target for extid in found])
    return {extid.value: extid.digest for extid in found if extid.target not in missing}


def _told(
    context: VisitContext, head: Head, tagged: dict[bytes, bytes], tip: bytes
) -> Iterator[Release | Snapshot]:
    """The releases that the archive lacks, and the snapshot."""
    branches: dict[bytes, SnapshotBranch | None] = {
        b"HEAD": SnapshotBranch(BranchType.ALIAS, b"trunk"),
        b"trunk": SnapshotBranch(BranchType.REVISION, tip),
    }
    releases = {}
    for name in head.tags:
        branches[b"tags/" + name] = None
        if name in tagged:
            release = Release(name, None, tagged[name], Kind.REVISION, author=Person(b""))
            releases[object_id(release)] = release
            branches[b"tags/" + name] = SnapshotBranch(BranchType.RELEASE, object_id(release).digest)
    missing = context.missing(releases)
    yield from (release for id, release in releases.items() if id in missing)
    yield Snapshot(branches)
