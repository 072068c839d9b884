"""``make run``: which checkout can be archived as it is, and what becomes of one that can't."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
IDENTITY = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]


def git(*arguments: str | Path, cwd: Path) -> str:
    """Run git; its output."""
    argv = ["git", *IDENTITY, *arguments]
    return subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """``tools/run.py`` as a module."""
    spec = importlib.util.spec_from_file_location("swhkit_tools_run", ROOT / "tools" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two files, one of them ignored."""
    folder = tmp_path / "a tree"
    folder.mkdir()
    (folder / "README").write_text("read me\n")
    (folder / "built").write_text("not me\n")
    (folder / ".gitignore").write_text("/built\n")
    return folder


@pytest.fixture
def repository(tree: Path) -> Path:
    """The same as a git repository with two commits."""
    git("init", "-q", cwd=tree)
    for message in ("one", "two"):
        (tree / message).write_text(message)
        git("add", ".", cwd=tree)
        git("commit", "-q", "-m", message, cwd=tree)
    return tree


def test_a_repository_with_all_its_history_is_complete(tool: ModuleType, repository: Path) -> None:
    assert tool.incomplete(repository) is None
    (repository / "README").write_text("not committed\n")
    assert tool.incomplete(repository) is None


def unborn(repository: Path) -> Path:
    git("init", "-q", "fresh", cwd=repository.parent)
    return repository.parent / "fresh"


def inside(repository: Path) -> Path:
    (repository / "inside").mkdir()
    return repository / "inside"


def shallow(repository: Path) -> Path:
    git("clone", "-q", "--depth=1", repository.as_uri(), "shallow", cwd=repository.parent)
    return repository.parent / "shallow"


def torn(repository: Path) -> Path:
    blob = git("rev-parse", "HEAD^:one", cwd=repository)
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    return repository


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (unborn, "has no commits"),
        (inside, "is no git repository"),
        (shallow, "is a shallow clone"),
        (torn, "lacks some of its objects"),
    ],
)
def test_it_says_why_a_checkout_is_not_complete(
    tool: ModuleType, repository: Path, make: Callable[[Path], Path], why: str
) -> None:
    assert tool.incomplete(make(repository)) == why


def test_a_plain_folder_is_no_repository(tool: ModuleType, tree: Path) -> None:
    assert tool.incomplete(tree) == "is no git repository"


def test_a_tree_is_committed_once_however_often_it_is_asked(
    tool: ModuleType, tree: Path, tmp_path: Path
) -> None:
    store = tmp_path / "deep" / "scratch.git"
    assert tool.committed(tree, store) == store
    first = git("--git-dir", store, "rev-parse", "HEAD", cwd=tmp_path)
    assert git("--git-dir", store, "ls-tree", "--name-only", "HEAD", cwd=tmp_path).splitlines() == [
        ".gitignore",
        "README",
    ]
    tool.committed(tree, store)
    assert git("--git-dir", store, "rev-parse", "HEAD", cwd=tmp_path) == first
    (tree / "README").write_text("read me again\n")
    tool.committed(tree, store)
    assert git("--git-dir", store, "rev-parse", "HEAD^", cwd=tmp_path) == first


def test_the_files_of_a_shallow_clone_are_committed_without_its_history(
    tool: ModuleType, repository: Path, tmp_path: Path
) -> None:
    store = tool.committed(shallow(repository), tmp_path / "scratch.git")
    assert git("--git-dir", store, "rev-list", "--count", "HEAD", cwd=tmp_path) == "1"
    assert git("--git-dir", store, "show", "HEAD:two", cwd=tmp_path) == "two"


def test_a_tree_that_git_refuses_is_said_so(tool: ModuleType, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch.git").write_text("in the way")
    with pytest.raises(SystemExit, match="cannot be committed"):
        tool.committed(tree, tmp_path / "scratch.git")


def test_make_alone_tells_what_it_can_do() -> None:
    help = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], check=True, capture_output=True, text=True
    ).stdout
    assert [word for word in ("make run", "make test", "make lint", "make clean") if word not in help] == []
