"""The Mercurial loader keeps the contract of loaders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hg_samples import Repository, Writer

from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change
from swhkit_hg import swhkit_loaders

LINE = b"a line of a large file, which deltas and compression make small\n"


def history(path: Path, changesets: int) -> Repository:
    """A repository with so many changesets, two branches, tags, copies."""
    writer = Writer()
    change = writer.commit({b"README": b"0"})
    first = change
    for number in range(1, changesets):
        files = {b"README": b"%d" % number, b"dir%d/file%d" % (number % 3, number % 7): b"%d\n" % number * 9}
        parent = first if number == changesets // 2 else change
        change = writer.commit({**files, b".hgtags": first.node.hex().encode() + b" v1\n"}, parent)
    repository = Repository(path)
    (path / "bundle").write_bytes(writer.bundle())
    repository.hg("unbundle", "-q", "bundle")
    repository.hg("bookmark", "-r", "0", "-i", "book")
    return repository


class TestHg(LoaderContract):
    (provider,) = swhkit_loaders()

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return history(tmp_path / "small", 20).url

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        repository = history(tmp_path / "changing", 6)

        def change() -> None:
            repository.hg("bookmark", "-d", "book")
            repository.hg("update", "-q", "tip")
            repository.commit("more", {"README": None, "new/file": b"new"})
            repository.hg("--config", "extensions.strip=", "strip", "-q", "--no-backup", "2")

        return repository.url, change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        writer = Writer()
        change = writer.commit({b"large.txt": LINE * ((300 << 20) // len(LINE))})
        for number in range(2_000):
            change = writer.commit({b"dir%d/file" % (number % 50): b"%d" % number}, change)
        file = tmp_path / "big.hg"
        file.write_bytes(b"HG10UN" + writer.changegroup(1))
        return f"file://{file}"
