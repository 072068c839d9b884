"""One visit of a git repository: list, compare, fetch, tell what came."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from swhkit.plugin import (
    Branch,
    Gap,
    Git,
    Kind,
    Load,
    ObjectId,
    Outcome,
    SshKeys,
    Target,
    Unavailable,
    VisitContext,
    VisitStatus,
    without_secrets,
)
from swhkit_git import GitConfig
from swhkit_git.fetch import Fetched, Fetcher, Moved, packs_in
from swhkit_git.local import prerequisites
from swhkit_git.probe import download_bundle
from swhkit_git.refs import KINDS, Refs, branches_of, same_as, snapshot_of
from swhkit_git.remote import Address, list_refs, reach

#: How many branches a reason names; how many digests the archive is asked for at once.
_NAMED, _BATCH = 3, 5000


def make(config: GitConfig) -> GitLoader:
    """The factory the provider names."""
    return GitLoader(config)


class Had(msgspec.Struct, frozen=True):
    """What the archive has of a listing: kinds of the digests that are closed, and the tips to tell the server of.

    ``distrusted``: the visit before was complete and is no longer: something below its tips was lost or damaged. Git
    would find everything there and fetch nothing (it does not look into files), so nothing is said to be had.
    """

    kinds: dict[bytes, Kind]
    known: frozenset[bytes]
    distrusted: bool = False


class GitLoader:
    """Loads one git repository or bundle."""

    def __init__(self, config: GitConfig) -> None:
        self._config = config

    def load(self, context: VisitContext) -> Load:
        """Packs as git fetched them, gaps of shallow or damaged origins, the snapshot. See ``Loader.load``."""
        target = context.network.check(context.url)
        trace = context.scratch / "trace"
        context.progress("listing branches")
        if target.scheme == "ssh":
            context.runner.run(["ssh", "-V"], check=False)  # a missing program is said by its package's name
        address, listing = reach(
            context.network,
            target,
            self._lister(context),
            trace,
            keys=SshKeys(self._config.ssh_config, own=context.network.from_cli),
            bundle=lambda target: _bundle(context, target),
        )
        for may_have_moved in (True, False):
            refs = branches_of(listing)
            if _unchanged(context, refs):
                assert context.previous is not None
                yield context.previous
                return None
            had = self._had(context, address, refs)
            wanted = [digest for digest in refs.digests() if digest not in had.kinds]
            fetcher = Fetcher(context, address, had.known, self._config.fetches, alone=had.distrusted)
            try:
                fetched = fetcher.fetch(wanted, may_have_moved=may_have_moved)
                break
            except Moved:
                context.log.info("%s: a branch has moved while it was fetched: listing again", address.url)
                listing = list_refs(address, self._lister(context), trace)
        return (yield from _results(context, refs, had, fetched))

    def _lister(self, context: VisitContext) -> Git:
        """Git without a repository, within the time a server has to list its refs."""
        end = time.monotonic() + self._config.listing_time
        if context.runner.deadline is not None:
            end = min(end, context.runner.deadline)
        return Git(context.runner.with_(deadline=end), protocols=context.network.git_protocols())

    def _had(self, context: VisitContext, address: Address, refs: Refs) -> Had:
        if context.anew:
            return Had({}, frozenset(), distrusted=True)
        tips = set(_tips(context))
        closed = set(context.closed(tips))
        if closed != tips and _was_complete(context):
            return Had({}, frozenset(), distrusted=True)
        if address.path is not None and address.path.is_file():
            closed |= context.closed(
                ObjectId(Kind.REVISION, digest) for digest in prerequisites(address.path)
            )
        digests = refs.digests()
        for first in range(0, len(digests), _BATCH):
            batch = digests[first : first + _BATCH]
            closed |= context.closed(ObjectId(kind, digest) for digest in batch for kind in KINDS)
        kinds = {id.digest: id.kind for id in closed}
        if context.held_objects is None:
            return Had(kinds, frozenset())
        known = _negotiable(closed)
        if context.previous is None or not known:
            known |= _negotiable(context.likely_tips(self._config.likely_tips))
        return Had(kinds, known)


def _bundle(context: VisitContext, target: Target) -> Path | None:
    """The bundle that a web server has at ``target``, in the scratch folder; None if what it has is none."""
    file = context.scratch / "origin.bundle"
    context.progress("downloading")
    found = download_bundle(
        context.network,
        target,
        file,
        context.limits.max_pack_size,
        context.runner.deadline,
        lambda size: context.progress("downloading", size),
    )
    return file if found else None


def _negotiable(ids: Iterable[ObjectId]) -> frozenset[bytes]:
    """Those that git can negotiate with: commits and tags."""
    return frozenset(id.digest for id in ids if id.kind in (Kind.REVISION, Kind.RELEASE))


def _tips(context: VisitContext) -> Iterator[ObjectId]:
    """What the branches of the previous snapshot point at."""
    branches: Iterable[Branch | None] = context.previous.branches.values() if context.previous else ()
    for branch in branches:
        if branch and (kind := branch.type.kind):
            yield ObjectId(kind, branch.target)


def _was_complete(context: VisitContext) -> bool:
    """Whether the visit before had everything."""
    return context.previous_visit is not None and context.previous_visit.status is VisitStatus.FULL


def _unchanged(context: VisitContext, refs: Refs) -> bool:
    """Whether there is nothing to fetch: the same branches, and the visit before was complete and still is."""
    if context.anew or context.previous is None or not _was_complete(context):
        return False
    tips = set(_tips(context))
    return same_as(refs, context.previous) and context.closed(tips) == tips


def _results(context: VisitContext, refs: Refs, had: Had, fetched: Fetched) -> Load:
    """Yield what came and return what it amounts to."""
    _require_something(context, refs, fetched)
    kinds = had.kinds | _kinds_of(context, fetched, refs, had)
    lost = {name: fetched.lost[digest] for name, digest in refs.targets.items() if digest in fetched.lost}
    cut = list(_cut_history(context, fetched.git))
    yield from packs_in(fetched.git)
    yield from cut
    yield from (Gap(reason, branch=name) for name, reason in lost.items())
    yield snapshot_of(refs, kinds, lost)
    reasons = [*_about_lost(lost, len(refs.targets)), *_about_cut(cut)]
    return Outcome(VisitStatus.PARTIAL, reason="; ".join(reasons)) if reasons else None


def _require_something(context: VisitContext, refs: Refs, fetched: Fetched) -> None:
    """Raise ``Unavailable`` where the snapshot of what came would say less than is known.

    That is: nothing came at all, and nothing is left of the branches, or a branch that was there before is not.
    """
    if fetched.came or not fetched.lost:
        return
    before = context.previous.branches if context.previous else {}
    rest = [name for name, digest in refs.targets.items() if digest not in fetched.lost]
    if not rest or any(name in before for name, digest in refs.targets.items() if digest in fetched.lost):
        reason = next(iter(fetched.lost.values()))
        raise Unavailable(
            f"{without_secrets(context.url)}: the server could send nothing of what was asked for ({reason})"
        )


def _kinds_of(context: VisitContext, fetched: Fetched, refs: Refs, had: Had) -> dict[bytes, Kind]:
    """The kinds of what was fetched. Raises ``Unavailable`` if some of it is not there after all."""
    asked = [d for d in refs.digests() if d not in had.kinds and d not in fetched.lost]
    kinds = (
        {digest: kind for digest, kind, _ in fetched.git.check(asked) if kind is not None} if asked else {}
    )
    for digest in asked:
        if digest not in kinds:
            raise Unavailable(
                f"{without_secrets(context.url)}: the server has not sent {digest.hex()}, which it names as a branch"
            )
    return kinds


def _cut_history(context: VisitContext, fetched: Git) -> Iterator[Gap]:
    """The parents that a shallow origin lacks and nobody else vouches for; git's ``shallow`` file names their children.

    That the archive has such a parent is not enough (held is not closed): an earlier visit may have been cut just
    below it.
    """
    assert fetched.git_dir is not None
    file = fetched.git_dir / "shallow"
    if not file.exists():
        return
    children: dict[bytes, bytes] = {}
    for id, _, pieces in fetched.read(_lines(file)):
        head = next(pieces, b"")
        children.update((parent, id.digest) for parent in _parents(head))
    came = Git(context.runner, fetched.git_dir)
    parents = {ObjectId(Kind.REVISION, digest) for digest, kind, _ in came.check(children) if kind is None}
    parents -= context.closed(parents)
    missing = context.missing(parents)
    held = parents - missing
    if held and not _complete_below(context, held):
        missing = parents
    for id in sorted(missing):
        reason = "the origin is shallow: it does not have this parent"
        yield Gap(reason, kind=Kind.REVISION, digest=id.digest, referrer=children[id.digest])


def _complete_below(context: VisitContext, held: Iterable[ObjectId]) -> bool:
    """Whether the archive has everything below these revisions (asked of git, without the origin's cuts)."""
    if context.held_objects is None:
        return False
    git = Git.init(context.runner, context.scratch / "held.git", alternates=[context.held_objects])
    heads = [f"{id.hex}\n".encode("ascii") for id in held]
    return git.run("rev-list", "--objects", "--quiet", "--stdin", input=heads, check=False).code == 0


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("r", encoding="ascii") as lines:
        for line in lines:
            yield bytes.fromhex(line)


def _parents(commit: bytes) -> Iterator[bytes]:
    """The parents a commit names, from its first piece (1 MiB has some 20,000)."""
    for line in commit.split(b"\n")[1:]:
        if not line.startswith(b"parent ") or len(line) != 47:
            return
        yield bytes.fromhex(line[7:].decode("ascii"))


def _about_lost(lost: dict[bytes, str], of: int) -> Iterator[str]:
    if lost:
        named = ", ".join(_readable(name) for name in list(lost)[:_NAMED])
        more = " and others" if len(lost) > _NAMED else ""
        yield f"{len(lost)} of {of} branches could not be had: {named}{more} ({next(iter(lost.values()))})"


def _readable(name: bytes) -> str:
    """A branch's name as it may stand in a text: a server can put anything into it."""
    text = name[:100].decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else "?" for char in text)


def _about_cut(cut: list[Gap]) -> Iterator[str]:
    if cut:
        yield f"the origin is shallow: {len(cut)} parent revision(s) are missing"
