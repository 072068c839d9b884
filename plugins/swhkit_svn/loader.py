"""One visit of a Subversion repository: find it, compare, replay what is new, tell how far it came."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import msgspec

from swhkit.plugin import (
    Branch,
    BranchType,
    Item,
    Load,
    Outcome,
    Snapshot,
    Tree,
    Unavailable,
    VisitContext,
    VisitStatus,
    object_id,
    without_secrets,
)
from swhkit_svn import SvnConfig
from swhkit_svn.access import Records
from swhkit_svn.dump import Damaged, RevisionRecord
from swhkit_svn.gather import Gatherer
from swhkit_svn.history import HEAD, Head, first_parent, head_of, make_revision
from swhkit_svn.origin import Origin, find
from swhkit_svn.replay import Done, replay
from swhkit_svn.state import State
from swhkit_svn.store import Store
from swhkit_svn.texts import Workshop

#: The part of a visit's time after which it ends with what it has, so that there is time left to check and publish it.
_SHARE = 0.75


def make(config: SvnConfig) -> SvnLoader:
    """The factory the provider names."""
    return SvnLoader(config)


class _Altered(Exception):
    """The origin's revision is no longer what was archived as it."""


class SvnLoader:
    """Loads one Subversion repository, a folder of one, or a dump file."""

    def __init__(self, config: SvnConfig) -> None:
        self._config = config

    def load(self, context: VisitContext) -> Load:
        """Contents, directories and revisions as the repository's history brings them, then the snapshot."""
        with ExitStack() as within:
            context.progress("asking the server")
            return (yield from self._load(context, find(context, self._config, within)))

    def _load(self, context: VisitContext, origin: Origin) -> Load:
        head = head_of(context, context.previous) if context.previous is not None else None
        if head is not None and not context.anew:
            if _unchanged(context, origin, head):
                assert context.previous is not None
                yield context.previous
                return None
            try:
                return (yield from self._go_on(context, origin, head))
            except _Altered:
                context.log.warning(
                    "%s: revision %d is no longer what was archived: all is loaded anew",
                    without_secrets(context.url), head.number,
                )  # fmt: skip
                return (yield from self._load_all(context, origin, (head.digest,)))
        parents = first_parent(context, head) if head is not None else ()
        return (yield from self._load_all(context, origin, parents))

    def _load_all(self, context: VisitContext, origin: Origin, parents: tuple[bytes, ...]) -> Load:
        with self._visit(context, origin) as visit, origin.dump(0) as dumped:
            yield from visit.run(dumped, parents, None)
            return (yield from visit.result())

    def _go_on(self, context: VisitContext, origin: Origin, head: Head) -> Load:
        if origin.file is not None:  # a dump is read from its begin
            with self._visit(context, origin) as visit, origin.dump(0) as dumped:
                yield from visit.run(dumped, first_parent(context, head), head)
                return (yield from visit.result())
        if origin.youngest < head.number:
            raise _Altered
        with self._visit(context, origin) as visit, origin.dump(head.number) as dumped:
            yield from visit.run(dumped, (), head)
            return (yield from visit.result())

    @contextmanager
    def _visit(self, context: VisitContext, origin: Origin) -> Iterator[_Visit]:
        folder = context.scratch / "svn"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        with closing(Store(folder, context.limits.max_pack_size)) as store:
            yield _Visit(context, self._config, origin, store)


