"""The examples are projects of their own: built, installed and tested outside of this one, and used by the program."""

from __future__ import annotations

import ast
import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from building import ROOT, copy_checkout, installed, run, wheel_of

DATED, PAGURE = ROOT / "examples/swhkit-dated-tarballs", ROOT / "examples/swhkit-pagure"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with this project and the examples installed."""
    folder = tmp_path_factory.mktemp("outside")
    ignored = shutil.ignore_patterns("__pycache__", ".*", "dist")
    wheels = [wheel_of(copy_checkout(folder / "ours"), folder / "wheels")]
    shutil.rmtree(folder / "ours")
    for example in (DATED, PAGURE):
        copied = shutil.copytree(example, folder / example.name, ignore=ignored)
        wheels.append(wheel_of(copied, folder / f"wheel-{example.name}"))
        shutil.rmtree(copied)
    return installed(folder / "environment", *wheels)


def swhkit(python: Path, here: Path, *arguments: str) -> Any:
    """What the program prints as JSON, run in a folder."""
    return json.loads(run([python, "-m", "swhkit", *arguments], here))


@pytest.mark.parametrize(
    "file", ["swhkit-dated-tarballs/swhkit_dated_tarballs.py", "swhkit-pagure/swhkit_pagure.py"]
)
def test_an_example_is_short_and_needs_the_contract_alone(file: str) -> None:
    text = (ROOT / "examples" / file).read_text()
    assert len(text.splitlines()) < 100
    modules = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name and name.startswith("swhkit")} == {"swhkit.plugin"}


def test_the_example_is_listed_and_loads_at_the_shell(python: Path, tmp_path: Path) -> None:
    (row,) = [row for row in swhkit(python, tmp_path, "plugins", "--json") if row["name"] == "dated-tarballs"]
    assert (row["state"], row["distribution"], row["version"]) == ("ok", "swhkit-dated-tarballs", "1.0")
    (tmp_path / "folder").mkdir()
    for date in ("2024-01-31", "2024-02-29"):
        (tmp_path / "file").write_text(f"as of {date}\n")
        with tarfile.open(tmp_path / f"folder/project-{date}.tar.gz", "w:gz") as out:
            out.add(tmp_path / "file", "project/file")
    load = ("load", "--json", "--type", "dated-tarballs", str(tmp_path / "folder"))
    (report,) = swhkit(python, tmp_path, *load)
    assert (report["visit_type"], report["status"], report["branches"]) == ("dated-tarballs", "full", 3)
    assert (report["new"]["revision"], report["new"]["directory"], report["new"]["content"]) == (2, 4, 2)
    (again,) = swhkit(python, tmp_path, *load)
    assert (again["load_status"], again["snapshot"]) == ("uneventful", report["snapshot"])
    (fewer,) = swhkit(python, tmp_path, *load, "--option", "names=*-02-*")
    assert (fewer["status"], fewer["branches"], fewer["new"]["content"]) == ("full", 2, 0)
    assert "nothing is wrong" in run([python, "-m", "swhkit", "check", "--full"], tmp_path)


def test_the_forge_is_listed_and_may_be_named_in_the_configuration(python: Path, tmp_path: Path) -> None:
    (row,) = [row for row in swhkit(python, tmp_path, "plugins", "--json") if row["name"] == "pagure"]
    assert (row["kind"], row["state"], row["distribution"]) == ("forge", "ok", "swhkit-pagure")
    entry = '{kind: pagure, url: "https://src.fedoraproject.org", namespaces: [rpms]}'
    (tmp_path / "swhkit.yaml").write_text(f"forges: [{entry}]\n")
    assert "namespaces: [rpms]" in run([python, "-m", "swhkit", "config", "show"], tmp_path)


@pytest.mark.parametrize(
    "file", ["swhkit-dated-tarballs/test_dated_tarballs.py", "swhkit-pagure/test_pagure.py"]
)
def test_the_tests_of_an_example_pass_where_it_is_installed(python: Path, tmp_path: Path, file: str) -> None:
    shutil.copy(ROOT / "examples" / file, tmp_path)
    said = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path], tmp_path)
    assert re.search(r"^\d+ passed in", said, re.MULTILINE), said
    where = "import swhkit, swhkit_dated_tarballs as d, swhkit_pagure as p; print(swhkit.__file__, d.__file__, p.__file__)"
    for file in run([python, "-c", where], tmp_path).split():
        assert Path(file).is_relative_to(python.parent.parent)
