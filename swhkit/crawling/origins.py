"""What a listing tells, batch by batch: URLs are judged, repositories kept, their origins made due.

Whatever a forge says is a stranger's word. A row that makes no sense, or whose URL may not be visited, is left out and
counted; it never ends a listing.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from swhkit import freshness
from swhkit.crawling.metadata import is_new, said
from swhkit.desk import Desk
from swhkit.errors import SwhkitError
from swhkit.jobs import NewJob
from swhkit.net import without_secret
from swhkit.plugin import Repository
from swhkit.queueing import DUE, TOLD, visit_job
from swhkit.requests.schedule import Freshness, KnownForge, ListedOrigin, Seen
from swhkit.text import clean_text
from swhkit.visit import origin_of

#: Longer keys are refused.
LONGEST_KEY = 1000
#: Ports that a URL means which names none.
_PORTS = {"http": 80, "https": 443}
_PAGE = 1000
#: So many refusals of a listing are warnings; all are counted.
_TOLD = 10
_LOG = logging.getLogger(__name__)


class Judged(msgspec.Struct, frozen=True):
    """A repository that is fit to be kept: what is kept of it, its description, and whether its visit is trusted."""

    seen: Seen
    repository: Repository
    trusted: bool


class Batch(msgspec.Struct):
    """What became of the batches so far: counts as in ``Crawled`` (of repeated keys each), URLs of before (URL, type) of
    what was renamed, and the first reason for which a row was refused."""

    repositories: int = 0
    renamed: int = 0
    refused: int = 0
    scheduled: int = 0
    former: set[tuple[str, str]] = set()
    reason: str | None = None


class Taker:
    """Takes the batches of one listing of a forge."""

    def __init__(self, desk: Desk, forge: KnownForge, listing: int, now: datetime.datetime) -> None:
        self.desk, self.forge, self.listing, self.now = desk, forge, listing, now
        self.so_far = Batch()
        self._types = frozenset(desk.registry.loaders())
        self._networks = {trusted: desk.network(trusted=trusted) for trusted in (False, True)}
        self._here = _place(forge.url)

    def take(self, repositories: Sequence[object]) -> None:
        """Keep a batch, with its origins and their visits. Doing it again does no harm."""
        judged = [one for repository in repositories if (one := self._judge(repository)) is not None]
        schedule = self.desk.requests.schedule
        noted = schedule.note_seen(self.listing, [one.seen for one in judged], self.now)
        by_key = {one.seen.key: one for one in judged}  # of repeated keys the last counts, as in the store
        told = self.so_far
        told.repositories += len(by_key)
        told.renamed += len(noted.renamed)
        told.former |= {(former, by_key[key].seen.visit_type) for key, former in noted.renamed}
        self._keep_metadata(list(by_key.values()), frozenset(noted.new))
        self._refresh(list(by_key.values()))

    def _judge(self, repository: object) -> Judged | None:
        try:
            if not isinstance(repository, Repository):
                raise SwhkitError(f"{type(repository).__name__} is no Repository")
            return self._judged(repository)
        except SwhkitError as error:
            level = logging.WARNING if self.so_far.refused < _TOLD else logging.DEBUG
            _LOG.log(level, "%s: a repository was refused: %s", self.forge.url, _line(str(error)))
            self.so_far.refused += 1
            self.so_far.reason = self.so_far.reason or _line(str(error))
            return None

    def _judged(self, repository: Repository) -> Judged:
        """Raises ``SwhkitError`` that says what is wrong."""
        key, url = repository.key, repository.url
        texts = (key, url, repository.visit_type, repository.metadata_format)
        if not all(isinstance(text, str) for text in texts):
            raise SwhkitError("its key, its URL, its visit type or the name of its format is no text")
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise SwhkitError(f"{without_secret(url)}: its key is empty, too long, or cannot be printed")
        if repository.visit_type not in self._types:
            raise SwhkitError(f"{without_secret(url)}: nothing loads {repository.visit_type!r}")
        if not isinstance(repository.last_update, datetime.datetime | None):
            raise SwhkitError(f"{without_secret(url)}: its last_update is no datetime")
        if not isinstance(repository.metadata, bytes | None) or not repository.metadata_format.isprintable():
            raise SwhkitError(f"{without_secret(url)}: its metadata are no bytes of a format")
        trusted = self.forge.trusted and self._here is not None and _place(url) == self._here
        target = self._networks[trusted].check(url, resolve=False)
        updated = repository.last_update
        return Judged(
            Seen(
                key=key,
                url=origin_of(target.url),
                visit_type=repository.visit_type,
                last_update=updated if updated is not None and updated.tzinfo is not None else None,
                archived=bool(repository.archived),
                fork=bool(repository.fork),
            ),
            repository,
            trusted,
        )

    def _keep_metadata(self, judged: Sequence[Judged], new: frozenset[str]) -> None:
        _, catalog, _ = self.desk.archive.writer()
        records = (
            (one.seen.key, said(self.forge.url, one.seen.url, one.repository, self.now)) for one in judged
        )
        catalog.add(
            record
            for key, record in records
            if record is not None and (key in new or is_new(catalog, record))
        )

    def _refresh(self, judged: Sequence[Judged]) -> None:
        """Bring the rows of freshness up to date, and enqueue visits of what is new, has changed or is due."""
        schedule = self.desk.requests.schedule
        rows: list[Freshness] = []
        jobs: list[NewJob] = []
        with freshness.held(self.desk.archive):
            before = schedule.freshness_of((one.seen.url, one.seen.visit_type) for one in judged)
            for one in judged:
                known = before.get((one.seen.url, one.seen.visit_type))
                row, priority = self._refreshed(one, known)
                if priority is not None:
                    row = msgspec.structs.replace(row, due=self._due_after(row))
                    jobs.append(self._visit(row, priority))
                if row != known:
                    rows.append(row)
            # Jobs first: one that is enqueued again is the same job, one that never was would be missed.
            self.desk.jobs.enqueue(jobs, self.now)
            schedule.set_freshness(rows)
        self.so_far.scheduled += len(jobs)

    def _refreshed(self, one: Judged, known: Freshness | None) -> tuple[Freshness, int | None]:
        """The row of an origin as of this listing, and the priority of a visit, None if it needs none now."""
        row = known or Freshness(url=one.seen.url, visit_type=one.seen.visit_type)
        if one.seen.last_update is not None:
            row = msgspec.structs.replace(row, last_update=one.seen.last_update)
        if not (row.forge is None and row.every is not None):  # else the configuration says how often
            row = msgspec.structs.replace(
                row, forge=self.forge.id, every=self.forge.visit_every, trusted=one.trusted
            )
        if known is not None and has_changed(known, one.seen.last_update):
            return row, TOLD
        if known is None or (row.visited is None and row.every is None):
            return row, DUE
        if row.every is None:
            return msgspec.structs.replace(row, due=None), None
        if known.every != row.every or row.due is None:
            row = msgspec.structs.replace(row, due=self._due_after(row, row.visited))
        return row, DUE if row.due is not None and row.due <= self.now else None

    def _due_after(self, row: Freshness, last: datetime.datetime | None = None) -> datetime.datetime | None:
        return freshness.due_after(row, last or self.now, self.desk.settings)

    def _visit(self, row: Freshness, priority: int) -> NewJob:
        return visit_job(
            row.url,
            row.visit_type,
            trusted=row.trusted,
            priority=priority,
            attempts=self.desk.settings.jobs.attempts,
        )

    def settle(self, *, disabled: bool) -> None:
        """After the last batch: what was renamed, and with ``disabled`` what is not enabled any more, is visited no more,
        unless another has the URL since. With ``disabled``, what killed listings have left of that is done, too."""
        ended = self._ended(disabled)
        if not ended:
            return
        schedule, forge = self.desk.requests.schedule, self.forge.id
        ended -= {(one.url, one.visit_type) for one in _listed(self.desk, forge, enabled=True)}
        with freshness.held(self.desk.archive):
            rows = schedule.freshness_of(ended).values()
            schedule.set_freshness(msgspec.structs.replace(row, every=None, due=None) for row in rows)

    def _ended(self, disabled: bool) -> set[tuple[str, str]]:
        """Places (URL, type) that are visited still, and that no repository may have any more."""
        ended = set(self.so_far.former)
        if disabled:
            for one in _listed(self.desk, self.forge.id):
                urls = one.former if one.enabled else (one.url, *one.former)
                ended.update((url, one.visit_type) for url in urls)
        rows = self.desk.requests.schedule.freshness_of(ended)
        return {place for place, row in rows.items() if self._is_visited(row)}

    def _is_visited(self, row: Freshness) -> bool:
        """Whether an origin is visited every so often on behalf of this forge."""
        return row.forge == self.forge.id and (row.every is not None or row.due is not None)


def has_changed(row: Freshness, last_update: datetime.datetime | None) -> bool:
    """Whether a forge tells of a change that no visit has seen.

    An origin that is visited every so often and fails is not tried anew for the same change: that is what its interval is
    for. One without an interval is, at each listing, until a visit of it was good.
    """
    if last_update is None or row.visited is None:
        return False
    seen = row.visited if row.every is not None else row.succeeded
    return seen is None or last_update > seen


def _listed(desk: Desk, forge: int, *, enabled: bool | None = None) -> Iterator[ListedOrigin]:
    after = ""
    while page := desk.requests.schedule.listed(forge, after=after, limit=_PAGE, enabled=enabled):
        yield from page
        after = page[-1].key


def _place(url: str) -> tuple[str, int | None] | None:
    """Host and port of a web address; None for what is none."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return parts.hostname.lower(), parts.port or _PORTS[parts.scheme]
    except ValueError:
        return None


def _line(text: str) -> str:
    text = " ".join(clean_text(text.encode("utf-8", "replace")).split())
    return text if len(text) <= 300 else f"{text[:299]}…"
