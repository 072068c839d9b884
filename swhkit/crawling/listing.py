"""One listing of one forge, from begin to end: the forge's plugin tells, batches are taken, and how it ended is written
down whatever happens."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator
from functools import partial

import msgspec

from swhkit import assemble
from swhkit.crawling.forges import wants_full
from swhkit.crawling.origins import Taker
from swhkit.crawling.results import Crawled
from swhkit.desk import Desk
from swhkit.errors import Busy, NotHeld, SwhkitError, Unavailable
from swhkit.files import FileLock, make_folder
from swhkit.forge import Forge, ForgeClient, ForgeContext
from swhkit.interrupts import INTERRUPTS, let_go
from swhkit.plugin import Progress
from swhkit.requests.schedule import KnownForge, ListingStatus
from swhkit.text import without_secrets
from swhkit.visit import no_progress

#: Repositories that are taken in one go.
BATCH = 500
#: A listing of changes goes back this far (seconds) before the last complete one began: clocks differ, and what changed
#: while it ran may have been behind it.
MARGIN = 3600.0
_LOG = logging.getLogger(__name__)
_END = object()


class _Ending(msgspec.Struct, frozen=True):
    """How a listing ends, and why."""

    status: ListingStatus
    error: str | None = None
    retry_after: float | None = None


def crawl(
    desk: Desk,
    forge_id: int,
    full: bool | None,
    now: datetime.datetime,
    *,
    progress: Progress = no_progress,
    deadline: float | None = None,
) -> Crawled:
    """List a forge once, and have what it lists visited.

    ``full``: all of it, or what has changed since the last complete listing (where the forge can tell, and there is one);
    None lists all of it every week. ``deadline`` (a ``time.monotonic()``) ends the listing as ``partial``. ``progress``
    hears of the repositories so far.

    Never raises for what the forge does: that is in the answer. What interrupts it ends the listing as ``failed``, and is
    raised again. Raises ``NotHeld`` for a forge that is not known, ``Busy`` while another process lists it,
    ``InvalidInput`` for a read-only archive.
    """
    forge = desk.requests.schedule.forge(forge_id)
    if forge is None:
        raise NotHeld(f"there is no forge {forge_id}; `swhkit forge list` shows all")
    with _alone(desk, forge):
        return _Listing(desk, forge, now, progress, deadline).run(full)


def _alone(desk: Desk, forge: KnownForge) -> FileLock:
    """The lock of a forge's listings, taken. Raises ``Busy``."""
    _, _, root = desk.archive.writer()
    make_folder(root / "forges")
    lock = FileLock(root / "forges" / str(forge.id))
    if not lock.try_acquire():
        raise Busy(f"another process lists {forge.url} now; try again when it has ended")
    return lock


