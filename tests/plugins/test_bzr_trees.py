"""Trees: after every kind of change they are what brz exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bzr_samples import Brz, Visits, tree_of


@pytest.fixture
def brz(tmp_path: Path) -> Brz:
    return Brz(tmp_path / "origins")


def begin(tree: Path, _: Brz) -> None:
    for folder in ("d/sub/deep", "p/q/r", "empty", "x", "y"):
        (tree / folder).mkdir(parents=True)
    for file in (
        "a",
        "d/one",
        "d/sub/two",
        "d/sub/deep/three",
        "p/q/r/four",
        "x/in-x",
        "y/in-y",
        "tool",
        "d-e",
        "été",
    ):
        (tree / file).write_text(f"text of {file}\n")
    (tree / "tool").chmod(0o755)
    (tree / "link").symlink_to("a")
    (tree / "none").write_text("")


def move_folder_and_part_of_it(tree: Path, brz: Brz) -> None:
    brz("mv", "--quiet", "d", "moved", at="t")
    brz("mv", "--quiet", "moved/sub/deep", "deep", at="t")
    (tree / "moved/sub/two").write_text("changed\n")
    (tree / "deep/new").write_text("new\n")


def exchange(_: Path, brz: Brz) -> None:
    for old, new in (("x", "z"), ("y", "x"), ("z", "y")):
        brz("mv", "--quiet", old, new, at="t")


def turn_inside_out(_: Path, brz: Brz) -> None:
    brz("mv", "--quiet", "p/q", "q", at="t")
    brz("mv", "--quiet", "p", "q/p", at="t")


def change_kinds(tree: Path, _: Brz) -> None:
    (tree / "a").unlink()
    (tree / "a").mkdir()
    (tree / "empty").rmdir()
    (tree / "empty").write_text("a file now\n")
    (tree / "link").unlink()
    (tree / "link").write_text("no link\n")
    (tree / "none").unlink()
    (tree / "none").symlink_to("été")


def folder_becomes_file(tree: Path, brz: Brz) -> None:
    brz("mv", "--quiet", "x/in-y", "q/in-y", at="t")
    (tree / "x").rmdir()
    (tree / "x").write_text("x is a file\n")


def put_into_what_was_a_file(tree: Path, _: Brz) -> None:
    (tree / "a/below").write_text("in what was a file\n")


def change_modes(tree: Path, _: Brz) -> None:
    (tree / "tool").chmod(0o644)
    (tree / "d-e").chmod(0o755)


def remove(tree: Path, brz: Brz) -> None:
    brz("rm", "--quiet", "moved", at="t")
    (tree / "moved").mkdir()
    (tree / "moved/again").write_text("another folder of the name\n")


STEPS: tuple[Callable[[Path, Brz], None], ...] = (
    begin, move_folder_and_part_of_it, exchange, turn_inside_out, change_kinds, folder_becomes_file,
    put_into_what_was_a_file, change_modes, remove,
)  # fmt: skip


@pytest.mark.parametrize("format", ["2a", "pack-0.92", "weave"])
def test_every_revision_is_what_brz_exports(brz: Brz, tmp_path: Path, format: str) -> None:
    tree = brz.init("t", format)
    expected = {}
    steps = STEPS if format == "2a" else STEPS[:4]  # in the oldest, brz itself can no longer change kinds
    for number, step in enumerate(steps):
        step(tree, brz)
        # brz add fails where the kind of a file has changed
        id = brz.commit("t", step.__name__, add=step not in (change_kinds, folder_becomes_file))
        exported = tmp_path / f"exported-{number}"
        brz("export", "--quiet", "--format=dir", exported, "t")
        expected[id] = tree_of(exported)
    with Visits(tmp_path) as visits:
        report = visits.load(tree)
        assert (report.status, report.new["revision"]) == ("full", len(steps)), report
        found = {id: visits.revision(id)[5:45].decode() for id in expected}
    assert found == expected


def test_a_merge_goes_back_and_forth_between_branches(brz: Brz, tmp_path: Path) -> None:
    tree = brz.init("t")
    begin(tree, brz)
    brz.commit("t", "base")
    brz("branch", "--quiet", "t", "side")
    move_folder_and_part_of_it(tree, brz)
    brz.commit("t", "here")
    (brz.root / "side/d/sub/deep/three").write_text("changed there\n")
    side = brz.commit("side", "there", "--author", "Bob <bob@x>", "--author", "Eve")
    brz("merge", "--quiet", "../side", at="t")
    merge = brz.commit("t", "merge")
    brz("export", "--quiet", "--format=dir", tmp_path / "exported", "t")
    with Visits(tmp_path) as visits:
        assert visits.load(tree).new["revision"] == 4
        body = visits.revision(merge).decode()
        assert body[5:45] == tree_of(tmp_path / "exported")
        assert body.count("\nparent ") == 2
        assert "\nauthor Bob <bob@x> " in visits.revision(side).decode()
