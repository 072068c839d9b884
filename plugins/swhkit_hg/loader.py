"""One visit of a Mercurial repository: ask, compare, read the stream, tell what came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from swhkit.plugin import (
    ChildTimeout,
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
from swhkit_hg.bundle import changegroup_of
from swhkit_hg.changeset import revision
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.files import Files
from swhkit_hg.history import HELD, LOST, History
from swhkit_hg.known import EXTID, VERSION, find_held, unchanged
from swhkit_hg.local import ENVIRONMENT, server
from swhkit_hg.manifests import Manifests
from swhkit_hg.peer import BundleFile, Listing, Peer, Stdio, Web
from swhkit_hg.ssh import is_away, ssh_command
from swhkit_hg.tables import NULL

_NAMED = 3


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
            context.progress("listing branches")
            peer = stack.enter_context(self._peer(context, target))
            listing = peer.listing()
            if listing is not None and unchanged(context, listing):
                assert context.previous is not None
                yield context.previous
                return Outcome(load_status=LoadStatus.UNEVENTFUL)
            history = stack.enter_context(closing(History(context.scratch)))
            manifests = stack.enter_context(closing(Manifests(context, history)))
            files = stack.enter_context(closing(Files(context, history)))
            with peer.bundle() as source:
                for changegroup in changegroup_of(source):
                    changegroup.scratch = context.scratch
                    context.progress("reading changesets")
                    for delta in changegroup.group():
                        history.add(delta)
                    find_held(context, history)
                    manifests.spool(changegroup)
                    context.progress("reading files")
                    yield from files.take(changegroup)
            context.progress("making directories")
            yield from manifests.directories(files)
            yield from _revisions(context, history, manifests)
            return (yield from _results(context, history, listing))

    @contextmanager
    def _peer(self, context: VisitContext, target: Target) -> Iterator[Peer]:
        """Whoever has the repository, for the time of the block."""
        if target.scheme in ("http", "https"):
            yield Web(context, target.url)
        elif target.path is not None and target.path.is_file():
            yield BundleFile(target.path)
        elif target.path is not None:
            with self._served(context, server(target.path, context.scratch / "view"), ENVIRONMENT) as peer:
                yield peer
        elif target.scheme == "ssh":
            own = context.network.from_cli
            command, environment = ssh_command(target, self._config.ssh_config, own)
            with self._served(context, command, environment) as peer:
                yield peer
        else:
            raise InvalidUrl(
                f"{without_secrets(target.url)}: Mercurial is spoken over http, https and ssh, not {target.scheme}"
            )

    @contextmanager
    def _served(
        self, context: VisitContext, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> Iterator[Peer]:
        """A server that is started for us. What it says when it fails is the reason."""
        shown = without_secrets(context.url)
        try:
            with context.runner.start(command, env=environment) as child:
                try:
                    yield Stdio(child.stdin, child.stdout)
                except Broken as error:
                    child.ended(_PATIENCE)
                    said = _words(child.stderr())
                    if is_away(child.stderr()):
                        raise Unavailable(f"{shown}: there is no connection ({said})") from error
                    raise Broken(f"{error} ({said})" if said else str(error)) from error
        except ChildTimeout as error:
            raise Unavailable(f"{shown}: the server did not answer in time") from error


#: Seconds in which a server that has failed says why.
_PATIENCE = 5.0


def _words(stderr: str) -> str:
    """What a server or ssh has said, as one short line."""
    said = [" ".join(line.split()) for line in without_secrets(stderr).splitlines()]
    return "; ".join(filter(None, said))[-400:]


def _revisions(
    context: VisitContext, history: History, manifests: Manifests
) -> Iterator[Directory | Revision | ExtId]:
    """The revisions of all changesets that are not held, with their external ids; those that cannot be had are noted."""
    for number in range(len(history)):
        row = history[number]
        if row.flags & HELD:
            continue
        if number % 1000 == 0:
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
    branches, lost = head_branches(history)
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
