"""Fetches externals: whatever a folder's ``svn:externals`` name is exported into the tree beside it.

The URL of an external is what a stranger wrote. It is judged before anything is connected, as a stranger's unless it
leads to the server of the origin itself; what comes is bounded in size, time and number. An external that cannot be
had leaves nothing but the folders above it, as on any working copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from functools import cached_property
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.plugin import (
    ChildFailed,
    ChildTimeout,
    Content,
    Entry,
    InvalidUrl,
    Item,
    LimitExceeded,
    Target,
    Tree,
    Unavailable,
    VisitContext,
    without_secrets,
)
from swhkit_svn import SvnConfig
from swhkit_svn.access import Access, Info, Reach, words
from swhkit_svn.dump import Damaged
from swhkit_svn.externals import External, contains, quote_path, resolve, without_user
from swhkit_svn.grafts import defined, graft, joined, make_way, take_out
from swhkit_svn.originals import Known
from swhkit_svn.replay import Done, nothing_older, rebased, replay
from swhkit_svn.state import Externals, State
from swhkit_svn.store import Store
from swhkit_svn.texts import Digested, Workshop, digested, discard, flags_of

#: How deep externals may have externals.
_DEPTH = 5


class Place(msgspec.Struct, frozen=True):
    """Where relative externals are relative to: the URL of a repository's root, how it is reached, and the path from
    there to the root of the tree that is replayed."""

    root: str
    access: Access
    base: bytes = b""


class Gatherer:
    """Fetches the externals of one visit, each URL at each revision once. ``off`` after a recursive one was met;
    ``left_out`` says which were too large or too slow."""

    def __init__(
        self,
        context: VisitContext,
        config: SvnConfig,
        store: Store,
        reach: Reach,
        mount: Callable[[], Place | None],
    ) -> None:
        self._context, self._config, self._store = context, config, store
        self._reach, self._mount = reach, mount
        self._known: dict[tuple[str, ...], Entry | None] = {}
        self._open: list[str] = []
        self.off = False
        self.left_out: list[str] = []
        #: While the last archived revision is replayed once more: its tree. Externals are then as they were taken.
        self.archived: Tree | None = None

    @cached_property
    def _place(self) -> Place | None:
        """Where the origin's externals are relative to."""
        return self._mount()

    def update(self, state: State, change: Externals) -> Iterator[Item]:
        """Bring the tree in line with a folder's externals."""
        for external in defined(change.before):
            take_out(state, change.path, external.path)
        if change.after:
            yield from self._put_all(state, change.path, change.after, self._place)

    def older(self, revision: int, path: bytes) -> Generator[Item, None, Known | None]:
        """What was at a path at a revision before those replayed here: it is fetched, as far as it is needed."""
        if self._place is None:
            return (yield from nothing_older(revision, path))
        try:
            info = self._place.access.info(f"{self._place.root}/{quote_path(path)}", str(revision))
        except ChildTimeout:
            raise
        except ChildFailed as error:
            raise Damaged(f"what revision {revision} had cannot be copied: {words(error.stderr)}") from error
        limit = self._context.limits.max_pack_size
        workshop = Workshop(self._context.scratch, limit)
        if info.kind != "dir":  # a folder can be dumped, a file cannot
            return (yield from self._file(self._place.access, info, workshop, None))
        part = State(self._context, self._store.another(), workshop)
        with self._place.access.dump(info.url, f"{revision}:{revision}") as dumped:
            for item in replay(rebased(dumped.records, path), part):
                if not isinstance(item, Done):
                    yield item
        return part.now.at(b"")

    def _put_all(
        self, state: State, folder: bytes, text: bytes | None, place: Place | None
    ) -> Iterator[Item]:
        for external in defined(text):
            if self.off:
                return
            url = (
                resolve(external.url, place.root, joined(place.base, folder))
                if place
                else _absolute(external)
            )
            if place is not None and url is not None and self._is_recursive(url, place, folder, external):
                if self._open:
                    continue
                self.off = True
                return
            if self.archived is not None:
                self._put_again(state, folder, external, self.archived)
                continue
            entry = (yield from self._entry(url, external)) if url is not None else None
            if entry is None:
                make_way(state, folder, external.path)
            else:
                graft(state, folder, external.path, entry)

    def _put_again(self, state: State, folder: bytes, external: External, archived: Tree) -> None:
        """Put what the archived tree has for an external."""
        entry = archived.get(joined(folder, external.path))
        if entry is not None:
            graft(state, folder, external.path, entry)
        else:
            way = external.path.rpartition(b"/")[0]
            if way and archived.get(joined(folder, way)) is not None:
                make_way(state, folder, external.path)

    def _is_recursive(self, url: str, place: Place, folder: bytes, external: External) -> bool:
        """Whether an external contains the place where it is to be put."""
        here = f"{place.root}/{quote_path(joined(place.base, joined(folder, external.path)))}"
        return contains(without_user(url), without_user(here)) or any(
            contains(url, other) for other in self._open
        )

    def _entry(self, url: str, external: External) -> Generator[Item, None, Entry | None]:
        """What an external leads to; None if it cannot be had."""
        key = (url, external.peg, external.revision, *self._open)
        if key not in self._known:
            self._known[key] = None
            if len(self._open) < _DEPTH and len(self._known) <= self._config.externals:
                self._known[key] = yield from self._tried(url, external)
            elif self._config.externals:
                self._leave_out(url, "there are too many of them, or one inside another too deep")
        return self._known[key]

    def _tried(self, url: str, external: External) -> Generator[Item, None, Entry | None]:
        self._context.progress("fetching externals", len(self._known))
        self._open.append(url)
        try:
            return (yield from self._fetched(url, external))
        except (ChildTimeout, LimitExceeded) as error:
            if (
                self._context.runner.deadline is not None
                and time.monotonic() >= self._context.runner.deadline
            ):
                raise
            self._leave_out(url, str(error))
        except ChildFailed as error:
            if (limit := self._reach.limit()) is not None:
                raise limit from error
            self._log_dead(url, words(error.stderr))
        except (InvalidUrl, Unavailable, Damaged) as error:
            self._log_dead(url, str(error))
        finally:
            self._open.pop()
        return None

    def _log_dead(self, url: str, why: str) -> None:
        self._context.log.info("the external %s is not there: %s", without_secrets(url), why)

    def _leave_out(self, url: str, why: str) -> None:
        self._context.log.warning("the external %s is left out: %s", without_secrets(url), why)
        self.left_out.append(f"{without_secrets(url)} ({why})")

    def _fetched(self, url: str, external: External) -> Generator[Item, None, Entry | None]:
        access = self._access(url)
        peg = "" if external.peg == "HEAD" else external.peg
        info = access.info(access.url, peg, None if external.revision == external.peg else external.revision)
        ours = self._place.root if self._place is not None else ""
        if access.target.scheme == "file" and unquote_to_bytes(info.root) != unquote_to_bytes(ours):
            raise InvalidUrl(f"{url}: this is another repository of this machine")
        workshop = Workshop(self._context.scratch, self._config.external_size, self._config.external_size)
        if info.kind != "dir":
            return (yield from self._file(access, info, workshop, self._config.external_time)).entry
        path = unquote_to_bytes(info.url[len(info.root) :]).strip(b"/")
        state = State(self._context, self._store.another(), workshop)
        place = Place(info.root, access, path)

        def update(state: State, change: Externals) -> Iterator[Item]:
            yield from self._put_all(state, change.path, change.after, place)

        revisions = f"{info.revision}:{info.revision}"
        with access.dump(info.url, revisions, seconds=self._config.external_time) as dumped:
            for item in replay(rebased(dumped.records, path), state, update=update):
                if not isinstance(item, Done):
                    yield item
        found = state.now.at(b"")
        return found.entry if found is not None else None

    def _file(
        self, access: Access, info: Info, workshop: Workshop, seconds: float | None
    ) -> Generator[Item, None, Known]:
        """A single file, at the revision it was found at."""
        flags = flags_of(0, access.properties(info.url, info.revision), delta=False)
        raw = digested(access.text(info.url, info.revision, workshop, seconds))
        text, perms = workshop.exported(raw.text, flags)
        out: Digested = raw if text is raw.text else digested(text)
        yield Content(out.text)
        self._store.keep_text(raw.digest, raw.text)  # the archive may not have it, or not as it is
        for made in (raw.text, out.text):
            discard(made)
        return Known(Entry(b"", "file", out.digest, perms), flags, None, raw.digest)

    def _access(self, url: str) -> Access:
        """How an external is reached. Raises ``InvalidUrl`` where it may not be, ``Unavailable`` for unknown hosts."""
        place = self._place
        if place is not None and contains(place.root, url):
            return place.access.at(url)
        target = self._judged(url)
        own = self._context.network.from_cli and place is not None and target.host == place.access.target.host
        return self._reach.access(target, own_keys=own)

    def _judged(self, url: str) -> Target:
        network = self._context.network
        if self._place is not None:
            ours, theirs = urlsplit(self._place.root), urlsplit(url)
            if ours.netloc and (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc):
                return network.check(url)
        return network.with_cli(False).check(url)


def _absolute(external: External) -> str | None:
    """The URL of an external where there is nothing it could be relative to."""
    return resolve(external.url, "", b"") if "://" in external.url else None
