"""Run one visit from open to published or failed. Every visit, by command, worker or test, goes through ``run``.

The loader is a generator and has no store: what it yields is staged, sealed and published here, and whatever goes
wrong leaves the archive as it was, with a visit that says why.
"""

from __future__ import annotations

import datetime
import errno
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import msgspec

from swhkit import damage, manifest
from swhkit.archive import Archive
from swhkit.errors import (
    ChildTimeout,
    Corrupt,
    HeldDamaged,
    LimitExceeded,
    NotFound,
    SwhkitError,
    Unavailable,
    VisitError,
)
from swhkit.intake import Intake
from swhkit.interrupts import INTERRUPTS, interruptible, let_go, uninterrupted
from swhkit.lacking import to_bring
from swhkit.model import LoadStatus, Outcome, Snapshot, Visit, VisitStatus
from swhkit.net import Network
from swhkit.plugin import Limits, Loader, Progress, VisitContext
from swhkit.publish import LATER, drop, publish, recover
from swhkit.seal import seal
from swhkit.stage import Stage, origin_lock
from swhkit.storage import Publication
from swhkit.swhid import ObjectId
from swhkit.text import without_secrets
from swhkit.verdict import Verdict, judge, repeats, same

_LOG = logging.getLogger("swhkit.visit")
#: Errors of a disk: where they do not tell which, it is the stage's.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_FULL = os.strerror(errno.ENOSPC)
_NO_MEMORY = "there was not enough memory"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a visit; the fields (and their order) are those of ``swhkit load --json``, but for the last.

    ``snapshot`` is a SWHID, ``new`` what the archive lacked before (kind in full words → count), ``seconds`` wall time.
    ``retry_after``: seconds after which the origin's server wants to be asked again, if it has refused and said so.
    """

    origin: str
    visit: int
    visit_type: str
    status: VisitStatus
    load_status: LoadStatus
    snapshot: str | None = None
    branches: int = 0
    new: dict[str, int] = {}
    seconds: float = 0.0
    error: str | None = None
    retry_after: float | None = None


def no_progress(phase: str, done: int = 0, total: int | None = None) -> None:
    """The ``Progress`` of those who do not look."""


def origin_of(url: str) -> str:
    """The URL an origin is known by: ``url`` without user name and password."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file", "ssh") or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def run(
    archive: Archive,
    loader: Loader,
    url: str,
    visit_type: str,
    *,
    network: Network,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    progress: Progress = no_progress,
    date: datetime.datetime | None = None,
) -> Report:
    """Visit ``url`` once; a second time if it turns out to rely on what is held damaged.

    Never raises for what the origin does: that is in the report.

    What interrupts it (``swhkit.interrupts``) ends the visit as ``failed`` and is raised again.

    The form of ``url`` is judged before anything is written; its addresses belong to the visit.

    A visit that was sealed but cannot be published now (a full disk) is reported as ``ongoing``: the next run, of
    whatever origin, publishes it. Raises ``InvalidUrl`` (no visit is made), ``InvalidInput`` for a read-only archive,
    ``OSError`` (also for want of memory) and ``Corrupt`` when the archive itself is in trouble. Visits of one
    (origin, type) are serialised; the second is then uneventful.
    """
    _, _, root = archive.writer()
    network.check(url, resolve=False)
    try:
        recover(archive)
        with origin_lock(root, origin_of(url), visit_type):
            one = _Run(archive, url, visit_type, network, limits, progress)
            report = one.run(loader, date)
            if one.relied:  # what it was to bring is here, and damaged
                _LOG.warning("%s is visited once more, to bring all of it: %s", report.origin, report.error)
                report = _Run(archive, url, visit_type, network, limits, progress, anew=True).run(
                    loader, date
                )
            return report
    except OSError as error:
        text = f"{without_secrets(origin_of(url))} was not visited: {error.strerror or error}"
        raise OSError(error.errno, text, error.filename or str(root)) from error
    except MemoryError as error:
        text = f"{without_secrets(origin_of(url))} was not visited: {_NO_MEMORY}"
        raise OSError(errno.ENOMEM, text) from error


