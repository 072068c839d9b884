"""The git loader keeps the contract of loaders."""

from __future__ import annotations

from pathlib import Path

import pytest
from generate import add_revisions, git, repository

from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change
from swhkit_git import swhkit_loaders

LINE = b"a line of a large file, which deltas and compression make small\n"


class TestGit(LoaderContract):
    (provider,) = swhkit_loaders()

    @pytest.fixture
    def origin(self, tmp_path: Path) -> str:
        return f"file://{repository(tmp_path / 'small.git', 20)}"

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        path = repository(tmp_path / "changing.git", 6)

        def change() -> None:
            add_revisions(path, 4)
            git(path, "branch", "-D", "b0")

        return f"file://{path}", change

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        path = repository(tmp_path / "big.git", 2_000)
        blob = LINE * ((300 << 20) // len(LINE))
        head = b"commit refs/heads/large\ncommitter C <c@example.org> 1500000000 +0000\ndata 0\n"
        body = b"M 100644 inline large.txt\ndata %d\n" % len(blob)
        git(path, "fast-import", "--quiet", input=head + body + blob + b"\n")
        return f"file://{path}"
