"""Verify an archive: does it hold what it claims, bit for bit?

The quick check looks at the containers: checksums, structure, and what killed processes left. The full one also reads
and hashes every object, compares every content with its row, every row with the objects, every snapshot with its
graph, and the counters with what is there. It keeps its place in the stage's folder, so a check that ran out of time
goes on where it stopped; what it had found by then is told again at the end.

A check changes nothing but what is trusted: where an object or a row of an origin turns out to be damaged or lost, the
tips of that origin are no longer recorded as closed, and what is damaged is remembered (``damage``). So its next visit
does not rely on what is not there, fetches everything again, and heals what it can; and no other origin's visit does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from swhkit import damage
from swhkit.affected import distrust, gaps_below, lost_below, origins_of, tell_missing, tell_rows
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.errors import Corrupt, InvalidInput, NotHeld
from swhkit.files import write_durably
from swhkit.model import ContentRow, Gap
from swhkit.reindex import counted
from swhkit.storage import Finding, Scrubbed
from swhkit.swhid import Kind, ObjectId, parse_core

#: A check that is killed has lost so many seconds of work at most.
SAVE_EVERY = 10.0
#: So many findings are kept with all they say; of the others, how many there are.
MOST_FINDINGS = 10_000
#: The order of the full check. A position names one of them and how far it is.
PHASES = ("objects", "catalog", "contents", "snapshots", "counters")
#: Told how far the check is: phase, how many more are done.
Tell = Callable[[str, int], None]

_BATCH = 1_000
_TOGETHER = 20
_RESTORE = "restore the file from a copy"
_LOST = (
    "restore the object store from a copy; or run `swhkit reindex`, which forgets what is not held, and load its "
    "origins again"
)
_REINDEX = "run `swhkit reindex`"


class Problem(msgspec.Struct, frozen=True):
    """One finding, in the words of a person: ``object`` is a SWHID, ``origins`` the URLs it belongs to."""

    problem: str
    next_step: str
    object: str | None = None
    file: str | None = None
    origins: list[str] = []


class Verdict(msgspec.Struct, frozen=True):
    """What a check found. ``complete`` is False when its time was up; the next one goes on from there, and names the
    origins at its end. ``more``: findings beyond ``MOST_FINDINGS``; ``checked``: what was looked at → how many."""

    problems: list[Problem]
    complete: bool
    checked: dict[str, int]
    more: int = 0


class _Place(msgspec.Struct):
    """How far a full check is (the file ``check.json`` in the stage's folder)."""

    phase: str = PHASES[0]
    position: str | None = None
    found: list[Problem] = msgspec.field(default_factory=list)
    more: int = 0
    checked: dict[str, int] = msgspec.field(default_factory=dict)


class _OutOfTime(Exception):
    """The budget is spent."""


def check(
    archive: Archive,
    scratch: Path,
    *,
    full: bool = False,
    budget: float | None = None,
    tell: Tell = lambda _phase, _more: None,
) -> Verdict:
    """Check ``archive``; ``budget`` in seconds bounds a full check. ``scratch`` is an existing folder to work in."""
    quick = [_problem(finding) for finding in _containers(archive)]
    if not full:
        return Verdict(quick, True, {})
    return _Check(archive, scratch, budget, tell).run(quick)


class _Check:
    """One run of the full check."""

    def __init__(self, archive: Archive, scratch: Path, budget: float | None, tell: Tell) -> None:
        self.archive, self.scratch, self.tell = archive, scratch, tell
        self.end = None if budget is None else time.monotonic() + budget
        self.keep = archive.stage / "check.json" if archive.stage is not None else None
        self.place = self._load_place()
        self.named: set[str] = set()
        self.damaged: set[str] = set()
        self.unread: set[str] = set()
        for problem in self.place.found:
            self._remember(problem)
        self.saved = time.monotonic()

    def run(self, quick: list[Problem]) -> Verdict:
        try:
            self._run_phases()
        except _OutOfTime:
            self._save_place()
            return Verdict(_merged([*quick, *self.place.found]), False, self.place.checked, self.place.more)
        problems = self._with_origins(_merged([*quick, *self.place.found]))
        damage.remember(self.archive, {bytes.fromhex(hex) for hex in self.damaged | self.unread})
        if self.keep is not None:
            self.keep.unlink(missing_ok=True)
        return Verdict(problems, True, self.place.checked, self.place.more)

    def _run_phases(self) -> None:
        steps = (self._objects, self._catalog, self._contents, self._snapshots, self._counters)
        for phase, step in list(zip(PHASES, steps, strict=True))[PHASES.index(self.place.phase) :]:
            if phase != self.place.phase:
                self.place.phase, self.place.position = phase, None
            for finding in _safely(step()):
                self._add(_problem(finding))

    def _add(self, problem: Problem) -> None:
        """Keep a finding. That a damaged object is needed, too, is no finding of its own."""
        if problem.object in self.named and self.place.phase != "objects":
            return
        if len(self.place.found) >= MOST_FINDINGS:
            self.place.more += 1
        elif problem not in self.place.found[-_BATCH:]:  # a resumed check repeats a few
            self.place.found.append(problem)
            self._remember(problem)

    def _remember(self, problem: Problem) -> None:
        if problem.object is not None:
            self.named.add(problem.object)
            self.unread.add(problem.object[-40:])
        if problem.file is not None and (digest := _DIGEST.search(problem.object or problem.problem)):
            self.damaged.add(digest[0])

    # -- the phases --------------------------------------------------------------------------------------------------

    def _objects(self) -> Iterator[Finding]:
        """Every object hashes to its id, and every content's row agrees with it."""
        with closing(self._scrubbed()) as scrubbed:
            for batch in batched(scrubbed, _BATCH):
                yield from (item for item in batch if isinstance(item, Finding))
                objects = [item for item in batch if isinstance(item, Scrubbed)]
                yield from self._compare_rows([item for item in objects if item.hashes is not None])
                self._count("objects", len(objects))
                if objects:
                    self._move(objects[-1].position)

    def _scrubbed(self) -> Generator[Scrubbed | Finding, None, None]:
        """What the store tells from the place on; from the beginning if the place is none of this store's."""
        scrub = getattr(self.archive.objects, "scrub", None)
        if scrub is None:  # a mere reader verifies what it reads, and has nothing of its own to look at
            return
        try:
            yield from scrub(self.place.position)
        except (InvalidInput, ValueError):
            if self.place.position is None:
                raise
            self.place.position = None
            yield from scrub(None)

    def _compare_rows(self, contents: list[Scrubbed]) -> Iterator[Finding]:
        rows, _ = tell_rows(self.archive, [item.id.digest for item in contents])  # damaged ones come later
        for item in contents:
            row = rows.get(item.id.digest)
            if row is None or item.hashes is None:
                continue  # bytes without a row are not claimed: what a crash leaves, or garbage an origin sent
            if ContentRow.of(item.hashes, row.status, row.reason) != row:
                step = f"{_REINDEX}, which makes rows anew from the objects"
                yield Finding("its row in the catalog has other digests than its bytes", step, item.id)

    def _catalog(self) -> Iterator[Finding]:
        """Every row of the catalog is as it was stored."""
        scrub = getattr(self.archive.catalog, "scrub", None)
        if scrub is not None and self.place.position is None:
            yield from scrub()
            self._move("done")

    def _contents(self) -> Iterator[Finding]:
        """Every visible row has its bytes."""
        after = _digest(self.place.position)
        if after is not None and after not in tell_rows(self.archive, [after])[0]:
            after = None  # the row we stopped at has gone: begin again
        while rows := self.archive.catalog.scan_contents(after, _BATCH):
            visible = [ObjectId(Kind.CONTENT, row.sha1_git) for row in rows if row.status == "visible"]
            yield from self._unheld(visible)
            after = rows[-1].sha1_git
            self._count("rows", len(rows))
            self._move(after.hex())

    def _unheld(self, contents: list[ObjectId]) -> Iterator[Finding]:
        """Those of known damage are not asked for: each would cost the store two children."""
        unclear = {id for id in contents if id.hex in self.damaged}
        rest = [id for id in contents if id not in unclear]
        lost: set[ObjectId] = set()
        if len(self.place.found) < MOST_FINDINGS:
            for missing, damaged in tell_missing(self.archive.objects, rest):
                lost |= missing
                unclear |= damaged
        else:  # damage has been counted; what else there is in its midst is found when it is mended
            with suppress(Corrupt):
                lost = self.archive.objects.missing(rest)
        for id in sorted(lost):
            yield Finding("the catalog claims this content, its bytes are not held", _LOST, id)
        for id in sorted(unclear):
            yield Finding("the catalog claims this content, its bytes cannot be read", _RESTORE, id)

    def _snapshots(self) -> Iterator[Finding]:
        """Everything below the snapshot of a visit is held, but for its recorded gaps."""
        after = _digest(self.place.position)
        while page := self.archive.catalog.snapshots(after):
            for batch in batched(page, _TOGETHER):
                yield from self._graphs(batch)
                self._count("snapshots", len(batch))
                after = batch[-1]
                self._move(after.hex())

    def _graphs(self, snapshots: list[bytes]) -> Iterator[Finding]:
        together: list[bytes] = []
        for id in snapshots:
            try:
                self.archive.catalog.snapshot(id)
                gaps = gaps_below(self.archive, id)
            except Corrupt as error:
                yield Finding(_plain(error), _RESTORE, ObjectId(Kind.SNAPSHOT, id), error.file)
                continue
            if gaps:
                yield from self._lost([id], gaps)
            elif gaps is not None:
                together.append(id)
        yield from self._lost(together, [])

    def _lost(self, snapshots: list[bytes], gaps: list[Gap]) -> Iterator[Finding]:
        for id in lost_below(self.archive, snapshots, self.scratch, gaps):
            if id.kind is Kind.CONTENT:
                text = "a snapshot needs this content, and the catalog has no row of it"
                yield Finding(text, f"{_REINDEX}; if its bytes are lost, too, load its origins again", id)
            else:
                yield Finding("a snapshot needs this object, and it is not held or damaged", _LOST, id)

    def _counters(self) -> Iterator[Finding]:
        """No counter says more than there is."""
        try:
            claimed = self.archive.catalog.counters()
            there = counted(self.archive)
        except Corrupt:
            if self.place.found:  # that is why
                return
            raise
        for name, count in there.items():
            if claimed.get(name, 0) > count:
                yield Finding(f"the counter {name} says {claimed[name]}, there are {count}", _REINDEX)

    # -- the place ---------------------------------------------------------------------------------------------------

    def _count(self, what: str, number: int) -> None:
        self.place.checked[what] = self.place.checked.get(what, 0) + number
        self.tell(what, number)

    def _move(self, position: str) -> None:
        self.place.position = position
        if time.monotonic() - self.saved > SAVE_EVERY:
            with suppress(OSError):  # a full or read-only disk is no reason to end the check
                self._save_place()
            self.saved = time.monotonic()
        if self.end is not None and time.monotonic() > self.end:
            raise _OutOfTime

    def _load_place(self) -> _Place:
        """The place of the check before, if it has not come to its end; a damaged one means to begin anew."""
        try:
            data = self.keep.read_bytes() if self.keep is not None else b""
            place = msgspec.json.decode(data, type=_Place) if data else _Place()
        except (OSError, msgspec.DecodeError, ValueError):
            return _Place()
        return place if place.phase in PHASES else _Place()

    def _save_place(self) -> None:
        if self.keep is not None:
            self.keep.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self.keep, msgspec.json.encode(self.place))

    def _with_origins(self, problems: list[Problem]) -> list[Problem]:
        ids = {p.object: parse_core(p.object) for p in problems if p.object}
        try:
            found = origins_of(self.archive, list(ids.values()), self.scratch)
            distrust(self.archive, set().union(*found.values()))
        except Corrupt:  # the catalog is too damaged to tell
            return problems
        return [
            _healable(msgspec.structs.replace(p, origins=found[ids[p.object]])) if p.object else p
            for p in problems
        ]


