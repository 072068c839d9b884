"""``swhkit load`` of archives and packages: guessed types, and lists of archives with what is wrong in them."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from distributions import first_party

from swhkit.cli.main import group

HOME = "https://example.org/p"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``swhkit load`` in an empty folder."""
    monkeypatch.syspath_prepend(str(first_party(tmp_path / "installed")))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(group, ["load", *map(str, arguments)])


def package(folder: Path, name: str) -> Path:
    (folder / "f").write_text(name)
    with tarfile.open(folder / name, "w:gz") as file:
        file.add(folder / "f", "f")
    return folder / name


def test_a_package(load: Callable[..., Result], tmp_path: Path) -> None:
    items: list[dict[str, Any]] = [
        {
            "time": "2020-01-01T00:00:00Z",
            "url": f"file://{package(tmp_path, f'{v}.tar.gz')}",
            "version": v,
            "length": 1,
        }
        for v in ("1.9", "1.10")
    ]
    (tmp_path / "list.json").write_text(json.dumps(items))
    done = load("--artifacts", tmp_path / "list.json", "--json", HOME)
    assert done.exit_code == 0, done.output
    (report,) = json.loads(done.stdout)
    assert (report["visit_type"], report["status"], report["branches"]) == ("tar", "full", 3)
    items[0]["url"] += ".none"
    (tmp_path / "list.json").write_text(json.dumps(items))
    assert load("--type", "tar", "--artifacts", tmp_path / "list.json", HOME).exit_code == 3


GOOD = {"time": "2020-01-01", "url": "https://example.org/a.tar", "version": "1"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON|nested"),
        ({}, "expected a list"),
        ([3], r"\[0\]: expected keys"),
        ([GOOD, {"time": "2020-01-01", "url": "u"}], r"\[1\]\.version: the key is missing"),
        ([GOOD | {"time": "soon"}], r"\[0\]: time: expected a moment"),
        ([GOOD | {"time": 5}], r"\[0\]\.time: expected text"),
        ([GOOD | {"version": ""}], r"\[0\]\.version: "),
        ([GOOD | {"length": -1}], r"\[0\]\.length: "),
        ([GOOD | {"length": "7"}], r"\[0\]\.length: "),
        ([GOOD | {"lenght": 7}], r"\[0\]\.lenght: unknown key.*'length'"),
        ([GOOD | {"checksums": {"sha256": "0"}}], r"\[0\]: checksums\.sha256: expected 32 bytes"),
        ([GOOD, GOOD], r"\[1\]\.version: '1' is the version of"),
        ([GOOD | {"url": 1}, GOOD | {"url": 2}, GOOD | {"url": 3}], r"\[0\]\.url: .*and 2 more"),
    ],
)
def test_nonsense_is_refused_by_one_line(
    given: Any, words: str, load: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "list.json").write_text(given if isinstance(given, str) else json.dumps(given))
    done = load("--artifacts", tmp_path / "list.json", HOME)
    error = done.stderr.rstrip("\n")
    assert done.exit_code == 2
    assert error.startswith(f"swhkit: --artifacts {tmp_path}/list.json: ")

    assert re.search(words, error), error
    assert "\n" not in error
    assert not (tmp_path / "archive").exists(), "something was visited"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--artifacts", "none.json", HOME], "none.json: cannot be read (No such file or directory)"),
        (["--artifacts", "l.json", "--type", "git", HOME], "for visit type tar, not git"),
        (["--artifacts", "l.json", HOME, f"{HOME}2"], "give one URL"),
    ],
)
def test_what_a_list_does_not_go_with(arguments: list[str], words: str, load: Callable[..., Result]) -> None:
    assert words in load(*arguments).stderr


def test_types_are_guessed(load: Callable[..., Result], tmp_path: Path) -> None:
    path = package(tmp_path, "p.tar.gz")
    folder = tmp_path / "folder"
    folder.mkdir()
    for given, type in ((path, "tarball-directory"), (folder, "directory")):
        done = load("--json", given)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)[0]["visit_type"] == type
    assert "does not tell the visit type" in load(tmp_path / "f").stderr
    done = load("--json", "--type", "content", tmp_path / "f")
    assert json.loads(done.stdout)[0]["status"] == "full"
