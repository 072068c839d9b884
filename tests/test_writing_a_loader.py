"""``docs/writing-a-loader.md`` shows the example as it is, and names all that a loader may yield and gets."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import msgspec

from swhkit import plugin, testing
from swhkit.manifest import encode, object_id
from swhkit.plugin import Content, Directory, Entry, Item, ObjectId, Tree, VisitContext, hash_content

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/swhkit-dated-tarballs"
PAGE = (ROOT / "docs/writing-a-loader.md").read_text()
*PARTS, TREE, CONTRACT = re.findall(r"```python\n(.*?)\n```", PAGE, re.DOTALL)


def first_cells(heading: str) -> set[str]:
    """The words that the first cells of a section's table begin with."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [row.partition(" |")[0] for row in re.findall(r"^\| (`.*)$", section, re.MULTILINE)]
    return {word for cell in cells for word in re.findall(r"`(\w+)", cell)}


def test_the_parts_of_the_example_are_all_of_it() -> None:
    rest = (EXAMPLE / "swhkit_dated_tarballs.py").read_text()
    for part in PARTS:
        assert rest.strip("\n").startswith(f"{part}\n".rstrip("\n"))
        rest = rest.strip("\n").removeprefix(part)
    assert rest.strip() == ""


def test_its_tests_and_its_metadata_are_as_shown() -> None:
    assert f"\n{CONTRACT}\n" in (EXAMPLE / "test_dated_tarballs.py").read_text()
    (metadata,) = re.findall(r"```toml\n(.*?)\n```", PAGE, re.DOTALL)
    assert (EXAMPLE / "pyproject.toml").read_text().startswith(f"{metadata}\n")
    assert f"class TestContract({testing.LoaderContract.__name__}):" in CONTRACT


def test_every_item_and_every_field_of_the_context_has_its_row() -> None:
    assert first_cells("What to yield") >= {kind.__name__ for kind in get_args(Item)}
    fields = {field.name for field in msgspec.structs.fields(VisitContext)}
    assert first_cells("What the context offers") == fields


def test_what_it_says_of_trees_works() -> None:
    digest = hash_content(b"x").sha1_git
    old = Directory((Entry(b"old", "file", digest, 0o100644),))
    bodies: dict[ObjectId, bytes] = {object_id(old): encode(old)}
    given = {
        "Tree": Tree,
        "context": SimpleNamespace(read=lambda ids: {id: bodies[id] for id in ids if id in bodies}),
        "root": object_id(old).digest,
        "other_root": object_id(old).digest,
        "digest": digest,
    }
    exec("def example():\n" + textwrap.indent(TREE, "    ") + "\n    yield tree", given)
    *directories, tree = given["example"]()  # type: ignore[operator]
    assert [object_id(made).digest for made in directories][-1] == tree.root
    assert [entry.name for entry in directories[-1].entries] == [b"src", b"vendor"]


def test_names_of_the_page_are_exported() -> None:
    called = set(re.findall(r"`([A-Z][A-Za-z]+)(?:\([^`]*)?`", PAGE)) - {"None", "DATED", "HEAD"}
    own = {"DatedLoader", "LoaderContract"}
    assert called - own - set(plugin.__all__) <= {"OSError"}, called - own - set(plugin.__all__)
    assert Content.__name__ in called