class _Listing:
    """One listing, in the order of its steps."""

    def __init__(
        self,
        desk: Desk,
        forge: KnownForge,
        now: datetime.datetime,
        progress: Progress,
        deadline: float | None,
    ) -> None:
        self.desk, self.forge, self.now, self.progress, self.deadline = desk, forge, now, progress, deadline
        self.began = time.monotonic()
        self._log = logging.getLogger(f"swhkit.forge.{forge.kind}")

    def run(self, full: bool | None) -> Crawled:
        schedule = self.desk.requests.schedule
        plugin, ending = self._plugin()
        since = None if plugin is None else self._since(plugin, full)
        listing = schedule.begin_listing(self.forge.id, since is None, self.now)
        taker = Taker(self.desk, self.forge, listing.id, self.now)
        try:
            if plugin is not None:
                ending = self._take_all(plugin, since, taker)
        except INTERRUPTS as error:
            let_go(error)
            self._end(taker, _Ending(ListingStatus.FAILED, "the listing was interrupted"), since is None)
            raise
        except BaseException as error:
            # A fault of ours (a full disk, a store): the listing must not look as if it still ran.
            text = without_secrets(f"{type(error).__name__}: {error}")
            self._end(taker, _Ending(ListingStatus.FAILED, text), since is None)
            raise
        assert ending is not None
        return self._end(taker, ending, since is None)

    def _plugin(self) -> tuple[Forge | None, _Ending | None]:
        forge = self.forge
        try:
            self.desk.network(trusted=forge.trusted).check(forge.url, resolve=False)
            return assemble.make_forge(self.desk.configuration, forge.kind, forge.url, forge.options), None
        except SwhkitError as error:
            return None, _Ending(ListingStatus.FAILED, str(error))

    def _since(self, plugin: Forge, full: bool | None) -> datetime.datetime | None:
        """From when on changes are wanted; None is everything."""
        everything = wants_full(self.forge, self.now) if full is None else full
        if everything or self.forge.listed is None or not plugin.incremental():
            return None
        return self.forge.listed - datetime.timedelta(seconds=MARGIN)

    def _take_all(self, plugin: Forge, since: datetime.datetime | None, taker: Taker) -> _Ending:
        """Take what the plugin tells, and what had come before it failed, too."""
        batch: list[object] = []
        ending = _Ending(ListingStatus.COMPLETE)
        repositories = self._told(plugin, since)
        while True:
            try:
                repository = next(repositories, _END)
            except Exception as error:  # noqa: BLE001 (a stranger's plugin may raise anything)
                ending = self._broken_off(error)
                break
            if repository is _END:
                break
            batch.append(repository)
            if len(batch) >= BATCH:
                self._take(taker, batch)
                batch = []
        self._take(taker, batch)
        if ending.status is ListingStatus.FAILED and taker.so_far.repositories:
            return msgspec.structs.replace(ending, status=ListingStatus.PARTIAL)
        return ending

    def _take(self, taker: Taker, batch: list[object]) -> None:
        if batch:
            taker.take(batch)
            self.progress("repositories", taker.so_far.repositories)

    def _told(self, plugin: Forge, since: datetime.datetime | None) -> Iterator[object]:
        context = ForgeContext(url=self.forge.url, client=self._client(), log=self._log)
        for repository in plugin.repositories(context, since):
            yield repository
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise Unavailable("the listing has taken too long (jobs.time)")

    def _client(self) -> ForgeClient:
        schedule, forge = self.desk.requests.schedule, self.forge
        return ForgeClient(
            self.desk.network(trusted=forge.trusted),
            forge.url,
            kept=partial(schedule.page, forge.id),
            keep=partial(schedule.keep_page, forge.id),
            deadline=self.deadline,
            log=self._log,
        )

    def _broken_off(self, error: Exception) -> _Ending:
        """The end of a listing that the plugin gave up."""
        if isinstance(error, SwhkitError):
            after = error.retry_after if isinstance(error, Unavailable) else None
            return _Ending(ListingStatus.FAILED, without_secrets(str(error)), after)
        _LOG.exception("the forge plugin %s failed on %s", self.forge.kind, self.forge.url)
        text = f"internal error of the forge plugin {self.forge.kind}: {type(error).__name__}: {error}"
        return _Ending(ListingStatus.FAILED, without_secrets(text))

    def _end(self, taker: Taker, ending: _Ending, is_full: bool) -> Crawled:
        told = taker.so_far
        reasons = [ending.error] if ending.error else []
        if told.refused:
            reasons.append(f"{told.refused} refused, the first: {told.reason}")
        error = " ".join("; ".join(reasons).split()) or None
        ended = self.now + datetime.timedelta(seconds=time.monotonic() - self.began)
        listing = self.desk.requests.schedule.end_listing(
            taker.listing,
            ending.status,
            ended,
            error=error,
            patience=self.desk.settings.schedule.patience,
        )
        whole = is_full and ending.status is ListingStatus.COMPLETE
        taker.settle(disabled=whole or listing.lost > 0)
        return Crawled(
            forge=self.forge.id,
            listing=listing.id,
            status=ending.status,
            is_full=is_full,
            repositories=listing.repositories,
            new=listing.new,
            renamed=told.renamed,
            refused=told.refused,
            lost=listing.lost,
            scheduled=told.scheduled,
            error=error,
            retry_after=ending.retry_after,
        )
