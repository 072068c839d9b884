"""Loaders of a folder's files, each with a fault that the contract of loaders has to find (``test_loader_contract``)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from swhkit.plugin import (
    Branch,
    BranchType,
    Bytes,
    Content,
    Directory,
    Entry,
    ExtId,
    Item,
    Kind,
    Load,
    NoConfig,
    NotFound,
    Person,
    Provider,
    Revision,
    Snapshot,
    Timestamp,
    VisitContext,
    hash_content,
    object_id,
)
from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change

NOBODY = Person(b"")


class Sound:
    """Each file is a content, the folder a revision, known by an external id of its names and times."""

    def __init__(self, config: NoConfig) -> None:
        self.context: VisitContext

    def load(self, context: VisitContext) -> Load:
        self.context = context
        folder = self.folder()
        self.before(folder)
        key = b"".join(
            b"%s %d\n" % (os.fsencode(file), file.stat().st_mtime_ns) for file in self.files(folder)
        )
        key = hash_content(key).sha256
        known = [id for id in context.extids("folder", [key], 1) if self.trusted(id)]
        target = known[0].digest if known else (yield from self.revision(folder, key))
        yield Snapshot({b"HEAD": Branch(BranchType.REVISION, target)})
        return None

    def folder(self) -> Path:
        folder = self.context.network.check(self.context.url).path
        if folder is None or not folder.is_dir():
            raise NotFound(f"{self.context.url} is no folder")
        return folder

    def files(self, folder: Path) -> list[Path]:
        return sorted(folder.iterdir())

    def before(self, folder: Path) -> None:
        """What a fault does first."""

    def trusted(self, id: ExtId) -> bool:
        return not self.context.missing([id.target])

    def seconds(self) -> int:
        return 0

    def revision(self, folder: Path, key: bytes) -> Generator[Item, None, bytes]:
        entries = []
        for file in self.files(folder):
            data = file.read_bytes()
            yield Content(Bytes(data))
            entries.append(Entry(os.fsencode(file.name), "file", hash_content(data).sha1_git, 0o100644))
        root = Directory(tuple(entries))
        yield root
        date = Timestamp(self.seconds(), 0, b"+0000")
        revision = Revision(b"", NOBODY, NOBODY, date, date, object_id(root).digest, type="folder")
        yield revision
        digest = object_id(revision).digest
        yield ExtId("folder", 1, key, Kind.REVISION, digest)
        return digest


class Greedy(Sound):
    """Keeps everything in memory."""

    def before(self, folder: Path) -> None:
        self.kept = [b"%d" % number * (1 << 19) for number in range(100, 300)]


class Messy(Sound):
    """Leaves a file where it happens to be."""

    def before(self, folder: Path) -> None:
        Path("left-behind").write_bytes(b"")


class Meddling(Sound):
    """Touches the origin."""

    def before(self, folder: Path) -> None:
        os.utime(self.files(folder)[0], ns=(0, time.time_ns()))


class Moody(Sound):
    """Has the time of day in its ids."""

    def seconds(self) -> int:
        return time.time_ns()

    def trusted(self, id: ExtId) -> bool:
        return False


class Trusting(Sound):
    """Believes that what was held once is held still."""

    def trusted(self, id: ExtId) -> bool:
        return True


class Forgetful(Sound):
    """Sees no change but in names."""

    def trusted(self, id: ExtId) -> bool:
        return True

    def load(self, context: VisitContext) -> Load:
        if context.previous is not None and not context.anew:
            yield context.previous
            return None
        return (yield from super().load(context))


class Blunt(Sound):
    """Finds out by accident that there is nothing."""

    def folder(self) -> Path:
        folder = self.context.network.check(self.context.url).path
        assert folder is not None
        assert folder.is_dir()
        return folder


class Untidy(Sound):
    """Leaves a child behind that goes on."""

    def before(self, folder: Path) -> None:
        subprocess.Popen(["sleep", "30"], cwd=self.context.scratch, start_new_session=True)


class Muddled(Sound):
    """Catches what ends a visit, and makes an accident of it."""

    def load(self, context: VisitContext) -> Load:
        try:
            context.runner.run(["sleep", "0.2"])
        except Exception as error:
            raise ValueError("it did not work") from error
        return (yield from super().load(context))


class FolderContract(LoaderContract):
    """The fixtures; the classes below say which loader."""

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return filled(tmp_path / "origin", 3)

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        url = filled(tmp_path / "changing", 3)

        def change() -> None:
            filled(tmp_path / "changing", 5)
            (tmp_path / "changing/0").unlink()

        return url, change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        return filled(tmp_path / "big", 100, 1 << 20)


def filled(folder: Path, files: int, size: int = 10) -> str:
    """The URL of a folder with files."""
    folder.mkdir(exist_ok=True)
    for number in range(files):
        (folder / str(number)).write_bytes(b"%d" % number * size)
    return folder.as_uri()


def contract(loader: type[Sound]) -> type[FolderContract]:
    """The contract of one of these loaders."""
    provider = Provider(loader.__name__.lower(), "files", f"{__name__}:{loader.__name__}")
    return type(f"Test{loader.__name__}", (FolderContract,), {"provider": provider})


TestSound, TestGreedy, TestMessy, TestMeddling, TestMoody = map(
    contract, (Sound, Greedy, Messy, Meddling, Moody)
)
TestTrusting, TestForgetful, TestBlunt, TestUntidy = map(contract, (Trusting, Forgetful, Blunt, Untidy))
TestMuddled = contract(Muddled)
