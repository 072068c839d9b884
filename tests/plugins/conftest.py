"""What the tests of loaders share: servers, unpacked inputs, visits of git repositories."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_samples import Repository, Visits
from servers import git_daemon, git_http

INPUTS = Path(__file__).parent.parent / "data" / "vectors" / "inputs"


@pytest.fixture
def visits(tmp_path: Path) -> Visits:
    """Visits below ``tmp_path``."""
    root = tmp_path / "visits"
    root.mkdir()
    return Visits(root)


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], Path]:
    """Unpacks an input by name and returns its folder."""

    def unpack(name: str) -> Path:
        folder = tmp_path / "origins" / name
        folder.mkdir(parents=True)
        if (INPUTS / f"{name}.tgz").exists():
            with tarfile.open(INPUTS / f"{name}.tgz") as archive:
                archive.extractall(folder)
        return folder

    return unpack


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