class _Visit:
    """The replay of one dump. ``last`` is the newest revision that was yielded, or is known to be archived."""

    def __init__(self, context: VisitContext, config: SvnConfig, origin: Origin, store: Store) -> None:
        self._context, self._origin = context, origin
        self._gatherer = Gatherer(context, config, store, origin.reach, origin.mounted)
        self._state = State(context, store, Workshop(context.scratch, context.limits.max_pack_size))
        self._ends = _soft_end(context)
        self._damage: str | None = None
        self._news = False
        self.last: bytes | None = None

    def run(self, dumped: Records, parents: tuple[bytes, ...], head: Head | None) -> Iterator[Item]:
        """Yield what the dump brings. ``head``: the archived revision that the dump must begin with (that a dump file
        must come to); raises ``_Altered`` if it does not. Damage ends it, and is remembered."""
        first: Done | None = None
        last = -1
        whole = self._origin.file is not None
        if head is not None and not whole:
            self._gatherer.archived = Tree(self._context.read, head.directory)
        try:
            for item in replay(
                dumped.records,
                self._state,
                update=self._gatherer.update,
                older=self._gatherer.older,
                below=self._origin.below,
                tell=self._tell,
            ):
                if not isinstance(item, Done):
                    yield item
                    continue
                first = first or item
                if head is not None and not whole and item is first:
                    self._compare(item, head, dumped.dump.uuid)
                    self._gatherer.archived = None
                    parents = (head.digest,)
                elif item.number > 0 and item.touched:
                    parents = yield from self._revision(item, parents, dumped.dump.uuid)
                    if head is not None and item.number == head.number and self.last != head.digest:
                        raise _Altered
                last = item.number
                if self._ends is not None and self._news and time.monotonic() > self._ends:
                    raise Damaged(
                        f"most of the visit's time was up at revision {item.number}: the next visit goes on there"
                    )
        except Damaged as error:
            if (limit := self._origin.reach.limit()) is not None:
                raise limit from error
            self._damage = str(error)
        if head is not None and last < head.number and self._damage is None:
            raise _Altered
        if self.last is None and self._damage is None and first is not None and not self._origin.below:
            yield from self._state.finish(0)
            yield from self._revision(msgspec.structs.replace(first, number=0), parents, dumped.dump.uuid)

    def _tell(self, number: int) -> None:
        self._context.progress("replaying", number, self._origin.youngest or None)

    def _compare(self, item: Done, head: Head, uuid: bytes) -> None:
        directory = self._directory()
        if directory is not None and item.number == head.number:
            revision = make_revision(item.number, item.properties, uuid, directory, head.parents)
            if object_id(revision).digest == head.digest:
                self.last = head.digest
                return
        raise _Altered

    def _revision(
        self, item: Done, parents: tuple[bytes, ...], uuid: bytes
    ) -> Generator[Item, None, tuple[bytes, ...]]:
        """Yield a revision, if the archived path is there; returns the parents of the next."""
        directory = self._directory()
        if directory is None:
            return parents
        revision = make_revision(item.number, item.properties, uuid, directory, parents)
        yield revision
        self.last = object_id(revision).digest
        self._news = True
        return (self.last,)

    def _directory(self) -> bytes | None:
        """Digest of the directory that is archived; None if it is not there now."""
        if not self._origin.below:
            return self._state.root
        entry = self._state.now.main.get(self._origin.below)
        return entry.target if entry is not None and entry.type == "dir" else None

    def result(self) -> Load:
        """Yield the snapshot, and tell what it amounts to. Raises ``Unavailable`` if there is none."""
        shown = without_secrets(self._context.url)
        if self.last is None:
            if self._damage is None:
                self._origin.never_was(shown)
            raise Unavailable(f"{shown}: no revision could be read: {self._damage}")
        yield Snapshot({HEAD: Branch(BranchType.REVISION, self.last)})
        reasons = []
        if self._damage is not None:
            reasons.append(f"the repository could be read only in part: {self._damage}")
        if self._gatherer.left_out:
            more = len(self._gatherer.left_out) - 1
            and_more = f" and {more} more" if more else ""
            reasons.append(f"externals were left out: {self._gatherer.left_out[0]}{and_more}")
        return Outcome(VisitStatus.PARTIAL, reason="; ".join(reasons)) if reasons else None


def _soft_end(context: VisitContext) -> float | None:
    """When (``time.monotonic()``) the visit is to end with what it has."""
    deadline = context.runner.deadline
    if deadline is None:
        return None
    now = time.monotonic()
    return now + (deadline - now) * _SHARE


def _unchanged(context: VisitContext, origin: Origin, head: Head) -> bool:
    """Whether the origin has nothing new, and its last revision is what was archived (as far as a look can tell)."""
    before = context.previous_visit
    if before is None or before.status is not VisitStatus.FULL or origin.changed != head.number:
        return False
    with origin.dump(head.number, only=True) as dumped, suppress(Damaged):
        record = next(dumped.records, None)
        if isinstance(record, RevisionRecord):
            properties, uuid = record.properties, dumped.dump.uuid
            revision = make_revision(record.number, properties, uuid, head.directory, head.parents)
            return object_id(revision).digest == head.digest
    return False
