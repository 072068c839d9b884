"""The loaders of archives, folders, files and packages keep the contract of loaders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from origins import WorkingCopy, archive_of

from swhkit.plugin import Provider
from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change
from swhkit.testing.visits import Subject
from swhkit_tarball import Artifact, swhkit_loaders

PROVIDERS = {provider.name: provider for provider in swhkit_loaders()}


class Folder(WorkingCopy):
    """A plain folder: a revision is what lies there."""

    def _commit(self, message: str, when: int) -> None:
        """Nothing: there is no history."""


def filled(path: Path) -> Folder:
    """A folder with files, a link, and an empty folder."""
    made = Folder(path)
    made.history()
    (path / "link").symlink_to("f1.txt")
    (path / "empty").mkdir()
    return made


def large(path: Path) -> Path:
    """A folder with a file of 300 MiB (no disk is needed for it) and a thousand small ones."""
    path.mkdir()
    for number in range(1_000):
        (path / f"f{number}").write_bytes(b"%d\n" % number)
    (path / "zeros").touch()
    os.truncate(path / "zeros", 300 << 20)
    return path


class TestDirectory(LoaderContract):
    provider = PROVIDERS["directory"]

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return filled(tmp_path / "origin").url

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        made = filled(tmp_path / "changing")
        return made.url, made.more

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        return large(tmp_path / "big").as_uri()


class TestTarball(LoaderContract):
    provider = PROVIDERS["tarball-directory"]

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return archive_of(filled(tmp_path / "origin").copy, tmp_path / "origin.tar.gz").as_uri()

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        made, file = filled(tmp_path / "changing"), tmp_path / "changing.tar"

        def change() -> None:
            made.more()
            archive_of(made.copy, file)

        return archive_of(made.copy, file).as_uri(), change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        return archive_of(large(tmp_path / "big"), tmp_path / "big.tar").as_uri()


class TestContent(LoaderContract):
    provider = PROVIDERS["content"]

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        (tmp_path / "file").write_bytes(b"a file\n")
        return (tmp_path / "file").as_uri()

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        file = tmp_path / "changing"
        file.write_bytes(b"first\n")
        return file.as_uri(), lambda: file.write_bytes(b"second\n")

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        return (large(tmp_path / "big") / "zeros").as_uri()


class TestPackage(LoaderContract):
    """The URL is a folder with one archive for each version; the list of them is a setting."""

    provider: Provider = PROVIDERS["tar"]

    def subject_of(self, url: str) -> Subject:
        folder = Path(url.removeprefix("file://"))
        artifacts = [
            Artifact(time="2020-01-01T00:00:00Z", url=file.as_uri(), version=file.name.partition(".tar")[0])
            for file in sorted(folder.glob("*.tar*"))
        ]
        return Subject(self.provider, {"artifacts": artifacts}, url)

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        folder = tmp_path / "package"
        folder.mkdir()
        made = filled(tmp_path / "files")
        archive_of(made.copy, folder / "1.0.tar.gz")
        made.more()
        archive_of(made.copy, folder / "1.1.tar")
        return folder.as_uri()

    @pytest.fixture
    def changing(self, tmp_path: Path, origin: str) -> tuple[str, Change]:
        """The list is one list, which grows."""
        made, file = filled(tmp_path / "changing"), tmp_path / "package/2.0.tar"
        subject = self.subject_of(origin)

        def change() -> None:
            archive_of(made.copy, file)
            artifacts = subject.settings["artifacts"]
            artifacts.append(Artifact(time="2021-01-01T00:00:00Z", url=file.as_uri(), version="2.0"))

        self.subject_of = lambda url: subject  # type: ignore[method-assign]
        return origin, change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        folder = tmp_path / "package"
        folder.mkdir()
        archive_of(large(tmp_path / "big"), folder / "1.0.tar")
        shutil.rmtree(tmp_path / "big")
        return folder.as_uri()