_DIGEST = re.compile(r"\b[0-9a-f]{40}\b")


def _healable(problem: Problem) -> Problem:
    """The finding, with the advice to load an origin of it again. The tips of all of them are no longer closed."""
    if not problem.origins:
        return problem
    step = f"load {problem.origins[0]} again, which fetches all of it and heals what it holds; if that is not enough, "
    return msgspec.structs.replace(problem, next_step=step + problem.next_step)


def _containers(archive: Archive) -> Iterator[Finding]:
    for store in (archive.objects, archive.catalog):
        verify = getattr(store, "verify", None)  # a mere reader has nothing of its own to verify
        if verify is not None:
            yield from _safely(verify())


def _safely(findings: Iterator[Finding]) -> Iterator[Finding]:
    """What a store tells; if it cannot go on, that is a finding too."""
    try:
        yield from findings
    except (Corrupt, NotHeld) as error:
        yield Finding(_plain(error), _RESTORE, file=getattr(error, "file", None))
    except OSError as error:
        yield Finding(
            f"it cannot be read: {error.strerror or error}",
            "look after the disk and its rights",
            None,
            error.filename,
        )


def _plain(error: Exception) -> str:
    """The text of an error without the advice to run a check."""
    return re.sub(r"[:;,] run `swhkit check[^`]*`$", "", str(error))


def _problem(finding: Finding) -> Problem:
    return Problem(
        finding.problem, finding.next_step, str(finding.object) if finding.object else None, finding.file
    )


def _merged(problems: list[Problem]) -> list[Problem]:
    """Each finding once. A store may not be able to tell the kind of an object whose head is damaged, or be deceived;
    another phase, that has missed the object, knows it."""
    missed = {p.object[-40:]: p.object for p in problems if p.object and p.file is None}
    merged: dict[tuple[str, str | None, str | None], Problem] = {}
    told: set[str] = set()
    for p in problems:
        digest = _DIGEST.search(p.object or p.problem) if p.file else None
        id = missed.get(digest[0], p.object) if digest else p.object
        if id is not None and id != p.object:
            told.add(id)
        merged[p.problem, id, p.file] = msgspec.structs.replace(p, object=id)
    return [p for p in merged.values() if p.file is not None or p.object not in told]


def _digest(position: str | None) -> bytes | None:
    """The digest that a position is; None for anything else."""
    try:
        return bytes.fromhex(position or "") or None
    except ValueError:
        return None
