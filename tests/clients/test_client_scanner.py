"""swh-scanner on folders that are archived, in part and not at all: it finds known what is, and nothing else."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from client_programs import Clients, Library, export
from generate import git


@pytest.fixture
def project(library: Library, clients: Clients) -> Path:
    """A fresh export of an archived revision."""
    return export(library.repositories["history"], clients.home / "project")


def paths(folder: Path) -> set[str]:
    """The folder and all below it, relative."""
    return {os.path.relpath(path, folder) for path in (folder, *folder.rglob("*"))}


def above(*names: str) -> set[str]:
    """These paths and the folders they are in."""
    return {str(path) for name in names for path in (Path(name), *Path(name).parents)}


def summary(printed: str) -> list[int]:
    """The counts: files, known ones, folders, those known as a whole, those known in part."""
    return [int(number) for number in re.findall(r":\s+(\d+)", printed)]


def test_all_of_it_is_known(library: Library, clients: Clients, api: str, project: Path) -> None:
    found = json.loads(clients.scan(project, "json", api))
    assert found.keys() == paths(project)
    assert {entry["known"] for entry in found.values()} == {True}
    tree = git(library.repositories["history"], "rev-parse", "main^{tree}")
    assert found["."]["swhid"] == f"swh:1:dir:{tree}"
    for line in git(library.repositories["history"], "ls-tree", "-r", "main").splitlines():
        (_, _, digest), name = line.partition("\t")[0].split(), line.partition("\t")[2]
        assert found[name]["swhid"] == f"swh:1:cnt:{digest}"
    files = sum(path.is_file() for path in project.rglob("*"))
    folders = len(found) - files
    assert summary(clients.scan(project, "summary", api)) == [files, files, folders, folders, 0]


def test_some_of_it_is_known(clients: Clients, api: str, project: Path) -> None:
    old = sorted(path for path in project.rglob("*") if path.is_file())
    changed = os.path.relpath(old[0], project)
    old[0].write_text("changed here\n")
    (old[-1].parent / "added").write_text("new here\n")
    added = os.path.relpath(old[-1].parent / "added", project)
    (project / "moved" / "deep").mkdir(parents=True)
    old[1].rename(project / "moved" / "deep" / "old")
    lost = os.path.relpath(old[1], project)
    if not any(old[1].parent.iterdir()):
        old[1].parent.rmdir()
    unknown = (above(changed, added, "moved/deep/old", lost) & paths(project)) - {"moved/deep/old"}
    found = json.loads(clients.scan(project, "json", api))
    assert found.keys() == paths(project)
    assert {name for name, entry in found.items() if not entry["known"]} == unknown
    lines = [json.loads(line) for line in clients.scan(project, "ndjson", api).splitlines()]
    assert {name: entry for line in lines for name, entry in line.items()} == found
    files = [name for name in found if (project / name).is_file()]
    counts = summary(clients.scan(project, "summary", api))
    assert counts[:2] == [len(files), len(set(files) - unknown)]
    assert counts[2:4] == [len(found) - len(files), len(found) - len(files) - len(unknown - set(files))]


def test_none_of_it_is_known(clients: Clients, api: str, project: Path) -> None:
    folder = clients.home / "fresh"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "one").write_text("nobody has seen this\n")
    (folder / "two").write_text("nor this\n")
    found = json.loads(clients.scan(folder, "json", api))
    assert found.keys() == {".", "below", "below/one", "two"}
    assert {entry["known"] for entry in found.values()} == {False}
    assert summary(clients.scan(folder, "summary", api)) == [2, 0, 2, 0, 0]


def test_more_files_than_one_request_may_ask_for(clients: Clients, api: str, project: Path) -> None:
    """The scanner asks for a thousand at a time."""
    for number in range(2_500):
        (project / f"new{number}").write_text(f"{number}\n")
    before = paths(project)
    found = json.loads(clients.scan(project, "json", api))
    new = {name for name in before if name.startswith("new")}
    assert len(new) == 2_500
    assert {name for name, entry in found.items() if not entry["known"]} == new | {"."}


def test_the_address_as_an_option(clients: Clients, api: str, project: Path) -> None:
    printed = clients.scan(project, "json", "http://127.0.0.1:9/api/1/", "--api-url", api)
    assert {entry["known"] for entry in json.loads(printed).values()} == {True}
