"""What the tests of loaders share: servers, unpacked inputs, visits of git repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vectors
from git_samples import Repository, Visits
from servers import git_daemon, git_http


@pytest.fixture
def visits(tmp_path: Path) -> Visits:
    """Visits below ``tmp_path``."""
    root = tmp_path / "visits"
    root.mkdir()
    return Visits(root)


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], Path]:
    """Unpacks an input by name and returns its folder."""

    def below_origins(name: str) -> Path:
        folder = tmp_path / "origins" / name
        vectors.unpack(name, folder)
        return folder

    return below_origins


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """``git daemon`` over ``tmp_path/origins``."""
    (tmp_path / "origins").mkdir(exist_ok=True)
    with git_daemon(tmp_path / "origins") as base:
        yield base


@pytest.fixture
def smart_http(tmp_path: Path) -> Iterator[str]:
    """Smart HTTP over ``tmp_path/origins``."""
    (tmp_path / "origins").mkdir(exist_ok=True)
    with git_http(tmp_path / "origins") as base:
        yield base


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Repository]:
    """Makes bare repositories below ``tmp_path/origins``."""
    return lambda name="repo.git", *options: Repository(tmp_path / "origins" / name, *options)
