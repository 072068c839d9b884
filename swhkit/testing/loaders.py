"""The contract of ``Loader``: what a visit must come to, whatever the archive, the order, or the state of the origin.

Visits are real ones: ``swhkit.visit.run`` into archives on disk and in memory. What becomes of visits that break off
stands in ``loader_faults``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from swhkit.model import LoadStatus, VisitStatus
from swhkit.net import Network
from swhkit.plugin import Limits, Provider
from swhkit.testing.loader_faults import FaultsContract, Reference
from swhkit.testing.processes import SPAWN, Watcher, await_nobody_in
from swhkit.testing.samples import together
from swhkit.testing.visits import ARCHIVES, Scene, Subject, fingerprint, scene
from swhkit.testing.wrapped import Counted, Elsewhere, Interrupted, Repeated, Shuffled
from swhkit.visit import Report

#: A function that brings an origin into its second state.
Change = Callable[[], object]

_PATIENCE = 300
_REFERENCES: dict[Subject, Reference] = {}


class LoaderContract(FaultsContract):
    """Subclass it, set ``provider``, and supply the fixtures ``origin``, ``changing`` and ``big``.

    Origins may be local, or served on a port of this machine. The loader's module must be one that a new process can
    import: an installed one, or one on ``sys.path``.
    """

    #: The description of the loader, as the hook returns it.
    provider: Provider
    #: Fields of its config that differ from the defaults, for every origin (else see ``subject_of``).
    settings: ClassVar[dict[str, Any]] = {}
    #: The SWHID of the snapshot of ``origin``, if it is known for sure.
    expected: str | None = None
    #: Bytes of anonymous memory that one process of ours may take while ``big`` is loaded.
    memory = 256 << 20

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        """The URL of a small origin with at least a revision, or a few files, which is not changed. Where making it
        takes long, return what a fixture of the module has made once."""
        raise NotImplementedError("supply a fixture named origin")

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        """The URL of another small origin, and a function that changes it: best so that something comes, something
        stays and something goes."""
        raise NotImplementedError("supply a fixture named changing")

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        """The URL of an origin that does not fit in ``memory``, or would not if the loader kept what it has yielded;
        best in a single file and in numbers both."""
        raise NotImplementedError("supply a fixture named big")

    @pytest.fixture
    def absent(self, tmp_path: Path) -> str:
        """A URL of the loader's where there is nothing."""
        return f"file://{tmp_path}/not-there"

    def files_of(self, url: str) -> Path | None:
        """Where the files of an origin lie, if they lie here: nothing may be written to them."""
        return Network(from_cli=True).check(url).path

    def subject_of(self, url: str) -> Subject:
        """The loader and an origin of these fixtures."""
        return Subject(self.provider, self.settings, url)

    @pytest.fixture
    def subject(self, origin: str) -> Subject:
        """The loader and the small origin."""
        return self.subject_of(origin)

    @pytest.fixture
    def reference(self, subject: Subject, tmp_path: Path) -> Reference:
        """What one visit of the small origin gives, to which all others are compared; made once for each URL."""
        if subject not in _REFERENCES:
            with scene(tmp_path / "reference", subject) as here:
                counted = Counted(subject.loader())
                report = here.must_be_full(lambda _: counted)
                _REFERENCES[subject] = Reference(report, here.held(), counted.items)
        return _REFERENCES[subject]

    @pytest.fixture
    def here(self, subject: Subject, tmp_path: Path) -> Iterator[Scene]:
        """A new archive, and the small origin."""
        with scene(tmp_path / "archive", subject) as opened:
            yield opened

    # --- visits that go well ---

    @pytest.mark.parametrize("kind", ARCHIVES)
    def test_a_visit_is_full_and_a_second_one_uneventful(
        self, subject: Subject, reference: Reference, tmp_path: Path, kind: str
    ) -> None:
        """In every kind of archive, with and without a git directory."""
        with scene(tmp_path / "archive", subject, kind) as here:
            first = here.must_be_full()
            assert first.snapshot == (self.expected or reference.report.snapshot)
            assert first.load_status is LoadStatus.EVENTFUL
            assert any(first.new.values())
            assert here.held() == reference.held
            again = here.must_be_full()
            assert (again.visit, again.snapshot) == (2, first.snapshot)
            assert again.load_status is LoadStatus.UNEVENTFUL
            assert set(again.new.values()) == {0}
            assert here.held() == reference.held
            here.must_be_sound()

    def test_two_visits_at_once_equal_one(
        self, here: Scene, subject: Subject, reference: Reference, tmp_path: Path
    ) -> None:
        with scene(tmp_path / "archive", subject) as other:
            reports = together(2, lambda number: (here, other)[number].visit())
        for report in reports:
            assert (report.status, report.snapshot) == (VisitStatus.FULL, reference.report.snapshot), report
        assert {report.load_status for report in reports} == {LoadStatus.EVENTFUL, LoadStatus.UNEVENTFUL}
        assert here.held() == reference.held
        here.must_be_sound()

    @pytest.mark.parametrize("seed", range(3))
    def test_the_order_of_items_does_not_matter(
        self, subject: Subject, reference: Reference, tmp_path: Path, seed: int
    ) -> None:
        with scene(tmp_path / "archive", subject, "memory") as here:
            report = here.must_be_full(lambda loader: Shuffled(loader, seed))
            assert report.snapshot == reference.report.snapshot
            assert here.held() == reference.held

    def test_items_may_come_again(self, here: Scene, reference: Reference) -> None:
        report = here.must_be_full(Repeated)
        assert report.snapshot == reference.report.snapshot
        assert report.new == reference.report.new
        assert here.held() == reference.held
        here.must_be_sound()

    def test_nothing_is_written_but_to_the_archive(
        self, here: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not to the origin, not to the home folder, not to where we are, not to where temporary files go."""
        folders = [tmp_path / name for name in ("home", "current", "temporary")]
        for folder in folders:
            folder.mkdir()
        monkeypatch.setenv("HOME", str(folders[0]))
        monkeypatch.chdir(folders[1])
        monkeypatch.setenv("TMPDIR", str(folders[2]))
        monkeypatch.setattr(tempfile, "tempdir", None)
        origin = self.files_of(here.subject.url)
        before = fingerprint(origin) if origin else None
        here.must_be_full()
        here.must_be_full()
        assert [path for folder in folders for path in folder.rglob("*")] == []
        assert before == (fingerprint(origin) if origin else None)

    # --- origins that change, or are not there ---

    def test_a_changed_origin_is_loaded_as_if_for_the_first_time(
        self, changing: tuple[str, Change], tmp_path: Path
    ) -> None:
        """A visit that builds on earlier ones ends where a first one does, and what was held stays held; so does one
        that failed in between."""
        url, change = changing
        subject = self.subject_of(url)
        with scene(tmp_path / "archive", subject) as here, scene(tmp_path / "new", subject) as new:
            first, before = here.must_be_full(), here.held()
            change()
            expected = new.must_be_full()
            assert expected.snapshot != first.snapshot, "the origin has not changed"
            here.must_fail(lambda loader: Interrupted(loader, 0, _raise_made_up))
            second = here.must_be_full()
            assert (second.snapshot, second.load_status) == (expected.snapshot, LoadStatus.EVENTFUL)
            assert here.held().objects == before.objects | new.held().objects
            assert here.held().contents == before.contents | new.held().contents
            here.must_be_sound()
            again = here.must_be_full()
            assert (again.snapshot, again.load_status) == (expected.snapshot, LoadStatus.UNEVENTFUL)

    def test_what_is_held_damaged_is_brought_anew(
        self, here: Scene, subject: Subject, reference: Reference, tmp_path: Path
    ) -> None:
        """With ``context.anew`` everything comes, whatever the archive says it holds."""
        here.must_be_full()
        previous = here.archive.catalog.visit(subject.url, 1)
        assert previous is not None
        with scene(tmp_path / "empty", subject) as empty:
            report = empty.must_be_full(lambda loader: Elsewhere(loader, here.archive, previous))
            assert report.snapshot == reference.report.snapshot
            assert empty.held() == reference.held

    def test_an_origin_that_is_not_there(self, absent: str, tmp_path: Path) -> None:
        with scene(tmp_path / "archive", self.subject_of(absent)) as here:
            here.must_fail(statuses=(VisitStatus.NOT_FOUND, VisitStatus.FAILED))
            here.must_be_sound()

    def test_a_visit_without_time_fails(self, here: Scene, reference: Reference) -> None:
        here.must_fail(limits=Limits(visit_time=0.0))
        here.must_be_sound()
        assert here.must_be_full().snapshot == reference.report.snapshot

    # --- large ones ---

    def test_memory_is_bounded(self, big: str, tmp_path: Path) -> None:
        """Each process of ours takes no more than ``memory``; those of other programs are not counted."""
        subject, folder = self.subject_of(big), tmp_path / "archive"
        child = SPAWN.Process(target=_visit_alone, args=(folder, subject))
        child.start()
        assert child.pid is not None
        watcher = Watcher(child.pid)
        child.join(_PATIENCE)
        watcher.stop()
        if child.is_alive():
            child.kill()
            child.join()
        await_nobody_in(folder)
        assert child.exitcode == 0, f"the visit has not ended well within {_PATIENCE} s: {child.exitcode}"
        report = msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)
        assert (report.status, report.error) == (VisitStatus.FULL, None), report
        assert watcher.ours <= self.memory, f"{watcher.ours >> 20} MiB in one process"


def _raise_made_up() -> None:
    raise ConnectionResetError("made up: the connection is gone")


def _visit_alone(folder: Path, subject: Subject) -> None:
    with scene(folder, subject) as here:
        (folder / "report.json").write_bytes(msgspec.json.encode(here.visit()))
