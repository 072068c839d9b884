"""One visit of a Mercurial repository: ask, compare, read the stream, tell what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from swhkit.plugin import (
    Content,
    Directory,
    ExtId,
    Gap,
    InvalidUrl,
    Kind,
    Load,
    LoadStatus,
    NotFound,
    Outcome,
    Revision,
    Snapshot,
    Target,
    Unavailable,
    VisitContext,
    VisitStatus,
    object_id,
    without_secrets,
)
from swhkit_hg import HgConfig
from swhkit_hg.branches import bookmark_branches, head_branches, head_of, releases, tag_branches
from swhkit_hg.bundle import changegroups
from swhkit_hg.changegroup import Changegroup
from swhkit_hg.changeset import revision
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.files import Files
from swhkit_hg.history import HELD, LOST, History
from swhkit_hg.known import EXTID, VERSION, find_held, unchanged
from swhkit_hg.local import ENVIRONMENT, server
from swhkit_hg.manifests import Manifests
from swhkit_hg.peer import BundleFile, Listing, Peer, Web
from swhkit_hg.serving import served
from swhkit_hg.ssh import ssh_command
from swhkit_hg.tables import NULL

#: After so many more it is told how far the visit is.
_TOLD = 1000


def make(config: HgConfig) -> HgLoader:
    """The factory the provider names."""
    return HgLoader(config)


class HgLoader:
    """Loads one Mercurial repository or bundle."""

    def __init__(self, config: HgConfig) -> None:
        self._config = config

    def load(self, context: VisitContext) -> Load:
        """Contents, directories, revisions with their external ids, releases, the snapshot. See ``Loader.load``."""
        target = context.network.check(context.url)
        shown = without_secrets(target.url)
        try:
            return (yield from self._visit(context, target))
        except Broken as error:
            raise NotFound(f"{shown}: no clone can be made of it: {error}") from error
        except Unsupported as error:
            raise Unavailable(f"{shown}: {error}; this is not read") from error

    def _visit(self, context: VisitContext, target: Target) -> Load:
        with ExitStack() as stack:
            history = stack.enter_context(closing(History(context.scratch)))
            manifests = stack.enter_context(closing(Manifests(context, history)))
            files = stack.enter_context(closing(Files(context, history)))
            context.progress("listing branches")
            with self._peer(context, target) as peer:
                listing = peer.listing()
                if listing is not None and unchanged(context, listing):
                    assert context.previous is not None
                    yield context.previous
                    return Outcome(load_status=LoadStatus.UNEVENTFUL)
                with peer.bundle() as source:
                    for changegroup in changegroups(source, context.scratch):
                        yield from _read(context, changegroup, history, manifests, files)
            yield from manifests.directories(files)
            yield from _revisions(context, history, manifests)
            return (yield from _results(context, history, listing))

    @contextmanager
    def _peer(self, context: VisitContext, target: Target) -> Iterator[Peer]:
        """Whoever has the repository, for the time of the block."""
        within = self._config.listing_time
        if target.scheme in ("http", "https"):
            yield Web(context, target.url, within)
        elif target.path is not None and target.path.is_file():
            yield BundleFile(target.path)
        elif target.path is not None:
            with served(context, server(target.path, context.scratch / "view"), ENVIRONMENT, within) as peer:
                yield peer
        elif target.scheme == "ssh":
            own = context.network.from_cli
            command, environment = ssh_command(target, self._config.ssh_config, own)
            with served(context, command, environment, within) as peer:
                yield peer
        else:
            raise InvalidUrl(
                f"{without_secrets(target.url)}: Mercurial is spoken over http, https and ssh, not {target.scheme}"
            )


def _read(
    context: VisitContext, changegroup: Changegroup, history: History, manifests: Manifests, files: Files
) -> Iterator[Content]:
    """Read a changegroup to its end: changesets, manifests, files, as they come."""
    for delta in changegroup.group():
        history.add(delta)
        if len(history) % _TOLD == 0:
            context.progress("reading changesets", len(history))
    find_held(context, history)
    manifests.spool(changegroup)
    yield from files.take(changegroup)


def _revisions(
    context: VisitContext, history: History, manifests: Manifests
) -> Iterator[Directory | Revision | ExtId]:
    """The revisions of all changesets that are not held, with their external ids; those that cannot be had are noted."""
    for number in range(len(history)):
        row = history[number]
        if row.flags & HELD:
            continue
        if number % _TOLD == 0:
            context.progress("making revisions", number, len(history))
        if row.manifest == NULL:
            empty = Directory(())
            yield empty
            root: bytes | None = object_id(empty).digest
        else:
            root = manifests.needed(row.manifest)
        parents = [history[parent] for parent in (row.p1, row.p2) if parent >= 0]
        if root is None or any(parent.flags & LOST for parent in parents):
            history.flag(number, LOST)
            continue
        made = revision(history.changeset(number), root, tuple(parent.revision for parent in parents))
        digest = object_id(made).digest
        history.settle(number, digest)
        yield made
        yield ExtId(EXTID, VERSION, row.node, Kind.REVISION, digest)


def _results(context: VisitContext, history: History, listing: Listing | None) -> Load:
    """Yield releases and the snapshot; return what it amounts to."""
    bookmarks = listing.bookmarks if listing is not None else {}
    branches, lost = head_branches(history, listing)
    branches |= bookmark_branches(bookmarks, history)
    made = list(releases(context, history))
    yield from made
    branches |= tag_branches(made)
    head = head_of(branches, bookmarks, history)
    if head is not None:
        branches[b"HEAD"] = head
    numbers = range(len(history))
    gone = sum(1 for number in numbers if history[number].flags & LOST)
    new = any(not history[number].flags & (HELD | LOST) for number in numbers)
    reason = f"{gone} of {len(history)} changesets could not be had: files that they name are not there"
    yield from (Gap(reason, branch=name) for name in lost)
    yield Snapshot(branches)
    return Outcome(
        status=VisitStatus.PARTIAL if gone else None,
        load_status=LoadStatus.EVENTFUL if new else LoadStatus.UNEVENTFUL,
        reason=reason if gone else None,
    )