class _Run:
    """One visit, in the order of its steps."""

    def __init__(
        self,
        archive: Archive,
        url: str,
        visit_type: str,
        network: Network,
        limits: Limits,
        progress: Progress,
        anew: bool = False,
    ) -> None:
        self.archive, self.url, self.visit_type = archive, url, visit_type
        self.origin = origin_of(url)
        self.network, self.limits, self.progress = network, limits, progress
        self.objects, self.catalog, self.root = archive.writer()
        self.started = time.monotonic()
        self.told: set[ObjectId] = set()
        self.anew, self.relied = anew, False

    def run(self, loader: Loader, date: datetime.datetime | None) -> Report:
        opened = date or datetime.datetime.now(datetime.UTC)
        previous, before = self._previous()
        with uninterrupted():  # else a visit could be open by now, and nobody have it
            stage, visit = Stage.create(
                self.root, lambda: self.catalog.open_visit(self.origin, self.visit_type, opened)
            )
            return self._ended(loader, stage, visit, previous, before)

    def _ended(
        self, loader: Loader, stage: Stage, visit: Visit, previous: Visit | None, before: Snapshot | None
    ) -> Report:
        """Load, and end the visit whatever happens; the caller lets nothing interrupt this but the loading."""
        try:
            with interruptible():
                self.catalog.update_visit(
                    self.origin, visit.number, VisitStatus.ONGOING, datetime.datetime.now(datetime.UTC)
                )
                return self._load(loader, stage, visit, previous, before)
        except (NotFound, ChildTimeout) as error:
            if _late(stage):  # children are killed then, which a loader may take for anything
                return self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, self._too_long())
            if isinstance(error, NotFound):
                return self._fail(stage, visit, VisitStatus.NOT_FOUND, LoadStatus.UNEVENTFUL, str(error))
            return self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, str(error))
        except SwhkitError as error:
            self.relied = isinstance(error, HeldDamaged) and not self.anew
            report = self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, self._placed(str(error)))
            return msgspec.structs.replace(report, retry_after=_asked_to_wait(error))
        except OSError as error:
            reason = f"{self._told(error)} ({self.origin})"
            return self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, reason)
        except MemoryError:
            reason = f"{_NO_MEMORY} to load {self.origin}: visit it again when there is"
            return self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, reason)
        except INTERRUPTS as error:
            let_go(error)
            self._fail(
                stage,
                visit,
                VisitStatus.FAILED,
                LoadStatus.FAILED,
                "the visit was interrupted; nothing of it was kept",
            )
            raise
        except Exception as error:  # noqa: BLE001 (a stranger's loader may raise anything)
            _LOG.exception("the %s loader failed on %s", self.visit_type, self.origin)
            reason = f"internal error of the {self.visit_type} loader: {type(error).__name__}: {error}"
            return self._fail(stage, visit, VisitStatus.FAILED, LoadStatus.FAILED, reason)

    def _previous(self) -> tuple[Visit | None, Snapshot | None]:
        """The visit before that had a snapshot, and the snapshot. What is damaged there is not relied on: this visit
        is then like a first one, and makes anew what it can."""
        try:
            visit = self.catalog.latest_visit(self.origin, visit_type=self.visit_type, require_snapshot=True)
            return visit, self.catalog.snapshot(visit.snapshot) if visit and visit.snapshot else None
        except Corrupt as error:
            _LOG.warning("%s is visited as if for the first time: %s", self.origin, error)
            return None, None

    def _load(
        self, loader: Loader, stage: Stage, visit: Visit, previous: Visit | None, before: Snapshot | None
    ) -> Report:
        self.network.check(self.url)  # now with its addresses: a name that does not resolve is a failed visit
        stage.runner = stage.runner.with_(deadline=time.monotonic() + self.limits.visit_time)
        missing = set if self.anew else to_bring(self.archive, before, previous)
        limits = self.limits
        intake = Intake(self.archive, stage, missing, limits.max_content_size, limits.max_pack_size)
        context = self._context(stage, intake, missing, before, previous)
        try:
            outcome, late = self._take_all(loader, context, intake)
            snapshot = intake.snapshot
            assert snapshot is not None
            verdict = judge(snapshot, intake, outcome, late, previous)
            if intake.empty and repeats(self.archive, verdict, previous):
                return self._uneventful(stage, visit, verdict)
            intake.finish(stage.git)
            sealed = seal(
                self.archive, stage, intake, verdict,
                known_tips=self.told, damaged=damage.known(self.archive),
                max_content_size=self.limits.max_content_size, tell=self._teller(),
            )  # fmt: skip
            self.progress("publishing")
            try:
                new = publish(self.archive, stage, sealed, keep=LATER)
            except LATER as error:
                return self._later(stage, visit, error)
            if outcome.load_status is None and not any(new.values()) and same(verdict.snapshot, previous):
                verdict = msgspec.structs.replace(verdict, load_status=LoadStatus.UNEVENTFUL)
            return self._report(visit, verdict, new)
        finally:
            intake.close()

    def _take_all(
        self, loader: Loader, context: VisitContext, intake: Intake
    ) -> tuple[Outcome, Exception | None]:
        """Drain the loader. An exception after the snapshot is returned, not raised: the snapshot stands."""
        self.progress("loading")
        with closing(loader.load(context)) as items:
            while True:
                try:
                    item = next(items)
                except StopIteration as stop:
                    if intake.snapshot is None:
                        raise VisitError(f"the {self.visit_type} loader ended without a snapshot") from None
                    return stop.value or Outcome(), None
                except MemoryError:  # ours, whoever meets it
                    raise
                except Exception as error:
                    if intake.snapshot is None:
                        raise
                    return Outcome(), error
                intake.take(item)
                if intake.snapshot is None and _late(context):  # children end by themselves then
                    raise LimitExceeded(self._too_long())

    def _too_long(self) -> str:
        return f"{self.origin} was not loaded within {self.limits.visit_time:g} s (limits.visit_time)"

    def _uneventful(self, stage: Stage, visit: Visit, verdict: Verdict) -> Report:
        now = datetime.datetime.now(datetime.UTC)
        ended = Publication(status=verdict.status, date=now, snapshot=verdict.snapshot, reason=verdict.reason)
        self.catalog.publish(self.origin, visit.number, ended)
        stage.trash()
        return self._report(visit, verdict, {})

    def _context(
        self,
        stage: Stage,
        intake: Intake,
        missing: Callable[[Iterable[ObjectId]], set[ObjectId]],
        before: Snapshot | None,
        previous: Visit | None,
    ) -> VisitContext:
        git_dir = self.archive.git_dir
        return VisitContext(
            url=self.url,
            visit_type=self.visit_type,
            previous=before,
            previous_visit=previous,
            missing=missing,
            anew=self.anew,
            read=intake.read,
            stream=intake.stream,
            closed=self._remembering(self.catalog.closed),
            likely_tips=lambda limit: list(self._remember(self.catalog.likely_tips(self.origin, limit))),
            extids=lambda type, values, version: self.catalog.extids(type, values, version),
            held_objects=git_dir / "objects" if git_dir else None,
            scratch=stage.scratch,
            runner=stage.runner,
            network=self.network,
            limits=self.limits,
            log=logging.getLogger(f"swhkit.loader.{self.visit_type}"),
            progress=self.progress,
        )

    def _remembering(
        self, closed: Callable[[Iterable[ObjectId]], set[ObjectId]]
    ) -> Callable[[Iterable[ObjectId]], set[ObjectId]]:
        def ask(ids: Iterable[ObjectId]) -> set[ObjectId]:
            return set(self._remember(closed(ids)))

        return ask

    def _remember(self, tips: Iterable[ObjectId]) -> Iterable[ObjectId]:
        found = list(tips)
        self.told.update(found)
        return found

    def _teller(self) -> Callable[[str, int], None]:
        done: dict[str, int] = {}

        def tell(phase: str, more: int) -> None:
            done[phase] = done.get(phase, 0) + more
            self.progress(phase, done[phase])

        return tell

    def _fail(
        self, stage: Stage, visit: Visit, status: VisitStatus, load_status: LoadStatus, reason: str
    ) -> Report:
        reason = without_secrets(reason)
        try:
            drop(self.archive, stage, status, reason)
        except OSError as error:
            reason = (
                f"{reason}; the archive could not even note this ({self._told(error)}): the next run does"
            )
        if (stage.folder / "sealed").exists():
            reason = f"{reason}; all of the visit is staged, and the next run publishes it"
        return self._end(visit, status, load_status, error=reason)

    def _later(self, stage: Stage, visit: Visit, error: Exception) -> Report:
        """The visit is sealed and stays so: part of it may be held by now, so it must not end as if nothing were."""
        stage.lock.release()
        cause = self._told(error) if isinstance(error, OSError) else str(error) or _NO_MEMORY
        reason = f"all of {self.origin} has come and is kept, but cannot be published now ({cause}): the next run does"
        return self._end(visit, VisitStatus.ONGOING, LoadStatus.FAILED, error=without_secrets(reason))

    def _told(self, error: OSError) -> str:
        """What is wrong, and with which file or folder."""
        place = error.filename or (self.root if error.errno in _DISK else None)
        return f"{error.strerror or error}{f': {os.fsdecode(place)}' if place else ''}"

    def _placed(self, reason: str) -> str:
        """What a child says of a full disk does not tell which: children write to the stage."""
        known = _FULL not in reason or str(self.root.parent) in reason
        return reason if known else f"{reason}; the disk of {self.root} is full"

    def _report(self, visit: Visit, verdict: Verdict, new: dict[str, int]) -> Report:
        return self._end(
            visit,
            verdict.status,
            verdict.load_status,
            snapshot=str(manifest.object_id(verdict.snapshot)),
            branches=len(verdict.snapshot.branches),
            new=_KINDS_OF_NOTHING | new,
            error=verdict.reason,
        )

    def _end(
        self,
        visit: Visit,
        status: VisitStatus,
        load_status: LoadStatus,
        *,
        snapshot: str | None = None,
        branches: int = 0,
        new: dict[str, int] | None = None,
        error: str | None = None,
    ) -> Report:
        return Report(
            origin=self.origin,
            visit=visit.number,
            visit_type=self.visit_type,
            status=status,
            load_status=load_status,
            snapshot=snapshot,
            branches=branches,
            new=new or dict(_KINDS_OF_NOTHING),
            seconds=round(time.monotonic() - self.started, 3),
            error=error,
        )


def _asked_to_wait(error: BaseException | None) -> float | None:
    """When the server behind a failure wants to be asked again (seconds), if it said so."""
    while error is not None:
        if isinstance(error, Unavailable) and error.retry_after is not None:
            return error.retry_after
        error = error.__cause__
    return None


def _late(one: Stage | VisitContext) -> bool:
    """Whether the time of a visit is up."""
    return one.runner.deadline is not None and time.monotonic() >= one.runner.deadline


_KINDS_OF_NOTHING = dict.fromkeys(
    ("content", "skipped_content", "directory", "revision", "release", "snapshot"), 0
)
