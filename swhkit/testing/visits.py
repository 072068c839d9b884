"""Whole visits into real archives, and what can be said of an archive afterwards: what the contract of loaders uses."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from swhkit import assemble, config, manifest
from swhkit.archive import Archive
from swhkit.check import check
from swhkit.closure import Walk, held_bodies
from swhkit.model import ContentRow, VisitStatus
from swhkit.net import Network
from swhkit.plugin import Limits, Loader, Provider
from swhkit.registry import Registry
from swhkit.swhid import Kind, ObjectId, parse_core
from swhkit.testing.processes import await_nobody_in
from swhkit.visit import Report, run

#: Where objects may be kept. The catalog is SQLite, but in memory where the objects are.
ARCHIVES = ("filesystem", "sqlite", "memory")
#: The longest text that still passes for a sentence or two.
_SENTENCE = 1_000
#: Counters that say how often something was tried, not what is held.
_TRIES = ("origin", "origin_visit")


class Held(NamedTuple):
    """All that an archive holds: ids of objects, rows of contents, counters (not those of tries)."""

    objects: frozenset[ObjectId]
    contents: frozenset[ContentRow]
    counters: dict[str, int]


def held(archive: Archive) -> Held:
    """What ``archive`` holds now."""
    objects: list[ObjectId] = []
    while page := archive.objects.scan(objects[-1] if objects else None):
        objects += page
    rows: list[ContentRow] = []
    while found := archive.catalog.scan_contents(rows[-1].sha1_git if rows else None):
        rows += found
    counters = {name: count for name, count in archive.catalog.counters().items() if name not in _TRIES}
    return Held(frozenset(objects), frozenset(rows), counters)


def unheld(archive: Archive, snapshot: bytes, scratch: Path) -> set[str]:
    """SWHIDs below a snapshot that the archive does not hold, found by walking it object by object."""
    known = archive.catalog.snapshot(snapshot)
    assert known is not None, f"snapshot {snapshot.hex()} is not known"
    scratch.mkdir(exist_ok=True)
    with Walk(scratch, partial(held_bodies, archive.objects)) as walk:
        walk.run(id for id in manifest.edges_of_snapshot(known) if id.kind is not Kind.SNAPSHOT)
        contents = archive.missing(ObjectId(Kind.CONTENT, digest) for digest in walk.contents())
        return {str(id) for id, _ in walk.absent()} | {str(id) for id in contents}


class Subject(msgspec.Struct, frozen=True):
    """What is tested, fit to be sent to another process: the loader of ``provider`` with ``settings`` (fields of its
    config), and the origin it visits."""

    provider: Provider
    settings: dict[str, Any]
    url: str

    def __hash__(self) -> int:
        return hash(self.url)

    def loader(self) -> Loader:
        """A new loader, as for each visit."""
        factory = Registry(()).factory("loader", self.provider)
        return cast(Loader, factory(self.provider.config(**self.settings)))


class Scene:
    """An archive in ``folder``, opened, into which ``subject`` is loaded."""

    def __init__(self, archive: Archive, folder: Path, subject: Subject) -> None:
        self.archive, self.folder, self.subject = archive, folder, subject

    def visit(
        self,
        wrap: Callable[[Loader], Loader] = lambda loader: loader,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> Report:
        """One visit, as from the command line, by what ``wrap`` makes of the loader."""
        subject = self.subject
        return run(
            self.archive, wrap(subject.loader()), subject.url, subject.provider.name,
            network=Network(from_cli=True), limits=limits,
        )  # fmt: skip

    def held(self) -> Held:
        """What the archive holds now."""
        return held(self.archive)

    def must_be_sound(self) -> None:
        """The archive claims nothing it does not hold, and nothing that was under way is left."""
        _, catalog, stage = self.archive.writer()
        assert catalog.unfinished_visits() == []
        for made in catalog.visits(self.subject.url, limit=1_000):
            assert made.snapshot is None or unheld(self.archive, made.snapshot, stage) == set(), made
        verdict = check(self.archive, stage, full=True)
        assert verdict.complete
        assert verdict.problems == []
        left = [*(stage / "visits").glob("*"), *stage.glob("publishing*")]
        assert left == [], f"visits have left files: {left}"
        await_nobody_in(stage)

    def must_be_full(self, wrap: Callable[[Loader], Loader] = lambda loader: loader) -> Report:
        """One visit, which has to be full, with a snapshot."""
        report = self.visit(wrap)
        assert (report.status, report.error) == (VisitStatus.FULL, None), report
        assert parse_core(report.snapshot or "").kind is Kind.SNAPSHOT
        return report

    def must_fail(
        self,
        wrap: Callable[[Loader], Loader] = lambda loader: loader,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        statuses: tuple[VisitStatus, ...] = (VisitStatus.FAILED,),
    ) -> Report:
        """One visit that fails, gives a reason that a person can act on, and leaves nothing but that."""
        before = self.held()
        report = self.visit(wrap, limits)
        assert report.status in statuses, report
        assert report.snapshot is None, report
        must_be_a_reason(report.error)
        assert self.held() == before, "something of a visit that failed is held"
        return report


def must_be_a_reason(text: str | None) -> None:
    """The text says what is the matter in a line or two, and is no accident of a program."""
    assert text, "a visit that is not full gives no reason"
    assert len(text) <= _SENTENCE, text
    assert text.isprintable(), text
    assert "Traceback" not in text, text
    assert "internal error" not in text, text


@contextmanager
def scene(folder: Path, subject: Subject, kind: str = "filesystem") -> Iterator[Scene]:
    """An archive whose objects are kept in ``kind``, found again in the same ``folder`` (but in memory)."""
    settings = _settings(folder, kind)
    archive = assemble.open_archive(settings, _installed(), create=True)
    try:
        yield Scene(archive, folder, subject)
    finally:
        archive.close()


@cache
def _installed() -> Registry:
    return Registry.load()


def _settings(folder: Path, kind: str) -> config.Settings:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "swhkit.yaml"
    objects = {"filesystem": "path: objects", "sqlite": "path: objects.sqlite", "memory": ""}[kind]
    catalog = "backend: memory" if kind == "memory" else "backend: sqlite, path: catalog.sqlite"
    file.write_text(
        f"archive:\n  objects: {{backend: {kind}, {objects}}}\n  catalog: {{{catalog}}}\n  stage: stage\n"
    )
    return config.load(file, {}).settings


def fingerprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below ``folder`` (or the one file), with what a writer would change: mode, time, bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        what: object = str(path.readlink()) if path.is_symlink() else None
        if stat.S_ISREG(status.st_mode):
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, what)
    return found
